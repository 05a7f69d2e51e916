import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from anatomy_dataset import VOXEL_SIZE_MM, write_anatomy
from huggingface_hub import errors as hub
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import zscore
from tiny_models import WHISPER_SECONDS, tiny_extractor, tiny_model
from transformers import (
    AutoConfig,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
    WhisperModel,
)

from bthelpers.core.timing import SAMPLE_RATE, Interval, response_times
from bthelpers.data.cortex import vertex_voxels
from bthelpers.data.dataset import Dataset
from bthelpers.models.loading import ModelError, explained
from bthelpers.models.text import TextReader, WhisperDecoder
from bthelpers.params.loading import load
from bthelpers.params.tuning import BigSpeechModel, TargetSettings, TextModel
from bthelpers.simulation.anatomy import write_participant_anatomy
from bthelpers.simulation.miniatures.text import START, vocabulary, word_tokenizer
from bthelpers.tuning.examples import permute_blocks, read_stories
from bthelpers.tuning.targets import (
    TARGETS,
    TargetInputs,
    joint_responses,
    window_targets,
    window_texts,
)

TUNING = replace(
    load(Path(__file__).parents[2] / "params" / "smoke.yaml").tuning,
    window=4.0,
    stretches_at_once=3,
    precision="float32",
    permutation_block=2,
)
WORDS = ["cat", "dog", "don't", "saw", "the"]
TOKENS = vocabulary(WORDS)
SIZE = {"vocab_size": 2 + len(WORDS), "bos_token_id": 1, "eos_token_id": 0}
N_TRS = 7
CPU = torch.device("cpu")


def tiny_gpt2(**changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = GPT2Config(n_layer=3, n_embd=8, n_head=2, n_positions=16, **(SIZE | changes))
        return GPT2Model(config)


def tiny_llama():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        size = {"hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2}
        return LlamaModel(LlamaConfig(num_hidden_layers=7, **size, **SIZE)).eval()


def tiny_whisper():
    return tiny_model("whisper", **SIZE, decoder_layers=2, decoder_start_token_id=1)


TEXT_MODELS = {"gpt2": tiny_gpt2, "llama": tiny_llama}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Miniatures of all kinds, by their names."""
    root = tmp_path_factory.mktemp("models")
    for name, model in (TEXT_MODELS | {"whisper": tiny_whisper}).items():
        model().save_pretrained(root / name)
        word_tokenizer(TOKENS).save_pretrained(root / name)
    tiny_extractor("whisper").save_pretrained(root / "whisper")
    return root


def read(kind, path, *options):
    with explained(str(path), None, "some") as where:
        return kind.load(str(path), "float32", *options, **where)


def settings_of(folder, layer_step=1):
    text = TextModel(str(folder / "gpt2"), None, layer_step, 5)
    return TargetSettings(BigSpeechModel(str(folder / "whisper"), None), text)


def told_words(seed=0):
    """Words and noises after twelve seconds of silence: the first windows hold no word."""
    rng = np.random.default_rng(seed)
    edges = 12 + np.cumsum(rng.uniform(0.2, 0.9, 40))
    labels = rng.choice([*WORDS, "sp", "{NS}", "THE"], 39)
    pairs = zip(pairwise(edges.tolist()), labels.tolist(), strict=True)
    return [Interval(start, stop, label) for (start, stop), label in pairs]


class Stories:
    """Stands for a dataset."""

    def waveform(self, story, rate):
        rng = np.random.default_rng(len(story))
        return rng.normal(size=round(response_times(N_TRS + 20)[-1] * rate)).astype(np.float32)

    def response_times(self, story):
        return response_times(N_TRS + 20)

    def words(self, story):
        return told_words(len(story))

    def responses(self, participant, story, voxels):
        rng = np.random.default_rng(len(participant + story))
        return rng.normal(5, 2, (N_TRS, 8)).astype(np.float32)[:, voxels]


SPLITS = (["a", "bcd"], ["ef"])


def inputs_of(folder, **changes):
    voxels = np.arange(8) > 2
    inputs = TargetInputs(Stories(), "SIM01", voxels, TUNING, settings_of(folder), 3, CPU)
    return replace(inputs, **changes)


# Responses


def test_responses_are_those_of_the_participant(folder):
    inputs = inputs_of(folder)
    read_splits = TARGETS["brain-tuned"](inputs, SPLITS)
    for stories, names in zip(read_splits, SPLITS, strict=True):
        expected = read_stories(inputs.dataset, "SIM01", names, inputs.voxels)
        for one, other in zip(stories, expected, strict=True):
            assert one.name == other.name
            np.testing.assert_array_equal(one.responses, other.responses)


def test_permuted_responses_are_those_that_one_generator_permutes(folder):
    inputs = inputs_of(folder)
    rng = np.random.default_rng(inputs.seed)
    for stories, names in zip(TARGETS["block-permuted"](inputs, SPLITS), SPLITS, strict=True):
        for story, name in zip(stories, names, strict=True):
            [expected] = read_stories(inputs.dataset, "SIM01", [name], inputs.voxels)
            expected = permute_blocks(expected, TUNING.permutation_block, rng)
            np.testing.assert_array_equal(story.responses, expected.responses)


# Words of a window


@given(st.lists(st.tuples(st.floats(-20, 60), st.floats(0.1, 20)), min_size=1, max_size=5))
def test_a_window_holds_the_words_that_lie_wholly_in_it(spans):
    words = told_words()
    edges = np.array([(start, start + length) for start, length in spans])
    for text, (start, stop) in zip(window_texts(words, edges), edges, strict=True):
        inside = [k for k, w in enumerate(words) if not (w.start < start or w.stop > stop)]
        assert text == " ".join(words[k].label for k in inside)


def test_a_word_that_ends_with_the_window_is_in_it():
    words = [Interval(0.0, 1.0, "the"), Interval(1.0, 2.5, "cat")]
    spans = np.array([[0.0, 2.5], [0.0, 2.4999], [-3.0, 0.5], [1e-9, 2.5]])
    assert window_texts(words, spans) == ["the cat", "the", "", "cat"]


# Representations


@torch.no_grad()
def direct_states(model, text, sound):
    """Output of every layer for one text, by a call of its own; tokens of words only."""
    tokens = torch.tensor([[START, *(TOKENS[word] for word in text.split())]])
    if isinstance(model, WhisperModel):
        extractor = tiny_extractor("whisper")
        features = extractor(sound, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        states = model(features, decoder_input_ids=tokens, output_hidden_states=True)
        states = states.decoder_hidden_states
    else:
        states = model(tokens, output_hidden_states=True).hidden_states
    return [state[0, 1:].double().numpy() for state in states[1:]]


def naive_targets(model, words, waveform, layer_step=1):
    """Window by window and layer by layer; NaN where a window holds no word."""
    rows = []
    for time in response_times(N_TRS + 20):
        stop = round(time * SAMPLE_RATE)
        start = stop - 4 * SAMPLE_RATE
        inside = [
            w for w in words if w.start >= start / SAMPLE_RATE and w.stop <= stop / SAMPLE_RATE
        ]
        text = " ".join(w.label.lower() for w in inside if w.label not in ("sp", "{NS}"))
        rows.append(None)
        if text:
            states = direct_states(model, text, waveform[max(start, 0) : stop])
            rows[-1] = np.concatenate(
                [state.mean(axis=0) for k, state in enumerate(states, 1) if k % layer_step == 0]
            )
    width = next(len(row) for row in rows if row is not None)
    rows = np.array([np.full(width, np.nan) if row is None else row for row in rows])
    return zscore(rows, axis=0, nan_policy="omit")


@pytest.mark.parametrize(
    ("name", "layer_step", "width"),
    [("gpt2", 1, 3 * 8), ("gpt2", 3, 8), ("llama", 1, 7 * 8), ("llama", 3, 2 * 8)],
)
def test_text_models_represent_the_words_of_each_window(folder, name, layer_step, width):
    reader = read(TextReader, folder / name, layer_step)
    words, waveform = told_words(), np.zeros(30 * SAMPLE_RATE, np.float32)
    targets, report = window_targets(reader, waveform, words, response_times(N_TRS + 20), TUNING)
    expected = naive_targets(TEXT_MODELS[name]().eval(), words, waveform, layer_step)
    assert targets.dtype == np.float32
    assert targets.shape == (N_TRS, width)
    silent = np.isnan(expected).all(axis=1)
    assert 0 < silent.sum() < N_TRS
    np.testing.assert_allclose(targets[~silent], expected[~silent], atol=1e-4)
    assert (targets[silent] == 0).all()
    assert report == f"{silent.sum()} of 7 windows without a word"


def test_a_whisper_represents_what_it_hears_and_is_given(folder):
    dataset = Stories()
    inputs = inputs_of(folder, participant=None, voxels=None)
    [[story]] = TARGETS["big-slm"](inputs, [["bcd"]])
    waveform = dataset.waveform("bcd", SAMPLE_RATE)
    expected = np.nan_to_num(naive_targets(tiny_whisper(), dataset.words("bcd"), waveform))
    assert story.responses.shape == (N_TRS, 2 * 32)
    np.testing.assert_allclose(story.responses, expected, atol=2e-4)
    np.testing.assert_array_equal(story.waveform, waveform)
    np.testing.assert_array_equal(story.times, dataset.response_times("bcd"))


def test_the_window_of_the_first_responses_begins_with_the_sound(folder):
    long = replace(TUNING, window=9.0)
    words = [Interval(k, k + 1, WORDS[k % 5]) for k in range(11)]
    times = np.array([3.0, 5.0, 8.5])
    sound = Stories().waveform("a", SAMPLE_RATE)
    heard = []
    decoder = read(WhisperDecoder, folder / "whisper")
    represent = decoder.represent
    decoder.represent = lambda texts, sounds: heard.extend(sounds) or represent(texts, sounds)
    window_targets(decoder, sound, words, times, long)
    assert [len(one) for one in heard] == [48_000, 80_000, 136_000]
    for one in heard:
        np.testing.assert_array_equal(one, sound[: len(one)])


@pytest.mark.parametrize("condition", ["big-slm", "text-lm"])
def test_stories_are_standardised_one_by_one_and_counted(folder, condition, capsys):
    inputs = inputs_of(folder)
    splits = TARGETS[condition](inputs, SPLITS)
    assert [[story.name for story in stories] for stories in splits] == [*SPLITS]
    for story in (story for stories in splits for story in stories):
        assert story.responses.dtype == np.float32
        np.testing.assert_allclose(story.responses.mean(axis=0), 0, atol=1e-5)
        worded = story.responses[story.responses.any(axis=1)]
        np.testing.assert_allclose(worded.std(axis=0), 1, atol=1e-3)
    printed = capsys.readouterr().err
    assert "targets: 3 of 3 ef: " in printed
    assert "of 7 windows without a word" in printed
    again = TARGETS[condition](inputs, SPLITS)
    np.testing.assert_array_equal(splits[0][1].responses, again[0][1].responses)


@pytest.mark.parametrize("condition", ["big-slm", "text-lm"])
def test_how_many_windows_go_through_at_once_does_not_matter(folder, condition):
    one, many = (
        TARGETS[condition](
            inputs_of(folder, tuning=replace(TUNING, stretches_at_once=number)), [["a"]]
        )[0][0].responses
        for number in (1, 100)
    )
    np.testing.assert_allclose(one, many, atol=1e-4)


@pytest.mark.parametrize("condition", ["big-slm", "text-lm"])
def test_lower_precision_gives_nearly_the_same(folder, condition):
    full, half = (
        TARGETS[condition](inputs_of(folder, tuning=replace(TUNING, precision=precision)), [["a"]])[
            0
        ][0].responses
        for precision in ("float32", "bfloat16")
    )
    assert not np.array_equal(full, half)
    assert np.corrcoef(full.ravel(), half.ravel())[0, 1] > 0.99


def test_unknown_words_are_counted(folder):
    words = [Interval(k, k + 1, "zebra" if k % 2 else "cat") for k in range(20)]
    words[4] = Interval(4, 5, "ape")
    reader, times = read(TextReader, folder / "gpt2", 1), np.arange(5.0, 20.0)
    _, report = window_targets(reader, np.zeros(9, np.float32), words, times, TUNING)
    assert report == "0 of 15 windows without a word, 2 unknown words, such as 'ape'"


# Tokenizers in the published form


# Bad input


def test_a_story_without_words_is_an_error(folder):
    class Silent(Stories):
        def words(self, story):
            return [Interval(0, 40, "sp")]

    with pytest.raises(ValueError, match="story 'a': no window holds a word; check the word tier"):
        TARGETS["text-lm"](inputs_of(folder, dataset=Silent()), SPLITS)


def test_a_window_of_too_many_words_is_an_error(folder):
    words = [Interval(k / 10, k / 10 + 0.1, "cat") for k in range(100)]
    reader, times = read(TextReader, folder / "gpt2", 1), np.array([9.0])
    with pytest.raises(ValueError, match=r"41 tokens, more than the 16 .* lower `tuning.window`"):
        window_targets(reader, np.zeros(9, np.float32), words, times, TUNING)
    decoder = read(WhisperDecoder, folder / "whisper")
    assert decoder.max_tokens == decoder.model.config.max_target_positions


def test_a_window_longer_than_whisper_takes_is_an_error(folder):
    long = replace(TUNING, window=WHISPER_SECONDS + 1.0)
    with pytest.raises(ValueError, match=r"story 'a': 11\.0 s of sound .* lower `window`"):
        TARGETS["big-slm"](inputs_of(folder, tuning=long), SPLITS)


@pytest.mark.parametrize(("condition", "maker"), [("big-slm", "whisper"), ("text-lm", "text")])
def test_a_missing_folder_is_an_error_that_says_what_to_do(tmp_path, condition, maker):
    expected = f"no model here .*`bthelpers miniature {maker} --output"
    with pytest.raises(ModelError, match=expected):
        TARGETS[condition](inputs_of(tmp_path), SPLITS)


def test_too_few_layers_for_the_step_are_an_error(folder):
    with pytest.raises(ModelError, match=r"has 3 layers: lower its `layer_step`"):
        TARGETS["text-lm"](inputs_of(folder, targets=settings_of(folder, layer_step=4)), SPLITS)


@pytest.mark.parametrize("condition", ["big-slm", "text-lm"])
@pytest.mark.parametrize(
    ("cause", "remedy"),
    [
        (hub.GatedRepoError, "accept its terms.* `hf auth login`"),
        (hub.RepositoryNotFoundError, "correct its name"),
        (hub.RevisionNotFoundError, "correct its revision"),
        (hub.LocalEntryNotFoundError, "hf download NAME .*without a revision"),
    ],
)
def test_a_model_that_the_hub_does_not_give_is_an_error(
    cause, remedy, condition, folder, monkeypatch
):
    def refused(source, **options):
        assert options == {"revision": "abc", "trust_remote_code": False}
        raise OSError("something long") from cause.__new__(cause)

    monkeypatch.setattr(AutoConfig, "from_pretrained", refused)
    settings = TargetSettings(BigSpeechModel("x/y", "abc"), TextModel("x/y", "abc", 1, 5))
    with pytest.raises(
        ModelError, match=f"x/y at abc cannot be loaded .something long.: .*{remedy}"
    ):
        TARGETS[condition](inputs_of(folder, targets=settings), SPLITS)


class TwoParticipants(Dataset):
    """Two simulated cortices, whose responses are drawn and not read."""

    def waveform(self, story, rate):
        return np.zeros(rate, np.float32)

    def response_times(self, story):
        return np.arange(len(story), dtype=np.float64)

    def responses(self, participant, story, voxels):
        rng = np.random.default_rng([*participant.encode(), *story.encode()])
        shape = len(story), self.n_voxels(participant)
        return rng.normal(size=shape).astype(np.float32)[:, voxels]

    def n_voxels(self, participant):
        return {"sim01": self.counts[0], "sim02": self.counts[1]}[participant]


def test_participants_meet_on_the_surface_that_they_share(tmp_path):
    counts = [write_anatomy(tmp_path, seed=1)]
    counts.append(write_participant_anatomy(tmp_path, "sim02", VOXEL_SIZE_MM, seed=2))
    transforms = {name: f"{name}_auto" for name in ("sim01", "sim02")}
    (tmp_path / "derivative/subject_xfms.json").write_text(json.dumps(transforms))
    dataset = TwoParticipants(tmp_path)
    dataset.counts = counts
    rng = np.random.default_rng(0)
    masks = {name: rng.random(count) < 0.5 for name, count in zip(transforms, counts, strict=True)}
    splits = {"sim01": (("long", "longer"), ("held",)), "sim02": (("longer",), ("held",))}
    training, validation = joint_responses(dataset, masks, splits)
    assert {name: [s.name for s in heard] for name, heard in training.items()} == {
        "sim01": ["long", "longer"],
        "sim02": ["longer"],
    }
    vertices = {name: vertex_voxels(dataset, name) for name in masks}
    shared = np.flatnonzero(
        [
            all(v >= 0 and masks[name][v] for name, v in zip(vertices, pair, strict=True))
            for pair in zip(*vertices.values(), strict=True)
        ]
    )
    for name, heard in training.items():
        for story in [*heard, *validation[name]]:
            expected = dataset.responses(name, story.name, vertices[name][shared])
            np.testing.assert_allclose(story.responses, zscore(expected), atol=1e-5)
    assert training["sim01"][1].waveform is training["sim02"][0].waveform

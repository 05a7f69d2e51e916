import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_models import same, weights
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import AutoFeatureExtractor, AutoModel, HubertModel

from bthelpers.cli import main
from bthelpers.core.provenance import file_digest
from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.models.speech import SpeechEncoder
from bthelpers.simulation.espeak import speak
from bthelpers.simulation.miniatures import speech as miniatures
from bthelpers.simulation.miniatures.speech import (
    HOP,
    RECEPTIVE_FIELD,
    Pretrainer,
    PretrainingSettings,
    cluster,
    masked_prediction_loss,
    miniature_config,
    minimise,
    pretraining_stories,
    random_miniature,
    save_miniature,
    standardized_waveform,
)

LEXICON = Path(__file__).parents[3] / "params" / "lexicons" / "english.yaml"
SETTINGS = {
    "lexicon": str(LEXICON),
    "minutes": 2,
    "cepstral_clusters": (8,),
    "hidden_clusters": (8, 12),
    "front_end_steps": 2,
    "cepstral_steps": 2,
    "hidden_steps": (2, 1),
    "front_end_batch": 2,
    "front_end_tokens": 50,
    "batch": 2,
    "tokens": 50,
    "warmup_steps": 1,
}


def pretrain(seed=0, **changes):
    lines = []
    settings = PretrainingSettings(**{**SETTINGS, "seed": seed, **changes})
    pretrainer = Pretrainer(settings, log=lambda text, **_: lines.append(text))
    return pretrainer.run(), settings, lines


@pytest.fixture(scope="module")
def pretrained():
    return pretrain()


# Clusters, loss


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_loss_is_that_of_a_loop(weight):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 7, 11)).astype(np.float32)
    targets = rng.integers(11, size=(3, 7))
    mask = rng.random((3, 7)) < 0.4
    masked, unmasked = [], []
    for row in range(3):
        for token in range(7):
            scores = logits[row, token].astype(float)
            loss = math.log(sum(math.exp(score) for score in scores)) - scores[targets[row, token]]
            (masked if mask[row, token] else unmasked).append(loss)
    expected = np.mean(masked) + weight * np.mean(unmasked)
    arguments = (torch.from_numpy(targets), torch.from_numpy(mask), weight)
    found = masked_prediction_loss(torch.from_numpy(logits), *arguments)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    coarse = masked_prediction_loss(torch.from_numpy(logits).bfloat16(), *arguments)
    assert coarse.dtype == torch.float32
    assert coarse.item() == pytest.approx(expected, rel=0.02)


def test_every_frame_has_a_cluster():
    rng = np.random.default_rng(0)
    features = [rng.normal(size=(n, 4)).astype(np.float32) for n in (90, 120, 61)]
    labels = cluster(features, 5, seed=0)
    assert [len(label) for label in labels] == [90, 120, 61]
    assert {label.dtype for label in labels} == {np.dtype(np.int64)}
    assert set(np.concatenate(labels)) == set(range(5))
    again = cluster(features, 5, seed=0)
    assert all(np.array_equal(*pair) for pair in zip(labels, again, strict=True))


def test_clusters_are_found_whatever_a_story_is_scaled_by():
    rng = np.random.default_rng(0)
    kinds = [rng.integers(3, size=200) for _ in range(2)]
    centres = np.array([[0.0, 0], [8, 0], [0, 8]])
    points = [centres[kind] + rng.normal(size=(200, 2)) for kind in kinds]
    labels = cluster([points[0], 100 * points[1] - 7], 3, seed=0)
    for kind, label in zip(kinds, labels, strict=True):
        assert {len(set(label[kind == k])) for k in range(3)} == {1}
    assert [labels[0][kinds[0] == k][0] for k in range(3)] == [
        labels[1][kinds[1] == k][0] for k in range(3)
    ]


def test_steps_follow_a_warmed_up_cosine_and_are_logged():
    settings = PretrainingSettings(learning_rate=0.5, warmup_steps=4)
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    rates, lines = [], []
    handle = register_optimizer_step_post_hook(
        lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"])
    )
    losses = minimise(
        lambda: (weight.square().sum(), ", a note"), [weight], settings, 150, lines.append
    )
    handle.remove()
    steps = np.arange(150)
    falling = np.maximum(0.02, 0.5 * (1 + np.cos(np.pi * steps / 150)))
    np.testing.assert_allclose(rates, 0.5 * np.minimum(1, (steps + 1) / 4) * falling)
    assert losses[0] == 4
    assert losses[-1] < 0.1
    logged = [f"step {k + 1} of 150, loss {losses[k]:.3f}, a note" for k in (0, 100, 149)]
    assert lines == logged


# Stories


@pytest.fixture
def told(monkeypatch):
    """Words of the stories that are told for pretraining, and their settings."""
    told, tell_story = [], miniatures.tell_story

    def listen(lexicon, speaker, *args):
        story = tell_story(lexicon, speaker, *args)
        told.append(([w.label for w in story.words if w.label != "sp"], speaker))
        return story

    monkeypatch.setattr(miniatures, "tell_story", listen)
    return told


def waveforms_of(settings):
    return map(standardized_waveform, pretraining_stories(settings))


def runs(words, length=12):
    return {tuple(words[k : k + length]) for k in range(len(words) - length)}


def test_stories_are_others_than_those_of_the_dataset(small_dataset, told):
    list(waveforms_of(PretrainingSettings(**{**SETTINGS, "minutes": 4})))
    dataset = [
        [word.label for word in small_dataset.words(story) if word.label != "sp"]
        for story in small_dataset.stories
    ]
    assert not set.union(*map(runs, dataset)) & set.union(*(runs(words) for words, _ in told))
    assert {word for words, _ in told for word in words} & set(dataset[0])  # of one vocabulary


def test_waveforms_are_a_minute_of_standardised_sound(told):
    waveforms = list(waveforms_of(PretrainingSettings(**{**SETTINGS, "minutes": 3})))
    assert len({speaker for _, speaker in told}) == 3
    for waveform in waveforms:
        assert waveform.dtype == np.float32
        assert 60 <= len(waveform) / SAMPLE_RATE < 90
        assert waveform.mean() == pytest.approx(0, abs=1e-4)
        assert waveform.std() == pytest.approx(1, abs=1e-4)


def test_waveforms_follow_the_seed_and_not_what_was_said_before():
    def first_story(seed):
        voices = ("en-us+f2",)  # breathy
        settings = PretrainingSettings(**{**SETTINGS, "seed": seed, "voices": voices})
        return next(waveforms_of(settings))

    first = first_story(0)
    speak("something else")
    np.testing.assert_array_equal(first, first_story(0))
    assert not np.array_equal(first[: 5 * SAMPLE_RATE], first_story(1)[: 5 * SAMPLE_RATE])


# Model


def test_model_is_a_hubert_of_25_tokens_a_second():
    config = miniature_config()
    model = HubertModel(config)
    assert (config.num_hidden_layers, config.hidden_size) == (5, 128)
    assert math.prod(config.conv_stride) == HOP == SAMPLE_RATE // 25
    assert 2 * sum(p.numel() for p in model.parameters()) < 4e6  # bytes in fp16
    assert SpeechEncoder(model).receptive_field == RECEPTIVE_FIELD


def test_cut_sounds_give_as_many_tokens_as_there_are_targets():
    model = HubertModel(miniature_config()).eval()
    for n_tokens in (1, 50, 100):
        frames = model.feature_extractor(torch.zeros(1, (n_tokens + 2) * HOP))
        assert frames.shape[2] == n_tokens


def test_pretraining_goes_through_its_phases(pretrained):
    model, _, lines = pretrained
    assert isinstance(model, HubertModel)
    assert not model.training
    phases = ["told 2 stories", "front end", "cepstra", "hidden units 1", "hidden units 2"]
    found = [next(k for k, line in enumerate(lines) if phase in line) for phase in phases]
    assert found == sorted(found)
    losses = [float(line.split("loss ")[1]) for line in lines if "loss" in line]
    assert len(losses) >= len(phases) - 1
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("hidden_size", [32, 64])
def test_a_miniature_of_another_size(hidden_size):
    config = random_miniature("hubert", 0, hidden_size).config
    assert (config.hidden_size, config.intermediate_size) == (hidden_size, 4 * hidden_size)
    assert config.conv_dim == miniature_config().conv_dim


def test_pretraining_changes_front_end_and_transformer(pretrained):
    model, settings, _ = pretrained
    initial = weights(random_miniature("hubert", settings.seed))
    changed = {
        name for name, array in weights(model).items() if not torch.equal(array, initial[name])
    }
    assert changed == set(initial)


def test_a_wavlm_is_pretrained_saved_and_loaded(tmp_path):
    model, settings, _ = pretrain(family="wavlm")
    assert model.config.model_type == "wavlm"
    save_miniature(model, tmp_path / "mini", settings, settings.lexicon)
    encoder = SpeechEncoder.load(tmp_path / "mini")
    assert (encoder.n_layers, encoder.hop, encoder.receptive_field) == (5, HOP, RECEPTIVE_FIELD)
    assert sum(file.stat().st_size for file in (tmp_path / "mini").iterdir()) < 4e6


def test_front_end_is_frozen_after_its_phase():
    one, _, _ = pretrain(cepstral_steps=1, hidden_steps=())
    other, _, _ = pretrain(cepstral_steps=3, hidden_steps=())
    assert same(weights(one.feature_extractor), weights(other.feature_extractor))
    assert not same(weights(one), weights(other))


def test_same_seed_gives_the_same_weights_and_another_others(pretrained):
    state = torch.get_rng_state()
    again, other = pretrain()[0], pretrain(seed=1)[0]
    assert same(weights(pretrained[0]), weights(again))
    assert not same(weights(again), weights(other))
    assert torch.equal(torch.get_rng_state(), state)  # the caller's randomness is its own


# Saving


@pytest.fixture(scope="module")
def folder(pretrained, tmp_path_factory):
    model, settings, _ = pretrained
    folder = tmp_path_factory.mktemp("miniature") / "hubert-mini"
    save_miniature(model, folder, settings, settings.lexicon)
    return folder


def test_saved_weights_are_half_precision_and_small(folder):
    arrays = load_file(folder / "model.safetensors")
    assert {array.dtype for array in arrays.values()} == {torch.float16}
    assert sum(file.stat().st_size for file in folder.iterdir()) < 4e6


def test_saved_model_loads(pretrained, folder):
    model = AutoModel.from_pretrained(folder, dtype=torch.float32)
    assert type(model) is HubertModel
    assert same(weights(model), {n: w.half().float() for n, w in weights(pretrained[0]).items()})
    assert model.config.apply_spec_augment is False
    assert AutoFeatureExtractor.from_pretrained(folder).do_normalize is True
    assert AutoFeatureExtractor.from_pretrained(folder).sampling_rate == SAMPLE_RATE
    encoder = SpeechEncoder.load(folder)
    layers, _ = encoder.hidden_states([np.random.default_rng(0).normal(size=2 * SAMPLE_RATE)])
    assert len(layers) == 6
    assert all(torch.isfinite(layer).all() for layer in layers)


def test_provenance_says_how_it_was_made(pretrained, folder):
    record = json.loads((folder / "provenance.json").read_text())
    assert json.loads(record["parameters"]) == json.loads(json.dumps(asdict(pretrained[1])))
    assert record["data"] == "synthetic stories"
    assert record["lexicon_digest"] == file_digest(LEXICON)


def test_saving_leaves_the_model_as_it_was(tmp_path):
    model = HubertModel(miniature_config()).train()
    before, config = weights(model), model.config.to_dict()
    save_miniature(model, tmp_path / "a", PretrainingSettings(), PretrainingSettings().lexicon)
    assert same(weights(model), before)
    assert {array.dtype for array in model.state_dict().values()} == {torch.float32}
    assert model.training
    assert model.config.to_dict() == config


def test_command_line(monkeypatch, tmp_path):
    made = {}

    class Recorder:
        def __init__(self, settings):
            made["settings"] = settings

        def run(self):
            return "model"

    monkeypatch.setattr(miniatures, "Pretrainer", Recorder)
    monkeypatch.setattr(miniatures, "save_miniature", lambda *args: made.update(saved=args))
    lexicon = "params/lexicons/english_second.yaml"
    arguments = ["--output", str(tmp_path), "--family", "wavlm", "--seed", "3"]
    arguments += ["--hidden-size", "64", "--lexicon", lexicon, "--threads", "1"]
    threads = torch.get_num_threads()
    try:
        assert main(["miniature", "speech", *arguments]) == 0
    finally:
        torch.set_num_threads(threads)
    assert made["settings"] == PretrainingSettings("wavlm", 64, 3, lexicon)
    assert made["saved"] == ("model", str(tmp_path), made["settings"], lexicon)


def test_shipped_miniature_loads():
    path = Path(miniatures.__file__).parents[2] / "checkpoints" / "hubert-mini"
    assert sum(file.stat().st_size for file in path.iterdir()) < 4e6
    assert SpeechEncoder.load(path).n_layers == miniature_config().num_hidden_layers
    parameters = json.loads(json.loads((path / "provenance.json").read_text())["parameters"])
    # HuBERT's were made before there were other families and sizes.
    assert {"family": "hubert", "hidden_size": 128} | parameters == json.loads(
        json.dumps(asdict(PretrainingSettings()))
    )

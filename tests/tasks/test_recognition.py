import copy
from dataclasses import replace

import jiwer
import numpy as np
import pytest
import soundfile
import torch
from scarce_memory import hold
from tiny_models import CONVOLUTIONAL, standardized, tiny_extractor, tiny_model

from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.evaluations import RecognitionSettings
from bthelpers.tasks import recognition as module
from bthelpers.tasks.clips import read_waveform
from bthelpers.tasks.recognition import FineTuning, Recognizer, evaluate, fine_tune
from bthelpers.tasks.timit import TimitClip

SETTINGS = RecognitionSettings(
    epochs=3, batch_clips=4, learning_rate=3e-3, warmup=0.1, precision="float32"
)
PITCHES = {"A": 300, "B": 900, "C": 2700, " ": 0}  # Hz
SECONDS = 0.2  # of a letter: five tokens


def clip(folder, name, waveform, text):
    soundfile.write(folder / name, waveform, SAMPLE_RATE, "FLOAT")
    return TimitClip(name, folder / name, "train", None, "SX", text, (), ())


def spelt(text, rng):
    """A tone for each letter, silence for a space, and a gap after each."""
    time = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    envelope = np.minimum(1, 8 - 8 * time / SECONDS)
    tones = [envelope * np.sin(2 * np.pi * PITCHES[letter] * time) for letter in text]
    waveform = np.concatenate(tones)
    return waveform + 0.01 * rng.standard_normal(len(waveform))


def random_clips(folder, n, seed):
    rng = np.random.default_rng(seed)
    clips = []
    for k in range(n):
        words = [
            "".join(rng.choice(list("ABC"), rng.integers(1, 4))) for _ in range(rng.integers(1, 4))
        ]
        text = " ".join(words)
        clips.append(clip(folder, f"{seed}-{k}.wav", spelt(text, rng), f"{text.lower()}."))
    return clips


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tones")


@pytest.fixture(scope="module")
def many(folder):
    return random_clips(folder, 64, seed=1)


@pytest.fixture(scope="module")
def training(many):
    return many[:24]


@pytest.fixture(scope="module")
def validation(folder):
    return random_clips(folder, 6, seed=2)


@pytest.fixture(scope="module")
def encoder():
    return SpeechEncoder(tiny_model("hubert"))


def with_random_head(encoder):
    recognizer = Recognizer(encoder, "float32")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        recognizer.head.weight.normal_(generator=generator)
    return recognizer


@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("family", CONVOLUTIONAL)
def test_clips_in_a_batch_get_what_they_get_alone(training, family, norm):
    model = tiny_model(family, feat_extract_norm=norm)
    recognizer = with_random_head(SpeechEncoder(copy.deepcopy(model)))
    examples = recognizer.examples(training[:5])
    assert len({len(example.frames) for example in examples}) > 1
    with torch.no_grad():
        together = recognizer.log_probabilities([example.frames for example in examples])
        for row, one, example in zip(together, training, examples, strict=False):
            waveform = torch.from_numpy(standardized(read_waveform(one.path)))
            states = model(waveform[None]).last_hidden_state
            expected = recognizer.head(states).log_softmax(dim=-1)[0]
            n_tokens = len(example.frames)
            assert expected.shape == (n_tokens, 29)
            torch.testing.assert_close(row[:n_tokens], expected, atol=1e-4, rtol=0)


def test_transcripts_do_not_depend_on_batches(training, encoder, monkeypatch):
    recognizer = with_random_head(encoder)
    examples = recognizer.examples(training)
    together = recognizer.transcribe(examples)
    assert any(together)
    monkeypatch.setattr(module, "WAVEFORMS_AT_ONCE", 1)
    assert recognizer.transcribe(examples) == together


def test_transcripts_that_do_not_fit_the_device_are_halved_once(training, encoder, monkeypatch):
    recognizer = with_random_head(encoder)
    examples = recognizer.examples(training)
    expected = recognizer.transcribe(examples)
    monkeypatch.setattr(module, "WAVEFORMS_AT_ONCE", 4)
    asked = hold(monkeypatch, Recognizer, "log_probabilities", 2)
    assert recognizer.transcribe(examples) == expected
    assert asked[:3] == [4, 2, 2]
    hold(monkeypatch, Recognizer, "log_probabilities", 1)
    with pytest.raises(
        torch.OutOfMemoryError, match=r"clips \(2 at once\): set `recognition\.prec"
    ):
        recognizer.transcribe(examples)


def test_a_step_that_does_not_fit_the_device_goes_on_in_halves(
    training, validation, encoder, monkeypatch, capsys
):
    arguments = encoder, training[:10], validation[:1], replace(SETTINGS, epochs=2), 0
    expected = fine_tune(*arguments)
    asked = hold(monkeypatch, Recognizer, "log_probabilities", 2)
    result = fine_tune(*arguments)
    assert asked[:3] == [4, 2, 2]
    np.testing.assert_allclose(result.training_loss, expected.training_loss, rtol=1e-3)
    assert capsys.readouterr().err.count("WARNING: the GPU has no memory for clips (4 at") == 1
    hold(monkeypatch, Recognizer, "log_probabilities", 1)
    with pytest.raises(
        torch.OutOfMemoryError, match=r"clips \(2 .*lower `recognition\.batch_clips`"
    ):
        fine_tune(*arguments)


@pytest.fixture(scope="module")
def learnt(encoder, many, validation):
    settings = replace(SETTINGS, epochs=24, learning_rate=5e-3)
    state = copy.deepcopy(encoder.model.state_dict()), copy.deepcopy(encoder.front_end.frozen)
    return state, fine_tune(encoder, many, validation, settings, seed=0)


def test_fine_tuning_learns_to_spell(learnt):
    _, result = learnt
    assert len(result.training_loss) == len(result.validation_wer) == 24
    assert result.training_loss[-1] < 0.1 * result.training_loss[0]
    assert min(result.validation_wer) < 0.5
    assert result.n_infeasible == 0


def test_the_first_best_epoch_is_taken(learnt, validation):
    _, result = learnt
    assert result.best_epoch == result.validation_wer.index(min(result.validation_wer))
    wer = evaluate(result.recognizer, validation, n_draws=3, seed=0)["wer"].item()
    assert wer == pytest.approx(result.validation_wer[result.best_epoch])


def test_the_whole_transformer_is_tuned_and_nothing_else(learnt, encoder):
    (before, frozen), result = learnt
    after = result.recognizer.encoder.model.state_dict()
    assert all(value.equal(before[name]) for name, value in encoder.model.state_dict().items())
    same = {name for name, value in before.items() if value.equal(after[name])}
    assert same == {"masked_spec_embed"}  # of pretraining
    for one, other in zip(
        frozen.parameters(), result.recognizer.encoder.front_end.frozen.parameters(), strict=True
    ):
        assert one.equal(other)


def test_a_test_agrees_with_jiwer(learnt, folder):
    _, result = learnt
    clips = random_clips(folder, 9, seed=3)
    tested = evaluate(result.recognizer, clips, n_draws=500, seed=0)
    examples = result.recognizer.examples(clips)
    references = [example.text for example in examples]
    assert references == [one.text.upper().rstrip(".") for one in clips]
    hypotheses = result.recognizer.transcribe(examples)
    assert tested["wer"].item() == pytest.approx(jiwer.wer(references, hypotheses))
    assert tested["accuracy"].item() == pytest.approx(1 - tested["wer"].item())
    assert tested["n_words"].item() == sum(len(text.split()) for text in references)
    assert tested["n_infeasible"].item() == 0
    rng = np.random.default_rng(0)
    counts = rng.multinomial(9, np.full(9, 1 / 9), size=500)
    for draw in (0, 17):
        drawn = np.repeat(np.arange(9), counts[draw])
        expected = jiwer.wer([references[k] for k in drawn], [hypotheses[k] for k in drawn])
        assert tested["wer_draws"].values[draw] == pytest.approx(expected, rel=1e-6)


def test_clips_of_a_speaker_are_drawn_together(learnt, folder):
    _, result = learnt
    clips = random_clips(folder, 6, seed=3)
    of_two = [replace(clip, speaker="ab"[k // 3]) for k, clip in enumerate(clips)]
    tested = evaluate(result.recognizer, of_two, n_draws=50, seed=0)
    halves = [evaluate(result.recognizer, half, 1, 0) for half in (clips[:3], clips[3:])]
    errors, words = np.transpose(
        [(half["wer"] * half["n_words"], half["n_words"]) for half in halves]
    )
    counts = np.array([(2, 0), (1, 1), (0, 2)])
    possible = (counts @ errors) / (counts @ words)
    apart = abs(tested["wer_draws"].values[:, None] - possible)
    assert apart.min(axis=1).max() < 1e-6
    assert set(apart.argmin(axis=1)) == {0, 1, 2}
    assert (tested["n_drawn"] == 2).all()


def weights(result):
    modules = result.recognizer.modules.values()
    return [value.clone() for module in modules for value in module.state_dict().values()]


def equal(one, other):
    pairs = zip(weights(one), weights(other), strict=True)
    return one.training_loss == other.training_loss and all(a.equal(b) for a, b in pairs)


@pytest.fixture(scope="module")
def dropping():
    return SpeechEncoder(tiny_model("hubert", hidden_dropout=0.2))


@pytest.fixture(scope="module")
def undisturbed(dropping, training, validation):
    return fine_tune(dropping, training, validation, SETTINGS, seed=0)


def test_the_seed_decides_everything(dropping, training, validation, undisturbed):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert equal(fine_tune(dropping, training, validation, SETTINGS, seed=0), undisturbed)
    assert torch.get_rng_state().equal(state)
    assert not equal(fine_tune(dropping, training, validation, SETTINGS, seed=1), undisturbed)


def test_a_run_that_was_stopped_ends_in_the_same_result(
    dropping, training, validation, undisturbed, tmp_path
):
    checkpoint = tmp_path / "checkpoint.pt"
    stopped = FineTuning(dropping, training, validation, SETTINGS, seed=0).trainer
    stopped.train_epoch()
    stopped.save(checkpoint)
    loss = stopped.training_loss[0]
    result = fine_tune(dropping, training, validation, SETTINGS, 0, checkpoint)
    assert result.training_loss[0] == loss
    assert equal(result, undisturbed)
    assert result.validation_wer == undisturbed.validation_wer
    assert equal(fine_tune(dropping, training, validation, SETTINGS, 0, checkpoint), undisturbed)


@pytest.mark.parametrize("change", ["settings", "seed", "training", "validation", "model"])
def test_the_checkpoint_of_another_run_is_not_taken_up(
    dropping, training, validation, tmp_path, change
):
    first = FineTuning(dropping, training, validation, SETTINGS, seed=0).trainer
    first.train_epoch()
    first.save(tmp_path / "checkpoint.pt")
    arguments = {
        "encoder": dropping,
        "training": training,
        "validation": validation,
        "settings": SETTINGS,
        "seed": 0,
    }
    other = {
        "settings": {"settings": replace(SETTINGS, learning_rate=1e-4)},
        "seed": {"seed": 1},
        "training": {"training": [replace(training[0], text="a b"), *training[1:]]},
        "validation": {"validation": validation[1:]},
        "model": {"encoder": SpeechEncoder(tiny_model("wavlm"))},
    }
    run = FineTuning(**(arguments | other[change])).trainer
    run.restore(tmp_path / "checkpoint.pt")
    assert run.training_loss == []


@pytest.mark.parametrize("family", CONVOLUTIONAL)
@pytest.mark.usefixtures("bfloat16")
def test_lower_precision_gives_nearly_the_same(family, training, validation):
    encoder = SpeechEncoder(tiny_model(family))
    full, half = (
        fine_tune(
            encoder, training[:8], validation, replace(SETTINGS, epochs=1, precision=precision), 0
        )
        for precision in ("float32", "bfloat16")
    )
    assert full.training_loss != half.training_loss
    assert full.training_loss[0] == pytest.approx(half.training_loss[0], rel=0.05)


def test_texts_that_ctc_cannot_spell_are_counted(encoder, folder, training, validation):
    rng = np.random.default_rng(0)
    long = clip(folder, "long.wav", spelt("A", rng), "a much longer text")
    settings = replace(SETTINGS, epochs=1)
    result = fine_tune(encoder, [*training, long], validation, settings, seed=0)
    assert result.n_infeasible == 1
    assert np.isfinite(result.training_loss).all()
    tested = evaluate(result.recognizer, [*validation, long], n_draws=3, seed=0)
    assert tested["n_infeasible"].item() == 1
    with pytest.raises(ValueError, match=r"none of 1 training clips has as many tokens as"):
        fine_tune(encoder, [long], validation, settings, seed=0)


def test_clips_that_cannot_be_used_are_named(encoder, folder, training, validation):
    silent = clip(folder, "silent.wav", np.zeros(SAMPLE_RATE), "a")
    short = clip(folder, "short.wav", spelt("A", np.random.default_rng(0))[:1809], "a")
    mute = replace(training[0], text=" .")
    with pytest.raises(ValueError, match=r"2 of 26 clips.*silent.wav: .*short.wav: it is shorter"):
        fine_tune(encoder, [*training, silent, short], validation, SETTINGS, seed=0)
    with pytest.raises(ValueError, match=r"1 of 2 clips have no word in their text: 1-0.wav"):
        fine_tune(encoder, training, [mute, training[1]], SETTINGS, seed=0)


def test_whisper_is_refused(training, validation):
    whisper = SpeechEncoder(tiny_model("whisper"), tiny_extractor("whisper"))
    with pytest.raises(ValueError, match=r"Whisper is not fine-tuned by CTC: .* self-supervised"):
        fine_tune(whisper, training, validation, SETTINGS, seed=0)


def test_a_loss_that_diverges_is_an_error(encoder, training, validation):
    settings = replace(SETTINGS, learning_rate=1e30, epochs=2)
    with pytest.raises(ValueError, match=r"epoch \d is not finite.*`recognition.learning_rate`"):
        fine_tune(encoder, training, validation, settings, seed=0)

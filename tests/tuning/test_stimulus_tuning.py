import copy
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scarce_memory import hold
from tiny_models import tiny_extractor, tiny_model
from tiny_pretraining import saved, tiny_pretraining
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import AutoModel

from bthelpers.core.checksums import sums_beside
from bthelpers.core.progress import Progress
from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.settings import ModelSettings
from bthelpers.params.tuning import StimulusSettings
from bthelpers.tuning import stimulus_tuning as stimulus
from bthelpers.tuning.contrastive import FROM_CHECKPOINT, NEW, Contrast
from bthelpers.tuning.stimulus_tuning import StimulusTuning, draw_mask, stimulus_tune, window_starts
from bthelpers.tuning.trainer import Trainer, linear_warmup_decay

SETTINGS = StimulusSettings(
    window=1.5,
    batch=3,
    epochs=2,
    learning_rate=1e-3,
    quantizer_lr=3e-3,
    warmup=0.2,
    mask_probability=0.1,
    mask_length=4,
    precision="float32",
)


def sounds(*seconds, seed=0):
    """Low and high tones of a quarter of a second each, in random order."""
    rng = np.random.default_rng(seed)
    told = {}
    for length in seconds:
        times = np.arange(round(length * SAMPLE_RATE)) / SAMPLE_RATE
        pitch = rng.choice([300, 1200, 3000], int(4 * length) + 1)[(4 * times).astype(int)]
        noise = 0.1 * rng.normal(size=len(times))
        told[f"s{length}"] = (np.sin(2 * np.pi * pitch * times) + noise).astype(np.float32)
    return told


TRAINING, VALIDATION = sounds(5.3, 3.1), sounds(2.2, seed=1)


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory):
    return saved(tiny_pretraining(), tmp_path_factory.mktemp("wav2vec2"))


@pytest.fixture(scope="module")
def families(tmp_path_factory, wav2vec2):
    folder = tmp_path_factory.mktemp("families")
    others = {name: saved(tiny_model(name), folder / name) for name in ("hubert", "wavlm")}
    return others | {"wav2vec2": wav2vec2}


def tune(model, settings=SETTINGS, seed=0, checkpoint=None):
    return stimulus_tune(*model, TRAINING, VALIDATION, settings, seed, checkpoint)


def assert_equal_bits(one, other):
    states = one.encoder.model.state_dict(), other.encoder.model.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert one.training_loss == other.training_loss
    assert one.validation_loss == other.validation_loss
    assert (one.kept_epoch, one.quantizer) == (other.kept_epoch, other.quantizer)


# Windows and masks


@given(st.integers(1, 60), st.integers(0, 200), st.data())
def test_windows_cover_a_story(length, more, data):
    n_tokens, offset = length + more, data.draw(st.integers(0, length - 1))
    starts = window_starts(n_tokens, length, offset)
    covered = {token for start in starts for token in range(start, start + length)}
    assert covered == set(range(n_tokens))
    assert len(starts) <= len(window_starts(n_tokens, length)) + 1
    inner = starts[1:-1]
    assert ((inner + offset) % length == 0).all()


@given(st.floats(0.02, 1), st.integers(1, 30), st.integers(0, 99))
def test_masks_are_spans_of_two_tokens_or_more(probability, length, seed):
    masking = replace(SETTINGS, mask_probability=probability, mask_length=length)
    mask = draw_mask((4, 20), masking, np.random.default_rng(seed))
    assert mask.shape == (4, 20)
    assert (mask.sum(dim=1) >= 2).all()


# Tuning


def test_what_surrounds_a_token_comes_to_tell_it():
    """Where the codes, which are the targets, stay as they are."""
    pretraining = tiny_pretraining(num_negatives=20)
    run = StimulusTuning(
        SpeechEncoder(pretraining.wav2vec2),
        Contrast(pretraining),
        sounds(9.0, 8.0),
        sounds(6.0, seed=1),
        replace(SETTINGS, epochs=10, quantizer_lr=1e-12),
        seed=0,
    )
    run.encoder.model.feature_projection.requires_grad_(False)
    for _ in range(10):
        run.trainer.train_epoch()
    losses = run.trainer.validation_loss
    assert losses[-1] < losses[0] - 0.1


def test_windows_that_do_not_fit_the_device_name_the_parameter(monkeypatch):
    """Their losses are of a whole batch: parts of it would come to something else."""
    pretraining = tiny_pretraining()
    run = StimulusTuning(
        SpeechEncoder(pretraining.wav2vec2),
        Contrast(pretraining),
        TRAINING,
        VALIDATION,
        SETTINGS,
        seed=0,
    )
    hold(monkeypatch, StimulusTuning, "loss", 1)
    rng = np.random.default_rng(0)
    for work in (run.validate, lambda: run.backward(run.batches(rng)[0], rng)):
        with pytest.raises(
            torch.OutOfMemoryError, match=r"lower `stimulus\.batch` or `stimulus\.w"
        ):
            work()


def test_all_but_the_front_end_is_tuned(wav2vec2):
    before = copy.deepcopy(wav2vec2[0].model.state_dict())
    result = tune(wav2vec2)
    tuned = result.encoder
    assert not tuned.model.training
    assert not tuned.model.config.apply_spec_augment
    after = wav2vec2[0].model.state_dict()
    for name, value in tuned.model.state_dict().items():
        assert torch.equal(before[name], after[name])  # the pretrained model stays as it was
        assert not torch.equal(before[name], value)
    for one, other in zip(
        wav2vec2[0].front_end.frozen.parameters(), tuned.front_end.frozen.parameters(), strict=True
    ):
        assert torch.equal(one, other)
    assert len(result.training_loss) == len(result.validation_loss) == SETTINGS.epochs


def test_a_tuned_model_is_one_that_transformers_loads(wav2vec2, tmp_path):
    result = tune(wav2vec2, replace(SETTINGS, epochs=1))
    result.encoder.save(tmp_path / "model", {})
    loaded = AutoModel.from_pretrained(tmp_path / "model")
    for name, value in result.encoder.model.encoder.state_dict().items():
        assert torch.equal(loaded.encoder.state_dict()[name], value)


def test_both_rates_follow_the_schedule(wav2vec2):
    rates = []
    handle = register_optimizer_step_post_hook(
        lambda optimizer, *_: rates.append([group["lr"] for group in optimizer.param_groups])
    )
    tune(wav2vec2)
    handle.remove()
    transformer, quantizer = np.transpose(rates)
    np.testing.assert_allclose(quantizer / transformer, 3)
    # windows of 36 tokens in stories of 131 and 76, each with one more by its offset: 9 in 3 steps
    expected = [linear_warmup_decay(step, 2 * 3, SETTINGS.warmup) for step in range(len(rates))]
    np.testing.assert_allclose(transformer / SETTINGS.learning_rate, expected)


def scripted(monkeypatch, losses):
    """Have the validation losses be those; returns the weights after each epoch."""
    states, losses = [], iter(losses)

    def validate(run):
        states.append(copy.deepcopy(run.encoder.model.state_dict()))
        return next(losses)

    monkeypatch.setattr(stimulus.StimulusTuning, "validate", validate)
    return states


def test_the_last_epoch_is_kept(wav2vec2, monkeypatch):
    states = scripted(monkeypatch, [3.0, 1.0, 2.0])
    result = tune(wav2vec2, replace(SETTINGS, epochs=3))
    assert result.kept_epoch == 2
    kept = result.encoder.model.state_dict()
    assert all(torch.equal(kept[name], states[2][name]) for name in kept)
    assert not all(torch.equal(kept[name], states[1][name]) for name in kept)


@pytest.mark.parametrize(("patience", "trained"), [(None, 7), (1, 3), (2, 6), (9, 7)])
def test_training_stops_where_the_validation_loss_has_saturated(
    wav2vec2, monkeypatch, patience, trained
):
    losses = [3.0, 2.0, 2.0, 1.0, 1.5, 1.2, 0.5]
    states = scripted(monkeypatch, losses)
    result = tune(wav2vec2, replace(SETTINGS, epochs=7, patience=patience))
    assert result.validation_loss == losses[:trained]
    assert result.kept_epoch == trained - 1
    kept = result.encoder.model.state_dict()
    assert all(torch.equal(kept[name], states[-1][name]) for name in kept)


def test_validation_draws_the_same_masks_after_every_epoch(wav2vec2):
    still = replace(SETTINGS, learning_rate=1e-12, quantizer_lr=1e-12, epochs=3)
    result = tune(wav2vec2, still)
    np.testing.assert_allclose(result.validation_loss, result.validation_loss[0], rtol=1e-6)
    assert len(set(result.training_loss)) == 3


def interrupt(monkeypatch, after):
    """Stop the run when so many epochs are done."""

    def advance(progress, text):
        progress.done += 1
        if progress.done == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "advance", advance)


@pytest.mark.parametrize("family", ["wav2vec2", "hubert", "wavlm"])
def test_every_family_goes_on_after_an_interruption(families, family, tmp_path, monkeypatch):
    checkpoint = tmp_path / "folder" / "checkpoint.pt"
    undisturbed = tune(families[family])
    with monkeypatch.context() as patch:
        interrupt(patch, after=1)
        with pytest.raises(KeyboardInterrupt):
            tune(families[family], checkpoint=checkpoint)
    torch.rand(7)  # another process has other global random numbers
    assert_equal_bits(tune(families[family], checkpoint=checkpoint), undisturbed)
    with monkeypatch.context() as patch:  # all epochs are done: none is done again
        patch.setattr(Trainer, "train_epoch", None)
        assert_equal_bits(tune(families[family], checkpoint=checkpoint), undisturbed)
    assert set(checkpoint.parent.iterdir()) == {checkpoint, sums_beside(checkpoint)}
    assert undisturbed.quantizer == (FROM_CHECKPOINT if family == "wav2vec2" else NEW)


def test_a_checkpoint_of_another_run_is_not_taken_up(wav2vec2, tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    once = replace(SETTINGS, epochs=1)
    tune(wav2vec2, once, checkpoint=checkpoint)
    for changes in ({"seed": 1}, {"settings": replace(once, quantizer_lr=1e-4)}):
        expected = tune(wav2vec2, **({"settings": once} | changes))
        resumed = tune(wav2vec2, **({"settings": once} | changes), checkpoint=checkpoint)
        assert_equal_bits(resumed, expected)
    louder = {name: sound[::-1] for name, sound in TRAINING.items()}
    arguments = (*wav2vec2, louder, VALIDATION, once, 0)
    assert_equal_bits(stimulus_tune(*arguments, checkpoint), stimulus_tune(*arguments))


def test_the_seed_decides(wav2vec2):
    first, again, other = (tune(wav2vec2, seed=seed) for seed in (1, 1, 2))
    assert_equal_bits(first, again)
    assert first.training_loss != other.training_loss


def test_global_random_numbers_are_left_alone(families):
    def states():
        numpy_state = np.random.get_state()  # noqa: NPY002
        return torch.get_rng_state().tolist(), [*numpy_state[1], numpy_state[2]], random.getstate()

    before = states()
    for model in families.values():
        tune(model, replace(SETTINGS, epochs=1))
    assert states() == before


@pytest.mark.usefixtures("bfloat16")
def test_lower_precision_gives_nearly_the_same(wav2vec2):
    full, half = (
        tune(wav2vec2, replace(SETTINGS, precision=precision))
        for precision in ("float32", "bfloat16")
    )
    assert full.training_loss != half.training_loss
    np.testing.assert_allclose(full.training_loss, half.training_loss, rtol=0.05)


# Bad input


def test_whisper_is_an_error():
    encoder = SpeechEncoder(tiny_model("whisper"), tiny_extractor("whisper"))
    with pytest.raises(ValueError, match=r"a Whisper .* leave this condition out"):
        tune((encoder, ModelSettings("x", None)))


def test_a_model_without_masks_is_an_error(tmp_path):
    model = saved(tiny_model("wav2vec2", mask_time_prob=0.0), tmp_path)
    with pytest.raises(ValueError, match=r"nothing to put in the place .*mask_time_prob is 0"):
        tune(model)


@pytest.mark.parametrize("window", [2.3, 0.12])
def test_a_window_longer_than_a_story_or_of_one_token_is_an_error(wav2vec2, window):
    message = r"a window of [\d.]+ s has \d+; set `stimulus.window`"
    with pytest.raises(ValueError, match=message):
        tune(wav2vec2, replace(SETTINGS, window=window))


def test_a_loss_that_is_not_finite_is_an_error(wav2vec2, monkeypatch):
    scripted(monkeypatch, [1.0, math.nan])
    with pytest.raises(ValueError, match=r"epoch 2 is not finite.*`stimulus\.learning_rate`"):
        tune(wav2vec2)

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_model
from tiny_pretraining import saved, tiny_pretraining

from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.tuning.contrastive import (
    FROM_CHECKPOINT,
    NEW,
    Contrast,
    distractors,
    load_contrast,
    span_mask,
)


def masked_inputs(model, seed=0):
    """Normalised frames, last layer and mask, as `StimulusTuning.loss` makes them of a sound."""
    rng = np.random.default_rng(seed)
    sound = torch.from_numpy(rng.normal(size=(3, SAMPLE_RATE)).astype(np.float32))
    n_tokens = model.wav2vec2.feature_extractor(sound).shape[2]
    mask = torch.from_numpy(rng.random((3, n_tokens)) < [[0.2], [0.5], [0.9]])
    output = model.wav2vec2(sound, mask_time_indices=mask)
    return sound, mask, output


@pytest.mark.parametrize("codes", [5, 1])
def test_the_loss_is_that_of_transformers(codes):
    """Where there is one code, all distractors are like the right one and do not count."""
    model = tiny_pretraining(num_codevectors_per_group=codes)
    sound, mask, output = masked_inputs(model)
    loss = Contrast(model)(
        output.last_hidden_state, output.extract_features, mask, np.random.default_rng(7)
    )
    drawn = distractors(mask.sum(dim=1).tolist(), 6, np.random.default_rng(7))
    negatives = torch.zeros(*mask.shape, 6, dtype=torch.long)
    negatives[mask] = mask.flatten().nonzero()[:, 0][drawn]
    theirs = model(sound, mask_time_indices=mask, sampled_negative_indices=negatives)
    torch.testing.assert_close(loss, theirs.loss / mask.sum())
    if codes == 1:
        torch.testing.assert_close(loss, torch.tensor(0.3 * (2 - 2) / 2))


def test_the_loss_teaches_all_that_it_adds():
    model = tiny_pretraining()
    _, mask, output = masked_inputs(model)
    contrast = Contrast(model).train()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    contrast(output.last_hidden_state, output.extract_features, mask, rng).backward()
    for parameter in contrast.parameters():
        assert parameter.grad.abs().sum() > 0
    assert contrast.quantizer.temperature == 0.5


@given(st.lists(st.integers(2, 9), min_size=1, max_size=4), st.integers(1, 5), st.integers(0, 99))
def test_distractors_are_other_tokens_of_the_window(n_masked, number, seed):
    drawn = distractors(n_masked, number, np.random.default_rng(seed)).numpy()
    assert drawn.shape == (sum(n_masked), number)
    window = np.repeat(np.arange(len(n_masked)), n_masked)
    for token, others in enumerate(drawn):
        assert (others != token).all()
        assert (window[others] == window[token]).all()


def test_every_other_token_is_as_likely():
    drawn = distractors([2, 5], 4000, np.random.default_rng(0)).numpy()
    for token in range(2, 7):
        share = np.bincount(drawn[token], minlength=7) / 4000
        assert share[token] == 0
        np.testing.assert_allclose(np.delete(share[2:], token - 2), 0.25, atol=0.03)


def test_the_quantizer_of_the_checkpoint_is_taken(tmp_path):
    contrast, origin = load_contrast(*saved(tiny_pretraining(), tmp_path), seed=5)
    assert origin == FROM_CHECKPOINT
    expected = Contrast(tiny_pretraining()).state_dict()
    for name, value in contrast.state_dict().items():
        assert torch.equal(value, expected[name])


@pytest.mark.parametrize("family", ["wav2vec2", "hubert"])
def test_a_model_without_a_quantizer_gets_a_new_one(family, tmp_path):
    model = saved(tiny_model(family), tmp_path)
    (first, origin), (again, _), (other, _) = (load_contrast(*model, seed) for seed in (1, 1, 2))
    assert origin == NEW
    for name, value in first.state_dict().items():
        assert value.isfinite().all()
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.equal(first.quantizer.codevectors, other.quantizer.codevectors)
    assert tuple(first.project_states.weight.shape) == (256, 32)
    assert first.quantizer.weight_proj.in_features == 16


@pytest.mark.parametrize(("probability", "length"), [(0.1, 5), (0.3, 1), (0.02, 10)])
def test_spans_cover_as_many_tokens_as_they_should(probability, length):
    mask = span_mask((4000, 60), probability, length, np.random.default_rng(0)).numpy()
    assert mask.dtype == bool
    # A token stays if no span starts at it or at the length - 1 tokens before it.
    starts = np.minimum(np.arange(60) + 1, length)
    expected = 1 - (1 - probability) ** starts
    np.testing.assert_allclose(mask.mean(axis=0), expected, atol=0.04)
    assert mask.mean() == pytest.approx(expected.mean(), abs=0.01)


def test_spans_have_the_given_length():
    mask = span_mask((3000, 40), 0.01, 5, np.random.default_rng(0)).numpy()
    text = ["".join("x" if masked else " " for masked in row) for row in mask]
    lengths = [len(run) for row in text for run in re.findall(r"x+(?= )", row)]
    assert min(lengths) == 5
    assert np.mean(np.equal(lengths, 5)) > 0.9  # the others are spans that touch


def test_mask_follows_its_generator():
    first, second, third = (
        span_mask((8, 50), 0.1, 5, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bthelpers.params.loading import load
from bthelpers.tuning.heads import Head, head_of, make_heads, shared_vertices

SETTINGS = load(Path(__file__).parents[2] / "params" / "smoke.yaml").tuning


def features(n_trs=9, n_features=6):
    return torch.from_numpy(np.random.default_rng(0).normal(3, 2, (n_trs, n_features))).float()


@pytest.mark.parametrize("standardize", [True, False])
def test_features_are_standardised_by_those_that_were_given(standardize):
    head, X = Head([6, 4]), features()
    if standardize:
        head.standardize(X)
    with torch.no_grad():
        head.linear[0].weight[:] = torch.eye(6)[:4]
        outputs = head(X).numpy()
    expected = X.numpy()[:, :4]
    if standardize:
        expected = (expected - expected.mean(axis=0)) / expected.std(axis=0, ddof=1)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_a_bottleneck_is_two_linear_maps():
    settings = replace(SETTINGS, head="bottleneck", bottleneck=2)
    head = head_of(make_heads(6, {"": 5}, settings, seed=0), "")
    with torch.no_grad():
        outputs = head(features())
    assert outputs.shape == (9, 5)
    assert np.linalg.matrix_rank(outputs.numpy(), tol=1e-4) == 2


@pytest.mark.parametrize(
    ("changes", "zero"),
    [
        ({}, True),
        ({"head": "bottleneck"}, False),
        ({"loss": "across_voxels"}, False),
        ({"loss": "over_time"}, False),
    ],
)
def test_only_a_linear_head_with_squared_error_starts_at_zero(changes, zero):
    settings = replace(SETTINGS, **changes)
    one, again, other = (make_heads(6, {"": 5}, settings, seed) for seed in (1, 1, 2))
    weights = [heads["shared"].linear[0].weight for heads in (one, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2]) == zero == (not weights[0].any())
    bound = np.sqrt(6 / (weights[0].shape[0] + weights[0].shape[1]))  # Glorot and Bengio, 2010
    assert weights[0].abs().max() <= bound


def test_participants_share_a_head_or_have_their_own():
    shared = make_heads(6, {"A": 5, "B": 5}, SETTINGS, seed=0)
    assert head_of(shared, "A") is head_of(shared, "B")
    separate = make_heads(6, {"A": 5, "B": 4}, replace(SETTINGS, heads="separate"), seed=0)
    assert head_of(separate, "B")(features()).shape == (9, 4)
    assert head_of(separate, "A")(features()).shape == (9, 5)


@pytest.mark.parametrize(
    ("numbers", "changes", "match"),
    [
        ({"A": 5, "B": 4}, {}, r"one head cannot serve.*'A': 5, 'B': 4.*common surface"),
        ({"A": 0}, {}, "A has 0 voxels to tune towards: tuning.loss 'squared_error' needs 1"),
        ({"A": 1}, {"loss": "across_voxels"}, "A has 1 voxels.*'across_voxels' needs 3"),
        ({"": 2}, {"loss": "across_voxels"}, "the participant has 2 voxels"),
    ],
)
def test_heads_that_do_not_fit_are_an_error(numbers, changes, match):
    with pytest.raises(ValueError, match=match):
        make_heads(6, numbers, replace(SETTINGS, **changes), seed=0)


def test_one_voxel_is_enough_where_nothing_is_correlated_across_them():
    make_heads(6, {"A": 1}, replace(SETTINGS, loss="over_time"), seed=0)


@pytest.mark.parametrize("seed", range(5))
def test_shared_vertices_are_those_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    voxels = {name: rng.integers(-1, 6, 40) for name in "ABC"}
    masks = {name: rng.random(6) < 0.8 for name in "ABC"}
    expected = [
        v for v in range(40) if all(voxels[p][v] >= 0 and masks[p][voxels[p][v]] for p in "ABC")
    ]
    for name, found in shared_vertices(voxels, masks).items():
        np.testing.assert_array_equal(found, voxels[name][expected])


def test_surfaces_that_have_nothing_in_common_are_an_error():
    voxels, mask = np.array([0, 1]), np.array([True, False])
    with pytest.raises(ValueError, match="no vertex of the common surface"):
        shared_vertices({"A": voxels, "B": voxels}, {"A": mask, "B": ~mask})
    with pytest.raises(ValueError, match=r"on different surfaces: \{'A': 2, 'B': 1\}"):
        shared_vertices({"A": voxels, "B": voxels[:1]}, {"A": mask, "B": mask})

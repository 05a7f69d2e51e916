"""Representational similarity of layers, brain regions and models of the stimulus.

Representations are alike if the same moments are alike in both (Kriegeskorte et al., 2008): nothing
is fitted, so that layers of any width compare with regions of any size. A moment is a TR, with the
delays of the encoding models. Moussa and Toneva (2025) do not report this: it is beyond the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.spatial.distance import pdist, squareform

from bthelpers.core.errors import listed
from bthelpers.core.timing import zscore
from bthelpers.data.dataset import Dataset
from bthelpers.encoding.inputs import delayed_features
from bthelpers.params.settings import EncodingSettings, Profile, StatisticsSettings
from bthelpers.statistics.permutation import block_orders

BOUNDS = ("low", "high")  # of a noise ceiling
ROUNDING = 1e-9  # of correlations: an exchange that leaves all in place reaches what there is


def dissimilarity(patterns: ArrayLike) -> NDArray[np.float64]:
    """One minus the correlation of the patterns of each two TRs.

    Parameters
    ----------
    patterns : array of shape (n_trs, n_features)
        Of features or voxels, standardised over time.

    Returns
    -------
    array of shape (n_trs (n_trs - 1) / 2,)
        Pairs in the order of `scipy.spatial.distance.pdist`.

    Raises
    ------
    ValueError
        If a value is not finite, or a TR's pattern is constant: it has no correlation.

    Examples
    --------
    >>> dissimilarity([[1, 2, 3], [2, 4, 6], [3, 2, 1]]).round(6)
    array([0., 2., 2.])
    """
    patterns = np.asarray(patterns, dtype=np.float64)
    if not np.isfinite(patterns).all():
        raise ValueError(f"{(~np.isfinite(patterns)).sum()} values of the patterns are not finite")
    if (constant := np.ptp(patterns, axis=1) == 0).any():
        raise ValueError(
            f"{constant.sum()} of {len(patterns)} TRs have a constant pattern over"
            f" {patterns.shape[1]} features or voxels: no correlation is defined; take more of them"
        )
    return pdist(patterns, "correlation")


def unit_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Ranks along the last axis, centred and of length one: their products are Spearman's r.

    Raises
    ------
    ValueError
        If all values are equal.
    """
    ranks = stats.rankdata(values, axis=-1)
    ranks -= ranks.mean(axis=-1, keepdims=True)
    norms = np.linalg.norm(ranks, axis=-1, keepdims=True)
    if (norms == 0).any():
        raise ValueError("all dissimilarities are equal: nothing can be compared with them")
    return ranks / norms


def similarity_ceiling(repeats: ArrayLike) -> NDArray[np.float64]:
    """How similar to single repeats any representation can be (Nili et al., 2014).

    Parameters
    ----------
    repeats : array of shape (n_repeats, n_pairs)
        `unit_ranks` of each repeat's dissimilarities.

    Returns
    -------
    array of shape (2,)
        As `BOUNDS`. Means over repeats of their similarity to the mean of the others, which a true
        model reaches or exceeds; and to the mean of all, which none exceeds.

    Raises
    ------
    ValueError
        If there are fewer than two repeats.
    """
    repeats = np.asarray(repeats)
    if len(repeats) < 2:
        raise ValueError("a noise ceiling needs two or more repeats")
    total = repeats.sum(axis=0)
    others = total - repeats
    low = np.mean((repeats * others).sum(axis=1) / np.linalg.norm(others, axis=1))
    return np.array([low, np.linalg.norm(total) / len(repeats)])


def compare(
    one: NDArray, other: NDArray, statistics: StatisticsSettings, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Similarity of each two sets of dissimilarities, and its test.

    Successive TRs are alike in whatever varies slowly, and so their dissimilarities are similar by
    chance. The test keeps that: it exchanges blocks of TRs of the second set, on a circle, as
    `bthelpers.statistics.permutation.permutation_p` does. Of 150 pairs of unrelated series of 220
    TRs that are alike over 6 or 12 TRs, blocks of 50 find 7 % at p <= 0.05; of 90 TRs, blocks of 15
    find 15 %.

    Parameters
    ----------
    one : array of shape (n, n_pairs)
        `unit_ranks`.
    other : array of shape (m, n_pairs)
        The same, or means of some over repeats: what is returned is then a mean too.
    statistics : StatisticsSettings
    seed : int

    Returns
    -------
    dict of array of shape (n, m)
        ``similarity``, Spearman's r; ``chance``, its mean over exchanges; and ``p``, one-sided.
    """
    squares = np.stack([squareform(pairs) for pairs in other])
    first, second = np.triu_indices(squares.shape[1], k=1)
    block, n_draws = statistics.permutation_block, statistics.permutations
    orders = block_orders(squares.shape[1], block, n_draws, seed)
    similarity, total, reached = one @ other.T, 0.0, 1.0
    for order in orders[1:]:
        drawn = one @ squares[:, order[first], order[second]].T
        total, reached = total + drawn, reached + (drawn >= similarity - ROUNDING)
    return {"similarity": similarity, "chance": total / n_draws, "p": reached / (1 + n_draws)}


@dataclass(frozen=True)
class RepeatedStory:
    """Responses to all repeats of a test story, and how they are compared.

    Attributes
    ----------
    story : str
    repeats : array of shape (n_repeats, n_trs, n_voxels)
    regions : bool DataArray (region, voxel)
        Voxels of each region.
    encoding : EncodingSettings
        Delays of features, and how many rows are left out at the start.
    statistics : StatisticsSettings
        Blocks and draws of the test.
    seed : int
        Of the draws.
    """

    story: str
    repeats: np.ndarray
    regions: xr.DataArray
    encoding: EncodingSettings
    statistics: StatisticsSettings
    seed: int


def read_repeated_story(
    dataset: Dataset, participant: str, voxels: xr.Dataset, parameters: Profile
) -> RepeatedStory:
    """Read the repeats of a participant's first test story.

    Parameters
    ----------
    dataset : Dataset
    participant : str
    voxels : Dataset
        As of `bthelpers.encoding.ceiling.voxels_to_model`.
    parameters : Profile
    """
    story = parameters.dataset.splits_of(participant).test[0]
    return RepeatedStory(
        story,
        dataset.repeats(participant, story, voxels["voxel"].values),
        voxels["regions"].astype(bool),
        parameters.encoding.sampled(parameters.dataset.interval),
        parameters.statistics,
        parameters.seed,
    )


def representational_similarity(
    representations: xr.DataArray, models: Mapping[str, xr.DataArray], heard: RepeatedStory
) -> xr.Dataset:
    """Similarity of layers with each other, with models of the stimulus, and with regions.

    Parameters
    ----------
    representations : DataArray (layer, tr, feature)
        At all TRs, with the coordinate ``story``.
    models : mapping of DataArray (tr, feature)
        Of the stimulus, such as low-level features: at the TRs of the story at least.
    heard : RepeatedStory

    Returns
    -------
    Dataset
        ``similarity``, ``chance`` and ``p`` (object, other), as of `compare`. An ``object`` is a
        layer or a model, as the coordinate ``kind`` says. An ``other`` is one of these or a region
        (``other_kind``), with which similarity is the mean over repeats. ``ceiling`` (region,
        bound), as of `similarity_ceiling`.

    Raises
    ------
    ValueError
        If a name is given twice, the story or enough repeats are missing, or patterns of some TR
        cannot be correlated: the message says of what.
    """
    numbers = representations["layer"].values.tolist()
    layers = {f"layer {number}": representations.sel(layer=number) for number in numbers}
    stimuli = layers | dict(models)
    regions = heard.regions["region"].values.tolist()
    names = [*layers, *models, *regions]
    if len(set(names)) < len(names):
        raise ValueError(f"names of layers, models and regions must differ: {listed(names)}")
    objects = np.stack([_of_stimulus(name, stimuli[name], heard) for name in stimuli])
    by_region = np.stack([_of_region(name, heard) for name in regions])
    others = np.concatenate([objects, by_region.mean(axis=1)])
    kinds = np.repeat(["layer", "model", "region"], [len(layers), len(models), len(regions)])
    compared = compare(objects, others, heard.statistics, heard.seed)
    return xr.Dataset(
        {name: (("object", "other"), values) for name, values in compared.items()}
        | {"ceiling": (("region", "bound"), [*map(similarity_ceiling, by_region)])},
        {
            "object": list(stimuli),
            "kind": ("object", kinds[: len(stimuli)]),
            "other": names,
            "other_kind": ("other", kinds),
            "region": regions,
            "bound": list(BOUNDS),
        },
    )


def _of_stimulus(name: str, values: xr.DataArray, heard: RepeatedStory) -> NDArray[np.float64]:
    """Ranks (pair) of a layer's or a model's dissimilarities."""
    patterns = delayed_features(values, [heard.story], heard.encoding.fir_delays)
    return _ranked(name, patterns[heard.encoding.skip_test_rows :])


def _of_region(name: str, heard: RepeatedStory) -> NDArray[np.float64]:
    """Ranks (repeat, pair) of a region's dissimilarities in each repeat."""
    inside = heard.regions.sel(region=name).values
    rows = heard.repeats[:, heard.encoding.skip_test_rows :, inside]
    return np.stack([_ranked(name, zscore(repeat)) for repeat in rows])


def _ranked(name: str, patterns: NDArray) -> NDArray[np.float64]:
    try:
        return unit_ranks(dissimilarity(patterns))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error

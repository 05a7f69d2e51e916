"""Brain alignment of every layer of a model, from representations and responses.

The steps of section 3.4.1 of the ICLR paper: delayed features, a voxelwise ridge on the training
stories, and the correlation of its prediction with the responses to the held-out story.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from bthelpers.alignment import bootstrap_alignment, normalized_alignment
from bthelpers.dataset import Dataset
from bthelpers.encoding import fit_ridge, pearson_r, story_folds
from bthelpers.progress import Progress
from bthelpers.settings import EncodingSettings, StatisticsSettings
from bthelpers.significance import permutation_p
from bthelpers.timing import fir_delay, trim, zscore


@dataclass(frozen=True)
class StoryResponses:
    """Responses to some stories, one after another.

    Attributes
    ----------
    stories : list of str
    responses : float32 array of shape (tr, voxel)
        Standardised within each story.
    story_of_row : list of str
        The story of each row.
    """

    stories: list[str]
    responses: np.ndarray
    story_of_row: list[str]


def read_responses(
    dataset: Dataset, participant: str, stories: list[str], voxels: np.ndarray
) -> StoryResponses:
    """Read and standardise the responses of voxels, given by number, to the given stories.

    Each story goes to its rows of one array: to join pieces, they and the whole would be held.
    """
    lengths = [len(dataset.response_times(story)) for story in stories]
    responses = np.empty((sum(lengths), len(voxels)), np.float32)
    for rows, story in zip(np.split(responses, np.cumsum(lengths)[:-1]), stories, strict=True):
        rows[:] = zscore(dataset.responses(participant, story, voxels))
    return StoryResponses(list(stories), responses, np.repeat(stories, lengths).tolist())


def delayed_features(
    representation: xr.DataArray, stories: list[str], delays: tuple[int, ...]
) -> np.ndarray:
    """Features at each response row: delayed, trimmed, standardised within each story.

    Delays come before trimming, so that a story's first rows see the sound before them.

    Parameters
    ----------
    representation : DataArray (tr, feature)
        One layer at all TRs, with the coordinate ``story``.
    stories : list of str
    delays : tuple of int
        In TRs.

    Returns
    -------
    array of shape (tr, delay x feature), in the order of ``stories``

    Raises
    ------
    ValueError
        If the representation lacks a story.
    """
    values, story_of_tr = representation.values, representation["story"].values
    missing = set(stories) - set(story_of_tr)
    if missing:
        raise ValueError(f"the representation lacks the stories {', '.join(sorted(missing))}")
    return np.concatenate(
        [zscore(trim(fir_delay(values[story_of_tr == story], delays))) for story in stories]
    )


def rows_kept(test: StoryResponses, skip_rows: int) -> np.ndarray:
    """Boolean array (tr,): False for the first rows of each story."""
    return np.concatenate(
        [np.arange(test.story_of_row.count(story)) >= skip_rows for story in test.stories]
    )


def layer_alignment(
    predicted: np.ndarray,
    actual: np.ndarray,
    ceiling: np.ndarray,
    regions: xr.DataArray,
    statistics: StatisticsSettings,
    seed: int,
) -> xr.Dataset:
    """Brain alignment of one prediction.

    Returns
    -------
    Dataset
        ``r`` and its ``p`` (voxel), ``alignment`` (region) and its ``draws`` (region, draw).
    """
    r = pearson_r(predicted, actual)
    p = permutation_p(
        predicted, actual, statistics.permutation_block, statistics.permutations, seed
    )
    draws = bootstrap_alignment(
        predicted, actual, ceiling, regions, statistics.block, statistics.bootstrap_draws, seed
    )
    return xr.Dataset(
        {
            "r": ("voxel", r.astype(np.float32)),
            "p": ("voxel", p.astype(np.float32)),
            "alignment": (
                "region",
                [normalized_alignment(r, ceiling, mask) for mask in regions.values],
            ),
            "draws": draws.astype(np.float32),
        }
    )


def evaluate_layers(
    representations: xr.DataArray,
    training: StoryResponses,
    test: StoryResponses,
    ceiling: np.ndarray,
    regions: xr.DataArray,
    encoding: EncodingSettings,
    statistics: StatisticsSettings,
    seed: int,
) -> xr.Dataset:
    """Brain alignment of every layer (equation 1), with bootstrap draws.

    Parameters
    ----------
    representations : DataArray (layer, tr, feature)
        At all TRs, with the coordinate ``story``.
    training, test : StoryResponses
        Of voxels with a positive noise ceiling.
    ceiling : array of shape (voxel,)
    regions : bool DataArray (region, voxel)
    encoding, statistics : settings
    seed : int
        Of the bootstrap; one seed pairs the draws of two models.

    Returns
    -------
    Dataset
        ``r``, its ``p`` and ``alpha`` (layer, voxel), ``alignment`` (layer, region), ``draws``
        (layer, region, draw).
    """
    folds = story_folds(training.story_of_row, encoding.folds)
    kept = rows_kept(test, encoding.skip_test_rows)
    actual = test.responses[kept]
    layers = []
    progress = Progress("layers", representations.sizes["layer"])
    for features in representations.transpose("layer", ...):
        X, X_test = (
            delayed_features(features, split.stories, encoding.fir_delays)
            for split in (training, test)
        )
        model = fit_ridge(X, training.responses, folds, np.logspace(*encoding.alphas))
        predicted = model.predict(X_test)[kept]
        layer = layer_alignment(predicted, actual, ceiling, regions, statistics, seed)
        layers.append(layer.assign(alpha=("voxel", model.best_alphas_.astype(np.float32))))
        progress.advance()
    return xr.concat(layers, dim="layer").assign_coords(layer=representations["layer"].values)

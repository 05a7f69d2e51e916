"""What an encoding model is fitted to and tested on: features and responses at TRs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import xarray as xr

from bthelpers.core.timing import fir_delay, trim, zscore
from bthelpers.data.dataset import Dataset
from bthelpers.params.settings import EncodingSettings, Profile, StatisticsSettings


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
    require_stories(representation, stories)
    return np.concatenate(
        [zscore(trim(fir_delay(values[story_of_tr == story], delays))) for story in stories]
    )


def require_stories(representation: xr.DataArray, stories: Iterable[str]) -> None:
    """Raise a ValueError that names the stories that a representation lacks, if there are any."""
    if missing := sorted(set(stories) - set(representation["story"].values)):
        raise ValueError(f"the representation lacks the stories {', '.join(missing)}")


def at_trs(dataset: Dataset, stories: Sequence[str], values: np.ndarray) -> xr.DataArray:
    """Label values (..., tr, feature) of stories, one after another, by ``story`` and ``time``."""
    times = [dataset.tr_times(story) for story in stories]
    return xr.DataArray(
        values.astype(np.float32),
        dims=("layer", "tr", "feature")[-values.ndim :],
        coords={
            "story": ("tr", np.repeat(stories, [len(of_story) for of_story in times])),
            "time": ("tr", np.concatenate(times), {"units": "s"}),
        },
    )


@dataclass(frozen=True)
class EncodingInputs:
    """All that the alignment of a model's layers is computed from, but the model.

    Inputs that differ in no field pair the bootstrap draws of two models or conditions.

    Attributes
    ----------
    training, test : StoryResponses
        Of voxels with a positive noise ceiling.
    ceiling : array of shape (voxel,)
        Noise ceilings.
    regions : bool DataArray (region, voxel)
        Voxels of each region; their labels are the result's.
    encoding : EncodingSettings
    statistics : StatisticsSettings
    seed : int
        Of the bootstrap and the permutations.
    validation : StoryResponses, optional
        Where they choose the penalties.
    """

    training: StoryResponses
    test: StoryResponses
    ceiling: np.ndarray
    regions: xr.DataArray
    encoding: EncodingSettings
    statistics: StatisticsSettings
    seed: int
    validation: StoryResponses | None = None

    def fitted_to(self, stories: Sequence[str]) -> EncodingInputs:
        """The same, fitted to some of the training stories, in as many folds as they make.

        Raises
        ------
        ValueError
            If one is no training story; or if there are fewer than two and training stories
            choose the penalties, of which some are left out.
        """
        if unknown := sorted(set(stories) - set(self.training.stories)):
            raise ValueError(f"no training stories: {', '.join(unknown)}")
        if len(stories) < 2 and self.validation is None:
            raise ValueError(
                "two training stories or more are needed, of which some are left out to choose"
                " penalties: set encoding.penalties to validation to fit to one"
            )
        kept = np.isin(self.training.story_of_row, stories)
        training = StoryResponses(
            [story for story in self.training.stories if story in stories],
            self.training.responses[kept],
            np.array(self.training.story_of_row)[kept].tolist(),
        )
        folds = min(self.encoding.folds, max(len(stories), 2))
        return replace(self, training=training, encoding=replace(self.encoding, folds=folds))

    def __str__(self) -> str:
        """How many TRs to fit to and to test on, and voxels."""
        n_training, n_test = len(self.training.responses), len(self.test.responses)
        return f"{n_training:,} + {n_test:,} TRs, {len(self.ceiling):,} voxels"


def read_inputs(
    dataset: Dataset, participant: str, voxels: xr.Dataset, parameters: Profile
) -> EncodingInputs:
    """Read a participant's responses to the stories that a profile fits to and tests on.

    To the validation stories too where `encoding.penalties` says that they choose the penalties.

    Parameters
    ----------
    dataset : Dataset
    participant : str
    voxels : Dataset
        ``ceiling`` (voxel) and ``regions`` (region, voxel) of the voxels to read, labelled by their
        numbers, as of `bthelpers.encoding.ceiling.voxels_to_model`.
    parameters : Profile
    """
    splits = parameters.dataset.splits_of(participant)
    read = partial(read_responses, dataset, participant, voxels=voxels["voxel"].values)
    validated = parameters.encoding.penalties == "validation"
    return EncodingInputs(
        read(splits.train),
        read(splits.test),
        voxels["ceiling"].values,
        voxels["regions"],
        parameters.encoding.sampled(parameters.dataset.interval),
        parameters.statistics,
        parameters.seed,
        read(splits.validation) if validated else None,
    )


def invalid_voxels(responses: np.ndarray) -> np.ndarray:
    """Find the voxels that cannot be modelled: not finite, or constant in time.

    Parameters
    ----------
    responses : array of shape (..., tr, voxel)
        Of one story; leading dimensions such as repeats are looked at one by one.

    Returns
    -------
    bool array of shape (voxel,)
        True where any value is NaN or infinite, or any time course is constant.
    """
    over = tuple(range(responses.ndim - 1))
    unfinite = ~np.isfinite(responses).all(axis=over)
    varies = (responses != responses[..., :1, :]).any(axis=-2)
    return unfinite | ~varies.all(axis=over[:-1])

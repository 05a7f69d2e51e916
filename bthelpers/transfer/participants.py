"""From one participant to another: a model that was tuned to some, evaluated on all.

BrainWavLM's figure 3 (Vattikonda et al., 2025) shows it for three sets of voxels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import pandas as pd
import xarray as xr

from bthelpers.core.progress import Progress
from bthelpers.data.dataset import Dataset
from bthelpers.encoding.ceiling import voxels_to_model
from bthelpers.encoding.inputs import EncodingInputs, read_inputs
from bthelpers.params.settings import Profile
from bthelpers.transfer.regions import mean_over_layers, resampled_means

ReadInputs = Callable[[str], EncodingInputs]  # of a participant: they need not be held at once


def transfer(layers: xr.DataArray, participants: Sequence[str], read: ReadInputs) -> xr.Dataset:
    """How well a model predicts the responses of participants, whether it was tuned to them or not.

    Parameters
    ----------
    layers : DataArray (layer, tr, feature)
        Of the model, with the coordinate ``story``; the mean over them is taken.
    participants : sequence of str
    read : callable
        Of a participant: what ridges are fitted to and tested on, all with the same regions.

    Returns
    -------
    Dataset (participant, region)
        ``r``, ``alignment`` and ``r_draws``, as of `bthelpers.transfer.regions.resampled_means`.
    """
    progress, cells = Progress("participants", len(participants)), []
    for participant in participants:
        cells.append(mean_over_layers(layers, read(participant), resampled_means))
        progress.advance(participant)
    return xr.concat(cells, pd.Index(participants, name="participant"), join="exact")


def predictable(parameters: Profile, stories: Collection[str]) -> list[str]:
    """Participants all of whose stories for fitting and testing are among those represented.

    A model that was tuned to a participant is represented on what that one heard: it cannot be
    evaluated on one who heard more.
    """
    needed = ("train", "test") + ("validation",) * (parameters.encoding.penalties == "validation")
    splits = {name: parameters.dataset.splits_of(name) for name in parameters.dataset.participants}
    return [
        name
        for name, heard in splits.items()
        if all(set(getattr(heard, split)) <= set(stories) for split in needed)
    ]


def read_region_inputs(
    participant: str,
    dataset: Dataset,
    voxels_of: Callable[[str], xr.Dataset],
    parameters: Profile,
) -> EncodingInputs:
    """Read what is predicted of a participant: the voxels of `transfer.regions`.

    Parameters
    ----------
    participant : str
    dataset : Dataset
    voxels_of : callable
        Of a participant: noise ceilings and regions, as of
        `bthelpers.encoding.ceiling.participant_voxels`.
    parameters : Profile

    Raises
    ------
    ValueError
        If one of the regions has no voxel above the noise ceiling's threshold.
    """
    voxels = voxels_to_model(voxels_of(participant), parameters.transfer.regions)
    counts = voxels["regions"].astype(bool).sum("voxel").to_series()
    if empty := counts[counts == 0].index.tolist():
        raise ValueError(
            f"{participant}: no voxel above the noise ceiling in {', '.join(empty)}: lower"
            " voxels.ceiling, or take it out of transfer.regions"
        )
    return read_inputs(dataset, participant, voxels, parameters)

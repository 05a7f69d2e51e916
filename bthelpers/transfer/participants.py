"""From one participant to another: models that were tuned to each, evaluated on all.

BrainWavLM's Figure 3 (Vattikonda et al., 2025) shows it for three sets of voxels.
"""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from bthelpers.core.progress import Progress
from bthelpers.encoding.inputs import EncodingInputs
from bthelpers.transfer.regions import region_means

PRETRAINED = "pretrained"


def transfer(
    features: Mapping[str, xr.DataArray], inputs: Mapping[str, EncodingInputs]
) -> xr.Dataset:
    """How well models that were tuned to some participants predict the responses of others.

    Parameters
    ----------
    features : mapping of str to DataArray (tr, feature)
        One layer of each model, by what it was tuned to.
    inputs : mapping of str to EncodingInputs
        By participant; with the same regions.

    Returns
    -------
    Dataset (tuned_to, participant, region)
        ``r`` and ``alignment``, as of `bthelpers.transfer.regions.region_means`.
    """
    progress = Progress("pairs", len(features) * len(inputs))
    rows = []
    for tuned_to, of_model in features.items():
        cells = []
        for participant, of_one in inputs.items():
            cells.append(region_means(of_model, of_one))
            progress.advance(f"{tuned_to} -> {participant}")
        rows.append(xr.concat(cells, dim="participant"))
    return xr.concat(rows, dim="tuned_to").assign_coords(
        tuned_to=list(features), participant=list(inputs)
    )


def percent_gain(transferred: xr.Dataset, baseline: str = PRETRAINED) -> xr.Dataset:
    """Percent change from the pretrained model, for each participant and region.

    Parameters
    ----------
    transferred : Dataset (tuned_to, participant, region)
        As of `transfer`, with the baseline among ``tuned_to``.
    baseline : str

    Returns
    -------
    Dataset
        Without the baseline.

    Raises
    ------
    ValueError
        If the baseline is not among the models, or predicts nothing somewhere: no percentage of
        that is defined.
    """
    if baseline not in transferred["tuned_to"]:
        raise ValueError(f"{baseline!r} is not among the models: a gain is over it")
    before = transferred.sel(tuned_to=baseline, drop=True)
    if not (before > 0).to_array().all():
        raise ValueError(
            f"{baseline!r} predicts a region no better than chance: no percentage of that is"
            " defined; leave the region out"
        )
    return 100 * (transferred.drop_sel(tuned_to=baseline) / before - 1)

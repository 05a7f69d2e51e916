"""The dataset of a profile, and its regions: of voxels or of electrodes, by `dataset.recording`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from bthelpers.core.errors import DatasetError, did_you_mean
from bthelpers.data.dataset import Dataset
from bthelpers.data.recordings.bids import EEGDataset
from bthelpers.data.regions import glasser_parcels, load_regions, masks_of, one_electrode
from bthelpers.params.recordings.settings import RecordingSettings
from bthelpers.params.settings import DatasetSettings


def open_dataset(
    settings: DatasetSettings, repository: Path | str = "", cached: bool = True
) -> Dataset:
    """Open the dataset of a profile.

    Parameters
    ----------
    settings : DatasetSettings
    repository : path
        The folder that paths of the profile are relative to.
    cached : bool
        Whether responses are kept where the profile has a cache.
    """
    cache = settings.cache if cached else None
    return dataset_at(Path(repository, settings.root), settings.recording, cache)


def dataset_at(
    root: Path, recording: RecordingSettings | None, cache: str | None = None
) -> Dataset:
    """Open a folder in the layout of ds003020 or, of recordings of sensors, of BIDS-EEG."""
    if recording is None:
        return Dataset(root, cache)
    return EEGDataset(root, recording.rate, recording.skip)


def region_table(
    settings: DatasetSettings, repository: Path | str = ""
) -> dict[str, tuple[str, ...]]:
    """Read the profile's table of regions: parcels, or electrodes, by region.

    Raises
    ------
    ParameterError
        As `bthelpers.data.regions.load_regions`.
    """
    path = None if settings.regions is None else Path(repository, settings.regions)
    return load_regions(path, glasser_parcels if settings.recording is None else one_electrode)


def places(dataset: Dataset, participant: str) -> dict[str, xr.DataArray]:
    """Names and positions of electrodes, ``electrode`` (voxel) and ``position`` (voxel, axis).

    Nothing where responses are of voxels, whose places are the cortex's.
    """
    if not isinstance(dataset, EEGDataset):
        return {}
    positions = dataset.positions(participant)
    electrode = xr.DataArray(positions["voxel"].values, dims="voxel")
    return {"electrode": electrode, "position": positions.drop_vars("voxel")}


def region_masks(
    dataset: Dataset, participant: str, regions: Mapping[str, tuple[str, ...]]
) -> xr.DataArray:
    """Voxels, or electrodes, of each region, bool (region, voxel), in the order of responses.

    Raises
    ------
    DatasetError
        If files are missing or malformed, a region holds no voxel, or the participant has no
        electrode of a name.
    """
    if not isinstance(dataset, EEGDataset):
        from bthelpers.data import cortex  # slow, and needed for voxels only

        return cortex.region_masks(dataset, participant, regions)
    names = dataset.vertex_parcels(participant)
    for region, members in regions.items():
        for name in members:
            if name not in names:
                raise DatasetError(
                    f"region {region!r}: {participant} has no electrode {name!r}"
                    f"{did_you_mean(name, names)}; change the table of regions"
                )
    return masks_of(names, regions, participant)

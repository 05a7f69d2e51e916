"""Where electrodes are, and which channels of a recording they are: tables of BIDS-EEG."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from bthelpers.core.errors import DatasetError, listed, look_up, parsing
from bthelpers.data.files import existing_file, read_table

if TYPE_CHECKING:
    from mne.io import BaseRaw

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
# Columns of x, y, z in which left to right, back to front and bottom to top are, and their signs.
_ALS = ((1, -1), (0, 1), (2, 1))  # x to the nose, y to the left
AXES = {"CapTrak": ((0, 1), (1, 1), (2, 1)), "CTF": _ALS, "EEGLAB": _ALS}
REMEDY = "correct the table by hand, or export the folder again (as mne-bids does)"


def read_tsv(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """Read a table of BIDS: text, with ``n/a`` where there is nothing.

    Raises
    ------
    DatasetError
        If it is missing or lacks one of the columns.
    """
    existing_file(path)
    with parsing(path, "table between tabs", REMEDY):
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    if missing := [column for column in columns if column not in table]:
        raise DatasetError(f"{path} has no column {', '.join(missing)}: {REMEDY}")
    return table


def read_numbers(path: Path, table: pd.DataFrame, column: str) -> np.ndarray:
    """Numbers of a column, float64; NaN for ``n/a``."""
    with parsing(path, f"table of numbers in column {column!r}", REMEDY):
        return table[column].replace("n/a", "nan").astype(float).to_numpy()


def read_positions(path: Path) -> xr.DataArray:
    """Read where electrodes are.

    Parameters
    ----------
    path : Path
        An ``electrodes.tsv``; its ``coordsystem.json``, which says the axes, lies beside it.

    Returns
    -------
    DataArray (voxel, axis)
        Metres to the right, front and top. The coordinate ``voxel`` holds the names of electrodes.
        NaN where no position is known.

    Raises
    ------
    DatasetError
        If a file is missing or malformed, or its axes are not known.
    """
    table = read_tsv(path, ("name", "x", "y", "z"))
    given = np.stack([read_numbers(path, table, axis) for axis in "xyz"], axis=1)
    about = path.with_name(path.name.replace("_electrodes.tsv", "_coordsystem.json"))
    system = read_table(about)
    axes = look_up(str(system.get("EEGCoordinateSystem")), AXES, f"coordinate system in {about}")
    unit = look_up(str(system.get("EEGCoordinateUnits")), METRES, f"unit of positions in {about}")
    right_front_top = np.stack([sign * given[:, column] for column, sign in axes], axis=1)
    coords = {"voxel": table["name"].to_numpy().astype(str), "axis": ["right", "front", "top"]}
    if repeated := table["name"][table["name"].duplicated()].tolist():
        raise DatasetError(f"{path} names twice: {listed(repeated)}: {REMEDY}")
    return xr.DataArray(unit * right_front_top, coords, ("voxel", "axis"), attrs={"units": "m"})


def read_channels(path: Path, recording: BaseRaw) -> pd.DataFrame:
    """Read what channels are, by the number of each in the recording, and compare with its header.

    Parameters
    ----------
    path : Path
        A ``channels.tsv``.
    recording : mne.io.BaseRaw

    Returns
    -------
    DataFrame
        ``name``, ``type`` and ``bad`` of each channel, in the recording's order.

    Raises
    ------
    DatasetError
        If names, their order, or sampling frequencies differ from the recording's, or a channel of
        EEG is no voltage there.
    """
    table, samples = read_tsv(path, ("name", "type")), recording.filenames[0]
    rate = recording.info["sfreq"]
    names = table["name"].tolist()
    if names != [*recording.ch_names]:
        differ = [*{*names} ^ {*recording.ch_names}]
        what = f"in one of them only: {listed(sorted(differ))}" if differ else "in another order"
        raise DatasetError(
            f"{path} names {len(names)} channels, the header of {samples}"
            f" {len(recording.ch_names)}, {what}: {REMEDY}"
        )
    if "sampling_frequency" in table:
        rates = read_numbers(path, table, "sampling_frequency")
        differ = np.isfinite(rates) & ~np.isclose(rates, rate)
        if wrong := sorted({*rates[differ]}):
            raise DatasetError(
                f"{path} says {listed(f'{other:g} Hz' for other in wrong)}, the header of"
                f" {samples} {rate:g} Hz: {REMEDY}"
            )
    no_voltage = np.array(recording.get_channel_types()) == "misc"
    if wrong := table.loc[no_voltage & (table["type"] == "EEG"), "name"].tolist():
        raise DatasetError(
            f"{path} has {listed(wrong)} as EEG, which the header of {samples} gives in another"
            " unit than V, mV, µV or nV, or no place: name another type, or correct the header"
        )
    status = table["status"] if "status" in table else pd.Series("good", table.index)
    return table[["name", "type"]].assign(bad=status == "bad")

"""Readers of the dataset's single files, which say what is wrong with a file and what to do."""

from __future__ import annotations

import contextlib
import difflib
import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import nibabel
import numpy as np
import soundfile
from praatio import textgrid

from bthelpers.synthesis import Interval

RESTORE = "download it again, or make the simulated dataset again"
ROWS_AT_ONCE = 32  # of a response array in memory as float64: 28 MB at 110,000 voxels


class DatasetError(ValueError):
    """Something in the dataset folder is missing or malformed; the message says what to do."""


def existing(path: Path) -> Path:
    """Return `path`, or raise a DatasetError if nothing is there."""
    if not path.exists():
        raise DatasetError(f"{path} is missing: {RESTORE}")
    return path


def listed(names: Iterable[str]) -> str:
    """Join names for a message."""
    return ", ".join(names) or "nothing"


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """End an error message about an unknown name with the nearest valid one."""
    nearest = difflib.get_close_matches(name, list(valid), n=1, cutoff=0)
    return f"; the nearest is {nearest[0]!r}" if nearest else ""


def look_up(name: str, table: dict, what: str):
    """Return `table[name]`; an error names the nearest key if there is none."""
    if name not in table:
        raise DatasetError(f"{name!r} is no {what}{did_you_mean(name, table)}")
    return table[name]


def read_table(path: Path) -> dict:
    """Read a JSON file that holds an object."""
    text = existing(path).read_text()
    try:
        table = json.loads(text)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path} is truncated or no JSON ({error}): {RESTORE}") from error
    if not isinstance(table, dict):
        raise DatasetError(f"{path} holds no table of names: {RESTORE}")
    return table


def read_volume(path: Path) -> np.ndarray:
    """Read the voxels of a NIfTI image, in its order (x, y, z)."""
    try:
        return np.asanyarray(nibabel.load(existing(path)).dataobj)
    except (OSError, EOFError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
        raise DatasetError(f"{path} is truncated or no NIfTI ({error}): {RESTORE}") from error


def wav_duration(path: Path) -> float:
    """Length of a wav file in seconds; an error if its header announces more than is there."""
    with existing(path).open("rb") as file:
        riff = file.read(12)
        if riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
            raise DatasetError(f"{path} is no wav file: {RESTORE}")
        while len(header := file.read(8)) == 8:
            chunk, size = struct.unpack("<4sI", header)
            if chunk == b"data":
                break
            file.seek(size + size % 2, 1)  # chunks are padded to even sizes
        else:
            raise DatasetError(f"{path} is truncated before its sound: {RESTORE}")
        present = path.stat().st_size - file.tell()
    if present < size:  # soundfile would read what is there without a word
        raise DatasetError(
            f"{path} is truncated, it holds {present} of {size} bytes of sound: {RESTORE}"
        )
    try:
        return soundfile.info(path).duration
    except soundfile.LibsndfileError as error:
        raise DatasetError(f"{path} cannot be read ({error}): {RESTORE}") from error


def read_tiers(path: Path, names: Iterable[str]) -> dict[str, list[Interval]]:
    """Read the labelled intervals of the named tiers of a TextGrid."""
    try:
        grid = textgrid.openTextgrid(str(existing(path)), includeEmptyIntervals=True)
    except DatasetError:
        raise
    except Exception as error:  # the parser fails in many ways on a malformed file
        raise DatasetError(f"{path} is truncated or no TextGrid ({error}): {RESTORE}") from error
    tiers = {}
    for name in names:
        if name not in grid.tierNames:
            raise DatasetError(
                f"{path} has no tier {name!r}, only {listed(grid.tierNames)}: {RESTORE}"
            )
        entries, end = grid.getTier(name).entries, grid.getTier(name).maxTimestamp
        # Praat's intervals tile the tier; a short-format file can be cut off and still parse
        if not entries or entries[-1].end < end - 0.1:
            raise DatasetError(
                f"{path} is truncated, its tier {name!r} ends before {end:.1f} s: {RESTORE}"
            )
        tiers[name] = [Interval(*entry) for entry in entries if entry.label]
    return tiers


@contextlib.contextmanager
def open_responses(
    path: Path, n_rows: int, repeated: bool = False
) -> Iterator[tuple[h5py.Dataset, h5py.Dataset | None]]:
    """Open a response file of `n_rows` TRs.

    Yields
    ------
    data : h5py.Dataset of shape (tr, voxel)
    individual_repeats : h5py.Dataset of shape (repeat, tr, voxel), or None unless `repeated`
    """
    existing(path)
    try:
        with h5py.File(path) as file:
            data = _checked_array(file, "data", (n_rows, None))
            repeats = None
            if repeated:
                repeats = _checked_array(file, "individual_repeats", (None, *data.shape))
                if len(repeats) < 2:
                    raise DatasetError(
                        f"{path} holds one repeat, a noise ceiling needs two or more"
                    )
            yield data, repeats
    except OSError as error:
        raise DatasetError(f"{path} is truncated or no HDF5 ({error}): {RESTORE}") from error


def _checked_array(file: h5py.File, key: str, shape: tuple[int | None, ...]) -> h5py.Dataset:
    """Array `key` of a response file, of the expected shape (None: any length)."""
    if not isinstance(file.get(key), h5py.Dataset):
        raise DatasetError(f"{file.filename} has no array {key!r}, only {listed(file)}: {RESTORE}")
    array = file[key]
    if array.ndim != len(shape) or array.dtype.kind != "f":
        raise DatasetError(
            f"{file.filename}: {key!r} has {array.ndim} dimensions of {array.dtype}, expected "
            f"{len(shape)} of floating-point numbers: {RESTORE}"
        )
    for name, length, found in zip(
        ("voxels", "rows", "repeats"), shape[::-1], array.shape[::-1], strict=False
    ):
        if length not in (None, found):
            raise DatasetError(f"{file.filename}: {key!r} has {found} {name}, expected {length}")
    return array


def read_columns(array: h5py.Dataset, voxels: np.ndarray | None) -> np.ndarray:
    """Read columns of an array (..., tr, voxel) as float32, with few rows of float64 in memory."""
    columns = np.arange(array.shape[-1])[slice(None) if voxels is None else voxels]
    selected = np.empty((*array.shape[:-1], len(columns)), np.float32)
    at_once = max(ROWS_AT_ONCE, array.chunks[-2] if array.chunks else 0)  # no chunk read twice
    for index in np.ndindex(array.shape[:-2]):
        for start in range(0, array.shape[-2], at_once):
            rows = (*index, slice(start, start + at_once))
            selected[rows] = array[rows][:, columns]
    return selected

"""Selected responses as float32: read by blocks, and kept on disk for whoever reads them again.

An entry is a ``.npy`` file of one response file and selection of voxels, 4 bytes per row and voxel:
2 GB for the papers' 27 stories and 50,732 voxels of one participant. When a response file is
replaced, its new entry takes the place of the old one, so that there are no more entries than pairs
of response file and selection. Those of selections that are not used any more stay: delete the
folder at any time.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from tokenize import TokenError

import h5py
import numpy as np
from filelock import FileLock

from bthelpers.core.checksums import checked_path, is_intact, remove
from bthelpers.core.errors import ResultsError, parsing
from bthelpers.data.files import RESTORE

BLOCK_BYTES = 6_000_000  # of a response array in memory as float64: what a processor's cache holds


def cached(folder: Path, array: h5py.Dataset, columns: np.ndarray) -> np.ndarray:
    """Read columns of an array from the cache, which they enter at the first time.

    Parameters
    ----------
    folder : Path
        Of the cache; made if need be.
    array : h5py.Dataset of shape (tr, voxel)
        Of an open response file.
    columns : int array of shape (column,)

    Returns
    -------
    float32 array of shape (tr, column)
        Mapped from disk; it cannot be written.

    Raises
    ------
    DatasetError
        If the response file is damaged.
    ResultsError
        If the entry cannot be written, as on a full disk.
    """
    source = Path(array.file.filename).resolve()
    of_file, of_version = _keys(source, columns)
    prefix = f"{source.parent.name}-{source.stem}-{of_file}"
    entry = folder / f"{prefix}-{of_version}.npy"
    shape = (len(array), len(columns))
    if (kept := _mapped(entry, shape)) is not None:
        return kept
    with _locked(folder):  # runs with the same voxels come here at the same time
        if (kept := _mapped(entry, shape)) is None:
            responses = read_columns(array, columns)
            with checked_path(entry) as temporary, temporary.open("wb") as file:
                np.save(file, responses)
            for other in folder.glob(f"{glob.escape(prefix)}-*.npy"):
                if other != entry:
                    remove(other)
            kept = _mapped(entry, shape)
    return responses if kept is None else kept  # a disk that cannot be mapped


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the cache's folder if need be, and be the only one to change it."""
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(folder / ".lock"))
        except OSError as error:
            raise ResultsError(
                f"{folder} cannot keep responses ({error}): make it a folder that can be written,"
                " or name another one, or null, under dataset.cache"
            ) from error
        yield


def _keys(source: Path, columns: np.ndarray) -> tuple[str, str]:
    """Digests of path and selection, and of the file's size and times.

    The time of its change is one that nobody sets back, as that of modification is by copying.
    """
    status = source.stat()
    selection = hashlib.sha256(columns.astype("<i8").tobytes()).hexdigest()
    return tuple(
        hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
        for key in (
            [str(source), selection],
            [status.st_size, status.st_mtime_ns, status.st_ctime_ns],
        )
    )


def _mapped(entry: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """Map an entry, or return None where there is none, or none that is as it was written."""
    if not is_intact(entry):
        return None
    try:
        kept = np.lib.format.open_memmap(entry, mode="r")
    except (OSError, ValueError, TokenError):  # the last: of a damaged header
        return None
    return kept.view(np.ndarray) if (kept.dtype, kept.shape) == (np.float32, shape) else None


def column_numbers(array: h5py.Dataset, voxels: np.ndarray | None) -> np.ndarray:
    """Number the columns that a selection (bool mask, integers, or None for all) takes.

    Raises
    ------
    ValueError
        If the selection is of an array with another number of columns.
    """
    n_columns = array.shape[-1]
    try:
        return np.arange(n_columns)[slice(None) if voxels is None else voxels]
    except IndexError as error:
        raise ValueError(
            f"{array.file.filename} has {n_columns} voxels, and the selection does not fit "
            f"({error}): it was made for other responses; make it again"
        ) from error


def read_columns(array: h5py.Dataset, columns: np.ndarray) -> np.ndarray:
    """Read columns of an array as float32, a few rows of float64 at a time.

    No more than the span from the first column to the last is read, so that the array can also be
    read by blocks of neighbouring columns.

    Parameters
    ----------
    array : h5py.Dataset of shape (..., tr, voxel)
    columns : int array of shape (column,)

    Returns
    -------
    float32 array of shape (..., tr, column)

    Raises
    ------
    DatasetError
        If the file is damaged.
    """
    selected = np.empty((*array.shape[:-1], len(columns)), np.float32)
    if not selected.size:
        return selected
    first, last = columns.min(), columns.max()
    for rows in _row_blocks(array, n_columns=last - first + 1):
        with parsing(array.file.filename, "HDF5", RESTORE):
            block = array[(*rows, slice(first, last + 1))]
        selected[rows] = np.take(block, columns - first, axis=-1)
        del block  # before the next one is read
    return selected


def _row_blocks(array: h5py.Dataset, n_columns: int) -> Iterator[tuple[slice, ...]]:
    """Cut all axes but the last into blocks of about BLOCK_BYTES, or of whole chunks if larger."""
    steps = list(array.chunks[:-1] if array.chunks else [1] * (array.ndim - 1))
    steps[-1] *= max(1, BLOCK_BYTES // (math.prod(steps) * n_columns * array.dtype.itemsize))
    starts = (range(0, n, step) for n, step in zip(array.shape, steps, strict=False))
    for block in itertools.product(*starts):
        yield tuple(slice(start, start + step) for start, step in zip(block, steps, strict=True))

"""What each run has read and written, by which it is known to be outdated or damaged.

A receipt lies beside the executed notebook of its run. It holds digests of what the run has read,
its notebook and parameters among it, and of what it has written, which other runs have read in
turn: every result can be followed to all that it was made from. Dates play no part; nor does
provenance, so that the same numbers, made again, outdate nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import h5py

from bthelpers.core.checksums import SUMS, damaged, digest_if_there, sums_beside
from bthelpers.core.files import atomic_write_text, file_bytes, parse_json
from bthelpers.core.provenance import digest

Digests = Mapping[str, str | None]  # by file, from the repository's root; None: cannot be read


def digests(files: Iterable[str]) -> Digests:
    """Digests of files; of one in a folder that was written as a whole, that of the folder."""
    return {file: _digest(_stands_for(Path(file))) for file in files}


def _stands_for(file: Path) -> Path:
    return next((folder / SUMS for folder in file.parents if (folder / SUMS).is_file()), file)


def _digest(file: Path) -> str | None:
    try:
        if not file.is_file():  # a pipe would be waited for
            return None
        if file.name == SUMS:
            lines = file.read_text(encoding="utf-8").splitlines()
            return digest([line for line in lines if not line.endswith("  provenance.json")])
        if file.suffix == ".nc":
            return _digest_of_arrays(file)
    except Exception:  # damaged, on which HDF5 fails in many ways
        pass
    return digest_if_there(file)


def _digest_of_arrays(file: Path) -> str:
    """Of all arrays of a netCDF file, without its attributes."""
    found = hashlib.sha256()

    def add(name: str, array: h5py.Dataset | h5py.Group) -> None:
        if isinstance(array, h5py.Dataset):
            found.update(f"{name} {array.dtype} {array.shape}".encode())
            text = h5py.check_string_dtype(array.dtype) is not None
            found.update(repr(array[()].tolist()).encode() if text else array[()].tobytes())

    with h5py.File(file) as opened:
        opened.visititems(add)
    return found.hexdigest()


def write_receipt(receipt: Path, inputs: Digests, outputs: Iterable[str]) -> None:
    """Keep what a run has read, as it was before, and what it has written."""
    content = {"inputs": inputs, "outputs": digests(outputs)}
    atomic_write_text(receipt, json.dumps(content, indent=1) + "\n")


def changed_since(receipt: Path, inputs: Digests, outputs: Iterable[str]) -> str | None:
    """Name a file that a run has read or written and that is another one by now, or damaged.

    Returns
    -------
    str or None
        The receipt itself where there is none, or none that can be read. None if there is no such
        file.
    """
    found = {"inputs": inputs, "outputs": digests(outputs)}
    try:
        written = parse_json(file_bytes(receipt))
        others = [written[kind].items() ^ found[kind].items() for kind in ("outputs", "inputs")]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return str(receipt)
    changed = [file for kind in others for file, _ in sorted(kind, key=str)]
    changed += [file for output in outputs for file in _damaged(Path(output))]
    return str(changed[0]) or str(receipt) if changed else None  # which may name a file ""


def _damaged(output: Path) -> list[Path]:
    whole, alone = _stands_for(output), sums_beside(output)
    sums = alone if whole == output else whole
    return damaged(sums) if sums.exists() else []

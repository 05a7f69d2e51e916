"""Checksums of files as they were written, by which reading notices damage.

They are kept in the form of ``sha256sum``: beside a file (``alignment.nc.sha256``), or of all files
of a folder that is written as a whole, in the folder (``SHA256SUMS``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bthelpers.core.files import atomic_path, atomic_write_text, file_bytes
from bthelpers.core.provenance import file_digest

SUMS = "SHA256SUMS"


def sums_beside(file: Path) -> Path:
    """Where the checksum of a single file is kept."""
    return file.with_name(f"{file.name}.sha256")


@contextmanager
def checked_path(path: str | Path) -> Iterator[Path]:
    """As `atomic_path`, with the file's checksum beside it."""
    path = Path(path)
    with atomic_path(sums_beside(path)) as sums, atomic_path(path) as temporary:
        yield temporary
        sums.write_text(f"{file_digest(temporary)}  {path.name}\n", encoding="utf-8")


def write_sum(file: Path) -> None:
    """Write the checksum of a file, which is whole, beside it."""
    atomic_write_text(sums_beside(file), f"{file_digest(file)}  {file.name}\n")


def write_sums(folder: Path) -> None:
    """Write the checksums of all files of a folder into it; it is to be whole or not at all."""
    (folder / SUMS).unlink(missing_ok=True)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    lines = [f"{file_digest(file)}  {file.relative_to(folder).as_posix()}\n" for file in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def damaged(sums: Path) -> list[Path]:
    """Files that are not as their checksums say, or not there; the list itself where it is none."""
    try:
        lines = [line.split("  ", 1) for line in file_bytes(sums).decode("utf-8").splitlines()]
        expected = {sums.parent / name: digest for digest, name in lines}
    except (OSError, ValueError):
        return [sums]
    if not expected:
        return [sums]
    return [file for file, digest in expected.items() if digest_if_there(file) != digest]


def digest_if_there(file: Path) -> str | None:
    """SHA-256 of a file; None where there is none that can be read."""
    try:
        return file_digest(file) if file.is_file() else None  # a pipe would be waited for
    except (OSError, ValueError):
        return None


def is_intact(file: Path) -> bool:
    """Whether a file is as it was written, of which `checked_path` has kept the checksum."""
    return not damaged(sums_beside(file))


def remove(file: Path) -> None:
    """Remove a file that `checked_path` wrote, if it is there, and its checksum."""
    file.unlink(missing_ok=True)
    sums_beside(file).unlink(missing_ok=True)

"""Files written whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from safetensors import SafetensorError

from bthelpers.core.errors import ResultsError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``, and rename what was written there on success.

    Raises
    ------
    ResultsError
        If the file cannot be written, as on a full disk. What was under ``path`` is still there.
    """
    path = Path(path)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path, "part")
        try:
            yield temporary
            _flush(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty temporary folder beside ``path``, and put it in its place on success.

    Raises
    ------
    ResultsError
        As `atomic_path`.
    """
    path = Path(path)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, replaced = (_beside(path, end) for end in ("part", "old"))
        temporary.mkdir()
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _flush(file)
            if path.exists():
                os.replace(path, replaced)
            os.replace(temporary, path)
        finally:
            if not path.exists() and replaced.exists():  # this ended between the two
                os.replace(replaced, path)
            for folder in (temporary, replaced):
                shutil.rmtree(folder, ignore_errors=True)


def _beside(path: Path, ending: str) -> Path:
    """A hidden name beside a path, of this process alone; what killed ones left is removed.

    Of processes of this machine: those of others, on a disk that they share, may be at work. What
    was moved away for another folder that never took its place is put back.
    """
    here = f".{path.name}.{platform.node()}"
    for other in path.parent.iterdir():
        match = re.fullmatch(rf"{re.escape(here)}\.(\d+)\.{ending}", other.name)
        if match and (int(match[1]) == os.getpid() or not psutil.pid_exists(int(match[1]))):
            if ending == "old" and not path.exists():
                os.replace(other, path)
            elif other.is_dir():
                shutil.rmtree(other, ignore_errors=True)
            else:
                other.unlink(missing_ok=True)
    return path.with_name(f"{here}.{os.getpid()}.{ending}")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    # PyTorch reports a full disk as a RuntimeError, safetensors as an error of its own.
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ResultsError(
            f"{path} was not written: {error}. Nothing unfinished is kept under this name. If its"
            f" disk is full ({free_bytes(path) // 10**6} MB are free), make room; then run the same"
            " command again."
        ) from error


def free_bytes(path: Path) -> int:
    """Bytes that are free on the disk where a path, which need not exist, is or would be."""
    folder = next(place for place in (path, *path.absolute().parents) if place.is_dir())
    return shutil.disk_usage(folder).free


def _flush(file: Path) -> None:
    """Have the file on the disk before its name: a power cut leaves no empty file behind."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode())


def file_bytes(path: Path) -> bytes:
    """Read a file; an OSError where it is none, as a pipe, which would be waited for."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there, or no file")
    return path.read_bytes()


def write_json(path: Path, content: Any) -> None:
    """Write a UTF-8 file of JSON; it goes into a folder that is whole or not at all."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def parse_json(content: str | bytes) -> Any:
    """Parse JSON in which each key stands once and numbers are finite, in any UTF encoding.

    Raises
    ------
    ValueError
        If it is none, or nested more deeply than can be parsed.

    Examples
    --------
    >>> parse_json('{"story": 1, "story": 2}')
    Traceback (most recent call last):
    ValueError: 'story' stands twice
    """
    try:
        return json.loads(content, object_pairs_hook=_distinct, parse_constant=_not_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"{key!r} stands twice")
        table[key] = value
    return table


def _not_finite(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def write_if_changed(path: str | Path, text: str) -> bool:
    """Write a UTF-8 file unless it holds that text already; returns whether it was written.

    A file that stays keeps its modification time, so that nothing is made again because of it.
    """
    path = Path(path)
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    atomic_write_text(path, text)
    return True

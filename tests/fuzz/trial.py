"""Trials of readers: a file is damaged, read, judged by what came of it, and put back."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from fuzz.damages import BYTES, PLACES, Damage

from bthelpers.core.errors import DatasetError, ResultsError
from bthelpers.data.download import DownloadError
from bthelpers.models.loading import ModelError
from bthelpers.params.schema import ParameterError

OWN = (DatasetError, DownloadError, ModelError, ParameterError, ResultsError)
# What may come of reading a damaged file, and what must not.
FINE = ("own error", "same", "accepted")
FAILED = ("foreign error", "wrong", "hung", "nameless", "wrote")
SECONDS = 30  # that a case may take on a busy machine
LONGEST = 2_000  # characters of a message: people read it
MEMORY = 4 << 30  # bytes that a case may ask for


class Hung(BaseException):
    """A case that takes too long; no `except Exception` catches it."""


@dataclass(frozen=True)
class Reader:
    """A reader, small valid files for it, and what it may make of damaged ones.

    Attributes
    ----------
    name : str
    write : callable
        Writes the valid files into an empty folder.
    read : callable
        Of that folder; returns numbers, texts and arrays, in tuples, lists and dicts.
    damages : dict of str to damages
        By the file, from the folder, that they are of; those of `PLACES` and `BYTES` are added.
    accepts : callable
        Oracle: whether a result is what damaged files say. Of the folder and the result.
    cases : int
        Of each file, in a whole run.
    """

    name: str
    write: Callable[[Path], None]
    read: Callable[[Path], Any]
    damages: dict[str, tuple[Damage, ...]]
    accepts: Callable[[Path, Any], bool] = lambda root, result: False
    cases: int = 60


@dataclass(frozen=True)
class Case:
    """One damage to one file of a reader, by its seed."""

    reader: str
    file: str
    seed: int
    damage: str
    outcome: str
    detail: str = ""

    def __str__(self):
        return f"{self.outcome}: {self.reader} {self.file} {self.seed} {self.damage}: {self.detail}"


@dataclass
class Trial:
    """A reader with its valid files written to a folder, and what it gives for them."""

    reader: Reader
    root: Path
    intact: Any = field(init=False)

    def __post_init__(self):
        self.root.mkdir(parents=True)
        self.reader.write(self.root)
        with _quiet():
            self.intact = self.reader.read(self.root)

    def case(self, file: str, seed: int) -> Case:
        """Damage a file as the seed says, read, and put it back."""
        rng = np.random.default_rng([seed, crc32(f"{self.reader.name}/{file}".encode())])
        kinds = (PLACES, BYTES, self.reader.damages[file])
        # Of places there is little to vary.
        kind = kinds[rng.choice(3, p=[0.1, 0.4, 0.5])] or BYTES
        damage = kind[rng.integers(len(kind))]
        outcome, detail = self.outcome(file, damage, rng)
        return Case(self.reader.name, file, seed, damage.__name__, outcome, detail)

    def outcome(self, file: str, damage: Damage, rng=None) -> tuple[str, str]:
        """What comes of reading one damaged file, and details."""
        path = self.root / file
        content, files = path.read_bytes(), {*self.root.rglob("*")}
        try:
            damage(path, rng)
            before = _names(self.root)
            outcome, detail = self._read()
            if _names(self.root) != before:
                return "wrote", f"{_names(self.root) ^ before}"
            return outcome, detail
        finally:
            for one in {path, *self.root.rglob("*")} - (files - {path}):  # it may be renamed
                _remove(one)
            path.write_bytes(content)

    def _read(self) -> tuple[str, str]:
        try:
            with _quiet(), _limited():
                result = self.reader.read(self.root)
        except OWN as error:
            named = str(self.root) in str(error) and len(str(error)) <= LONGEST
            return ("own error" if named else "nameless"), f"{type(error).__name__}: {error}"
        except Hung:
            return "hung", ""
        except Exception as error:
            return "foreign error", f"{type(error).__name__}: {error}"
        if _same(result, self.intact):
            return "same", ""
        try:
            with _quiet():
                accepted = self.reader.accepts(self.root, result)
        except Exception as error:  # the oracle cannot read it
            return "wrong", f"no oracle: {type(error).__name__}: {error}"
        return ("accepted" if accepted else "wrong"), ""


def _same(result, intact) -> bool:
    try:
        np.testing.assert_equal(result, intact)
    except AssertionError:
        return False
    return True


def _names(root: Path) -> set[Path]:
    """Names in the folder and beside it."""
    return {*root.rglob("*"), *root.parent.iterdir()}


def _remove(path: Path) -> None:
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with (
        warnings.catch_warnings(action="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        np.errstate(all="ignore"),
    ):
        yield


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Limits on time and memory: a hang and a request of terabytes are errors, not the end."""

    def stop(*_):
        raise Hung

    before = signal.signal(signal.SIGALRM, stop)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + MEMORY, hard))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

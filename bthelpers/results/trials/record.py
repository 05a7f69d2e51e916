"""Records of ``make faults`` and ``make fuzz``: how many trials, and what came of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field, TypeAdapter

from bthelpers.core.errors import ResultsError, parsing
from bthelpers.core.files import parse_json
from bthelpers.core.provenance import digest, file_digest, provenance

# As seen from a chapter's folder.
FAULTS, FUZZ = Path("recorded/faults.json"), Path("recorded/fuzz.json")
REPOSITORY = Path(__file__).parents[3]
# A pattern of files in the repository, never one that leads out of it.
Pattern = Annotated[str, Field(pattern=r"^[\w*][\w.*-]*(/[\w*][\w.*-]*)*$")]
Number = Annotated[int, Field(ge=0)]
MAKE = {FAULTS.name: "`make faults` makes it, in hours", FUZZ.name: "`make fuzz` makes it"}


@dataclass(frozen=True)
class Code:
    """What the outcome of a trial depends on but its seed.

    Attributes
    ----------
    files : sequence of str
        Patterns of their names, from the repository's root.
    digest : str
        One of all of them.
    """

    files: Annotated[Sequence[Pattern], Field(min_length=1)]
    digest: str

    @classmethod
    def of(cls, files: Iterable[str]) -> Code:
        """Of files as they are now."""
        return cls(tuple(files), _digest(files))


def _digest(patterns: Iterable[str]) -> str:
    files = {f for pattern in patterns for f in REPOSITORY.glob(pattern) if f.is_file()}
    return digest({file.relative_to(REPOSITORY).as_posix(): file_digest(file) for file in files})


@dataclass(frozen=True)
class Record:
    """A record as chapters show it.

    Attributes
    ----------
    code : Code
    date, commit : str
        When, in UTC, and of which state of the repository the last trials were.
    seeds : pair of int
        The first and the last.
    outcomes : mapping of str to mapping of str to int
        Counts of trials: by kind, and ``all``, and by outcome.
    """

    code: Code
    date: str
    commit: str
    seeds: tuple[int, int]
    outcomes: Mapping[str, Mapping[str, Number]]

    @property
    def stale(self) -> bool:
        """Whether the code is another one by now."""
        return _digest(self.code.files) != self.code.digest

    @property
    def source(self) -> str:
        """Seeds, when and from which commit: for captions."""
        commit = re.sub(r"^(.{10})[0-9a-f]*", r"\1", self.commit)
        made = [f"seeds {self.seeds[0]} to {self.seeds[1]}", self.date[:10], f"commit {commit}"]
        return ", ".join([*made, *(["stale: code has changed since"] if self.stale else [])])

    @property
    def table(self) -> pd.DataFrame:
        """Counts by kind and outcome."""
        return pd.DataFrame(self.outcomes).T


def read_record(path: Path) -> Record | None:
    """Read a record; None if there is none yet.

    Raises
    ------
    ResultsError
        If the file is damaged, or of an earlier version.
    """
    if not path.is_file():
        return None
    with parsing(path, "record of trials", f"delete it; {MAKE[path.name]}", ResultsError):
        found = json.dumps(parse_json(path.read_bytes()))
        record = TypeAdapter(Record).validate_json(found, strict=True)
        names = record.outcomes["all"].keys()
        if any(counts.keys() != names for counts in record.outcomes.values()):
            raise ValueError("kinds are counted by different outcomes")
        _ = record.source  # an error where a pattern of its code cannot be followed
        return record


def content(code: Code, seeds: Iterable[int], outcomes: Mapping[str, Any]) -> dict[str, Any]:
    """What a record made now holds, as JSON; its makers may add to it.

    Parameters
    ----------
    code : Code
    seeds : iterable of int
        Of all trials.
    outcomes : mapping of str to mapping of str to int
        As `Record` has them.
    """
    made, seeds = provenance({}), sorted(seeds)
    return {
        "code": {"files": list(code.files), "digest": code.digest},
        "date": made["date"],
        "commit": made["commit"],
        "seeds": [seeds[0], seeds[-1]],
        "outcomes": outcomes,
    }

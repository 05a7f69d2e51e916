"""The record of ``make bench``, and the table that is made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

import numpy as np
import pandas as pd
from pydantic import ConfigDict, Field, TypeAdapter

from bthelpers.core.errors import ResultsError, parsing
from bthelpers.core.files import atomic_path, parse_json, write_json
from bthelpers.core.provenance import file_digest
from bthelpers.params.schema import Count, Number, Positive
from bthelpers.results.benchmarks.strides import StrideCost

RECORD = Path("recorded/benchmarks.json")  # as seen from a chapter's folder
MAKE = "`make bench` makes it, in about half an hour on two idle cores"
LIBRARY = Path(__file__).parents[2]
FULL_PRECISION = ("float32", "float64")
T = TypeVar("T")
Several = Annotated[Sequence[T], Field(min_length=1)]


@dataclass(frozen=True)
class Measurement:
    """One contender at one amount of work.

    Attributes
    ----------
    study : str
        Contenders of one study and size compute the same.
    size : float
        Amount of work, in `unit`.
    unit : str
    contender : str
    ours : bool
        Whether it is this library's.
    precision : str
        In which it multiplies.
    seconds : sequence of float
        Of each round.
    operations : int, optional
        Of matrix products and convolutions, where PyTorch computes them.
    same : float, optional
        Of ridges: share of voxels with the penalty that our ridge chooses in float64.
    difference : float
        From what is right, as the study defines both.
    """

    study: str
    size: Positive
    unit: str
    contender: str
    ours: bool
    precision: str
    seconds: Several[Positive]
    operations: Count | None
    difference: Number
    same: Number | None = None


@dataclass(frozen=True)
class Record:
    """What ``make bench`` writes.

    Attributes
    ----------
    provenance : mapping of str to str
        As of results, with ``machine`` in words.
    peaks : mapping of str to float
        Operations per second of large matrix products, by precision.
    code : mapping of str to mapping of str to str
        Digests of the files that are measured, by study and by path from the library's folder.
    measurements : sequence of Measurement
    strides : sequence of StrideCost
    """

    # An unknown key is an error here and, as pydantic hands this on, in all that is below.
    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    provenance: Mapping[str, str]
    peaks: Mapping[str, Positive]
    code: Mapping[str, Mapping[str, str]]
    measurements: Several[Measurement]
    strides: Several[StrideCost]

    @property
    def source(self) -> str:
        """The machine, when and from which commit: for captions."""
        parameters = json.loads(self.provenance["parameters"])
        made = [
            f"{self.provenance['machine']} ({parameters['threads']} threads)",
            self.provenance["date"][:10],
            "commit " + re.sub(r"^(.{10})[0-9a-f]*", r"\1", self.provenance["commit"]),
            f"{parameters['scale']:g} times the usual amount of work",
        ]
        return ", ".join([*made, *(["stale in part"] if self.stale else [])])

    @property
    def stale(self) -> dict[str, list[str]]:
        """By study: files of the library that have changed since, or are there no more."""
        changed = {
            study: [file for file, digest in files.items() if _digest(file) != digest]
            for study, files in self.code.items()
        }
        return {study: files for study, files in changed.items() if files}


def code_digests(files: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files, by path from the library's folder."""
    return {file: file_digest(LIBRARY / file) for file in files}


def _digest(file: str) -> str | None:
    return file_digest(LIBRARY / file) if (LIBRARY / file).is_file() else None


def write_record(record: Record, path: Path) -> None:
    """Write it as JSON, whole or not at all."""
    with atomic_path(path) as temporary:
        write_json(temporary, asdict(record))


def read_record(path: Path = RECORD) -> Record | None:
    """Read a record; None if there is none yet.

    Raises
    ------
    ResultsError
        If the file is damaged.
    """
    if not path.is_file():
        return None
    with parsing(path, "record of benchmarks", f"delete it; {MAKE}", ResultsError):
        content = json.dumps(parse_json(path.read_bytes()))
        record = TypeAdapter(Record).validate_json(content, strict=True)
        _ = record.source  # an error where its provenance lacks what captions say
        return record


def speeds(record: Record) -> pd.DataFrame:
    """Each measurement as a row.

    Parameters
    ----------
    record : Record

    Returns
    -------
    DataFrame
        ``study`` (of which stale ones say so), ``size``, ``unit``, ``contender``, ``ours``;
        ``seconds``, the median of the rounds; ``speed``, as a multiple of that of the fastest
        contender that is not ours and multiplies in full precision; ``share`` of the peak of its
        precision, NaN where operations were not counted; ``same`` and ``difference``, of its
        results.
    """
    rows = pd.DataFrame([asdict(one) for one in record.measurements])
    rows["seconds"] = rows["seconds"].map(np.median)
    others = rows[~rows["ours"] & rows["precision"].isin(FULL_PRECISION)]
    fastest = others.groupby(["study", "size"])["seconds"].min().rename("fastest")
    rows = rows.join(fastest, on=["study", "size"])
    rows["speed"] = rows["fastest"] / rows["seconds"]
    # Of float64 no peak is measured, and what computes in it counts no operations.
    peaks = rows["precision"].map(record.peaks)
    rows["share"] = rows["operations"].astype(float) / rows["seconds"] / peaks
    rows["same"] = rows["same"].astype(float)
    stale = rows["study"].isin(list(record.stale))
    rows["study"] = rows["study"].where(~stale, rows["study"] + " (stale)")
    columns = ["study", "size", "unit", "contender", "ours", "seconds", "speed", "share"]
    return rows[[*columns, "same", "difference"]]


def largest(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `speeds` at the largest size of each study."""
    return rows[rows["size"] == rows.groupby("study")["size"].transform("max")]


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Table of rows of `speeds`, by study, size and contender, for readers."""
    sizes = rows["size"].map("{:,.6g}".format) + " " + rows["unit"]
    table = rows.assign(size=sizes).set_index(["study", "size", "contender"])
    shares = [table[name].map("{:.1%}".format, na_action="ignore") for name in ("share", "same")]
    return pd.DataFrame(
        {
            "seconds": table["seconds"].map("{:.3g}".format),
            "times as fast": table["speed"].map("{:.2f}".format),
            "share of peak": shares[0].fillna(""),
            "same penalty": shares[1].fillna(""),
            "difference": table["difference"].map("{:.0e}".format),
        }
    )

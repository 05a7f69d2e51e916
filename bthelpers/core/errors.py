"""Errors that a user can mend, and how they are worded."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_NAME = 100  # characters of what a file names
LONGEST_REASON = 600  # characters of what a parser says: it may quote the file


class DatasetError(ValueError):
    """Something in the dataset folder is missing or malformed; the message says what to do."""


class MissingError(DatasetError):
    """A file or folder that is not there."""


def listed(names: Iterable[str]) -> str:
    """Join names for a message."""
    return ", ".join(names) or "nothing"


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """End an error message about an unknown name with the nearest valid one."""
    nearest = difflib.get_close_matches(name, list(valid), n=1, cutoff=0)
    return f"; the nearest is {nearest[0][:LONGEST_NAME]!r}" if nearest else ""


def look_up(name: str, table: dict, what: str):
    """Return `table[name]`; an error names the nearest key if there is none."""
    if name not in table:
        raise DatasetError(f"{name!r} is no {what}{did_you_mean(name, table)}")
    return table[name]


class ResultsError(Exception):
    """A result that is not there, is damaged or cannot be written; the message says what to do."""


@contextmanager
def parsing(
    path: str | Path, form: str, remedy: str, kind: type[BaseException] = DatasetError
) -> Iterator[None]:
    """Turn what a parser raises on a malformed file into an error that names it.

    For parsers of others alone, which fail in many ways.

    Parameters
    ----------
    path : path
        The file.
    form : str
        What it should be.
    remedy : str
        What the user is to do, as the end of a sentence.
    kind : type
        Of the error.

    Raises
    ------
    kind

    Examples
    --------
    >>> with parsing("x.json", "table", "copy it"):
    ...     {}["Name"]
    Traceback (most recent call last):
    bthelpers.core.errors.DatasetError: x.json is truncated or no table (KeyError: 'Name'): copy it
    """
    try:
        yield
    except Exception as error:
        raise kind(f"{path} is truncated or no {form} ({reason(error)}): {remedy}") from error


def reason(error: Exception) -> str:
    """What an error of others says, in one line that is not too long."""
    return shortened(" ".join(f"{type(error).__name__}: {error}".split()))


def shortened(text: str) -> str:
    """Of what may quote a file, as much as a message can hold."""
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} ..."

"""Errors that a user can mend, and how they are worded."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
    return f"; the nearest is {nearest[0]!r}" if nearest else ""


def look_up(name: str, table: dict, what: str):
    """Return `table[name]`; an error names the nearest key if there is none."""
    if name not in table:
        raise DatasetError(f"{name!r} is no {what}{did_you_mean(name, table)}")
    return table[name]


class ResultsError(Exception):
    """A result that is not there, is damaged or cannot be written; the message says what to do."""

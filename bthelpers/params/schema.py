"""From what YAML holds to frozen dataclasses: their annotations are the schema."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)


class ParameterError(ValueError):
    """What is wrong with a parameter, and the keys and list positions that lead to it."""

    def __init__(self, text: str, *place: str | int):
        super().__init__(text)
        self.place = list(place)


class Rule(NamedTuple):
    """A condition that a value must meet, and its wording in an error."""

    text: str
    holds: Callable[[Any], bool]


def at_least(low: int) -> Rule:
    """Rule for numbers that are not below one."""
    return Rule(f"at least {low}", lambda x: x >= low)


def from_to(low: int, high: int) -> Rule:
    """Rule for numbers between two, or equal to one of them."""
    return Rule(f"from {low} to {high}", lambda x: low <= x <= high)


DISTINCT = Rule("free of repetitions", lambda x: len(set(x)) == len(x))
Count = Annotated[int, at_least(1)]
Positive = Annotated[float, Rule("above 0", lambda x: x > 0)]
Share = Annotated[float, from_to(0, 1)]
Names = Annotated[tuple[str, ...], DISTINCT]
Span = Annotated[tuple[int, int], Rule("[low, high) with low < high", lambda x: x[0] < x[1])]
Grid = Annotated[tuple[float, float, Count], Rule("[low, high, number]", lambda x: x[0] <= x[1])]
Quantiles = Annotated[tuple[Share, ...], Rule("ascending", lambda x: list(x) == sorted(x))]


def _nearest(word: Any, known: Iterable[str]) -> str:
    return repr(get_close_matches(str(word), known, n=1, cutoff=0.0)[0])


def convert(kind: Any, value: Any) -> Any:
    """Turn what YAML holds into ``kind``, or say what is wrong with it."""
    if is_dataclass(kind):
        return _dataclass(kind, value)
    return _READERS.get(get_origin(kind), _scalar)(kind, value)


def _entries(kinds: Mapping[Any, Any], values: Mapping[Any, Any]) -> dict:
    """Convert the values under all keys; a problem below a key is a problem at that key."""
    converted = {}
    for key, value in values.items():
        try:
            converted[key] = convert(kinds[key], value)
        except ParameterError as problem:
            problem.place.insert(0, key)
            raise
    return converted


def _dataclass(kind: type, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ParameterError(f"must hold keys such as {fields(kind)[0].name!r}, not {value!r}")
    kinds = get_type_hints(kind, include_extras=True)
    for key in value:
        if key not in kinds:
            raise ParameterError(
                f"unknown key; the nearest valid key is {_nearest(key, kinds)}", key
            )
    for field in fields(kind):
        if field.name not in value and field.default is MISSING:
            raise ParameterError("is missing", field.name)
    entries = _entries(kinds, value)
    try:
        return kind(**entries)
    except ParameterError:
        raise
    except ValueError as error:
        raise ParameterError(str(error)) from None


def _dict(kind: Any, value: Any) -> dict:
    if not isinstance(value, Mapping) or not value or not all(isinstance(k, str) for k in value):
        raise ParameterError(f"must hold at least one key, each of them text, not {value!r}")
    return _entries(dict.fromkeys(value, get_args(kind)[1]), value)


def _tuple(kind: Any, value: Any) -> tuple:
    kinds, values = get_args(kind), value if isinstance(value, list | tuple) else []
    expected = "at least one entry" if kinds[-1] is Ellipsis else f"{len(kinds)} entries"
    kinds = kinds[:1] * len(values) if kinds[-1] is Ellipsis else kinds
    if not values or len(kinds) != len(values):
        raise ParameterError(f"must be a list of {expected}, not {value!r}")
    return tuple(_entries(dict(enumerate(kinds)), dict(enumerate(values))).values())


def _ruled(kind: Any, value: Any) -> Any:
    converted = convert(kind.__origin__, value)
    for rule in kind.__metadata__:
        if not rule.holds(converted):
            raise ParameterError(f"must be {rule.text}, not {value!r}")
    return converted


def _optional(kind: Any, value: Any) -> Any:
    return None if value is None else convert(get_args(kind)[0], value)


def _choice(kind: Any, value: Any) -> Any:
    choices = get_args(kind)
    if value not in choices:
        one_of = f"must be one of {', '.join(choices)}, not {value!r}"
        raise ParameterError(f"{one_of}; the nearest is {_nearest(value, choices)}")
    return value


_SCALARS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}
_HINTS = {(str, float): "; YAML takes 6e-4 for text: write 6.0e-4", (int, str): "; quote it"}


def _scalar(kind: type, value: Any) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        hint = _HINTS.get((type(value), kind), "")
        raise ParameterError(f"must be {_SCALARS[kind]}, not {value!r}{hint}")
    return value


_READERS = {
    Annotated: _ruled,
    UnionType: _optional,
    Union: _optional,  # of an annotated type and None
    Literal: _choice,
    tuple: _tuple,
    dict: _dict,
}

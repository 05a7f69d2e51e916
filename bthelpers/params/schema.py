"""Kinds of values in a profile, and what errors say of one that is none of its kind.

The annotations of `settings` are the schema: pydantic checks them, and this module words what it
finds, so that a message names the key, what is expected and what to write.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FiniteFloat,
    Strict,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from bthelpers.core.errors import did_you_mean


class Problem(NamedTuple):
    """What is wrong with a value, and the keys and list positions that lead to it."""

    text: str
    place: tuple[str | int, ...] = ()

    def __str__(self):
        key = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in self.place)
        return f"{key.removeprefix('.')}: {self.text}"


class ParameterError(ValueError):
    """All that is wrong with parameters, one problem a line."""

    def __init__(self, *problems: Problem | str):
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def _rule(
    text: str, holds: Callable[[Any], bool], when: type = AfterValidator, **schema: Any
) -> tuple:
    """Annotations of a condition: what a value must, when it does, and so in JSON Schema.

    With `BeforeValidator`, the condition is on what YAML holds, before any conversion.
    """

    def check(value: Any) -> Any:
        if not holds(value):
            raise PydanticCustomError("rule", f"must {text}")
        return value

    return when(check), Field(json_schema_extra=schema)


def at_least(low: int) -> tuple:
    """Rule for numbers that are not below one."""
    return _rule(f"be at least {low}", lambda x: x >= low, minimum=low)


def from_to(low: int, high: int) -> tuple:
    """Rule for numbers between two, or equal to one of them."""
    text = f"be from {low} to {high}"
    return _rule(text, lambda x: low <= x <= high, minimum=low, maximum=high)


def _list(length: str, low: int, high: float = math.inf) -> tuple:
    def is_one(value: Any) -> bool:
        return isinstance(value, list | tuple) and low <= len(value) <= high

    return _rule(f"be a list of {length}", is_one, BeforeValidator, minItems=low)


def _matches(pattern: str, text: str) -> tuple:
    return _rule(text, re.compile(pattern).fullmatch, pattern=f"^{pattern}$")


_KEYS = _rule(
    "hold at least one key, each of them text",
    lambda x: isinstance(x, Mapping) and x and all(isinstance(key, str) for key in x),
    BeforeValidator,
    minProperties=1,
)
_DISTINCT = _rule("be free of repetitions", lambda x: len(set(x)) == len(x), uniqueItems=True)
_ONE_LINE = _matches(r"[^\n\0]*", "be one line of text")
NAME = r"[A-Za-z0-9](\.?[A-Za-z0-9_+-])*"
_NAME = _matches(
    NAME,
    "be a name of letters, digits, '_', '+', '-' and single dots between them, that begins with a"
    " letter or digit",
)


def same_but_for_case(names: Iterable[str]) -> str | None:
    """What is wrong with names of which two differ only in case; None if none do.

    Names become those of files, and many a disk takes such two for one.

    Examples
    --------
    >>> same_but_for_case(["hubert", "whisper", "HuBERT"])
    "'hubert' and 'HuBERT' differ only in case, and some disks take their files for one: rename one"
    """
    first: dict[str, str] = {}
    for name in names:
        if (other := first.setdefault(name.casefold(), name)) != name:
            return (
                f"{other!r} and {name!r} differ only in case, and some disks take their files for"
                " one: rename one"
            )
    return None


def _told_apart(names: Named) -> Named:
    if problem := same_but_for_case(names):
        raise ParameterError(Problem(problem))
    return names


T = TypeVar("T")
Named = TypeVar("Named", bound=Iterable[str])
Number = Annotated[FiniteFloat, Strict()]
Count = Annotated[StrictInt, *at_least(1)]
Positive = Annotated[Number, *_rule("be above 0", lambda x: x > 0, exclusiveMinimum=0)]
NonNegative = Annotated[Number, *at_least(0)]
Share = Annotated[Number, *from_to(0, 1)]
Chance = Annotated[
    Number,
    *_rule("be above 0, at most 1", lambda x: 0 < x <= 1, exclusiveMinimum=0, maximum=1),
]
Precision = Literal["float32", "bfloat16"]
Line = Annotated[StrictStr, *_ONE_LINE]  # a path, or a name that others gave
Name = Annotated[StrictStr, *_NAME]  # may become a file's name, or reach a shell
Some = Annotated[tuple[T, ...], *_list("at least one entry", 1)]
Distinct = Annotated[Some[T], *_DISTINCT]
Table = Annotated[dict[Name, T], *_KEYS, AfterValidator(_told_apart)]
Names = Annotated[Distinct[Name], AfterValidator(_told_apart)]
Span = Annotated[
    tuple[StrictInt, StrictInt],
    *_list("2 entries", 2, 2),
    *_rule("be [low, high) with low < high", lambda x: x[0] < x[1]),
]
Band = Annotated[
    tuple[Number, Number],
    *_list("2 entries", 2, 2),
    *_rule("be [low, high] with 0 < low <= high", lambda x: 0 < x[0] <= x[1]),
]
Exponent = Annotated[Number, *from_to(-30, 30)]  # of 10; float32 holds little more
Grid = Annotated[
    tuple[Exponent, Exponent, Count],
    *_list("3 entries", 3, 3),
    *_rule("be [low, high, number]", lambda x: x[0] <= x[1]),
]
Quantiles = Annotated[Some[Share], *_rule("be ascending", lambda x: list(x) == sorted(x))]

_WORDING = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a finite number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
}
_HINTS = {
    ("float_type", str): "; YAML takes 6e-4 for text: write 6.0e-4",
    ("string_type", int): "; quote it",
}


def convert(kind: type[T], values: Mapping[str, Any]) -> T:
    """Turn what YAML holds into a dataclass.

    Raises
    ------
    ParameterError
        With every key that is unknown or missing and every value that is none of its kind.
        Conditions on several values together are looked at when each value is right.
    """
    try:
        return _adapter(kind).validate_python(values)
    except ValidationError as error:
        problems = [problem for found in error.errors() for problem in _problems(kind, found)]
        raise ParameterError(*problems) from None


_adapter = cache(TypeAdapter)


def _problems(kind: type, found: Mapping[str, Any]) -> list[Problem]:
    """What one of pydantic's errors stands for: several problems if a dataclass found them."""
    place = tuple(key for key in found["loc"] if key != "[key]")  # said where the key is wrong
    if found["type"] != "value_error":
        return [Problem(_text(kind, place, found), place)]
    error = found["ctx"]["error"]
    problems = getattr(error, "problems", [Problem(str(error))])
    return [Problem(problem.text, (*place, *problem.place)) for problem in problems]


def _text(kind: type, place: tuple, found: Mapping[str, Any]) -> str:
    is_not = f", not {found['input']!r}"
    match found["type"]:
        case "missing":
            return "is missing"
        case "unexpected_keyword_argument" | "invalid_key":
            known = [key.name for key in fields(_section(kind, place[:-1]))]
            nearest = get_close_matches(str(place[-1]), known, n=1, cutoff=0)[0]
            return f"unknown key; the nearest valid key is {nearest!r}"
        case "dataclass_type":
            return f"must hold keys such as {fields(_section(kind, place))[0].name!r}{is_not}"
        case "literal_error":
            choices = re.findall("'(.*?)'", found["ctx"]["expected"])
            nearest = did_you_mean(str(found["input"]), choices)
            return f"must be one of {', '.join(choices)}{is_not}{nearest}"
        case other:
            hint = _HINTS.get((other, type(found["input"])), "")
            return f"{_WORDING.get(other, found['msg'])}{is_not}{hint}"


def _section(kind: Any, place: tuple) -> Any:
    """The dataclass at a place below another one."""
    for key in place:
        kind = get_type_hints(kind)[key] if is_dataclass(kind) else get_args(kind)[1]
        if get_origin(kind) is UnionType:  # a section that may be null
            kind = get_args(kind)[0]
    return kind

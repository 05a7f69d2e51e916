"""The reader of ``params/*.yaml``.

Every value of a profile is written in its file or in the one that it extends. What `settings` does
not know, or knows as something else, is an error that names the file, the key and what was meant.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from bthelpers.params.schema import ParameterError, convert
from bthelpers.params.settings import Profile
from bthelpers.params.yaml_files import read_yaml


def load(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Profile:
    """Read and check a profile.

    Parameters
    ----------
    path : path
        A YAML file. Under ``extends`` it may name another one, relative to itself, whose values
        hold where it gives none; null takes out one of its models.
    overrides : mapping, optional
        Values that replace those of the file, by dotted key: ``{"tuning.epochs": 2}``.

    Raises
    ------
    ParameterError
        If a file is missing or unreadable, a key is unknown or missing, or a value is of the wrong
        type, not among its choices or out of range. The message names file, key and remedy of
        every problem; of several files, the last one that sets the value.

    Examples
    --------
    >>> load("params/demo.yaml", {"tuning.epochs": 2}).tuning.epochs
    2
    """
    path = Path(path)
    layers = [(str(path), {"name": path.stem}), *_read_layers(path)]
    for dotted, value in (overrides or {}).items():
        nested = reduce(lambda inner, key: {key: inner}, reversed(dotted.split(".")), value)
        layers.append(("overrides", nested))
    return _checked(layers)


def from_dict(parameters: Mapping[str, Any], source: str) -> Profile:
    """Check parameters that `to_dict` made; ``source`` stands for the file in errors."""
    return _checked([(source, parameters)])


def to_dict(profile: Profile) -> dict[str, Any]:
    """Plain dicts, lists, strings and numbers, as JSON holds them."""
    return json.loads(json.dumps(asdict(profile)))


def places(parameters: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """What parameters name by its place on this machine, by dotted key.

    Results, cards and pages hold the parameters: they would tell the place.

    Parameters
    ----------
    parameters : mapping
        As `to_dict` makes them, or a part of them.
    above : str
        Begins the keys of a part.

    Returns
    -------
    dict of str
        Absolute paths, and such as begin with ``~``.
    """
    found = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            found |= places(value, f"{above}{name}.")
        elif isinstance(value, str) and (value.startswith("~") or Path(value).is_absolute()):
            found[f"{above}{name}"] = value
    return found


def _read_layers(path: Path, chain: tuple[Path, ...] = ()) -> list[tuple[str, dict]]:
    """Contents of a file and of those that it extends, the most basic one first."""
    real = Path(os.path.realpath(path))  # also of a link to itself, on which resolve() fails
    if real in chain:
        raise ParameterError(f"{path}: extends itself; remove an 'extends'")
    if not path.exists():
        there = ", ".join(sorted(file.name for file in path.parent.glob("*.yaml"))) or "none"
        raise ParameterError(f"{path}: no such parameter file; beside it: {there}")
    content = read_yaml(path, "seed: 0")
    if "name" in content:
        raise ParameterError(f"{path}: a profile is named by its file; remove the key 'name'")
    base = content.pop("extends", None)
    if not isinstance(base, str | None) or base == "":
        raise ParameterError(f"{path}: extends: must be the name of a file, not {base!r:.50}")
    below = _read_layers(path.parent / base, (*chain, real)) if base else []
    return [*below, (str(path), content)]


def _merged(below: Any, above: Any) -> Any:
    """Mappings are merged key by key; anything else is replaced."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    common = {key: _merged(below[key], above[key]) for key in below.keys() & above.keys()}
    return {**below, **above, **common}


def _checked(layers: list[tuple[str, Mapping]]) -> Profile:
    merged = reduce(_merged, (layer for _, layer in layers))
    if isinstance(models := merged.get("models"), Mapping):  # null takes one out that is below
        kept = {name: model for name, model in models.items() if model is not None}
        merged = {**merged, "models": kept}
    try:
        return convert(Profile, merged)
    except ParameterError as error:
        told = [f"{_source(layers, one.place)}: {one}" for one in error.problems]
        raise ParameterError(*told) from None


def _source(layers: list[tuple[str, Mapping]], place: tuple[str | int, ...]) -> str:
    """The last layer that sets a value is at fault; what no layer sets, the first one lacks."""
    source = layers[0][0]
    for name, layer in layers:
        with suppress(LookupError, TypeError):
            reduce(getitem, place, layer)
            source = name
    return source

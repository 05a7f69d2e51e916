"""The one reader of YAML, for profiles and the tables that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from bthelpers.core.errors import parsing
from bthelpers.params.schema import ParameterError

MOST_VALUES = 100_000  # once aliases are written out; a profile has some 300
REMEDY = "correct it where that is, or take the file from the repository again"


def read_yaml(path: Path, example: str) -> dict[Any, Any]:
    """Read a YAML file of keys with values.

    Parameters
    ----------
    path : Path
    example : str
        A line of such a file, for errors.

    Raises
    ------
    ParameterError
        If it is no such file, a key stands twice, or aliases make it too large.
    """
    if not path.is_file():
        raise ParameterError(f"{path} is not there, or no file: correct its name")
    with parsing(path, "YAML", REMEDY, ParameterError):
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    if not isinstance(content, dict):
        raise ParameterError(f"{path}: must hold keys with values, such as {example!r}")
    return content


class _Loader(yaml.SafeLoader):
    """PyYAML's safe one, without what passes there in silence."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _count(node, {}, ())
        return node

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value!r} stands twice", problem_mark=key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return node


def _count(node: yaml.Node, counts: dict[int, int], inside: tuple[int, ...]) -> int:
    """Count the values of a node, each alias as what it stands for."""
    if id(node) in inside:
        raise yaml.MarkedYAMLError(problem="it contains itself", problem_mark=node.start_mark)
    if id(node) not in counts:
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        children = [child for part in parts for child in (part if type(part) is tuple else (part,))]
        counts[id(node)] = 1 + sum(_count(one, counts, (*inside, id(node))) for one in children)
    if counts[id(node)] > MOST_VALUES:
        raise yaml.MarkedYAMLError(
            problem=f"aliases make more than {MOST_VALUES:,} values", problem_mark=node.start_mark
        )
    return counts[id(node)]

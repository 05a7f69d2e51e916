"""Trials of what is written by hand: profiles, regions, lexicons."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import jsonschema
import yaml
from fuzz.damages import TEXT, YAML
from fuzz.trial import Reader

from bthelpers.data.regions import GLASSER_AREAS, REGIONS, load_regions
from bthelpers.params.loading import load, to_dict
from bthelpers.simulation.lexicon import load_lexicon

PARAMS = Path(__file__).parents[2] / "params"
SCHEMA = json.loads((PARAMS / "profile.schema.json").read_text())


def _write_profiles(root):
    for name in ("demo", "smoke"):
        shutil.copy(PARAMS / f"{name}.yaml", root)


def _merge(below, above):
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: _merge(below.get(key), value) for key, value in above.items()}


def _says_profile(root, profile):
    """By the schema for editors, and PyYAML."""
    below, above = (yaml.safe_load((root / f"{n}.yaml").read_text()) for n in ("demo", "smoke"))
    if above.get("extends") != "demo.yaml":
        return False
    said = _merge(below, {key: value for key, value in above.items() if key != "extends"})
    said["models"] = {k: v for k, v in said["models"].items() if v is not None}
    jsonschema.validate(said, SCHEMA)
    return profile == {**profile, **said} or _holds(profile, said)


def _holds(found, said):
    """Whether everything that is said was found, numbers and lists by value."""
    if isinstance(said, dict):
        return all(_holds(found[key], value) for key, value in said.items())
    return found == said


def _says_regions(root, regions):
    """Sets of parcels, resolved from the leaves."""
    table = yaml.safe_load((root / "regions.yaml").read_text(encoding="utf-8"))
    table = {str(name): [str(member) for member in members] for name, members in table.items()}

    def parcels(name):
        if name in table:
            found = set()
            for member in table[name]:
                if member[0] == "-":
                    found -= parcels(member[1:])
                else:
                    found |= parcels(member)
            return found
        if name in ("L_*", "R_*"):
            return {name[:2] + area for area in GLASSER_AREAS}
        if name in GLASSER_AREAS:
            return {f"L_{name}", f"R_{name}"}
        assert name[:2] in ("L_", "R_")
        assert name[2:] in GLASSER_AREAS
        return {name}

    return list(regions) == list(table) and all(
        set(found) == parcels(name) and len(set(found)) == len(found) > 0
        for name, found in regions.items()
    )


def _write_lexicon(root):
    shutil.copy(PARAMS / "lexicons/english.yaml", root / "lexicon.yaml")


def _says_lexicon(root, lexicon):
    said = yaml.safe_load((root / "lexicon.yaml").read_text(encoding="utf-8"))
    categories = {name: tuple(words.split()[:2]) for name, words in said["categories"].items()}
    words = [word for category in categories.values() for word in category]
    return (
        lexicon["categories"] == categories
        and all(isinstance(name, str) and name for name in categories)
        and all(word.isascii() and word.strip("'").islower() for word in words)
        and list(lexicon["verbs"]) == said["verbs"].split() != []
        and list(lexicon["templates"]) == said["templates"] != []
        and all(isinstance(template, str) for template in lexicon["templates"])
    )


PARAMETERS = (
    Reader(
        "profile",
        _write_profiles,
        lambda root: to_dict(load(root / "smoke.yaml")),
        {"smoke.yaml": (*YAML, *TEXT), "demo.yaml": (*YAML, *TEXT)},
        _says_profile,
        cases=100,
    ),
    Reader(
        "regions",
        lambda root: shutil.copy(REGIONS, root),
        lambda root: load_regions(root / "regions.yaml"),
        {"regions.yaml": (*YAML, *TEXT)},
        _says_regions,
        cases=120,
    ),
    Reader(
        "lexicon",
        _write_lexicon,
        lambda root: asdict(load_lexicon(root / "lexicon.yaml", 2)),
        {"lexicon.yaml": (*YAML, *TEXT)},
        _says_lexicon,
        cases=120,
    ),
)

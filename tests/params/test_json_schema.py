import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from bthelpers.params.json_schema import json_schema

PARAMS = Path(__file__).parents[2] / "params"
PROFILES = sorted(PARAMS.glob("*.yaml"))
MODEL = {"path": "a", "revision": None}


def paths_of_errors(content):
    return [error.json_path for error in Draft202012Validator(json_schema()).iter_errors(content)]


def test_the_file_beside_the_profiles_is_up_to_date():
    """If not: python -m bthelpers.params.json_schema > params/profile.schema.json."""
    assert json.loads((PARAMS / "profile.schema.json").read_text()) == json_schema()


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profiles_name_the_schema_and_follow_it(path):
    text = path.read_text()
    assert text.startswith("# yaml-language-server: $schema=profile.schema.json\n")
    assert paths_of_errors(yaml.safe_load(text)) == []


def test_a_file_may_leave_keys_to_the_one_that_it_extends():
    assert paths_of_errors({"extends": "demo.yaml"}) == []
    assert paths_of_errors({"models": {"hubert-mini": None}, "tuning": {"epochs": 1}}) == []


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"name": "demo"}, "$"),
        ({"sead": 0}, "$"),
        ({"seed": -1}, "$.seed"),
        ({"tuning": {"epohcs": 1}}, "$.tuning"),
        ({"tuning": {"epochs": 0}}, "$.tuning.epochs"),
        ({"tuning": {"warmup": 1.5}}, "$.tuning.warmup"),
        ({"tuning": {"head_lr": 0}}, "$.tuning.head_lr"),
        ({"tuning": {"pooling": "hfr"}}, "$.tuning.pooling"),
        ({"encoding": {"fir_delays": []}}, "$.encoding.fir_delays"),
        ({"encoding": {"alphas": [1, 2]}}, "$.encoding.alphas"),
        ({"voxels": {"regions": ["a", "a"]}}, "$.voxels.regions"),
        ({"voxels": {"regions": ["a b"]}}, "$.voxels.regions[0]"),
        ({"voxels": {"published": "a\nb"}}, "$.voxels.published"),
        ({"dataset": {"splits": {"train": ["../a"]}}}, "$.dataset.splits.train[0]"),
        ({"models": {"$(x)": MODEL}}, "$.models"),
        ({"models": {}}, "$.models"),
    ],
)
def test_editors_mark_mistakes(content, path):
    assert paths_of_errors(content) == [path]


def test_keys_are_explained_by_the_comments_beside_the_fields():
    schema = json_schema()
    assert schema["properties"]["models"]["description"] == (
        "by the name that results and figures use"
    )
    sections = schema["$defs"]
    assert sections["TuningSettings"]["description"] == "Brain-tuning (ICLR paper, section 3.3)."
    assert sections["TuningSettings"]["properties"]["epochs"]["description"] == "at most"
    assert sections["SimulationSpec"]["properties"]["voxel_size_mm"]["description"] == (
        "edge of a voxel"
    )


def test_every_key_is_explained_or_is_a_section():
    schema = json_schema()
    sections = [schema, *schema["$defs"].values()]
    unexplained = [
        name
        for section in sections
        for name, key in section.get("properties", {}).items()
        if "description" not in key and "$ref" not in key
    ]
    assert unexplained == []

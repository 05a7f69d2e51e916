import json
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bthelpers.params.loading import from_dict, load, to_dict
from bthelpers.params.schema import Names, ParameterError
from bthelpers.params.settings import StatisticsSettings

ROOT = Path(__file__).parents[2]
PARAMS, DS003020 = ROOT / "params", ROOT / "bthelpers/data/ds003020"


def test_whole_numbers_are_taken_for_numbers(demo):
    path = demo(lambda content: content["tuning"].update(window=10))
    window = load(path).tuning.window
    assert (window, type(window)) == (10.0, float)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("tuning", "epoch", 3, "tuning.epoch: unknown key; the nearest valid key is 'epochs'"),
        ("tuning", "epochs", "six", "tuning.epochs: must be a whole number, not 'six'"),
        ("tuning", "epochs", 6.0, "tuning.epochs: must be a whole number, not 6.0"),
        ("tuning", "epochs", True, "tuning.epochs: must be a whole number, not True"),
        ("tuning", "epochs", 0, "tuning.epochs: must be at least 1, not 0"),
        ("tuning", "head_lr", "6e-4", "tuning.head_lr: must be a finite number, not '6e-4'; YAML"),
        ("tuning", "head_lr", True, "tuning.head_lr: must be a finite number, not True"),
        ("tuning", "head_lr", float("nan"), "tuning.head_lr: must be a finite number, not nan"),
        ("tuning", "head_lr", -1.0, "tuning.head_lr: must be above 0, not -1.0"),
        ("tuning", "warmup", 1.5, "tuning.warmup: must be from 0 to 1, not 1.5"),
        ("stimulus", "mask_probability", 0, "must be above 0, at most 1, not 0"),
        ("stimulus", "mask_probability", 1.5, "must be above 0, at most 1, not 1.5"),
        ("tuning", "standardize", 1, "tuning.standardize: must be true or false, not 1"),
        ("tuning", "standardize", "yes", "tuning.standardize: must be true or false, not 'yes'"),
        (
            "tuning",
            "pooling",
            "hfr",
            "must be one of mean, hrf, delays, not 'hfr'; the nearest is 'hrf'",
        ),
        ("tuning", "pooling", None, "tuning.pooling: must be one of mean, hrf, delays, not None"),
        ("encoding", "fir_delays", [1, "two"], "encoding.fir_delays[1]: must be a whole number"),
        ("encoding", "fir_delays", [], "encoding.fir_delays: must be a list of at least one"),
        ("encoding", "fir_delays", 3, "encoding.fir_delays: must be a list"),
        ("encoding", "fir_delays", [1, 1], "encoding.fir_delays: must be free of repetitions"),
        ("encoding", "alphas", [0, 5], "encoding.alphas: must be a list of 3 entries, not [0, 5]"),
        ("encoding", "alphas", [5, 0, 2], "encoding.alphas: must be [low, high, number]"),
        ("encoding", "alphas", [0, 400, 2], "encoding.alphas[1]: must be from -30 to 30, not 400"),
        ("representation", "stride", 1e9, "representation.stride: must be at most 2.0045 s"),
        ("dataset", "participants", "SIM01", "dataset.participants: must be a list"),
        ("dataset", "participants", ["A", "A"], "dataset.participants: must be free of repet"),
        (
            "dataset",
            "participants",
            ["SIM01", "sim01"],
            "dataset.participants: 'SIM01' and 'sim01' differ only in case",
        ),
        ("voxels", "regions", ["a", "b", "B"], "voxels.regions: 'b' and 'B' differ only in case"),
        ("dataset", "participants", [1], "dataset.participants[0]: must be text, not 1; quote it"),
        ("dataset", "simulate", 3, "dataset.simulate: must hold keys such as 'lexicon', not 3"),
        ("dataset", "absent", {"SIM01": ["story99"]}, "absent.SIM01: in no split: story99"),
        ("dataset", "absent", {"SIM01": ["story19"]}, "split 'test': list its stories"),
        ("dataset", "splits", None, "dataset.splits: must hold keys such as 'train', not None"),
    ],
)
def test_a_wrong_value_is_named_with_file_and_place(demo, section, key, value, message, error_of):
    path = demo(lambda content: content[section].update({key: value}))
    error = error_of(path)
    assert error.startswith(f"{path}: ")
    assert message in error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("seed"), "seed: is missing"),
        (lambda c: c["tuning"].pop("window"), "tuning.window: is missing"),
        (lambda c: c.update(modles={}), "modles: unknown key; the nearest valid key is 'models'"),
        (lambda c: c.update(models={}), "models: must hold at least one key"),
        (lambda c: c.update(models={1: {"path": "a"}}), "models: must hold at least one key, each"),
        (lambda c: c["models"]["hubert-mini"].update(pth="a"), "models.hubert-mini.pth: unknown"),
        (
            lambda c: c["models"].update({"HuBERT-mini": {**c["models"]["hubert-mini"]}}),
            "models: 'HuBERT-mini' and 'hubert-mini' differ only in case, and some disks take their"
            " files for one: rename one",
        ),
        (
            lambda c: c["models"]["hubert-mini"].update(participants=["SIM01", "UTS01"]),
            "models.hubert-mini.participants: not in dataset.participants: UTS01",
        ),
        (
            lambda c: c["models"]["hubert-mini"].update(conditions=["brain-tunde"]),
            "models.hubert-mini.conditions[0]: must be one of pretrained",
        ),
        (
            lambda c: c["models"]["hubert-mini"].update(tuning_stories=17),
            "models.hubert-mini.tuning_stories: must be at most 16, the training stories that",
        ),
        (
            lambda c: (
                c["dataset"].update(
                    participants=["SIM01", "SIM03"], absent={"SIM03": ["story01", "story02"]}
                ),
                c["models"]["hubert-mini"].update(tuning_stories=15),
            ),
            "models.hubert-mini.tuning_stories: must be at most 14, the training stories that",
        ),
        (
            lambda c: c["models"]["hubert-mini"].update(variant_of="hubert"),
            "models.hubert-mini.variant_of: must lead to a model of this profile that is no"
            " variant: hubert-mini -> hubert",
        ),
        (
            lambda c: c["models"].update(
                {
                    "one": {"path": "one", "revision": None, "variant_of": "other"},
                    "other": {"path": "other", "revision": None, "variant_of": "one"},
                }
            ),
            "variant_of: must lead to a model of this profile that is no variant: one -> other"
            " -> one",
        ),
        (lambda c: c.update(conditions=["brain-tuning"]), "conditions[0]: must be one of pretrai"),
        (lambda c: c.update({3: 4}), "[3]: unknown key; the nearest valid key is"),
    ],
)
def test_a_wrong_key_is_named_with_file_and_place(demo, change, message, error_of):
    path = demo(change)
    error = error_of(path)
    assert error.startswith(f"{path}: ")
    assert message in error


def test_a_story_in_two_splits_is_an_error(demo, error_of):
    def share(content):
        content["dataset"]["splits"]["test"] = ["story03"]

    error = error_of(demo(share))
    assert "demo.yaml: dataset.splits: " in error
    assert "story03" in error
    assert "train" in error
    assert "test" in error


@given(st.text(min_size=1))
def test_any_unknown_key_is_refused_and_a_valid_one_named(key):
    known = {field.name for field in fields(StatisticsSettings)}
    content = to_dict(load(PARAMS / "demo.yaml"))
    content["statistics"][key] = 1
    if key in known:
        assert getattr(from_dict(content, "here").statistics, key) == 1
    else:
        with pytest.raises(ParameterError, match=f"nearest valid key is '({'|'.join(known)})'"):
            from_dict(content, "here")


HOSTILE = [
    "$(touch x)",
    "`id`",
    "a;b",
    "a b",
    "a{b}",
    "../a",
    "a/b",
    "a..b",
    "-rf",
    ".a",
    "a\n",
    "",
]
NAMED = {
    "models.{name}": lambda c, name: c["models"].update({name: c["models"]["hubert-mini"]}),
    "models.hubert-mini.variant_of": lambda c, name: c["models"]["hubert-mini"].update(
        variant_of=name
    ),
    "models.hubert-mini.participants[0]": lambda c, name: c["models"]["hubert-mini"].update(
        participants=[name]
    ),
    "dataset.participants[0]": lambda c, name: c["dataset"].update(participants=[name]),
    "dataset.splits.train[0]": lambda c, name: c["dataset"]["splits"].update(train=[name]),
    "dataset.splits.validation[0]": lambda c, name: c["dataset"]["splits"].update(
        validation=[name]
    ),
    "dataset.splits.test[0]": lambda c, name: c["dataset"]["splits"].update(test=[name]),
    "dataset.absent.{name}": lambda c, name: c["dataset"].update(absent={name: ["story01"]}),
    "dataset.absent.SIM01[0]": lambda c, name: c["dataset"].update(absent={"SIM01": [name]}),
    "voxels.regions[0]": lambda c, name: c["voxels"].update(regions=[name]),
    "impact.regions[0]": lambda c, name: c["impact"].update(regions=[name]),
}


@pytest.mark.parametrize("key", NAMED)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_safe_in_paths_and_shells(demo, error_of, key, name):
    path = demo(lambda content: NAMED[key](content, name))
    assert error_of(path) == (
        f"{path}: {key.format(name=name)}: must be a name of letters, digits, '_', '+', '-' and"
        f" single dots between them, that begins with a letter or digit, not {name!r}"
    )


@pytest.mark.parametrize("name", ["a b", "$(id)", "a;b", ".hidden", "-x"])
def test_a_profile_has_the_name_of_its_file(demo, error_of, name):
    path = demo(name=f"{name}.yaml")
    assert error_of(path).startswith(f"{path}: name: must be a name of letters, digits")


@pytest.mark.parametrize("name", ["wav2vec2-base-12", "v1.0+x_Y", "7"])
def test_names_may_hold_what_names_of_models_hold(demo, name):
    path = demo(lambda c: c["models"].update({name: c["models"]["hubert-mini"]}))
    assert name in load(path).models


def test_all_names_of_ds003020_are_names():
    stories = json.loads((DS003020 / "respdict.json").read_text())
    participants = (DS003020 / "participants.tsv").read_text().split("\n")[1:]
    names = [*stories, *(row.split("\t")[0] for row in participants if row)]
    assert len(names) > 90
    assert TypeAdapter(Names).validate_python(names) == tuple(names)


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("dataset", "root"),
        ("dataset", "cache"),
        ("dataset", "regions"),
        ("voxels", "published"),
        ("corpora", "root"),
        ("preference", "wordnet"),
    ],
)
def test_a_path_is_free_but_of_one_line(demo, error_of, section, key):
    anywhere = "/mnt/data of {me}/ü/../$x"
    path = demo(lambda content: content[section].update({key: anywhere}))
    assert getattr(getattr(load(path), section), key) == anywhere
    for wrong in ("a\nb", "a\0b"):
        path = demo(lambda content, wrong=wrong: content[section].update({key: wrong}))
        message = f"{path}: {section}.{key}: must be one line of text, not {wrong!r}"
        assert error_of(path) == message

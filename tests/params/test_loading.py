import json
from pathlib import Path

import pytest
import yaml

from bthelpers.params.loading import from_dict, load, to_dict

PARAMS = Path(__file__).parents[2] / "params"


@pytest.mark.parametrize("name", [path.stem for path in PARAMS.glob("*.yaml")])
def test_shipped_profiles_load_and_survive_json(name):
    profile = load(PARAMS / f"{name}.yaml")
    assert profile.name == name
    recorded = json.loads(json.dumps(to_dict(profile)))
    assert from_dict(recorded, "profile.json") == profile


def test_smoke_differs_from_the_demo_only_where_it_says_so():
    demo, smoke = load(PARAMS / "demo.yaml"), load(PARAMS / "smoke.yaml")
    assert smoke.dataset.root != demo.dataset.root
    assert smoke.tuning.epochs == 1
    assert smoke.tuning.head_lr == demo.tuning.head_lr
    assert smoke.dataset.simulate.lexicon == demo.dataset.simulate.lexicon
    paths = {name: model.path for name, model in smoke.models.items()}
    assert paths.items() >= {name: model.path for name, model in demo.models.items()}.items()


def test_null_takes_out_a_model_of_the_extended_profile(tmp_path):
    path = tmp_path / "one.yaml"
    taken = {"models": {"wav2vec2-mini": None}}
    path.write_text(yaml.safe_dump({"extends": str(PARAMS / "demo.yaml"), **taken}))
    assert list(load(path).models) == ["hubert-mini"]
    assert list(load(PARAMS / "demo.yaml", taken).models) == ["hubert-mini"]


def test_an_extending_profile_changes_only_what_it_names(demo, tmp_path):
    demo()
    child = tmp_path / "child.yaml"
    child.write_text("extends: demo.yaml\ntuning: {epochs: 2}\nencoding: {fir_delays: [4]}\n")
    base, changed = load(tmp_path / "demo.yaml"), load(child)
    assert changed.name == "child"
    assert (changed.tuning.epochs, changed.encoding.fir_delays) == (2, (4,))
    assert changed.tuning.window == base.tuning.window
    assert changed.encoding.folds == base.encoding.folds


def test_an_error_names_the_file_that_the_value_stands_in(demo, tmp_path, error_of):
    base = demo(lambda content: content["tuning"].update(epochs="six"))
    child = tmp_path / "child.yaml"
    child.write_text("extends: demo.yaml\nseed: 3\n")
    assert error_of(child).startswith(f"{base}: tuning.epochs")
    child.write_text("extends: demo.yaml\ntuning: {epochs: seven}\n")
    assert error_of(child).startswith(
        f"{child}: tuning.epochs: must be a whole number, not 'seven'"
    )


def test_a_key_that_no_file_holds_is_missing_from_the_profile(demo, tmp_path, error_of):
    demo(lambda content: content.pop("seed"))
    child = tmp_path / "child.yaml"
    child.write_text("extends: demo.yaml\n")
    assert error_of(child) == f"{child}: seed: is missing"


def test_all_problems_are_told_at_once_each_with_its_file(demo, error_of, tmp_path):
    base = demo(lambda content: (content.pop("seed"), content["tuning"].update(warmup=2)))
    child = tmp_path / "child.yaml"
    child.write_text("extends: demo.yaml\ntuning: {epochs: six, epoch: 6}\nencodnig: {}\n")
    assert error_of(child, {"probes.precision": "float16"}).splitlines() == [
        f"{child}: seed: is missing",
        f"{child}: tuning.epochs: must be a whole number, not 'six'",
        f"{base}: tuning.warmup: must be from 0 to 1, not 2",
        f"{child}: tuning.epoch: unknown key; the nearest valid key is 'epochs'",
        "overrides: probes.precision: must be one of float32, bfloat16, not 'float16'; the nearest"
        " is 'bfloat16'",
        f"{child}: encodnig: unknown key; the nearest valid key is 'encoding'",
    ]


def test_all_contradictions_of_models_are_told_at_once(demo, error_of):
    def contradict(content):
        other = {"path": "other", "revision": None, "variant_of": "hubert"}
        content["models"]["hubert-mini"] |= {"participants": ["SIM09"], "tuning_stories": 99}
        content["models"]["other"] = other

    path = demo(contradict)
    assert error_of(path).splitlines() == [
        f"{path}: models.hubert-mini.participants: not in dataset.participants: SIM09",
        f"{path}: models.hubert-mini.tuning_stories: must be at most 16, the training stories that"
        " every participant heard",
        f"{path}: models.other.variant_of: must lead to a model of this profile that is no"
        " variant: other -> hubert",
    ]


def test_all_stories_that_are_in_no_split_are_told_at_once(demo, error_of):
    absent = {"SIM01": ["story98", "story01"], "SIM02": ["story02"], "SIM03": ["story99"]}
    path = demo(lambda content: content["dataset"].update(absent=absent))
    assert error_of(path).splitlines() == [
        f"{path}: dataset.absent.SIM01: in no split: story98",
        f"{path}: dataset.absent.SIM03: in no split: story99",
    ]


def test_overrides_replace_values_and_are_checked(demo, error_of):
    path = demo()
    profile = load(path, {"tuning.epochs": 2, "dataset.simulate.repeats": 3, "seed": 7})
    assert profile.tuning.epochs == 2
    assert profile.dataset.simulate.repeats == 3
    assert profile.seed == 7
    assert error_of(path, {"tuning.epohcs": 2}) == (
        "overrides: tuning.epohcs: unknown key; the nearest valid key is 'epochs'"
    )
    assert load(path, {"dataset.simulate": None}).dataset.simulate is None


def test_files_that_cannot_be_read(demo, tmp_path, error_of):
    path = demo()
    missing = tmp_path / "dmo.yaml"
    assert error_of(missing) == f"{missing}: no such parameter file; beside it: demo.yaml"
    path.write_text("tuning: [")
    assert error_of(path).startswith(f"{path} is truncated or no YAML")
    path.write_bytes(b"seed: \xff")
    assert error_of(path).startswith(f"{path} is truncated or no YAML")
    path.write_text("")
    assert error_of(path).startswith(f"{path}: must hold keys with values")
    path.write_text("name: other\n")
    assert error_of(path) == f"{path}: a profile is named by its file; remove the key 'name'"
    path.write_text("extends: demo.yaml\n")
    assert error_of(path) == f"{path}: extends itself; remove an 'extends'"
    path.write_text("seed: !!python/object/apply:os.getcwd []\n")
    assert error_of(path).startswith(f"{path} is truncated or no YAML")

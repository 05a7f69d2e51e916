import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bthelpers.params.loading import from_dict, load, to_dict
from bthelpers.params.schema import ParameterError
from bthelpers.params.settings import StatisticsSettings
from bthelpers.params.simulation import SimulationSpec

PARAMS = Path(__file__).parents[2] / "params"


@pytest.fixture
def demo(tmp_path):
    """A copy of the demo profile's content, and a function that writes a changed one."""
    content = yaml.safe_load((PARAMS / "demo.yaml").read_text())

    def write(change=None, name="demo.yaml"):
        if change is not None:
            change(content)
        path = tmp_path / name
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def error_of(path, overrides=None):
    with pytest.raises(ParameterError) as caught:
        load(path, overrides)
    return str(caught.value)


@pytest.mark.parametrize("name", ["demo", "smoke", "simulation", "paper"])
def test_shipped_profiles_load_and_survive_json(name):
    profile = load(PARAMS / f"{name}.yaml")
    assert profile.name == name
    recorded = json.loads(json.dumps(to_dict(profile)))
    assert from_dict(recorded, "profile.json") == profile


def test_the_demo_has_three_participants_and_an_hour_of_training():
    demo = load(PARAMS / "demo.yaml")
    assert demo.dataset.participants == ("SIM01", "SIM02", "SIM03")
    minutes = len(demo.dataset.splits.train) * demo.dataset.simulate.minutes_train
    assert minutes >= 64


@pytest.mark.parametrize("name", ["demo", "smoke"])
def test_simulated_stories_and_participants_are_those_that_are_used(name):
    dataset = load(PARAMS / f"{name}.yaml").dataset
    numbered = [f"story{n:02d}" for n in range(1, len(dataset.splits.stories) + 1)]
    assert list(dataset.splits.stories) == numbered
    assert len(dataset.splits.train) == dataset.simulate.training_stories
    assert len(dataset.splits.validation) == dataset.simulate.validation_stories
    assert len(dataset.participants) == dataset.simulate.participants


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


def test_llama_takes_the_place_of_gpt2_for_one_model():
    llama, paper = load(PARAMS / "paper_llama.yaml"), load(PARAMS / "paper.yaml")
    assert list(llama.models) == ["wav2vec2-base"]
    assert llama.targets.text_lm.layer_step == 3
    assert llama.targets.text_lm.epochs == paper.targets.text_lm.epochs
    assert len(llama.targets.text_lm.revision) == 40


def test_the_paper_profile_has_the_published_settings():
    paper = load(PARAMS / "paper.yaml")
    splits = paper.dataset.splits
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [24, 2, 1]
    assert len(paper.dataset.participants) == 8
    tuning = paper.tuning
    assert (tuning.transformer_lr, tuning.head_lr, tuning.warmup) == (5e-5, 1e-4, 0.1)
    assert (tuning.sharing, tuning.pooling, tuning.standardize) == ("window", "mean", False)
    assert (paper.representation.window, paper.representation.stride) == (16.0, 0.1)
    assert paper.encoding.skip_test_rows == 40
    assert paper.dataset.simulate is None
    assert {model.path.split("/")[1].split("-")[0] for model in paper.models.values()} == {
        "hubert",
        "wav2vec2",
        "wavlm",
        "whisper",
    }
    assert all(len(model.revision) == 40 for model in paper.models.values())


def test_models_are_tuned_on_the_first_stories_that_a_participant_heard(demo):
    def fewer(content):
        content["dataset"]["absent"] = {"SIM02": ["story02", "story17"]}
        content["models"]["hubert-mini"]["tuning_stories"] = 2

    profile = load(demo(fewer))
    splits = profile.dataset.splits
    for participant in (None, "SIM01"):
        chosen = profile.tuning_splits("hubert-mini", participant)
        assert chosen == replace(splits, train=("story01", "story02"))
    chosen = profile.tuning_splits("hubert-mini", "SIM02")
    assert (chosen.train, chosen.validation) == (("story01", "story03"), ("story18",))
    assert profile.tuning_splits("wav2vec2-mini", "SIM01") == splits


def test_variants_are_computed_but_shown_only_where_scale_is_studied(demo):
    def vary(content):
        smaller = {"path": "smaller", "revision": None, "variant_of": "hubert-mini"}
        fewer = smaller | {"variant_of": "smaller", "tuning_stories": 16}
        content["models"] |= {"smaller": smaller, "fewer": fewer}

    before, profile = load(PARAMS / "demo.yaml"), load(demo(vary))
    assert profile.models_with("alignment") == list(before.models)
    assert profile.models_with("alignment") == before.models_with("alignment")
    assert profile.variants_of("hubert-mini") == ["smaller"]
    assert profile.variants_of("smaller") == ["fewer"]
    assert profile.variants_of("fewer") == []
    assert {model for model, _, _ in profile.runs} == {*before.models, "smaller", "fewer"}


def test_the_simulation_studies_two_sizes_and_four_amounts_of_each():
    simulation = load(PARAMS / "simulation.yaml")
    assert [model for model in simulation.models if simulation.variants_of(model)] == [
        "hubert-mini",
        "hubert-mini-half",
    ]
    for model in ("hubert-mini", "hubert-mini-half"):
        path = simulation.models[model].path
        amounts = [
            len(simulation.tuning_splits(name).train)
            for name in (*simulation.variants_of(model), model)
            if simulation.models[name].path == path
        ]
        assert amounts == [2, 4, 8, 16]


def test_stories_that_a_participant_did_not_hear_are_in_none_of_its_splits():
    dataset = load(PARAMS / "paper.yaml").dataset
    assert dataset.splits_of("UTS04").validation == ("stagefright",)
    assert dataset.splits_of("UTS04").train == dataset.splits.train
    assert dataset.splits_of("UTS01") == dataset.splits


def test_default_ceilings_are_quantiles():
    quantiles = SimulationSpec(lexicon="any.yaml").ceiling_quantiles
    assert len(quantiles) == 21
    assert list(quantiles) == sorted(quantiles)
    assert 0 <= quantiles[0] <= quantiles[-1] <= 1


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
        ("tuning", "standardize", 1, "tuning.standardize: must be true or false, not 1"),
        ("tuning", "standardize", "yes", "tuning.standardize: must be true or false, not 'yes'"),
        ("tuning", "pooling", "hfr", "must be one of mean, hrf, not 'hfr'; the nearest is 'hrf'"),
        ("tuning", "pooling", None, "tuning.pooling: must be one of mean, hrf, not None"),
        ("encoding", "fir_delays", [1, "two"], "encoding.fir_delays[1]: must be a whole number"),
        ("encoding", "fir_delays", [], "encoding.fir_delays: must be a list of at least one"),
        ("encoding", "fir_delays", 3, "encoding.fir_delays: must be a list"),
        ("encoding", "fir_delays", [1, 1], "encoding.fir_delays: must be free of repetitions"),
        ("encoding", "alphas", [0, 5], "encoding.alphas: must be a list of 3 entries, not [0, 5]"),
        ("encoding", "alphas", [5, 0, 2], "encoding.alphas: must be [low, high, number]"),
        ("dataset", "participants", "SIM01", "dataset.participants: must be a list"),
        ("dataset", "participants", ["A", "A"], "dataset.participants: must be free of repet"),
        ("dataset", "participants", [1], "dataset.participants[0]: must be text, not 1; quote it"),
        ("dataset", "simulate", 3, "dataset.simulate: must hold keys such as 'lexicon', not 3"),
        ("dataset", "absent", {"SIM01": ["story99"]}, "absent.SIM01: in no split: story99"),
        ("dataset", "absent", {"SIM01": ["story19"]}, "split 'test': list its stories"),
        ("dataset", "splits", None, "dataset.splits: must hold keys such as 'train', not None"),
    ],
)
def test_a_wrong_value_is_named_with_file_and_place(demo, section, key, value, message):
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
                c["dataset"].update(absent={"SIM03": ["story01", "story02"]}),
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
            lambda c: (
                c["models"]["hubert-mini"].update(variant_of="wav2vec2-mini"),
                c["models"]["wav2vec2-mini"].update(variant_of="hubert-mini"),
            ),
            "variant_of: must lead to a model of this profile that is no variant: hubert-mini ->"
            " wav2vec2-mini -> hubert-mini",
        ),
        (lambda c: c.update(conditions=["brain-tuning"]), "conditions[0]: must be one of pretrai"),
        (lambda c: c.update({3: 4}), "[3]: unknown key; the nearest valid key is"),
    ],
)
def test_a_wrong_key_is_named_with_file_and_place(demo, change, message):
    path = demo(change)
    error = error_of(path)
    assert error.startswith(f"{path}: ")
    assert message in error


def test_a_story_in_two_splits_is_an_error(demo):
    def share(content):
        content["dataset"]["splits"]["test"] = ["story03"]

    error = error_of(demo(share))
    assert "demo.yaml: dataset.splits: " in error
    assert "story03" in error
    assert "train" in error
    assert "test" in error


def test_an_extending_profile_changes_only_what_it_names(demo, tmp_path):
    demo()
    child = tmp_path / "child.yaml"
    child.write_text("extends: demo.yaml\ntuning: {epochs: 2}\nencoding: {fir_delays: [4]}\n")
    base, changed = load(tmp_path / "demo.yaml"), load(child)
    assert changed.name == "child"
    assert (changed.tuning.epochs, changed.encoding.fir_delays) == (2, (4,))
    assert changed.tuning.window == base.tuning.window
    assert changed.encoding.folds == base.encoding.folds


def test_an_error_names_the_file_that_the_value_stands_in(demo, tmp_path):
    base = demo(lambda content: content["tuning"].update(epochs="six"))
    child = tmp_path / "child.yaml"
    child.write_text("extends: demo.yaml\nseed: 3\n")
    assert error_of(child).startswith(f"{base}: tuning.epochs")
    child.write_text("extends: demo.yaml\ntuning: {epochs: seven}\n")
    assert error_of(child).startswith(
        f"{child}: tuning.epochs: must be a whole number, not 'seven'"
    )


def test_a_key_that_no_file_holds_is_missing_from_the_profile(demo, tmp_path):
    demo(lambda content: content.pop("seed"))
    child = tmp_path / "child.yaml"
    child.write_text("extends: demo.yaml\n")
    assert error_of(child) == f"{child}: seed: is missing"


def test_overrides_replace_values_and_are_checked(demo):
    path = demo()
    profile = load(path, {"tuning.epochs": 2, "dataset.simulate.repeats": 3, "seed": 7})
    assert profile.tuning.epochs == 2
    assert profile.dataset.simulate.repeats == 3
    assert profile.seed == 7
    assert error_of(path, {"tuning.epohcs": 2}) == (
        "overrides: tuning.epohcs: unknown key; the nearest valid key is 'epochs'"
    )
    assert load(path, {"dataset.simulate": None}).dataset.simulate is None


def test_files_that_cannot_be_read(demo, tmp_path):
    path = demo()
    missing = tmp_path / "dmo.yaml"
    assert error_of(missing) == f"{missing}: no such parameter file; beside it: demo.yaml"
    path.write_text("tuning: [")
    assert error_of(path).startswith(f"{path}: not readable as YAML")
    path.write_bytes(b"seed: \xff")
    assert error_of(path).startswith(f"{path}: not readable as YAML")
    path.write_text("")
    assert error_of(path).startswith(f"{path}: must hold keys with values")
    path.write_text("name: other\n")
    assert error_of(path) == f"{path}: a profile is named by its file; remove the key 'name'"
    path.write_text("extends: demo.yaml\n")
    assert error_of(path) == f"{path}: extends itself; remove an 'extends'"
    path.write_text("seed: !!python/object/apply:os.getcwd []\n")
    assert error_of(path).startswith(f"{path}: not readable as YAML")


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

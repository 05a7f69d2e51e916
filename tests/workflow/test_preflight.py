"""A profile's names and files are checked before any work."""

import functools
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from transformers import AutoConfig

from bthelpers.core.checksums import SUMS
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.loading import load
from bthelpers.workflow import preflight

ROOT = Path(__file__).parents[2]


LOADED = functools.cache(SpeechEncoder.load)


@pytest.fixture(autouse=True)
def each_model_is_loaded_once(monkeypatch):
    monkeypatch.setattr(SpeechEncoder, "load", LOADED)


def problems(overrides, profile="smoke"):
    with pytest.raises(ValueError, match="cannot be run") as caught:
        preflight.require(load(ROOT / f"params/{profile}.yaml", overrides), ROOT)
    return str(caught.value)


@pytest.mark.parametrize("profile", [p.stem for p in ROOT.glob("params/*.yaml")])
def test_profiles_can_be_run_or_say_what_is_missing(profile):
    if load(ROOT / f"params/{profile}.yaml").dataset.simulate is None:
        assert "bthelpers download" in problems({}, profile)
    else:
        preflight.require(load(ROOT / f"params/{profile}.yaml"), ROOT)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("voxels.regions", ["late_langage"], "'late_langage'; the nearest is 'late_language'"),
        ("dataset.regions", "params/none.yaml", "none.yaml"),
        (
            "models.hubert-mini.path",
            "models/none",
            "models/none: no model here (config.json is missing)",
        ),
        (
            "dataset.participants",
            ["SIM01", "SIM1"],
            "'SIM1' will not be simulated; the nearest is 'SIM01'",
        ),
        ("dataset.splits.test", ["story06"], "'story06' will not be simulated"),
        ("dataset.simulate.lexicon", "none.yaml", "none.yaml is not there"),
        ("dataset.root", "nowhere", None),
    ],
)
def test_wrong_names_and_missing_files(key, value, message):
    if message is None:  # where a dataset will be simulated, it need not be there
        preflight.require(load(ROOT / "params/smoke.yaml", {key: value}), ROOT)
    else:
        assert message in problems({key: value})


def test_everything_that_is_wrong_is_listed():
    text = problems({"voxels.regions": ["A"], "dataset.participants": ["SIM01", "B"]})
    assert text.count("\n- ") == 2


def test_a_dataset_that_is_there_is_checked(tmp_path):
    root = tmp_path / "data"
    (root / "derivative").mkdir(parents=True)
    (root / "derivative/respdict.json").write_text('{"wheretheressmoke": 311}')
    (root / "derivative/subject_xfms.json").write_text('{"UTS01": "UTS01_auto"}')
    participants = ["UTS01", "UTS02", "UTS03", "UTS1"]
    text = problems({"dataset.root": str(root), "dataset.participants": participants}, "paper")
    assert "'UTS1'" in text
    assert "wheretheressmoke.wav" in text


def test_results_shall_not_tell_places_on_this_machine(tmp_path):
    text = problems({"dataset.root": "/big/my data", "dataset.cache": "~/cache"})
    assert "dataset.root: results and pages would tell /big/my data" in text
    assert "`ln -s '/big/my data' data/`, and name it data/my data" in text
    assert "dataset.cache: results and pages would tell ~/cache" in text
    assert text.count("would tell") == 2


def test_a_folder_of_other_files_is_not_simulated_into(tmp_path):
    (tmp_path / "notes.txt").touch()
    text = problems({"dataset.root": str(tmp_path)})
    assert "files that were not simulated" in text


def test_folders_must_be_such_and_writable(tmp_path, monkeypatch):
    (tmp_path / "cache").touch()
    text = problems({"dataset.cache": str(tmp_path / "cache")})
    assert text.count("\n- ") == 2  # its place is told as well
    assert f"\n- {tmp_path / 'cache'} is no folder in which files can be written" in text
    monkeypatch.setattr(preflight.os, "access", lambda place, mode: place != tmp_path)
    assert f"\n- {tmp_path} is no folder in" in problems({"dataset.cache": str(tmp_path / "x/y")})


def test_a_model_that_is_not_as_it_was_saved_is_named(tmp_path):
    model = tmp_path / "model"
    shutil.copytree(ROOT / "bthelpers/checkpoints/hubert-mini-square", model)
    overrides = {"models.hubert-mini.path": str(model)}
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    assert f"{model / 'model.safetensors'} is not as it was saved" in problems(overrides)


def test_published_ceilings_must_be_there_and_fit(small_dataset, tmp_path):
    participant = small_dataset.participants[0]
    overrides = {
        "dataset.root": str(small_dataset.root),
        "dataset.participants": [participant],
        "dataset.simulate": None,
        "voxels.published": str(tmp_path),
    }
    array = tmp_path / f"{participant}.npy"
    assert f"voxels.published: {array} is missing" in problems(overrides)
    np.save(array, np.full(3, 0.5))
    assert f"shape ({small_dataset.n_voxels(participant)},)" in problems(overrides)
    np.save(array, np.full(small_dataset.n_voxels(participant), 0.5))
    assert problems(overrides).count("voxels.published") == 1  # that its place is told


def test_models_are_loaded_before_any_work(tiny_encoder_folder, tmp_path):
    broken = shutil.copytree(tiny_encoder_folder, tmp_path / "broken")
    (broken / SUMS).unlink()
    (broken / "config.json").write_text('{"model_type": "hubert", "hidden_size": 31}')
    assert f"models.hubert-mini: {broken} cannot be loaded" in problems(
        {"models.hubert-mini.path": str(broken)}
    )


def test_rows_of_stories_that_are_not_simulated_yet_follow_from_their_length():
    rows = preflight.story_rows(load(ROOT / "params/smoke.yaml"), ROOT)
    # five TRs at each end are trimmed
    assert rows["story01"] == pytest.approx(60 / 2.0045 - 10, abs=1)
    assert rows["story05"] == pytest.approx(90 / 2.0045 - 10, abs=1)


def test_rows_of_a_dataset_that_is_not_there_yet_are_the_published_ones(tmp_path):
    rows = preflight.story_rows(load(ROOT / "params/paper.yaml"), tmp_path)
    assert len(rows) == 27
    assert rows["wheretheressmoke"] == 291


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("encoding.folds", 100, "encoding.folds: must be at most 3, the training stories of SIM01"),
        ("encoding.skip_test_rows", 30, r"encoding.skip_test_rows: leaves 5 rows of 'story05'"),
        ("encoding.skip_test_rows", 99, r"encoding.skip_test_rows: leaves 0 rows of 'story05'"),
        ("statistics.block", 24, "statistics.block: fewer than two blocks of 24 TRs are in the 35"),
    ],
)
def test_lengths_that_fold_and_blocks_do_not_go_with(key, value, message):
    assert message in problems({key: value})


def test_as_many_folds_and_as_long_blocks_as_there_can_be_are_no_problem():
    limits = {"encoding.folds": 3, "encoding.skip_test_rows": 25, "statistics.block": 6}
    preflight.require(load(ROOT / "params/smoke.yaml", limits), ROOT)
    chosen = {"encoding.folds": 100, "encoding.penalties": "validation"}
    preflight.require(load(ROOT / "params/smoke.yaml", chosen), ROOT)


# What evaluations need.


def of_evaluations(overrides, profile="smoke"):
    return preflight.evaluation_problems(load(ROOT / f"params/{profile}.yaml", overrides), ROOT)


def test_what_can_be_made_is_no_problem():
    assert of_evaluations({}) == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"models.whisper-mini.evaluations": ["recognition", "alignment"]},
            "models.whisper-mini: a Whisper model has no recognition: leave it out of",
        ),
        (
            {"models.whisper-mini.conditions": ["pretrained", "stimulus-tuned"]},
            "models.whisper-mini: a Whisper model has no stimulus-tuned",
        ),
        (
            {"conditions": ["text-lm"], "targets.text_lm.path": "no/model"},
            "targets.text_lm: ",
        ),
        (
            {"conditions": ["big-slm"], "targets.big_slm.path": "no/model"},
            "no/model: no model here (config.json is missing)",
        ),
        ({"preference.wordnet": "none:1"}, "preference.wordnet: there is no WordNet 'none:1'"),
        ({"corpora.simulate.lexicon": "none.yaml"}, "none.yaml is not there"),
        (
            {
                "conditions": ["big-text-lm"],
                "targets.big_text_lm": {
                    "path": "no/llama",
                    "revision": None,
                    "layer_step": 3,
                    "epochs": 1,
                },
            },
            "targets.big_text_lm: ",
        ),
        ({"corpora.root": "no/corpora", "corpora.simulate": None}, "corpora.root: "),
        (
            {"corpora.root": "no/corpora", "corpora.simulate": None},
            "corpora: to do without them, take probes and recognition out of `evaluations`",
        ),
    ],
)
def test_what_is_missing_is_said_with_its_remedy(overrides, message):
    assert any(message in problem for problem in of_evaluations(overrides))


WHISPER_OF_THE_HUB = {
    "models.whisper-mini.path": "openai/whisper-x",
    "models.whisper-mini.revision": "abc",
    "models.whisper-mini.evaluations": ["recognition"],
    "models.whisper-mini.conditions": ["pretrained", "stimulus-tuned"],
}


def test_a_whisper_of_the_hub_is_refused_too(monkeypatch):
    def config(source, **where):
        is_whisper = source == "openai/whisper-x"
        assert where == {"revision": "abc" if is_whisper else None, "trust_remote_code": False}
        return SimpleNamespace(model_type="whisper" if is_whisper else "hubert")

    monkeypatch.setattr(AutoConfig, "from_pretrained", config)
    [problem] = [one for one in of_evaluations(WHISPER_OF_THE_HUB) if "whisper-mini:" in one]
    assert "whisper-mini: a Whisper model has no recognition and no stimulus-tuned" in problem


def test_a_hub_that_cannot_be_reached_is_no_problem_of_evaluations(monkeypatch):
    """It is one of the models."""

    def unreachable(*args, **where):
        raise OSError

    monkeypatch.setattr(AutoConfig, "from_pretrained", unreachable)
    assert not any("whisper-mini:" in one for one in of_evaluations(WHISPER_OF_THE_HUB))


def test_files_that_were_not_simulated_are_not_replaced_by_corpora(tmp_path):
    (tmp_path / "timit").mkdir()
    (tmp_path / "timit/SA1.WAV").touch()
    [problem] = of_evaluations({"corpora.root": str(tmp_path)})
    assert "corpora.root: " in problem
    assert "timit holds files that were not simulated" in problem


def test_words_of_a_real_dataset_need_a_wordnet():
    paper = load(ROOT / "params/paper.yaml", {"preference.wordnet": None})
    assert "preference.wordnet: words of a real dataset need one, such as omw-en:1.4" in (
        preflight.evaluation_problems(paper, ROOT)
    )


def test_what_no_evaluation_asks_for_is_not_looked_at():
    profile = load(ROOT / "params/smoke.yaml", {"corpora.root": "no/corpora"})
    hubert = replace(profile.models["hubert-mini"], evaluations=("alignment",))
    only = replace(profile, models={"hubert-mini": hubert})
    absent = replace(only, corpora=replace(profile.corpora, simulate=None))
    assert preflight.evaluation_problems(absent, ROOT) == []


def test_a_file_of_word_vectors_must_be_there(tmp_path):
    profile = load(ROOT / "params/smoke.yaml", {"probes.word_vectors": "glove.txt"})
    model = replace(
        profile.models["hubert-mini"],
        conditions=("pretrained",),
        evaluations=("linguistic_probes",),
    )
    profile = replace(profile, models={"hubert-mini": model})
    [problem] = preflight.evaluation_problems(profile, tmp_path)
    assert problem.startswith(f"probes.word_vectors: {tmp_path / 'glove.txt'} is not there")
    (tmp_path / "glove.txt").touch()
    assert preflight.evaluation_problems(profile, tmp_path) == []

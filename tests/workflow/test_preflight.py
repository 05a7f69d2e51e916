"""A profile's names and files are checked before any work."""

from pathlib import Path

import numpy as np
import pytest

from bthelpers.params.loading import load
from bthelpers.workflow import preflight

ROOT = Path(__file__).parents[2]


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
        ("models.hubert-mini.path", "models/none", "models/none holds no model"),
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


def test_a_folder_of_other_files_is_not_simulated_into(tmp_path):
    (tmp_path / "notes.txt").touch()
    text = problems({"dataset.root": str(tmp_path)})
    assert "files that were not simulated" in text


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
    assert "voxels.published" not in problems(overrides)

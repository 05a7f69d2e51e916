"""Runs that are made again, whatever the dates; in a repository in which they take no time."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest
from trial_repository import Trial

from bthelpers.params.loading import load
from bthelpers.workflow.parameters import parameter_files
from bthelpers.workflow.runs.outdated import outdated

RESULT = "results/smoke/mini/SIM01/pretrained/alignment.nc"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """All runs of one condition are done."""
    trial = Trial(tmp_path_factory.mktemp("repository"))
    trial.write({"conditions": ["pretrained"]})
    trial.snakemake()
    return trial


@pytest.fixture
def trial(done, tmp_path):
    return done.copy(tmp_path / "repository")


def found(trial):
    """Runs that are outdated, and what has changed."""
    with contextlib.chdir(trial.root):
        profile = load("params/smoke.yaml")
        changed = outdated(profile, parameter_files(profile, Path("results/smoke/parameters")))
    return {f"{run.step} {run.folder}".strip(): file for run, file in changed.items()}


def in_place(path, text):
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=times)


def test_dates_outdate_nothing(trial):
    assert found(trial) == {}
    for number, path in enumerate(sorted(trial.root.glob("results/**/*.*"))):
        os.utime(path, (1 + number % 7, 4e9 * (number % 2)))
    assert found(trial) == {}


def test_a_damaged_result_and_what_was_made_from_it_are_outdated(trial):
    in_place(trial.root / RESULT, "other")
    assert found(trial) == dict.fromkeys(
        ["alignment mini/SIM01/pretrained", "impact mini/SIM01/pretrained"], RESULT
    )


def test_a_parameter_that_is_changed_outdates_results_dated_ahead(trial):
    os.utime(trial.root / RESULT, (4e9, 4e9))
    trial.write({"conditions": ["pretrained"], "encoding.folds": 2})
    steps = {name.split()[0] for name in found(trial)}
    assert steps == {"alignment", "impact", "similarity", "controls"}
    trial.write({"conditions": ["pretrained"]})
    assert found(trial) == {}


def test_a_notebook_that_is_changed_in_place_outdates_its_runs(trial):
    notebook = trial.root / "book/runs/voxels.md"
    in_place(notebook, notebook.read_text().replace("Voxels", "voxels"))
    assert found(trial) == {"voxels SIM01": "book/runs/voxels.md"}


def test_weights_that_change_while_runs_read_them_are_noticed(trial):
    """The run begins again, and is made anew once they are put back."""
    weights, papermill = trial.root / "weights/model.safetensors", trial.root / "bin/papermill"
    shutil.rmtree(trial.root / "results/smoke/mini/pretrained")
    changing = papermill.read_text().replace("bash\n", f"bash\necho other > {weights}\n", 1)
    papermill.write_text(changing)
    said = trial.snakemake("--retries", "1", "--show-failed-logs")
    assert said.count("models/mini.json has changed while this run was under way") == 1
    executed = (trial.root / "calls").read_text().count("mini/pretrained/representations.ipynb")
    assert executed == 3  # at first, when the weights changed, and again
    in_place(weights, "weights")
    assert "representations mini/pretrained" in found(trial)


def test_results_without_receipts_are_made_again(trial):
    """Nothing tells what they were made from, as of those of earlier versions."""
    receipt = (trial.root / RESULT).with_suffix(".json")
    receipt.unlink()
    missing = {"alignment mini/SIM01/pretrained": str(receipt.relative_to(trial.root))}
    assert found(trial) == missing
    in_place(trial.root / RESULT, "other")
    assert found(trial) == missing | {"impact mini/SIM01/pretrained": RESULT}
    (trial.root / "results/smoke/SIM01/voxels.json").unlink()
    assert found(trial)["voxels SIM01"] == "results/smoke/SIM01/voxels.json"
    shutil.rmtree(trial.root / "results/smoke/SIM01")
    assert "voxels SIM01" not in found(trial)  # it is not done


def test_a_run_that_is_interrupted_loses_nothing(trial):
    """A changed parameter, an interruption, the parameter as it was: nothing is to do."""
    papermill = trial.root / "bin/papermill"
    script = papermill.read_text()
    calls = (trial.root / "calls").read_text()
    before = (trial.root / RESULT).read_text()
    trial.write({"conditions": ["pretrained"], "encoding.folds": 2})
    papermill.write_text("#!/bin/bash\nexit 1\n")
    with pytest.raises(AssertionError, match="alignment"):
        trial.snakemake("--keep-incomplete")
    papermill.write_text(script)
    trial.write({"conditions": ["pretrained"]})
    trial.snakemake("--rerun-incomplete")
    assert (trial.root / RESULT).read_text() == before
    assert (trial.root / "calls").read_text() == calls
    assert trial.planned() == set()


@pytest.mark.parametrize("lost", ["model/model.safetensors", "training.nc"])
def test_what_only_other_runs_read_is_made_again_where_it_is_lost(tmp_path, lost):
    trial = Trial(tmp_path)
    trial.write({"conditions": ["brain-tuned"]})
    trial.snakemake()
    tuned = trial.root / "results/smoke/mini/SIM01/brain-tuned"
    (tuned / lost).unlink()
    trial.snakemake()
    assert (tuned / lost).is_file()
    shutil.rmtree(tuned)
    trial.snakemake()
    assert (tuned / lost).is_file()

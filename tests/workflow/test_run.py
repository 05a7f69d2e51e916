import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_config
from trial_repository import REPOSITORY, Trial

from bthelpers.cli import main
from bthelpers.params.loading import load
from bthelpers.params.schema import ParameterError
from bthelpers.workflow import run as workflow
from bthelpers.workflow.cluster import options as cluster_options
from bthelpers.workflow.processes import alone_in
from bthelpers.workflow.run import made_data, run_workflow


@pytest.fixture
def commands(monkeypatch, tmp_path, tiny_encoder_folder):
    """Commands that a workflow would start, of a repository where all that it needs is there."""
    Trial(tmp_path).write({"conditions": ["pretrained"]})
    shutil.copytree(tiny_encoder_folder, tmp_path / "weights", dirs_exist_ok=True)
    started = []

    def run(command, ending, **options):
        started.append((command, options | {"ending": ending}))
        return 0

    monkeypatch.setattr(workflow, "run_to_end", run)
    monkeypatch.chdir(tmp_path)
    return started


def test_snakemake_is_started_with_this_python(commands, tmp_path):
    run_workflow(tmp_path, "smoke", 3, 2, ["--quiet"])
    [(command, options)] = commands
    assert command[:3] == [sys.executable, "-m", "snakemake"]
    text = " ".join(command)
    assert "--cores 3 " in text
    assert "--resources gpu=2" in text
    assert "--config profile=!!str smoke " in text
    assert command[-1] == "--quiet"
    assert options["cwd"] == tmp_path
    assert options["ending"] == signal.SIGTERM
    assert options["env"]["PATH"].startswith(str(Path(sys.executable).parent))
    run_workflow(tmp_path, "smoke", 1, 0, [])
    assert "--resources" not in commands[1][0]


@pytest.mark.parametrize(("runs", "threads"), [(1, "8"), (3, "2"), (16, "1")])
def test_runs_share_the_cores_unless_the_user_says_how(
    commands, tmp_path, monkeypatch, runs, threads
):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    run_workflow(tmp_path, "smoke", runs, 0, [])
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    run_workflow(tmp_path, "smoke", runs, 0, [])
    assert [options["env"]["OMP_NUM_THREADS"] for _, options in commands] == [threads, "5"]


def test_more_gpus_than_there_are_cannot_share_a_tuning(commands, tmp_path):
    profile = tmp_path / "params/smoke.yaml"
    parameters = yaml.safe_load(profile.read_text())
    parameters |= {"conditions": ["brain-tuned"], "gpus_per_tuning": 4}
    parameters["tuning"]["sharing"] = "window"
    profile.write_text(yaml.safe_dump(parameters))
    with pytest.raises(ParameterError, match=r"gpus_per_tuning: .* shared by 4 GPUs, and 2 may"):
        run_workflow(tmp_path, "smoke", None, 2, [])
    assert commands == []
    for gpus in (0, 4):  # without any, processes share the CPU
        run_workflow(tmp_path, "smoke", None, gpus, [])
    assert len(commands) == 2


def test_what_has_changed_is_made_again_whatever_its_date(commands, tmp_path, capsys):
    run_workflow(tmp_path, "smoke", 1, 0, [])
    assert "--forcerun" not in commands[0][0]
    receipt = tmp_path / "results/smoke/SIM01/voxels.json"
    receipt.parent.mkdir()
    receipt.write_text('{"inputs": {}, "outputs": {"results/smoke/SIM01/voxels.nc": "another"}}')
    run_workflow(tmp_path, "smoke", 1, 0, ["--quiet"])
    command, _ = commands[1]
    made = command[command.index("--forcerun") + 1]
    assert made == "results/smoke/SIM01/voxels.nc"
    assert f"voxels SIM01: made again, as {made} is missing\n" == capsys.readouterr().err
    (tmp_path / made).write_text("damaged")
    run_workflow(tmp_path, "smoke", 1, 0, [])
    assert f"voxels SIM01: made again, as {made} is not what it was\n" == capsys.readouterr().err
    receipt.unlink()
    run_workflow(tmp_path, "smoke", 1, 0, [])
    told = "voxels SIM01: made again, as results/smoke/SIM01/voxels.json is missing\n"
    assert told == capsys.readouterr().err


def test_a_failed_run_is_an_error(commands, tmp_path, monkeypatch):
    monkeypatch.setattr(workflow, "run_to_end", lambda *_, **__: 3)
    with pytest.raises(SystemExit, match=r"workflow failed \(exit status 3\).*results/smoke"):
        run_workflow(tmp_path, "smoke", 1, 0, [])


def test_a_second_workflow_at_the_same_time_is_refused(commands, tmp_path):
    kept = tmp_path / "results/smoke/kept"
    kept.parent.mkdir(parents=True)
    kept.touch()
    with alone_in([kept.parent]):
        with pytest.raises(SystemExit, match=r"another workflow .*is at work in .*results/smoke"):
            run_workflow(tmp_path, "smoke", 1, 0, [], anew=True)
        assert kept.exists()
    assert commands == []
    run_workflow(tmp_path, "smoke", 1, 0, [])
    assert kept.exists()
    run_workflow(tmp_path, "smoke", 1, 0, [], anew=True)
    assert not kept.exists()
    assert len(commands) == 2


@pytest.mark.parametrize("data", ["data/smoke", "data/smoke_corpora"])
def test_a_workflow_of_another_profile_on_the_same_simulated_data_is_refused(
    commands, tmp_path, data
):
    shutil.copy(tmp_path / "params" / "smoke.yaml", tmp_path / "params" / "other.yaml")
    told = rf"another workflow .*is at work in .*{data}"
    with alone_in([tmp_path / data]), pytest.raises(SystemExit, match=told):
        run_workflow(tmp_path, "other", 1, 0, [])
    assert commands == []


def test_data_that_are_there_or_are_not_read_may_be_read_by_several():
    def made(name):
        return made_data(load(REPOSITORY / f"params/{name}.yaml"), REPOSITORY)

    data = REPOSITORY / "data"
    assert made("paper") == []
    assert made("demo") == [data / "demo"]  # it has no evaluation on corpora
    assert made("english") == [data / "english", data / "english_corpora"]


def test_snakemake_that_outlives_the_workflow_keeps_others_out(commands, tmp_path, monkeypatch):
    orphans = []

    def run(command, ending, pass_fds=(), **options):
        orphans.append(subprocess.Popen(["sleep", "600"], pass_fds=pass_fds))
        return 0

    monkeypatch.setattr(workflow, "run_to_end", run)
    run_workflow(tmp_path, "smoke", 1, 0, [])
    try:
        with pytest.raises(SystemExit, match="another workflow is at work"):
            run_workflow(tmp_path, "smoke", 1, 0, [])
    finally:
        orphans[0].kill()
        orphans[0].wait()
    run_workflow(tmp_path, "smoke", 1, 0, [])
    orphans[1].kill()
    orphans[1].wait()


def test_an_unknown_profile_is_an_error_before_any_work(commands, tmp_path, capsys):
    assert main(["run", "smok"]) == 1
    error = capsys.readouterr().err
    assert re.search(r"smok\.yaml: no such parameter file.*smoke\.yaml", error)
    assert commands == []
    assert not (tmp_path / "results").exists()


def test_a_missing_model_is_an_error_before_any_work(commands, tmp_path, capsys):
    (tmp_path / "weights" / "config.json").unlink()
    assert main(["run", "smoke"]) == 1
    assert "weights: no model here" in capsys.readouterr().err
    assert commands == []
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["../smoke", "smoke; touch y", "$(touch y)", "", "smoke/..", "é"])
def test_what_is_no_name_of_a_profile_is_refused(commands, tmp_path, capsys, name):
    for command in ("run", "record"):
        with pytest.raises(SystemExit) as stop:
            main([command, name])
        assert stop.value.code == 2
        assert "is no name of a profile" in capsys.readouterr().err
    assert commands == []
    assert not (tmp_path / "results").exists()


def test_a_profile_whose_name_is_a_number_is_named_as_text(commands, tmp_path):
    shutil.copy(tmp_path / "params" / "smoke.yaml", tmp_path / "params" / "007.yaml")
    run_workflow(tmp_path, "007", 1, 0, [])
    [(command, _)] = commands
    assert parse_config([command[command.index("--config") + 1]]) == {"profile": "007"}


@pytest.mark.parametrize(("gpus", "cores"), [(0, 4), (1, 4), (3, 6)])
def test_unless_told_a_run_has_what_the_machine_has(commands, tmp_path, monkeypatch, gpus, cores):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus))))
    monkeypatch.setattr(workflow.os, "cpu_count", lambda: 64)
    run_workflow(tmp_path, "smoke", None, None, [])
    text = " ".join(commands[0][0])
    assert f"--cores {cores} " in text
    assert (f"--resources gpu={gpus} " in text) == (gpus > 0)


def test_without_gpus_runs_see_none(commands, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    for gpus in (None, 1, 0):
        run_workflow(tmp_path, "smoke", 1, gpus, [])
    seen = [options["env"]["CUDA_VISIBLE_DEVICES"] for _, options in commands]
    assert seen == ["0,1", "0,1", ""]


LISTED = """\
GPU 0: NVIDIA H200 (UUID: GPU-1)
  MIG 1g.18gb     Device  0: (UUID: MIG-1)
GPU 1: NVIDIA H200 (UUID: GPU-2)
"""


@pytest.mark.parametrize(
    ("says", "status", "gpus"),
    [(LISTED, 0, 2), ("No devices were found\n", 0, 0), (LISTED, 9, 0), ("failed\n", 9, 0)],
)
def test_gpus_are_those_that_are_listed(tmp_path, monkeypatch, says, status, gpus):
    listing = tmp_path / "nvidia-smi"
    listing.write_text(f"#!/bin/sh\nprintf '%s' '{says}'\nexit {status}\n")
    listing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert workflow.visible_gpus() == gpus


@pytest.mark.parametrize("word", ["-n", "-np", "--dry-run", "--dryrun"])
def test_a_dry_run_leaves_parameters_as_they_were(commands, tmp_path, monkeypatch, word):
    """What is computed later is of the same profile as the results that are there."""
    folder, profile = tmp_path / "results/smoke", tmp_path / "params/smoke.yaml"

    def files():
        found = [*folder.glob("*.json"), *folder.glob("parameters/**/*.json")]
        return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in found}

    seen = []
    monkeypatch.setattr(workflow, "run_to_end", lambda *_, **__: seen.append(files()) or 0)
    run_workflow(tmp_path, "smoke", 1, 0, [word])
    assert files() == {}
    run_workflow(tmp_path, "smoke", 1, 0, [])
    before = files()
    parameters = yaml.safe_load(profile.read_text())
    parameters["encoding"]["folds"] -= 1
    profile.write_text(yaml.safe_dump(parameters))
    run_workflow(tmp_path, "smoke", 1, 0, [word])
    assert files() == before
    assert seen[0].keys() == before.keys()
    assert seen[2][folder / "profile.json"] != before[folder / "profile.json"]  # Snakemake tells
    run_workflow(tmp_path, "smoke", 1, 0, [])
    assert files() == seen[3] != before


def test_on_a_cluster_its_file_and_what_it_grants_go_to_snakemake(commands, tmp_path, monkeypatch):
    asked = []

    def options(*given):
        asked.append(given[1:])
        return ["--workflow-profile", "profiles/slurm", "--config", "most={}"]

    monkeypatch.setattr(cluster_options, "cluster_options", options)
    words = ["run", "smoke", "--cluster", "slurm", "--cores", "7", "--gpus", "0"]
    assert main([*words, "--", "--dry-run"]) == 0
    assert asked == [(tmp_path, "slurm", 7, 0)]
    [(command, options)] = commands
    assert options["ending"] == signal.SIGINT
    text = " ".join(command)
    assert "--workflow-profile profiles/slurm --config most={} profile=!!str smoke " in text
    assert "--cores" not in text
    assert "--retries" not in text
    assert command[-1] == "--dry-run"


def test_an_unknown_cluster_is_an_error_before_any_work(commands, tmp_path, capsys):
    (tmp_path / "profiles/slurm").mkdir(parents=True)
    (tmp_path / "profiles/slurm/config.yaml").touch()
    assert main(["run", "smoke", "--cluster", "slrum"]) == 1
    assert "no cluster 'slrum'; the nearest is 'slurm'" in capsys.readouterr().err
    assert commands == []
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "least"), [(["--cores", "0"], 1), (["--cores", "-1"], 1), (["--gpus", "x"], 0)]
)
def test_a_number_of_runs_that_is_none_is_refused(commands, capsys, words, least):
    with pytest.raises(SystemExit) as stop:
        main(["run", "smoke", "=".join(words)])
    assert stop.value.code == 2
    assert f"{words[1]!r} is no whole number of {least} or more" in capsys.readouterr().err
    assert commands == []


def test_options_are_handed_on(commands):
    assert main(["run", "smoke", "--cores", "2", "--gpus", "1", "--", "--dry-run"]) == 0
    command, _ = commands[-1]
    assert command[-1] == "--dry-run"
    assert command[command.index("--resources") + 1] == "gpu=1"
    assert command[command.index("--cores") + 1] == "2"


def test_runs_are_told_as_they_begin_and_end(tmp_path):
    trial = Trial(tmp_path)
    trial.write({"conditions": ["pretrained"]})
    said = trial.snakemake("--logger", "runs")
    for name in ("voxels SIM01", "alignment mini/SIM01/pretrained"):
        assert f"{name}: begins\n" in said
        assert re.search(rf"{name}: done in \d+ s, \d+ of \d+\n", said)
    *_, last = re.findall(r"(\d+) of (\d+)\n", said)
    assert last == (str(said.count(": begins\n")),) * 2
    assert "rule " not in said
    assert (tmp_path / "results/smoke/mini/SIM01/pretrained/alignment.log").is_file()


def test_of_a_run_that_fails_the_end_of_its_log_is_shown(tmp_path):
    trial = Trial(tmp_path)
    (tmp_path / "bin" / "papermill").write_text("#!/bin/bash\necho KeyError: SIM01\nexit 1\n")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--logger", "runs"]
    failed = subprocess.run(
        [*command, "--config", "profile=smoke"],
        cwd=tmp_path,
        env=trial.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert failed.returncode != 0
    said = r"dataset: failed after \d+ s; the end of results/smoke/dataset\.log:\n"
    assert re.search(said, failed.stderr)
    assert "  KeyError: SIM01\n" in failed.stderr

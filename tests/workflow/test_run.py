import fcntl
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from trial_repository import Trial

from bthelpers.models import devices
from bthelpers.workflow import run as workflow
from bthelpers.workflow.run import run_workflow


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """Commands that a workflow would start, of a repository where all that it needs is there."""
    Trial(tmp_path).write({"conditions": ["pretrained"]})
    started = []

    def run(command, **options):
        started.append((command, options))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(workflow.subprocess, "run", run)
    monkeypatch.chdir(tmp_path)
    return started


def test_snakemake_is_started_with_this_python(commands, tmp_path):
    run_workflow(tmp_path, "smoke", 3, 2, ["--quiet"])
    [(command, options)] = commands
    assert command[:3] == [sys.executable, "-m", "snakemake"]
    text = " ".join(command)
    assert "--cores 3 " in text
    assert "--resources gpu=2" in text
    assert "--config profile=smoke" in text
    assert command[-1] == "--quiet"
    assert options["cwd"] == tmp_path
    assert options["env"]["PATH"].startswith(str(Path(sys.executable).parent))
    run_workflow(tmp_path, "smoke", 1, 0, [])
    assert "--resources" not in commands[1][0]


def test_a_failed_run_is_an_error(commands, tmp_path, monkeypatch):
    failed = SimpleNamespace(returncode=3)
    monkeypatch.setattr(workflow.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SystemExit, match=r"workflow failed \(exit status 3\).*results/smoke"):
        run_workflow(tmp_path, "smoke", 1, 0, [])


def test_a_second_workflow_at_the_same_time_is_refused(commands, tmp_path):
    (tmp_path / "results" / "smoke").mkdir(parents=True)
    with (tmp_path / "results" / "smoke" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match=r"another workflow is at work in .*results/smoke"):
            run_workflow(tmp_path, "smoke", 1, 0, [])
    assert commands == []
    run_workflow(tmp_path, "smoke", 1, 0, [])
    assert len(commands) == 1


def test_snakemake_that_outlives_the_workflow_keeps_others_out(commands, tmp_path, monkeypatch):
    orphans = []

    def run(command, pass_fds=(), **options):
        orphans.append(subprocess.Popen(["sleep", "60"], pass_fds=pass_fds))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(workflow.subprocess, "run", run)
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


def main(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["workflow", *arguments])
    workflow.main()


def test_an_unknown_profile_is_an_error_before_any_work(commands, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match=r"smok\.yaml: no such parameter file.*smoke\.yaml"):
        main(monkeypatch, "smok")
    assert commands == []
    assert not (tmp_path / "results").exists()


def test_a_missing_model_is_an_error_before_any_work(commands, tmp_path, monkeypatch):
    (tmp_path / "weights" / "config.json").unlink()
    with pytest.raises(SystemExit, match="weights holds no model"):
        main(monkeypatch, "smoke")
    assert commands == []
    assert not (tmp_path / "results").exists()


def test_options_are_handed_on(commands, monkeypatch):
    main(monkeypatch, "smoke", "--cores", "2", "--gpus", "1", "--dry-run")
    command, _ = commands[-1]
    assert command[-1] == "--dry-run"
    assert command[command.index("--resources") + 1] == "gpu=1"
    assert command[command.index("--cores") + 1] == "2"


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        devices.torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=f"u{index}")
    )
    monkeypatch.setattr(devices.torch.cuda, "set_device", lambda index: None)
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    held = []
    monkeypatch.setattr(devices, "_held", held)
    yield
    for file in held:
        file.close()


def test_each_run_has_a_gpu_of_its_own(two_gpus):
    assert [str(devices.claim_device()) for _ in range(2)] == ["cuda:0", "cuda:1"]
    with pytest.raises(RuntimeError, match=r"all 2 GPUs are in use.*GPUS=2"):
        devices.claim_device()
    devices._held.pop(0).close()  # the first run ends
    assert str(devices.claim_device()) == "cuda:0"


def test_without_a_gpu_runs_use_the_cpu(monkeypatch):
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 0)
    assert [str(devices.claim_device()) for _ in range(3)] == ["cpu"] * 3

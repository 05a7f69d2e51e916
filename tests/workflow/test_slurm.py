"""A workflow on a real SLURM ends as it does on one machine, also where a node disappears."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from trial_repository import REPOSITORY, Trial
from trial_slurm import TrialSlurm, eventually, missing

from bthelpers.params.loading import load
from bthelpers.params.schema import ParameterError
from bthelpers.workflow.cluster.options import cluster_options

pytestmark = pytest.mark.skipif(
    bool(missing()),
    reason=f"no {', '.join(missing())}: nothing is tested on a real SLURM"
    " (apt-get install slurm-wlm munge)",
)
# A notebook that takes no time. What it writes follows from what it is told and what it reads, and
# so tells of anything that was lost on the way. On SLURM it notes what it was granted; it waits, if
# it is to be interrupted, and fails, if it is to be begun again.
NOTEBOOK = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

```{code-cell} ipython3
:tags: [parameters]

profile, model, participant, condition = "", "", "", ""
```

```{code-cell} ipython3
import hashlib
import os
import subprocess
import time
from pathlib import Path

from bthelpers.core.files import write_if_changed
from bthelpers.params.loading import load
from bthelpers.workflow.parameters import parameter_files
from bthelpers.workflow.steps import PlannedRun

run = PlannedRun.of("STEP", model, participant, condition)
if job := os.environ.get("SLURM_JOB_ID"):
    said = subprocess.run(["scontrol", "--oneliner", "show", "job", job], capture_output=True)
    with Path("granted-STEP").open("ab") as file:
        file.write(said.stdout)
    if Path("fail-STEP").exists():
        Path("fail-STEP").unlink()
        raise RuntimeError("as the test wants")
    while Path("hold-STEP").exists():
        Path("node-STEP").write_text(os.environ["SLURMD_NODENAME"])
        time.sleep(0.1)
settings = load(f"params/{profile}.yaml")
files = run.inputs(settings, parameter_files(settings, Path(f"results/{profile}/parameters")))
read = b"".join(Path(file).read_bytes() for file in sorted(files))
written = hashlib.sha256(read + repr(run).encode()).hexdigest()
for file in run.outputs(settings):
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    write_if_changed(Path(file), written)
```
"""
STEPS = ("dataset", "voxels", "representations", "alignment")


def repository(root, weights):
    """A repository whose profile has one model, evaluated once, in a notebook for each step."""
    root.mkdir()
    trial = Trial(root)
    trial.write({"conditions": ["pretrained"]})
    shutil.copytree(weights, root / "weights", dirs_exist_ok=True)
    profile = root / "params/smoke.yaml"
    parameters = yaml.safe_load(profile.read_text()) | {"evaluations": ["alignment"]}
    profile.write_text(yaml.safe_dump(parameters))
    for step in STEPS:
        (root / f"book/runs/{step}.md").write_text(NOTEBOOK.replace("STEP", step))
    (root / "profiles").symlink_to(REPOSITORY / "profiles")
    return root


def start(root, environment, *options):
    """Start the workflow as users do."""
    with (root / "said").open("w") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "bthelpers", "run", "smoke", *options],
            cwd=root,
            env=os.environ | environment,
            stdout=said,
            stderr=said,
        )


def results(root):
    """What the runs have written, by file."""
    folders = (root / "results", root / "data")
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    of_one_start = (".ipynb", ".ipynb.sha256", ".log", ".lock")
    kept = (file for file in files if not file.name.endswith(of_one_start))
    return {str(file.relative_to(root)): file.read_bytes() for file in kept}


def granted(root, step):
    """What each attempt at a step was granted, and how often SLURM had begun it before."""
    told = (root / f"granted-{step}").read_text().splitlines()
    patterns = {
        "cores": r"CPUs/Task=(\d+)",
        "memory": r"MinMemoryNode=(\S+)",
        "time": r"TimeLimit=(\S+)",
        "tasks": r"NumTasks=(\d+)",
        "gpus": r"TresPerJob=gres:gpu:(\d+)",
        "requeued": r"Restarts=(\d+)",
    }
    found = [{key: re.search(text, line) for key, text in patterns.items()} for line in told]
    return [{key: match and match[1] for key, match in attempt.items()} for attempt in found]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    trial = TrialSlurm(tmp_path_factory.mktemp("slurm"))
    try:
        trial.start()
        yield trial
    finally:
        trial.stop()


@pytest.fixture
def refused(slurm, tmp_path, monkeypatch, tiny_encoder_folder):
    """What is said of a cluster whose runs ask for this, in place of what the table says."""
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "profiles/mine").mkdir(parents=True)
    smoke = load(repository(tmp_path / "repository", tiny_encoder_folder) / "params/smoke.yaml")

    def refusal(gpus=None, **resources):
        file = tmp_path / "profiles/mine/config.yaml"
        file.write_text(yaml.safe_dump({"set-resources": dict.fromkeys(STEPS, resources)}))
        try:
            cluster_options(smoke, tmp_path, "mine", None, gpus)
        except ParameterError as error:
            return str(error)
        return ""

    return refusal


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"slurm_partition": "gpus"}, "the cluster has no partition 'gpus'; the nearest is 'gpu'"),
        ({"slurm_partition": "short"}, "has no runs of more than 60 minutes, and 240 are asked"),
        ({"slurm_partition": "plain"}, "has no nodes with a GPU (GPUS=0 computes without)"),
        ({"mem_mb": 70_000}, "partition 'gpu' has no nodes of more than 64000 MB, and 70000 are"),
    ],
)
def test_what_slurm_would_never_start_is_named_before_any_work(refused, resources, message):
    assert message in refused(**resources)


def test_what_slurm_would_start_is_sent(refused):
    assert refused() == ""
    assert refused(gpus=0, slurm_partition="plain") == ""


def test_a_controller_that_is_away_is_told(refused, monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "none.conf"))
    assert "SLURM does not answer: " in refused()


@pytest.fixture(scope="module")
def local(tmp_path_factory, tiny_encoder_folder):
    """Results of the profile on one machine."""
    root = repository(tmp_path_factory.mktemp("local") / "repository", tiny_encoder_folder)
    assert start(root, {}, "--cores", "2").wait() == 0, (root / "said").read_text()
    return results(root)


def await_run(root, workflow, step):
    """Wait until a step that is to be held is at work; returns the node that it is on."""
    node = root / f"node-{step}"
    eventually(lambda: node.exists() or workflow.poll() is not None)
    assert node.exists(), (root / "said").read_text()
    return node.read_text()


def test_a_workflow_that_is_ended_takes_its_jobs_out_of_the_queue(
    slurm, tmp_path, tiny_encoder_folder
):
    root = repository(tmp_path / "repository", tiny_encoder_folder)
    (root / "hold-dataset").touch()
    workflow = start(root, slurm.environment, "--cluster", "slurm")
    try:
        await_run(root, workflow, "dataset")
    finally:
        workflow.terminate()
    workflow.wait(60)
    eventually(lambda: slurm.ask("squeue", "--noheader") == "")


def test_results_are_those_of_one_machine_though_a_node_disappears(
    slurm, local, tmp_path, tiny_encoder_folder
):
    root = repository(tmp_path / "repository", tiny_encoder_folder)
    (root / "hold-representations").touch()
    (root / "fail-dataset").touch()
    often = ("--slurm-init-seconds-before-status-checks", "1")
    workflow = start(root, slurm.environment, "--cluster", "slurm", "--", *often)
    try:
        slurm.lose(await_run(root, workflow, "representations"))
        (root / "hold-representations").unlink()
        assert workflow.wait(600) == 0, (root / "said").read_text()
    finally:
        workflow.terminate()
    assert results(root) == local
    # SLURM began it again on the other node; of Snakemake's attempts it is the first.
    first, second = granted(root, "representations")
    assert (first["requeued"], second["requeued"]) == ("0", "1")
    assert first | {"requeued": "1"} == second
    assert (first["tasks"], first["cores"], first["gpus"]) == ("1", "4", "1")
    assert (first["memory"], first["time"]) == ("16000M", "04:00:00")
    # Of a run that has failed, the next attempt is granted twice as much.
    first, second = granted(root, "dataset")
    assert (first["memory"], second["memory"]) == ("16000M", "32000M")
    assert (first["time"], second["time"]) == ("04:00:00", "08:00:00")
    assert first["gpus"] is None

import copy
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake.cli import parse_config

from bthelpers.cli import main
from bthelpers.data import regions
from bthelpers.models import devices
from bthelpers.params.loading import load, to_dict
from bthelpers.workflow import run as workflow
from bthelpers.workflow.run import run_workflow
from bthelpers.workflow.steps import parameter_files, step_parameters

REPOSITORY = Path(__file__).parents[2]
# Steps that read the dataset's stories, and those that make or read the corpora.
DATASET_STEPS = {
    *("dataset", "voxels", "representations", "impact", "preference", "targets", "stimulus")
}
CORPORA_STEPS = {"corpora", "probes", "recognition"}
SPLIT_STEPS = {"voxels", "representations", "tuning", "alignment", "impact", "preference"}
MODELS = ("hubert-mini", "hubert-mini-2", "wav2vec2-mini", "wavlm-mini", "whisper-mini")
CHOOSING = {  # runs of a model
    "participants": ["SIM01"],
    "conditions": ["pretrained"],
    "evaluations": ["alignment"],
    "variant_of": "whisper-mini",
}
# Which steps' results depend on a parameter; the longest key that fits counts. Those of a step that
# takes up another one's results are made again because of them.
STEPS = {
    "name": set(),
    "conditions": set(),  # which runs there are, and nothing within a run
    "evaluations": set(),
    "dataset.participants": set(),
    "dataset.root": DATASET_STEPS,
    "dataset.cache": set(),
    "dataset.simulate": DATASET_STEPS,
    "dataset.splits": SPLIT_STEPS,
    "dataset.absent": SPLIT_STEPS,
    "dataset.regions": {"voxels"},
    "seed": DATASET_STEPS | CORPORA_STEPS | {"tuning", "alignment"},
    **{f"models.{name}": {f"models/{name}"} for name in MODELS},
    **{f"models.{name}.{which}": set() for name in MODELS for which in CHOOSING},
    "voxels": {"voxels"},
    "tuning": {"tuning"},
    "representation": {"representations"},
    "targets": {"targets"},
    "stimulus": {"stimulus"},
    "encoding": {"alignment", "impact"},
    "statistics": {"alignment", "impact", "preference", "probes", "recognition"},
    "corpora": CORPORA_STEPS,
    "impact": {"impact"},
    "probes": {"probes"},
    "recognition": {"recognition"},
    "preference": {"preference"},
}
CHOICES = {
    "conditions": (["pretrained"],),
    "evaluations": (["preference"],),
    "impact.features": (["joint"],),
    "impact.alphas": ([-2, 4, 7],),
    "dataset.participants": (["SIM01"], ["SIM01", "SIM02"]),
    "dataset.absent": ({"SIM01": ["story01"]},),
    "models.whisper-mini.variant_of": ("hubert-mini",),
    "dataset.simulate.rate": ([151, 191],),
    "dataset.simulate.pitch": ([31, 71],),
    "dataset.simulate.voices": (["en-us"],),
    "voxels.regions": (["late_language"],),
    "corpora.simulate.rate": ([151, 191],),
    "corpora.simulate.pitch": ([31, 71],),
    "corpora.simulate.voices": (["en-us"],),
    "probes.inverse_penalties": ([-2, 2, 5],),
    **{
        f"{settings}.precision": ("float32", "bfloat16")
        for settings in ("tuning", "stimulus", "representation", "probes", "recognition")
    },
    "tuning.pooling": ("mean", "hrf"),
    "tuning.sharing": ("window", "chunk"),
    "representation.pooling": ("last", "mean"),
    "encoding.fir_delays": ([1, 2],),
    "encoding.alphas": ([1, 4, 5],),
}


def leaves(parameters, prefix=""):
    for key, value in parameters.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def other(key, value, folder):
    """Another value of a parameter, valid as well."""
    if key in CHOICES:
        return next(choice for choice in CHOICES[key] if choice != value)
    if key.startswith("models.") and key.split(".")[-1] in CHOOSING:
        return None if value else CHOOSING[key.split(".")[-1]]
    if key.endswith("tuning_stories") and value is None:
        return 1
    if key.endswith("lexicon") or key == "dataset.regions":
        original = value or "bthelpers/data/regions.yaml"
        changed = folder / "changed.yaml"
        text = (REPOSITORY / original).read_text()
        changed.write_text(text if value else "late_language: [A5]\nearly_auditory: [A1]\n")
        return str(changed)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.9 if value else 0.5
    if isinstance(value, list):
        return [*value[:-1], f"{value[-1]}x" if isinstance(value[-1], str) else value[-1] * 1.01]
    return f"{value}x"


PROFILE = load(REPOSITORY / "params" / "smoke.yaml")
LEAVES = dict(leaves(to_dict(PROFILE)))


@pytest.fixture
def in_repository(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


@pytest.mark.parametrize("key", LEAVES)
def test_a_changed_parameter_changes_the_steps_that_depend_on_it(key, in_repository, tmp_path):
    if key == "name":
        (tmp_path / "other.yaml").write_text(f"extends: {REPOSITORY}/params/smoke.yaml\n")
        changed = load(tmp_path / "other.yaml")
    else:
        value = other(key, LEAVES[key], tmp_path)
        changed = load(REPOSITORY / "params" / "smoke.yaml", {key: value})
    assert dict(leaves(to_dict(changed))) != LEAVES
    before, after = step_parameters(PROFILE), step_parameters(changed)
    assert before.keys() == after.keys()
    [*_, longest] = sorted((k for k in STEPS if f"{key}.".startswith(f"{k}.")), key=len)
    assert {step for step in before if before[step] != after[step]} == STEPS[longest]


def test_a_real_dataset_is_the_same_for_any_seed(in_repository):
    paper = REPOSITORY / "params" / "paper.yaml"
    before, after = (step_parameters(load(paper, {"seed": seed})) for seed in (0, 1))
    changed = {step for step in before if before[step] != after[step]}
    assert changed == {*("tuning", "alignment", "impact", "preference", "probes", "recognition")}


def changed_steps(profile, change):
    before = step_parameters(profile)
    change()
    after = step_parameters(profile)
    return {step for step in after if before[step] != after[step]}


def test_what_the_files_hold_counts(in_repository, tmp_path, monkeypatch):
    lexicon, table, model = tmp_path / "words.yaml", tmp_path / "regions.yaml", tmp_path / "model"
    model.mkdir()
    shutil.copy(REPOSITORY / PROFILE.dataset.simulate.lexicon, lexicon)
    table.write_text("late_language: [A5, STGa]\nprimary_auditory: [A1]\n")
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"weights")
    ceilings = tmp_path / "SIM01.npy"
    ceilings.write_bytes(b"0.5")
    profile = load(
        REPOSITORY / "params" / "smoke.yaml",
        {
            "dataset.simulate.lexicon": str(lexicon),
            "dataset.regions": str(table),
            "models.hubert-mini.path": str(model),
            "voxels.published": str(tmp_path),
        },
    )

    def changed(path, text):
        times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        path.write_text(text)
        os.utime(path, ns=times)  # as a copy that keeps times

    assert changed_steps(profile, lambda: None) == set()
    assert changed_steps(profile, lambda: changed(ceilings, "0.6")) == {"voxels"}
    assert changed_steps(profile, lambda: changed(lexicon, "other")) == DATASET_STEPS
    remark = "# a remark\n" + table.read_text()
    assert changed_steps(profile, lambda: changed(table, remark)) == set()
    smaller = "late_language: [A5]\nearly_auditory: [A1]\n"
    assert changed_steps(profile, lambda: changed(table, smaller)) == {"voxels"}
    for file in model.iterdir():
        step = {"models/hubert-mini"}
        assert changed_steps(profile, lambda file=file: changed(file, "other!!")) == step
    # the package's own table is the one in which the truth is planted
    monkeypatch.setattr(regions, "REGIONS", table)
    assert changed_steps(profile, lambda: changed(table, remark)) == DATASET_STEPS


def test_a_file_of_parameters_is_written_only_where_they_changed(in_repository, tmp_path):
    folder = tmp_path / "smoke" / "parameters"
    files = parameter_files(PROFILE, folder)
    assert files.keys() == step_parameters(PROFILE).keys()
    for step, path in files.items():
        written = json.loads(Path(path).read_text())
        assert written == json.loads(json.dumps(step_parameters(PROFILE)[step]))
    recorded = tmp_path / "smoke" / "profile.json"
    assert json.loads(recorded.read_text()) == to_dict(PROFILE)
    everything = [recorded, *map(Path, files.values())]
    for path in everything:
        os.utime(path, (1, 1))
    changed = load(REPOSITORY / "params" / "smoke.yaml", {"encoding.folds": 2})
    assert parameter_files(changed, folder) == files
    rewritten = {path for path in everything if path.stat().st_mtime != 1}
    assert rewritten == {recorded, Path(files["alignment"]), Path(files["impact"])}
    os.utime(recorded, (1, 1))
    parameter_files(changed, folder)
    assert recorded.stat().st_mtime == 1


# Stand-ins for what runs a notebook: they write what it would.
FAKES = {
    "jupytext": '#!/bin/bash\ncat "${@: -1}"\n',
    "papermill": """#!/bin/bash
grep --quiet "jupytext:" || exit 1
log="${@: -1}"; folder=$(dirname "$log"); step=$(basename "$log" .ipynb)
case "$step" in
  dataset) mkdir -p data/smoke/derivative; echo '{}' > data/smoke/derivative/respdict.json;;
  corpora) mkdir -p data/smoke_corpora/speech_commands
    date > data/smoke_corpora/speech_commands/testing_list.txt;;
  tuning) mkdir -p "$folder/model"
    date +%s%N | tee "$folder/model/model.safetensors" > "$folder/training.nc";;
  *) date +%s%N | tee "$folder/low_level_$step.nc" > "$folder/$step.nc";;
esac
echo "$@" >> calls
""",
}
OF_RESPONSES = ("alignment", "impact")
OF_MODEL_ALONE = ("representations", "preference", "probes", "recognition")
EVERY_RUN = {
    "smoke/dataset",
    "smoke/corpora",
    "smoke/SIM01/voxels",
    *(f"smoke/mini/pretrained/{step}" for step in OF_MODEL_ALONE),
    *(f"smoke/mini/SIM01/pretrained/{step}" for step in OF_RESPONSES),
    *(
        f"smoke/mini/SIM01/{condition}/{step}"
        for condition in ("brain-tuned", "block-permuted")
        for step in ("tuning", *OF_MODEL_ALONE, *OF_RESPONSES)
    ),
    *(
        f"smoke/mini/{condition}/{step}"
        for condition in ("big-slm", "stimulus-tuned")
        for step in ("tuning", *OF_MODEL_ALONE)
    ),
    *(
        f"smoke/mini/SIM01/{condition}/{step}"
        for condition in ("big-slm", "stimulus-tuned")
        for step in OF_RESPONSES
    ),
}
CONDITIONS = ["pretrained", "brain-tuned", "block-permuted", "big-slm", "stimulus-tuned"]


class Trial:
    """A copy of the repository in which a run takes no time."""

    def __init__(self, root):
        self.root = root
        self.environment = os.environ | {"PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        (root / "book").mkdir()
        (root / "bin").mkdir()
        (root / "weights").mkdir()
        (root / "Snakefile").symlink_to(REPOSITORY / "Snakefile")
        shutil.copytree(REPOSITORY / "book" / "runs", root / "book" / "runs")
        shutil.copytree(REPOSITORY / "params" / "lexicons", root / "params" / "lexicons")
        for name, script in FAKES.items():
            (root / "bin" / name).write_text(script)
            (root / "bin" / name).chmod(0o755)
        (root / "weights" / "config.json").write_text("{}")
        (root / "weights" / "model.safetensors").write_bytes(b"weights")
        (root / "regions.yaml").write_text("late_language: [A5, STGa]\nprimary_auditory: [A1]\n")
        self.write({})

    def write(self, overrides):
        """Have the smoke profile hold other values, and models and regions of its own."""
        parameters = to_dict(load(REPOSITORY / "params" / "smoke.yaml", overrides))
        del parameters["name"]
        parameters["dataset"]["regions"] = "regions.yaml"
        parameters["impact"]["regions"] = ["late_language"]
        parameters["models"] = {"mini": {"path": "weights", "revision": None}}
        parameters["models"] |= overrides.get("models", {})
        parameters["conditions"] = overrides.get("conditions", CONDITIONS)
        parameters["evaluations"] = [*OF_RESPONSES, *OF_MODEL_ALONE[1:]]
        (self.root / "params" / "smoke.yaml").write_text(yaml.safe_dump(parameters))

    def copy(self, root):
        """The same repository, with its results, elsewhere."""
        shutil.copytree(self.root, root, symlinks=True)
        other = copy.copy(self)
        other.root = root
        return other

    def snakemake(self, *options):
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock", *options]
        done = subprocess.run(
            [*command, "--config", "profile=smoke"],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def planned(self):
        """Runs that a workflow would execute now, by the notebooks that they would leave."""
        return set(re.findall(r"^    log: results/(\S+)\.ipynb$", self.snakemake("-n"), re.M))

    def calls(self):
        """Parameters of the runs executed so far, by their notebooks."""
        lines = (self.root / "calls").read_text().splitlines()
        found = [re.fullmatch(r"(.*) - results/(\S+)\.ipynb", line) for line in lines]
        return {match[2]: dict(re.findall(r"-r (\S+) (\S+)", match[1])) for match in found}


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """All runs are done."""
    trial = Trial(tmp_path_factory.mktemp("repository"))
    assert trial.planned() == EVERY_RUN
    assert not (trial.root / "data").exists()
    trial.snakemake()
    return trial


def test_every_run_is_executed_once_with_its_parameters(trial):
    calls = trial.calls()
    assert calls.keys() == EVERY_RUN
    assert len((trial.root / "calls").read_text().splitlines()) == len(EVERY_RUN)
    assert calls["smoke/dataset"] == {"profile": "smoke"}
    assert calls["smoke/SIM01/voxels"] == {"profile": "smoke", "participant": "SIM01"}
    pretrained = {"profile": "smoke", "model": "mini", "condition": "pretrained"}
    assert calls["smoke/mini/pretrained/representations"] == pretrained
    assert calls["smoke/mini/big-slm/tuning"] == pretrained | {"condition": "big-slm"}
    for step in ("tuning", "representations", "alignment"):
        assert calls[f"smoke/mini/SIM01/block-permuted/{step}"] == {
            "profile": "smoke",
            "model": "mini",
            "participant": "SIM01",
            "condition": "block-permuted",
        }


def of_steps(*steps):
    return {run for run in EVERY_RUN if run.rpartition("/")[2] in steps}


# What was tuned, on responses and otherwise; stimulus-tuning has parameters of its own.
TO_RESPONSES = {run for run in EVERY_RUN if "brain-tuned" in run or "block-permuted" in run}
TO_MODELS = {run for run in EVERY_RUN if "big-slm" in run}
TUNED = {run for run in EVERY_RUN if "/mini/" in run and "pretrained" not in run}
OF_VOXELS = {"smoke/SIM01/voxels"} | TO_RESPONSES | of_steps(*OF_RESPONSES)
OF_MODEL = {run for run in EVERY_RUN if "/mini/" in run}
OF_CORPORA = of_steps("probes", "recognition")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"voxels.ceiling": 0.5}, OF_VOXELS),
        ({"tuning.epochs": 2}, TUNED),
        ({"targets.text_lm.epochs": 2}, TO_MODELS),
        ({"stimulus.epochs": 2}, TUNED - TO_RESPONSES - TO_MODELS),
        ({"representation.stride": 0.5}, of_steps("representations", *OF_RESPONSES)),
        ({"encoding.folds": 2}, of_steps(*OF_RESPONSES)),
        ({"corpora.simulate.crema_d_actors": 6}, OF_CORPORA | {"smoke/corpora"}),
        (
            {"models": {"two": {"path": "organisation/two", "revision": "1"}}},
            {run.replace("/mini/", "/two/") for run in OF_MODEL},
        ),
        (
            {"models": {"mini": {"path": "weights", "revision": None, "tuning_stories": 2}}},
            OF_MODEL,
        ),
    ],
    ids=[
        "voxels",
        "tuning",
        "targets",
        "stimulus",
        "representation",
        "encoding",
        "corpora",
        "models",
        "tuning_stories",
    ],
)
def test_changed_parameters_make_outdated_runs_again_and_no_others(trial, overrides, expected):
    trial.write(overrides)
    assert trial.planned() == expected


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("regions.yaml", "late_language: [A5]\nearly_auditory: [A1]\n", OF_VOXELS),
        ("weights/model.safetensors", "others", OF_MODEL),
        ("book/runs/alignment.md", "jupytext: changed", of_steps(*OF_RESPONSES)),
    ],
)
def test_changed_files_make_outdated_runs_again_and_no_others(trial, file, text, expected):
    trial.write({})
    before = (trial.root / file).read_text()
    (trial.root / file).write_text(text)
    planned = trial.planned()
    (trial.root / file).write_text(before)
    assert planned == expected


def test_results_of_the_same_parameters_are_not_made_again(trial):
    """Also where the parameters were others in between, and where fewer runs are asked for."""
    trial.write({"tuning.epochs": 3})
    trial.snakemake("-n")
    trial.write({"conditions": ["pretrained", "brain-tuned"]})
    assert trial.planned() == set()


def test_a_workflow_that_was_interrupted_after_the_dataset_makes_the_rest(trial, tmp_path):
    """The dataset that was made again has the same table of stories, but other responses."""
    interrupted = trial.copy(tmp_path / "repository")
    interrupted.write({"dataset.simulate.noise_autocorrelation": 0.2})
    interrupted.snakemake("data/smoke/derivative/respdict.json")
    untouched = {"smoke/dataset", "smoke/corpora"} | {
        f"smoke/mini/pretrained/{step}" for step in ("probes", "recognition")
    }
    assert interrupted.planned() == EVERY_RUN - untouched


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """Commands that a workflow would start, of a repository where all that it needs is there."""
    Trial(tmp_path).write({"conditions": ["pretrained"]})
    started = []

    def run(command, **options):
        started.append((command, options))
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
    assert options["env"]["PATH"].startswith(str(Path(sys.executable).parent))
    run_workflow(tmp_path, "smoke", 1, 0, [])
    assert "--resources" not in commands[1][0]


def test_a_failed_run_is_an_error(commands, tmp_path, monkeypatch):
    monkeypatch.setattr(workflow, "run_to_end", lambda *_, **__: 3)
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
    assert "weights holds no model" in capsys.readouterr().err
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


def test_options_are_handed_on(commands):
    assert main(["run", "smoke", "--cores", "2", "--gpus", "1", "--", "--dry-run"]) == 0
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

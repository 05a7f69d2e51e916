"""One table of steps: what is planned, what is executed, and what outdates it."""

import re
import subprocess
import sys
from dataclasses import replace
from typing import get_args

import pytest
from trial_repository import OF_MODEL_ALONE, OF_RESPONSES, REPOSITORY, Trial

from bthelpers.params.loading import load
from bthelpers.params.settings import Condition, Evaluation
from bthelpers.workflow.steps import STEPS, PlannedRun, evaluation_runs, planned_runs

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


@pytest.mark.parametrize(
    ("profile", "counts"),
    [
        ("smoke", (1, 5, 1, 2, 1, 0, 13, 13, 6, 6, 6, 2, 2, 6, 6, 7, 6)),
        ("demo", (1, 1, 1, 0, 0, 0, 3, 3, 3, 0, 0, 0, 0, 3, 0, 0, 0)),
        ("paper", (8, 68, 32, 6, 1, 0, 115, 200, 158, 0, 0, 0, 0, 75, 0, 115, 61)),
        ("brainwavlm", (3, 18, 0, 1, 0, 0, 20, 9, 0, 0, 0, 20, 0, 0, 8, 8, 0)),
        ("brainwavlm_simulation", (3, 14, 0, 1, 0, 0, 16, 9, 0, 0, 0, 16, 0, 0, 8, 8, 0)),
        ("many", (8, 16, 0, 2, 2, 2, 24, 80, 0, 0, 0, 0, 24, 0, 0, 24, 0)),
        ("many_simulation", (3, 3, 0, 0, 0, 1, 5, 9, 0, 0, 0, 0, 5, 0, 0, 5, 0)),
    ],
)
def test_every_run_is_planned_once_and_after_what_it_needs(profile, counts):
    order = [name for name, step in STEPS.items() if step.per != "profile"]
    runs = planned_runs(load(REPOSITORY / f"params/{profile}.yaml"))
    assert tuple(sum(run.step == step for run in runs) for step in order) == counts
    assert len({file for run in runs for file in run.files}) == sum(
        len(STEPS[run.step].writes) for run in runs
    )
    steps = [run.step for run in runs]
    assert steps == sorted(steps, key=order.index)
    for position, run in enumerate(runs):
        assert {needed for needed in run.needs if needed.folder} <= set(runs[:position])


def test_a_control_needs_its_treatment_also_where_that_is_not_evaluated():
    profile = load(REPOSITORY / "params/simulation.yaml", {"conditions": ["block-permuted"]})
    tuned = [run for run in planned_runs(profile) if run.step in ("tuning", "control")]
    hubert = [run.folder for run in tuned if run.names["participant"] == "SIM02"]
    assert hubert == ["hubert-mini/SIM02/brain-tuned", "hubert-mini/SIM02/block-permuted"]
    assert not any("brain-tuned" in run.folder for run in evaluation_runs(profile))
    control = PlannedRun.of("control", "hubert-mini", "SIM02", "block-permuted")
    treatment = PlannedRun.of("tuning", "hubert-mini", "SIM02", "brain-tuned")
    assert control.needs == [PlannedRun("voxels", "SIM02"), treatment]


def test_planned_runs_are_those_of_the_workflow():
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--config", "profile=smoke"]
    listed = subprocess.run([*command, "--summary"], cwd=REPOSITORY, capture_output=True, text=True)
    outputs = {line.split("\t")[0] for line in listed.stdout.splitlines()[1:]}
    found = {o.removeprefix("results/smoke/") for o in outputs if o.startswith("results/")}
    runs = planned_runs(load(REPOSITORY / "params/smoke.yaml"))
    assert {file for run in runs for file in run.files} == found


def test_a_step_reads_what_other_steps_write_and_depends_on_parameters_that_there_are():
    profile = load(REPOSITORY / "params/smoke.yaml")
    for name, step in STEPS.items():
        assert set(step.reads) <= {*STEPS, *get_args(Condition), "model"}
        assert step.variant_of in (None, *STEPS)
        assert (REPOSITORY / f"book/runs/{step.notebook or name}.md").is_file()
    tuned = [condition for step in STEPS.values() for condition in step.tunes]
    assert sorted(["pretrained", *tuned]) == sorted(get_args(Condition))
    assert set(get_args(Evaluation)) <= STEPS.keys()
    evaluations = evaluation_runs(profile)
    assert len(set(evaluations)) == len(evaluations)
    assert set(evaluations) == {r for r in planned_runs(profile) if r.step in get_args(Evaluation)}


def test_a_run_reads_what_was_made_for_its_model_participant_and_condition():
    profile = load(REPOSITORY / "params/smoke.yaml")
    parameters = {name: f"{name}.json" for name in (*STEPS, "models/m")}

    def read(step, condition):
        run = PlannedRun.of(step, "m", "S", condition)
        notebook, *files = run.inputs(profile, parameters)
        assert notebook == f"book/runs/{STEPS[step].notebook or step}.md"
        return files

    root = "results/smoke"
    dataset, voxels = "data/smoke/derivative/respdict.json", f"{root}/S/voxels.nc"
    corpora = "data/smoke_corpora/speech_commands/testing_list.txt"
    tuned = [f"{{}}/{file}" for file in ("model/model.safetensors", "training.nc")]

    def weights(folder):
        return [file.format(f"{root}/m/{folder}") for file in tuned]

    assert read("voxels", "") == [dataset, "voxels.json"]
    assert read("tuning", "brain-tuned") == [voxels, "tuning.json", "models/m.json"]
    assert read("control", "block-permuted") == [
        *(voxels, *weights("S/brain-tuned")),
        *("control.json", "tuning.json", "models/m.json"),
    ]
    assert read("targets", "big-slm") == [dataset, "targets.json", "tuning.json", "models/m.json"]
    assert read("probes", "pretrained") == [corpora, "probes.json", "models/m.json"]
    assert read("probes", "text-lm") == [*weights("text-lm"), corpora, "probes.json"]
    assert read("probes", "brain-tuned")[:2] == weights("S/brain-tuned")
    everyone = replace(profile.dataset, participants=("S", "T"))
    transfer = PlannedRun.of("transfer", "m", "S", "brain-tuned")
    assert transfer.inputs(replace(profile, models={}, dataset=everyone), parameters) == [
        "book/runs/transfer.md",
        f"{root}/m/S/brain-tuned/representations.nc",
        voxels,
        f"{root}/T/voxels.nc",
        "transfer.json",
    ]
    assert read("minutes", "pretrained")[0] == f"{root}/m/pretrained/representations.nc"
    assert read("impact", "stimulus-tuned") == [
        f"{root}/m/stimulus-tuned/representations.nc",
        voxels,
        f"{root}/m/S/stimulus-tuned/alignment.nc",
        "impact.json",
    ]


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


def tuning_run(trial, *options, **more):
    """What Snakemake says of the run that brain-tunes, whose parameters have changed."""
    trial.write({"tuning.epochs": 4})
    jobs = trial.snakemake("-n", *options, **more).split("\n\n")
    [tuning] = [job for job in jobs if "mini/SIM01/brain-tuned/tuning.log" in job]
    return tuning


def test_a_cluster_is_told_what_a_run_takes(trial):
    tuning = tuning_run(trial)
    assert "priority: 2" in tuning
    assert "threads: " not in tuning  # one, on this machine
    assert re.search(r"resources: .*gpu=1, mem_mb=24000, .*runtime=2880", tuning)


@pytest.mark.parametrize(
    ("attempt", "memory", "minutes"), [(1, 24_000, 2880), (2, 48_000, 4000), (3, 50_000, 4000)]
)
def test_further_attempts_get_twice_as_much_up_to_what_there_is(trial, attempt, memory, minutes):
    most = "most={tuning: {gpu: 0, mem_mb: 50000, runtime: 4000}}"
    tuning = tuning_run(trial, "--cores=8", f"--attempt={attempt}", config=[most])
    assert "threads: 4" in tuning
    assert re.search(rf"gpu=0, mem_mb={memory}, .*runtime={minutes}", tuning)


def test_gpus_that_share_a_tuning_change_how_it_is_started_and_outdate_nothing(trial):
    shared = {"tuning.sharing": "window", "tuning.batch_trs": 8}
    trial.write(shared)
    outdated = trial.planned()
    trial.write(shared | {"gpus_per_tuning": 4})
    assert trial.planned() == outdated
    jobs = trial.snakemake("-n", "-p", "--cores=8").split("\n\n")
    [tuning] = [job for job in jobs if "mini/SIM01/brain-tuned/tuning.log" in job]
    assert "threads: 4" in tuning
    assert re.search(r"gpu=4, mem_mb=96000, .*runtime=2880", tuning)
    assert "--processes 4 " in "".join(jobs)
    [stimulus] = [job for job in jobs if "mini/stimulus-tuned/tuning.log" in job]
    assert re.search(r"gpu=1, mem_mb=24000", stimulus)


def test_whatever_reaches_the_shell_is_quoted():
    shell = (REPOSITORY / "Snakefile").read_text().partition("shell:")[2]
    found = re.findall(r"(?<!{){([^{}]*)}", shell)  # doubled braces are the shell's own
    assert found
    assert all(name.endswith(":q") for name in found)


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
        (
            {"representation.stride": 0.5},
            of_steps("representations", "linguistic_probes", *OF_RESPONSES),
        ),
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
        ("book/runs/alignment.md", "jupytext: changed", of_steps("alignment", "impact")),
    ],
)
def test_changed_files_make_outdated_runs_again_and_no_others(trial, file, text, expected):
    trial.write({})
    before = (trial.root / file).read_text()
    (trial.root / file).write_text(text)
    planned = trial.planned()
    (trial.root / file).write_text(before)
    assert planned == expected


def test_a_control_is_trained_after_its_treatment_and_anew_when_that_changes(trial, tmp_path):
    """Also where no result of the treatment is asked for."""
    lines = (trial.root / "calls").read_text().splitlines()
    [treatment], [control] = (
        [k for k, line in enumerate(lines) if line.endswith(f"SIM01/{condition}/tuning.ipynb")]
        for condition in ("brain-tuned", "block-permuted")
    )
    assert treatment < control
    changed = trial.copy(tmp_path / "repository")
    changed.write({"conditions": ["pretrained", "block-permuted"]})
    assert changed.planned() == set()
    (changed.root / "results/smoke/mini/SIM01/brain-tuned/training.nc").write_text("other")
    assert changed.planned() == {
        f"smoke/mini/SIM01/block-permuted/{step}"
        for step in ("tuning", *OF_MODEL_ALONE, *OF_RESPONSES)
    }


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


def test_corpora_that_are_linked_anew_outdate_nothing_and_simulated_ones_do():
    profile = load(REPOSITORY / "params/smoke.yaml")
    run = PlannedRun("probes", f"{next(iter(profile.models))}/pretrained")
    parameters = dict.fromkeys(["probes", f"models/{next(iter(profile.models))}"], "parameters")
    assert any("testing_list" in file for file in run.inputs(profile, parameters))
    published = replace(profile, corpora=replace(profile.corpora, simulate=None))
    assert not any("testing_list" in file for file in run.inputs(published, parameters))

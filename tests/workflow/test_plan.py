"""What a profile would compute, and what it takes."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.loading import load
from bthelpers.params.settings import ModelSettings
from bthelpers.workflow import plan
from bthelpers.workflow.plan import Cost, model_costs, plan_table, print_plan
from bthelpers.workflow.steps import STEPS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def smoke():
    return load(ROOT / "params/smoke.yaml", {"tuning.window": 2.0, "tuning.stretches_at_once": 2})


def test_what_is_done_is_not_counted_again(smoke, tmp_path):
    costs = {"hubert-mini": {"brain-tuned": Cost(2.0, 0.5), "representations": Cost(1.0, 0.1)}}
    figures = ["runs", "not there", "hours", "GB"]
    before = plan_table(smoke, costs, tmp_path).set_index(["model", "step"]).loc["hubert-mini"]
    assert before.loc["tuning", figures].tolist() == [1, 1, 2.0, 0.5]
    assert before.loc["representations", ["not there", "hours"]].tolist() == [6, 6.0]
    done = tmp_path / "hubert-mini/SIM01/brain-tuned/training.nc"
    done.parent.mkdir(parents=True)
    done.touch()
    half = plan_table(smoke, costs, tmp_path).set_index(["model", "step"]).loc["hubert-mini"]
    assert half.loc["tuning", "not there"] == 1  # the model itself is missing
    (done.parent / "model").mkdir()
    (done.parent / "model/model.safetensors").touch()
    after = plan_table(smoke, costs, tmp_path).set_index(["model", "step"]).loc["hubert-mini"]
    assert after.loc["tuning", figures].tolist() == [1, 0, 0, 0]
    assert after.loc["representations", "hours"] == 6.0


def test_steps_that_take_longer_than_a_cluster_is_asked_for_are_named(smoke):
    granted = STEPS["tuning"].minutes / 60
    costs = {
        "hubert-mini": {"brain-tuned": Cost(granted + 1, 0), "representations": Cost(1, 0)},
        "hubert-mini-2": {"brain-tuned": Cost(granted + 2, 0), "alignment": Cost(np.nan, 0)},
    }
    assert plan.too_short(smoke, costs) == {"tuning": granted + 2}
    assert plan.too_short(smoke, {"hubert-mini": {"brain-tuned": Cost(granted, 0)}}) == {}


def test_costs_grow_with_epochs_and_stories(smoke, tiny_encoder_folder, monkeypatch):
    monkeypatch.setattr(plan, "tuning_seconds", lambda *_: 3.0)
    monkeypatch.setattr(plan, "window_seconds", lambda *_: 0.5)
    encoder = SpeechEncoder.load(tiny_encoder_folder)
    rows = {f"story{k:02d}": 100 for k in range(1, 6)}
    costs = model_costs(encoder, smoke, "hubert-mini", rows, n_voxels=1000)
    # 3 training stories, 1 validation story, 1 epoch and one pass without gradients before it
    assert costs["brain-tuned"].hours == pytest.approx(3.0 * (300 + 100 / 3 + 300 / 3) / 3600)
    assert costs["block-permuted"] == costs["big-slm"] == costs["brain-tuned"]
    twice = replace(smoke, tuning=replace(smoke.tuning, epochs=2))
    more = model_costs(encoder, twice, "hubert-mini", rows, n_voxels=1000)["brain-tuned"].hours
    assert more - costs["brain-tuned"].hours == pytest.approx(3.0 * (300 + 100 / 3) / 3600)
    fewer = model_costs(encoder, smoke, "hubert-mini-2", rows, n_voxels=1000)
    assert fewer["brain-tuned"].hours == pytest.approx(3.0 * (200 + 100 / 3 + 200 / 3) / 3600)
    assert fewer["representations"] == costs["representations"]
    windows = (500 + 50) * 2.0045 / smoke.representation.stride  # sound is 20 s longer
    assert costs["representations"].hours == pytest.approx(0.5 * windows / 3600)
    # three layers with that of the input, 128 units
    n_trs = 500 + 5 * 15
    assert costs["representations"].gigabytes == pytest.approx(n_trs * 3 * 128 * 4 / 1e9)
    assert np.isnan(costs["alignment"].hours)


def test_tunings_without_responses_are_counted_with_their_own_epochs():
    smoke = load(
        ROOT / "params/smoke.yaml",
        {
            "tuning.sharing": "window",
            "tuning.window": 16.0,
            "tuning.standardize": False,
            "tuning.epochs": 2,
            "targets.text_lm.epochs": 20,
            "stimulus.epochs": 40,
        },
    )
    passes = plan.tuning_passes(smoke, "hubert-mini", {f"story{k:02d}": 90 for k in range(1, 6)})
    epoch = 3 * 90 + 90 / 3
    assert passes["brain-tuned"] == passes["big-slm"] == pytest.approx(2 * epoch)
    assert passes["text-lm"] == pytest.approx(20 * epoch)
    # A TR is a window of 16 s in brain-tuning, and 2.0045 s of one in stimulus-tuning.
    assert passes["stimulus-tuned"] == pytest.approx(40 * epoch * 2.0045 / 16)


def test_the_plan_of_the_paper_lists_every_run_of_the_workflow(tmp_path):
    for name in ("Snakefile", "params", "book"):
        (tmp_path / name).symlink_to(ROOT / name)
    published = tmp_path / "data/ds003020/derivative"
    published.mkdir(parents=True)
    (published / "respdict.json").write_text("{}")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "-n", "--config", "profile=paper"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    notebooks = re.findall(r"^    log: results/paper/(\S+)/(\w+)\.log$", done.stdout, re.M)
    expected = Counter((folder.split("/")[0], step) for folder, step in notebooks)

    table = plan_table(load(ROOT / "params/paper.yaml"), {}, tmp_path)
    listed, conditions = Counter(), set()
    for row in table.itertuples():
        step = STEPS[row.step].variant_of or row.step
        if row.model:
            listed[row.model, step] += row.runs
            conditions |= {(row.model, step, name) for name in row.conditions.split(", ")}
        else:
            listed |= {(f"UTS0{k}", step): 1 for k in range(1, 9)}
    assert listed == expected
    assert conditions == {
        (folder.split("/")[0], step, folder.split("/")[-1])
        for folder, step in notebooks
        if "/" in folder
    }
    assert {"targets", "control", "stimulus", "alignment", "impact"} <= {*table["step"]}


def test_the_time_of_a_whole_step_follows_from_one_and_two_passes(
    smoke, tiny_encoder_folder, monkeypatch
):
    times = iter([5.0, 7.0])  # 3 s for the optimiser, 2 s for each pass
    monkeypatch.setattr(plan, "seconds_of", lambda _: next(times))
    settings = replace(smoke.tuning, sharing="window", stretches_at_once=2, batch_trs=10)
    seconds = plan.tuning_seconds(SpeechEncoder.load(tiny_encoder_folder), settings, n_voxels=3)
    assert seconds == pytest.approx((3 + 5 * 2) / 10)


def test_noise_is_a_story_of_that_length():
    story = plan.noise_story(9, n_voxels=3)
    assert story.responses.shape == (len(story.times), 3) == (9, 3)
    assert story.times[-1] < len(story.waveform) / 16_000
    assert np.isfinite(story.waveform).all()


@pytest.fixture
def runnable(tiny_encoder_folder):
    profile = load(ROOT / "params/smoke.yaml", {"tuning.window": 2.0, "representation.window": 2.0})
    models = {"hubert-mini": ModelSettings(os.path.relpath(tiny_encoder_folder, ROOT), None)}
    return replace(profile, name="never_run", models=models)


def test_a_plan_that_can_be_run(runnable, capsys, monkeypatch):
    monkeypatch.setattr(plan, "ASSUMED_VOXELS", 10)
    assert print_plan(runnable, ROOT)
    printed = capsys.readouterr().out
    for step in ("voxels", "tuning", "representations", "alignment"):
        assert step in printed
    assert "total of what could be estimated" in printed
    assert "hours not estimated: voxels, alignment" in printed
    assert "\n- " not in printed
    assert "a cluster is asked for" not in printed
    monkeypatch.setattr(plan, "too_short", lambda *_: {"tuning": 50.02})
    assert print_plan(runnable, ROOT)
    expected = "tuning: a run takes 50.0 hours of cpu, and a cluster is asked for 48: "
    assert expected in capsys.readouterr().out


def test_a_plan_lists_all_that_is_missing(runnable, capsys, monkeypatch, tmp_path):
    models = {name: replace(m, path="no/model") for name, m in runnable.models.items()}
    dataset = replace(runnable.dataset, root=str(tmp_path / "none"), simulate=None)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=-1))
    assert not print_plan(replace(runnable, models=models, dataset=dataset), ROOT)
    problems = [line for line in capsys.readouterr().out.splitlines() if line.startswith("- ")]
    assert any("no model here" in line for line in problems)
    assert any("holds no dataset" in line for line in problems)
    assert any("GB are free: make room" in line for line in problems)


def test_a_model_that_does_not_fit_the_device_is_a_problem(runnable, capsys, monkeypatch):
    def too_large(*_):
        raise plan.torch.OutOfMemoryError

    monkeypatch.setattr(plan, "tuning_seconds", too_large)
    assert not print_plan(runnable, ROOT)
    printed = capsys.readouterr().out
    assert "hubert-mini does not fit cpu: lower `tuning.stretches_at_once`" in printed
    assert "NaN" in printed


def test_beside_runs_that_hold_all_gpus_a_plan_ends_in_one_line(runnable, capsys, monkeypatch):
    def held():
        raise RuntimeError("all 2 GPUs are in use by other runs")

    monkeypatch.setattr(plan, "claim_device", held)
    told = r"^nothing can be measured: all 2 GPUs are in use.*CUDA_VISIBLE_DEVICES= \(empty\)$"
    with pytest.raises(SystemExit, match=told):
        print_plan(runnable, ROOT)
    assert capsys.readouterr().out == ""


def test_measured_times_are_those_of_the_second_execution(monkeypatch):
    clock = iter([10.0, 12.5])
    monkeypatch.setattr(plan.time, "perf_counter", lambda: next(clock))
    done = []
    assert plan.seconds_of(lambda: done.append(1)) == 2.5
    assert len(done) == 2


def test_tuning_without_responses_is_planned_once_for_all_and_estimated(smoke, tmp_path):
    conditions = ("pretrained", "big-slm", "stimulus-tuned")
    profile = replace(smoke, conditions=conditions)
    costs = {"hubert-mini": {"big-slm": Cost(2.0, 0.5), "stimulus-tuned": Cost(3.0, 0.5)}}
    table = plan_table(profile, costs, tmp_path).set_index(["model", "step"]).loc["hubert-mini"]
    assert "tuning" not in table.index
    for step, condition, hours in (("targets", "big-slm", 2), ("stimulus", "stimulus-tuned", 3)):
        assert table.loc[step, ["conditions", "runs", "hours"]].tolist() == [condition, 1, hours]
    assert np.isnan(table.loc["alignment", "hours"])

"""What a profile would compute, what that takes, and what is missing for it.

``bthelpers plan PROFILE`` lists the runs that are to be done with their dependencies, the disk
that they fill, and the hours of this machine's device that they take, estimated from one measured
step of tuning and one measured batch of windows per model. It has no estimate of what hangs on the
processor or on corpora, and says so. It names steps that take longer than a cluster is asked for.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bthelpers.core.files import free_bytes
from bthelpers.core.timing import SAMPLE_RATE, TR, response_times
from bthelpers.encoding.representations import pooled_windows, windows_at_once
from bthelpers.models.devices import claim_device
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.settings import Profile, RepresentationSettings
from bthelpers.params.tuning import TuningSettings
from bthelpers.results.store import Results
from bthelpers.tuning.brain_tuning import BrainTuning
from bthelpers.tuning.examples import TuningStory
from bthelpers.workflow import preflight
from bthelpers.workflow.steps import STEPS, TUNED_BY, PlannedRun, planned_runs

ASSUMED_VOXELS = 50_000  # that a participant's model is tuned towards, until they were selected
BYTES = 4  # of float32
# Tuning keeps weights, best weights and the optimiser's two moments of all of them.
CHECKPOINT_COPIES = 4


@dataclass(frozen=True)
class Cost:
    """What one run takes.

    Attributes
    ----------
    hours : float
        Of the device.
    gigabytes : float
        Of results that stay on the disk.
    """

    hours: float
    gigabytes: float


UNKNOWN = Cost(math.nan, math.nan)


def noise(seconds: float) -> np.ndarray:
    """Noise in place of sound."""
    return np.random.default_rng(0).normal(size=round(seconds * SAMPLE_RATE)).astype(np.float32)


def noise_story(n_trs: int, n_voxels: int, interval: float = TR) -> TuningStory:
    """Noise in place of sound and of the responses to it, `interval` seconds apart."""
    times = response_times(20 + n_trs)[0] + interval * np.arange(n_trs)
    responses = np.random.default_rng(1).normal(size=(n_trs, n_voxels)).astype(np.float32)
    return TuningStory("noise", noise(times[-1] + 1), times, responses)


def tuning_seconds(
    encoder: SpeechEncoder, settings: TuningSettings, n_voxels: int, interval: float = TR
) -> float:
    """Time per TR of an optimiser step, measured on noise.

    A step with one forward and backward pass is timed, and one with two: the difference is what
    each further pass of a whole step takes.
    """
    trs_per_pass = settings.trs_per_segment * settings.stretches_at_once
    n_trs = 2 * trs_per_pass + math.ceil(settings.window / interval)
    story = noise_story(n_trs, n_voxels, interval)
    stories = {"noise": [story]}
    run = BrainTuning(encoder, stories, stories, settings, seed=0)
    segments, rng = run.training.segments([0]), np.random.default_rng(0)
    one, two = (
        seconds_of(
            partial(run.trainer.step, ("noise", segments[-n * settings.stretches_at_once :]), rng)
        )
        for n in (1, 2)
    )
    n_passes = math.ceil(settings.batch_trs / trs_per_pass)
    return (one + (n_passes - 1) * max(two - one, 0)) / (n_passes * trs_per_pass)


def window_seconds(encoder: SpeechEncoder, settings: RepresentationSettings) -> float:
    """Time per window of extracting representations, measured on a batch of noise."""
    frames = encoder.frames(noise(settings.window + 1))
    at_once = windows_at_once(encoder, settings)
    token_windows = np.tile([[0, encoder.n_tokens(settings.window)]], (at_once.number, 1))
    batch = partial(pooled_windows, encoder, frames, token_windows, settings, at_once)
    return seconds_of(batch) / len(token_windows)


def seconds_of(work: Callable[[], object]) -> float:
    """Time of the second of two executions; results are read, so that a GPU has finished."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def tuning_passes(profile: Profile, model: str, rows: dict[str, int]) -> dict[str, float]:
    """TRs that one tuning under each condition goes through, as many times as it does.

    Tuning is counted with all of its epochs; one that stops early, and its control, take less. A
    pass without gradients is counted as a third of one with them. Stimulus-tuning, whose windows do
    not overlap, is counted by the sound that goes through the transformer. Each participant of a
    joint tuning goes through all stories. What refitting takes is not counted.
    """
    tuning, targets, splits = (
        profile.tuning_of(model),
        profile.targets,
        profile.tuning_splits(model),
    )
    train, validation = (
        sum(rows[story] for story in stories) for stories in (splits.train, splits.validation)
    )
    epochs = dict.fromkeys(TUNED_BY, tuning.epochs) | {
        condition: source.epochs for condition, source in targets.text_models.items() if source
    }
    passes = {
        condition: number * (train + validation / 3) + tuning.standardize * train / 3
        for condition, number in epochs.items()
    }
    passes["jointly-tuned"] += (len(profile.jointly) - 1) * tuning.epochs * train
    n_trs, interval = tuning.trs_per_segment, profile.dataset.interval
    heard = (tuning.window + (n_trs - 1) * interval) / n_trs  # seconds that go through for a TR
    stimulus = profile.stimulus.epochs * (train + validation / 3) * interval / heard
    return passes | {"stimulus-tuned": stimulus}


def model_costs(
    encoder: SpeechEncoder, profile: Profile, model: str, rows: dict[str, int], n_voxels: int
) -> dict[str, Cost]:
    """What one run takes for a model, on the encoder's device: by step or, of tunings, condition.

    Every tuning is counted as if its targets were so many voxels. The time of the alignment, which
    hangs on the processor, is not estimated.
    """
    splits, tuning = profile.dataset.splits, profile.tuning_of(model)
    interval = profile.dataset.interval
    seconds = tuning_seconds(encoder, tuning, n_voxels, interval)
    n_rows, n_stories = sum(rows[story] for story in splits.stories), len(splits.stories)
    windows = (n_rows + 10 * n_stories) * interval / profile.representation.stride
    n_layers = encoder.n_layers + 1
    features = (n_rows + 15 * n_stories) * n_layers * encoder.hidden_size
    return {
        **{
            condition: Cost(passes * seconds / 3600, encoder.n_weights * BYTES / 1e9)
            for condition, passes in tuning_passes(profile, model, rows).items()
        },
        "representations": Cost(
            windows * window_seconds(encoder, profile.representation) / 3600,
            features * BYTES / 1e9,
        ),
        "alignment": Cost(math.nan, 2 * n_layers * n_voxels * BYTES / 1e9),
    }


def plan_table(profile: Profile, costs: dict[str, dict[str, Cost]], results: Path) -> pd.DataFrame:
    """Runs by step and model: how many, how many are still to be done, and what these take.

    Parameters
    ----------
    profile : Profile
    costs : dict of dict of Cost
        By model, and then as `model_costs` returns.
    results : Path
        Folder of the profile's results.

    Returns
    -------
    DataFrame
        Columns step, model, conditions, runs, not there, needs, hours, GB; NaN where there is no
        estimate.
    """
    table = []
    alike = groupby(planned_runs(profile), lambda run: (run.step, run.names.get("model", "")))
    for (step, model), group in alike:
        runs = list(group)
        absent = [run for run in runs if not all((results / file).is_file() for file in run.files)]
        conditions = dict.fromkeys(run.names.get("condition", "") for run in runs)
        table.append(
            {
                "step": step,
                "model": model,
                "conditions": ", ".join(conditions),
                "runs": len(runs),
                "not there": len(absent),
                "needs": ", ".join(STEPS[step].reads).replace("model", "model as tuned"),
                "hours": sum(_cost(run, costs).hours for run in absent),
                "GB": sum(_cost(run, costs).gigabytes for run in absent),
            }
        )
    return pd.DataFrame(table)


def too_short(profile: Profile, costs: dict[str, dict[str, Cost]]) -> dict[str, float]:
    """Steps of which a run takes longer than a cluster is asked for, and the hours of the longest.

    Parameters are as of `plan_table`.
    """
    longest: dict[str, float] = {}
    for run in planned_runs(profile):
        hours = _cost(run, costs).hours  # NaN, of what is not estimated, is never longer
        if 60 * hours > max(STEPS[run.step].minutes, 60 * longest.get(run.step, 0)):
            longest[run.step] = hours
    return longest


def _cost(run: PlannedRun, costs: dict[str, dict[str, Cost]]) -> Cost:
    names, tunes = run.names, STEPS[run.step].tunes
    key = names["condition"] if tunes else run.step
    return costs.get(names.get("model"), {}).get(key, UNKNOWN)


def selected_voxels(profile: Profile, results: Path) -> int:
    """Voxels that a model is tuned towards: the most of any participant, if selected already."""
    counts = [
        int(Results(results).voxels(participant)["tuned"].sum())
        for participant in profile.dataset.participants
        if (results / participant / "voxels.nc").is_file()
    ]
    return max(counts, default=ASSUMED_VOXELS)


def print_plan(profile: Profile, repository: Path) -> bool:
    """Print the plan to standard output, and last what is missing; returns whether nothing is."""
    results = repository / "results" / profile.name
    problems = preflight.problems(profile, repository)
    n_voxels = selected_voxels(profile, results)
    device = _free_device()
    print(f"profile {profile.name}: up to {n_voxels:,} voxels per participant; device: {device}")
    costs, checkpoint = {}, 0.0
    for name, model in profile.models.items():
        print(f"measuring {name}", file=sys.stderr, flush=True)
        path = model.path if model.revision else repository / model.path
        try:
            rows = preflight.story_rows(profile, repository)
            encoder = SpeechEncoder.load(path, model.revision, device)
            costs[name] = model_costs(encoder, profile, name, rows, n_voxels)
        except ValueError as error:
            problems.append(f"no estimate for {name}: {error}")
        except torch.OutOfMemoryError:
            problems.append(
                f"{name} does not fit {device}: lower `tuning.stretches_at_once`, or choose a"
                " smaller model"
            )
        else:
            head = 3 * encoder.hidden_size * n_voxels
            weights = CHECKPOINT_COPIES * encoder.n_weights + head
            checkpoint = max(checkpoint, 2 * weights * BYTES / 1e9)  # twice while it is replaced
    table = plan_table(profile, costs, results)
    print(table.round(2).to_string(index=False))
    print(
        f"total of what could be estimated: {table['hours'].sum():.1f} hours of {device},"
        f" {table['GB'].sum():.1f} GB, and {checkpoint:.1f} GB while tuning"
    )
    if unknown := table.loc[table["hours"].isna(), "step"].unique().tolist():
        print(f"hours not estimated: {', '.join(unknown)}")
    for step, hours in too_short(profile, costs).items():
        print(
            f"{step}: a run takes {hours:.1f} hours of {device}, and a cluster is asked for"
            f" {STEPS[step].minutes / 60:g}: if it has no faster one, give `runtime` of {step} in"
            " profiles/slurm/config.yaml"
        )
    problems += _space(table["GB"].sum() + checkpoint, results)
    for problem in dict.fromkeys(problems):
        print(f"- {problem}")
    return not problems


def _free_device() -> torch.device:
    """What is measured on; a SystemExit where other runs hold all GPUs."""
    try:
        return claim_device()
    except RuntimeError as error:
        raise SystemExit(
            f"nothing can be measured: {error}, or plan once one is free; for the hours of the"
            " processor, set CUDA_VISIBLE_DEVICES= (empty)"
        ) from error


def _space(needed: float, results: Path) -> list[str]:
    """Whether the disk of the results holds so many gigabytes more."""
    free = free_bytes(results) / 1e9
    if free >= needed:
        return []
    return [f"{results}: {needed:.1f} GB are needed, {free:.1f} GB are free: make room"]

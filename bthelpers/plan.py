"""What a profile would compute, what that takes, and what is missing for it.

``bthelpers plan PROFILE`` lists the runs that are to be done with their dependencies, the disk
that they fill, and the hours of this machine's device that they take, estimated from one measured
step of tuning and one measured batch of windows per model.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bthelpers import preflight
from bthelpers.dataset import Dataset, DatasetError
from bthelpers.devices import claim_device
from bthelpers.examples import TuningStory
from bthelpers.front_ends import SAMPLE_RATE
from bthelpers.params import Profile
from bthelpers.representations import window_features
from bthelpers.results import Results
from bthelpers.speech import ModelError, SpeechEncoder
from bthelpers.timing import TR, response_times
from bthelpers.tuning import TuningRun

ASSUMED_VOXELS = 50_000  # that a participant's model is tuned towards, until they were selected
MEASURED_WINDOWS = 32
BYTES = 4  # of float32
# Tuning keeps weights, best weights and the optimiser's two moments of all of them.
CHECKPOINT_COPIES = 4
NEEDS = {
    "voxels": ("dataset",),
    "tuning": ("voxels",),
    "representations": ("tuning, or dataset for the pretrained model",),
    "alignment": ("representations", "voxels"),
}


@dataclass(frozen=True)
class PlannedRun:
    """One run of a profile.

    Attributes
    ----------
    step : str
        A key of `NEEDS`.
    model : str
        '' for a step that concerns no model.
    output : str
        Its data file, from the folder of results.
    """

    step: str
    model: str
    output: str


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


def planned_runs(profile: Profile) -> list[PlannedRun]:
    """All runs of a profile but the making of a simulated dataset, in the order of their steps."""
    participants = profile.dataset.participants
    tuned = [condition for condition in profile.conditions if condition != "pretrained"]
    runs = [PlannedRun("voxels", "", f"{participant}/voxels.nc") for participant in participants]
    for model in profile.models:
        folders = [f"{model}/{participant}" for participant in participants]
        in_tuned = [f"{folder}/{condition}" for folder in folders for condition in tuned]
        runs += [PlannedRun("tuning", model, f"{folder}/training.nc") for folder in in_tuned]
        owners = [f"{model}/pretrained", *in_tuned]
        runs += [
            PlannedRun("representations", model, f"{owner}/representations.nc") for owner in owners
        ]
        runs += [
            PlannedRun("alignment", model, f"{folder}/{condition}/alignment.nc")
            for folder in folders
            for condition in profile.conditions
        ]
    order = list(NEEDS)
    return sorted(runs, key=lambda run: order.index(run.step))


def story_rows(profile: Profile, repository: Path) -> dict[str, int]:
    """Response rows of each story, from the dataset or, before it is simulated, from its length."""
    spec = profile.dataset.simulate
    if spec is not None:
        return {story: int(60 * m / TR) for story, m in spec.story_minutes.items()}
    dataset = Dataset(repository / profile.dataset.root)
    return {s: len(dataset.response_times(s)) for s in profile.dataset.splits.stories}


def noise_story(seconds: float, n_voxels: int) -> TuningStory:
    """Noise in place of sound and responses, of at least the given length."""
    rng = np.random.default_rng(0)
    times = response_times(20 + max(1, int(seconds / TR)))
    waveform = rng.normal(size=round((times[-1] + 1) * SAMPLE_RATE)).astype(np.float32)
    responses = rng.normal(size=(len(times), n_voxels)).astype(np.float32)
    return TuningStory("noise", waveform, times, responses)


def tuning_seconds(encoder: SpeechEncoder, profile: Profile, n_voxels: int) -> float:
    """Time per TR of a step of tuning, measured on noise."""
    settings = profile.tuning
    story = noise_story(settings.window + 2 * settings.stretches_at_once * TR, n_voxels)
    run = TuningRun(encoder, [story], [story], settings, seed=0)
    batch = run.training.stretches([0])[-settings.stretches_at_once :]
    return _seconds(lambda: run.step(batch)) / sum(len(stretch.rows) for stretch in batch)


def window_seconds(encoder: SpeechEncoder, profile: Profile) -> float:
    """Time per window of extracting representations, measured on noise."""
    settings = profile.representation
    story = noise_story(settings.window + MEASURED_WINDOWS * settings.stride, 1)
    times = window_features(encoder, story.waveform, settings)[1]  # also the warming-up
    return _seconds(lambda: window_features(encoder, story.waveform, settings)) / len(times)


def _seconds(work: Callable[[], object]) -> float:
    """Time of the second of two executions; results are read, so that a GPU has finished."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def model_costs(
    encoder: SpeechEncoder, profile: Profile, rows: dict[str, int], n_voxels: int
) -> dict[str, Cost]:
    """What one run of each step takes for a model, on the encoder's device.

    Tuning is counted with all of its epochs; one that stops early takes less. A pass without
    gradients is counted as a third of one with them.
    """
    splits, tuning = profile.dataset.splits, profile.tuning
    train, validation, test = (
        sum(rows[story] for story in stories)
        for stories in (splits.train, splits.validation, splits.test)
    )
    passes = tuning.epochs * (train + validation / 3) + train / 3
    windows = (train + test) * TR / profile.representation.stride
    weights = sum(parameter.numel() for parameter in encoder.model.parameters())
    features = (train + test) * (encoder.n_layers + 1) * encoder.hidden_size
    scores = (encoder.n_layers + 1) * n_voxels
    return {
        "tuning": Cost(
            passes * tuning_seconds(encoder, profile, n_voxels) / 3600,
            weights * BYTES / 1e9,
        ),
        "representations": Cost(
            windows * window_seconds(encoder, profile) / 3600, features * BYTES / 1e9
        ),
        "alignment": Cost(0.0, scores * BYTES / 1e9),
    }


def plan_table(profile: Profile, costs: dict[str, dict[str, Cost]], results: Path) -> pd.DataFrame:
    """Runs by step and model: how many, how many are still to be done, and what these take.

    Parameters
    ----------
    profile : Profile
    costs : dict of dict of Cost
        By model and step.
    results : Path
        Folder of the profile's results.

    Returns
    -------
    DataFrame
        Columns step, model, runs, to do, needs, hours, GB.
    """
    table = []
    runs = planned_runs(profile)
    for step, model in dict.fromkeys((run.step, run.model) for run in runs):
        chosen = [run for run in runs if (run.step, run.model) == (step, model)]
        to_do = sum(not (results / run.output).is_file() for run in chosen)
        cost = costs.get(model, {}).get(step, Cost(0.0, 0.0))
        table.append(
            {
                "step": step,
                "model": model,
                "runs": len(chosen),
                "to do": to_do,
                "needs": ", ".join(NEEDS[step]),
                "hours": to_do * cost.hours,
                "GB": to_do * cost.gigabytes,
            }
        )
    return pd.DataFrame(table)


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
    device = claim_device()
    print(f"profile {profile.name}: up to {n_voxels:,} voxels per participant; device: {device}")
    costs, weights = {}, 0
    try:
        rows = story_rows(profile, repository)
        for name, model in profile.models.items():
            print(f"measuring {name}", file=sys.stderr, flush=True)
            path = model.path if model.revision else repository / model.path
            encoder = SpeechEncoder.load(path, model.revision, device)
            costs[name] = model_costs(encoder, profile, rows, n_voxels)
            weights = max(weights, sum(p.numel() for p in encoder.model.parameters()))
    except (ModelError, DatasetError) as error:
        problems.append(f"no estimate: {error}")
    except torch.OutOfMemoryError:
        problems.append(f"{name} does not fit {device}: lower `tuning.stretches_at_once`")
    table = plan_table(profile, costs, results)
    print(table.round(2).to_string(index=False))
    print(f"total: {table['hours'].sum():.1f} hours of this device, {table['GB'].sum():.1f} GB")
    problems += _space(table["GB"].sum() + weights * BYTES * CHECKPOINT_COPIES / 1e9, results)
    for problem in dict.fromkeys(problems):
        print(f"- {problem}")
    return not problems


def _space(needed: float, results: Path) -> list[str]:
    """Whether the disk of the results holds so many gigabytes more."""
    folder = next(parent for parent in (results, *results.parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free / 1e9
    if free >= needed:
        return []
    return [f"{folder}: {needed:.1f} GB are needed, {free:.1f} GB are free: make room"]

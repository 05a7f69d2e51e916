"""Invented results of probes and of recognition, which tests of tables and of figures share."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr

from bthelpers.params.loading import load, to_dict
from bthelpers.results.store import Results, result_folder, write_dataset
from bthelpers.results.tasks import (
    load_downstream,
    load_linguistic_probes,
    load_low_level,
    load_recognition,
)

SMOKE = Path(__file__).parents[1] / "params" / "smoke.yaml"
PARTICIPANTS = ["SIM02", "SIM01"]
CONDITIONS = ["pretrained", "brain-tuned", "big-slm"]
TASKS, N_LAYERS, N_DRAWS = ["action", "emotion"], 3, 100
SPLITS = ["train", "validation", "test"]


def invented_probes(rng, *scores):
    """Scores of probes; draws lie about them, so that they hold each other's labels."""
    shape = len(TASKS), N_LAYERS + 1
    run = xr.Dataset(coords={"task": TASKS, "layer": np.arange(N_LAYERS + 1), "split": SPLITS})
    for score in scores:
        values = rng.uniform(0.2, 0.8, shape)
        draws = values[..., None] + rng.normal(0, 0.05, (*shape, N_DRAWS))
        run[score] = ("task", "layer"), values
        run[f"{score}_draws"] = ("task", "layer", "draw"), draws.astype(np.float32)
        run[f"naive_{score}"] = "task", np.array([0.03, 0.11])
    return run.assign(
        C=(("task", "layer"), 10.0 ** rng.integers(-3, 2, shape)),
        n_constant_features=(("task", "layer"), rng.integers(0, 3, shape)),
        n_clips=(("task", "split"), [[90, 30, 30], [60, 20, 25]]),
        n_outputs=("task", [46, 6]),
        n_constant=("task", [0, 0]),
        n_untested=("task", [1, 0]),
    )


def invented_recognition(rng):
    wer = rng.uniform(0.3, 1.2)
    return xr.Dataset(
        {
            "wer": wer,
            "accuracy": 1 - wer,
            "wer_draws": ("draw", (wer + rng.normal(0, 0.05, N_DRAWS)).astype(np.float32)),
            "n_clips": ("split", [90, 30, 30]),
            "n_words": 210,
            "n_infeasible": 1,
            "n_infeasible_training": 2,
            "validation_wer": ("epoch", rng.uniform(0.3, 1.2, 4)),
        },
        {"split": SPLITS},
    )


def invented_linguistic_probes(rng):
    """Of a dataset whose words have no categories."""
    run = invented_probes(rng, "accuracy").rename(task="probe")
    named = run.assign_coords(probe=["phone", "category"])
    return named.where(named["probe"] == "phone")


STEPS = {
    "linguistic_probes": invented_linguistic_probes,
    "probes": lambda rng: invented_probes(rng, "f1_macro", "f1_weighted"),
    "low_level_probes": lambda rng: invented_probes(rng, "r2"),
    "recognition": invented_recognition,
}
LOADERS = {
    "linguistic_probes": load_linguistic_probes,
    "probes": load_downstream,
    "low_level_probes": load_low_level,
    "recognition": load_recognition,
}


def write_results(root):
    """Results of one model, and the runs that were written there, by file."""
    profile = load(SMOKE, {"dataset.participants": PARTICIPANTS, "conditions": CONDITIONS})
    model = next(iter(profile.models))
    (root / "profile.json").write_text(json.dumps(to_dict(profile)))
    rng, runs = np.random.default_rng(0), {}
    for step, participant, condition in product(STEPS, PARTICIPANTS, CONDITIONS):
        file = root / result_folder(model, participant, condition, step) / f"{step}.nc"
        if file not in runs:
            runs[file] = STEPS[step](rng)
            write_dataset(runs[file], file, {"dataset": "invented corpora"})
    return Results(root), model, runs

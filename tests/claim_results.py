"""Invented results in which every claim can be tested, which tests of claims share."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import xarray as xr

from bthelpers.encoding.low_level import JOINT
from bthelpers.params.loading import load, to_dict
from bthelpers.params.settings import Condition, ModelSettings
from bthelpers.results.store import Results

REPOSITORY = Path(__file__).parents[1]
PARTICIPANTS = ["SIM02", "SIM01"]
CONDITIONS = list(get_args(Condition))
TASKS = ["action", "sentence type", "phones", "word", "emotion"]
REGIONS = ["late_language", "primary_auditory"]
FEATURES = [*JOINT, "joint"]
N_LAYERS = 5  # transformer layers; with their input, one more
N_DRAWS = 40
MODEL = "hubert-mini"
HALF = "hubert-half"
FEW = "hubert-few"
PARAMETERS = {MODEL: 4000, FEW: 4000, HALF: 1500, "whisper-mini": 4000}
MODELS = {
    MODEL: ModelSettings("a", None),
    HALF: ModelSettings(
        "b",
        None,
        conditions=("pretrained", "brain-tuned"),
        evaluations=("alignment", "impact", "probes"),
        variant_of=MODEL,
    ),
    FEW: ModelSettings(
        "a",
        None,
        conditions=("brain-tuned",),
        evaluations=("alignment", "probes"),
        tuning_stories=2,
        variant_of=MODEL,
    ),
    "whisper-mini": ModelSettings(
        "c", None, conditions=("pretrained", "brain-tuned"), evaluations=("alignment",)
    ),
}


class ReadOnce(Results):
    """Results that do not change: each file is read once."""

    open = cache(Results.open)


def drawn(rng, name, draws, dims, low=0.3, high=0.6):
    """Values and draws about them, under two names."""
    values = rng.uniform(low, high, [len(names) for names in dims.values()])
    around = values[..., None] + rng.normal(0, 0.02, (*values.shape, N_DRAWS))
    return xr.Dataset({name: (tuple(dims), values), draws: ((*dims, "draw"), around)}, coords=dims)


def invented(step, model, rng):
    layers = {"layer": np.arange(N_LAYERS + 1)}
    if step == "alignment":
        run = drawn(rng, "alignment", "draws", layers | {"region": REGIONS})
        return run.assign(n_parameters=PARAMETERS[model])
    if step == "impact":
        return drawn(
            rng, "alignment", "draws", {"feature": FEATURES} | layers | {"region": REGIONS}, 0, 0.2
        )
    if step == "preference":
        kinds, words = ["semantic", "phonetic", "random"], ["cat", "dog"]
        distances = drawn(rng, "distance", "draws", layers | {"kind": kinds, "word": words})
        return drawn(rng, "preference", "draws", layers).assign(
            distance=distances["distance"],
            distance_draws=distances["draws"].mean("word"),
            n_spoken=("word", [3, 4]),
        )
    if step == "recognition":
        counts = dict.fromkeys(["n_words", "n_infeasible", "n_infeasible_training"], 9)
        run = drawn(rng, "wer", "wer_draws", {})
        return run.assign(accuracy=1 - run["wer"], n_clips=("split", [5, 5, 5]), **counts)
    of_probes = {"probes": ("f1_macro", TASKS), "low_level_probes": ("r2", ["mfcc", "fbank"])}
    score, tasks = of_probes[step]
    run = drawn(rng, score, f"{score}_draws", {"task": tasks} | layers)
    if step == "probes":
        run = run.assign(f1_weighted=run["f1_macro"], f1_weighted_draws=run["f1_macro_draws"])
        naive = ("task", np.linspace(0.05, 0.25, len(tasks)))
        run = run.assign(naive_f1_macro=naive, naive_f1_weighted=naive)
    # Seven speakers of some corpora, and six of others.
    n_drawn = np.repeat(7 - np.arange(len(tasks))[:, None] % 2, N_DRAWS, axis=1)
    run = run.assign_coords(n_drawn=(("task", "draw"), n_drawn))
    counts = dict.fromkeys(["n_outputs", "n_constant", "n_untested"], ("task", [4] * len(tasks)))
    return run.assign(
        n_constant_features=(("task", "layer"), np.zeros((len(tasks), N_LAYERS + 1), int)),
        n_clips=(("task", "split"), np.full((len(tasks), 3), 7)),
        **counts,
    )


def write_profile(root, models):
    changes = {
        "dataset.participants": PARTICIPANTS,
        "conditions": CONDITIONS,
        "targets.big_text_lm": {"path": "big", "revision": None, "layer_step": 1, "epochs": 1},
        "impact.features": FEATURES,
        "impact.regions": REGIONS,
        "evaluations": ["alignment", "impact", "preference", "probes", "recognition"],
    }
    profile = replace(load(REPOSITORY / "params" / "smoke.yaml", changes), models=models)
    (root / "profile.json").write_text(json.dumps(to_dict(profile)))
    return profile

"""Invented results of semantic and phonetic preference, of tests of tables and of figures."""

import json
from pathlib import Path

import numpy as np
import xarray as xr

from bthelpers.params.loading import load, to_dict
from bthelpers.results.store import Results, write_dataset
from bthelpers.tasks.preference import KINDS

SMOKE = Path(__file__).parents[1] / "params" / "smoke.yaml"
PARTICIPANTS, CONDITIONS, N_DRAWS = ["SIM02", "SIM01"], ["pretrained", "brain-tuned"], 300
WORDS = ["cat", "dog", "fog"]


def invented_run(rng, words=WORDS):
    distance = rng.uniform(0.2, 0.9, (8, 3, len(words)))
    draws = rng.uniform(0.2, 0.9, (8, 3, N_DRAWS))
    return xr.Dataset(
        {
            "preference": ("layer", (distance[:, 0] - distance[:, 1]).mean(axis=1)),
            "draws": (("layer", "draw"), draws[:, 0] - draws[:, 1]),
            "distance": (("layer", "kind", "word"), distance),
            "distance_draws": (("layer", "kind", "draw"), draws),
            "n_spoken": ("word", np.arange(len(words)) + 2),
            "semantic": ("word", words),
        },
        {"layer": range(8), "kind": list(KINDS), "word": words, "draw": range(N_DRAWS)},
    )


def write_preferences(root):
    """Results of one model, and the runs that were written there."""
    profile = load(SMOKE, {"dataset.participants": PARTICIPANTS, "conditions": CONDITIONS})
    model = next(iter(profile.models))
    rng = np.random.default_rng(0)
    runs = {"pretrained": invented_run(rng), **{p: invented_run(rng) for p in PARTICIPANTS}}
    (root / "profile.json").write_text(json.dumps(to_dict(profile)))
    write_dataset(runs["pretrained"], root / model / "pretrained" / "preference.nc", {})
    for participant in PARTICIPANTS:
        write_dataset(
            runs[participant], root / model / participant / "brain-tuned/preference.nc", {}
        )
    return Results(root), model, runs

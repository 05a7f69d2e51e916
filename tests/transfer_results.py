"""Invented results of BrainWavLM and of many participants, with known gains, which tests share."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from bthelpers.params.loading import load, to_dict
from bthelpers.results.runs import BASELINE, TUNED
from bthelpers.results.store import Results, write_dataset

PARAMS = Path(__file__).parents[1] / "params"
MADE = {"dataset": "Simulated", "date": "2026-01-31T12:00:00+00:00", "commit": "0123456789"}
MODEL = "hubert-mini"
PEOPLE = ["SIM01", "SIM02", "SIM03"]
REGIONS = ["cortex", "auditory_cortex", "rest_of_cortex", "left_hemisphere", "right_hemisphere"]
N_DRAWS, N_BLOCKS = 60, 12
PRETRAINED = xr.DataArray(
    np.outer([1.0, 1.5, 0.8], [0.10, 0.20, 0.08, 0.10, 0.10]),
    {"participant": PEOPLE, "region": REGIONS},
    ("participant", "region"),
)
# Gains of r of a participant's own model, in percent, by tuning and region.
GAINS = {
    TUNED: [12, 4, 14, 13, 12],
    "big-text-lm": [4, 1, 5, 4, 4],
    "without LoRA": [8, 3, 9, 8, 8],
    "auditory cortex": [2, 9, 1, 2, 2],
    "rest of cortex": [14, 2, 16, 14, 14],
    "left hemisphere": [11, 3, 12, 14, 9],
    "right hemisphere": [9, 3, 10, 7, 12],
}
VARIANTS = {
    "hubert-full": "without LoRA",
    "hubert-auditory": "auditory cortex",
    "hubert-rest": "rest of cortex",
    "hubert-left": "left hemisphere",
    "hubert-right": "right hemisphere",
}
TO_OTHERS = 0.5  # share of a gain that others have who share the meaning: SIM01 and SIM02
EPOCHS = 6
SHARING = ("SIM01", "SIM02")


def profile_of(name, root, **changes):
    profile = load(PARAMS / f"{name}.yaml")
    profile = replace(profile, name="smoke", **changes)
    root.mkdir(parents=True)
    (root / "profile.json").write_text(json.dumps(to_dict(profile)))
    return profile


def transferred(gain, tuned_to, rng):
    """What a model predicts of everyone; `tuned_to` is None where it is one for all."""
    share = [
        1 if name == tuned_to or tuned_to is None else TO_OTHERS * ({name, tuned_to} == {*SHARING})
        for name in PEOPLE
    ]
    r = PRETRAINED * (1 + np.outer(share, gain) / 100)
    draws = r.values[..., None] * (1 + 0.002 * rng.normal(size=(*r.shape, N_DRAWS)))
    return xr.Dataset(
        {
            "r": r,
            "alignment": r * 2,
            "r_draws": (("participant", "region", "draw"), draws),
        },
        {"draw": np.arange(N_DRAWS), "n_drawn": ("draw", np.full(N_DRAWS, N_BLOCKS))},
    )


def training(label):
    """Validation r that rises to 0.2, in smooth steps with LoRA and in rough ones without."""
    rising = np.linspace(0.1, 0.2, EPOCHS)
    rough = 0.1 * (-1) ** np.arange(EPOCHS) if label == "without LoRA" else 0
    return xr.Dataset(
        {
            "validation_loss": ("epoch", -(rising + rough)),
            "training_loss": ("epoch", -rising),
            "kept_epoch": EPOCHS - 1,
            "pretrained_loss": -0.09,
        }
    )


def write_tunings(root):
    """Results of the profile of BrainWavLM's simulation."""
    profile = profile_of("brainwavlm_simulation", root)
    for model in profile.models:
        rng = np.random.default_rng(0)
        for condition in profile.conditions_of(model):
            label = VARIANTS.get(model, condition)
            people = profile.participants_of(model) if condition == TUNED else [None]
            for tuned_to in people:
                gain = [0] * len(REGIONS) if label == BASELINE else GAINS[label]
                folder = root.joinpath(*filter(None, (model, tuned_to, condition)))
                write_dataset(transferred(gain, tuned_to, rng), folder / "transfer.nc", MADE)
                if condition == TUNED:
                    write_dataset(training(label), folder / "training.nc", MADE)
    return Results(root)


N_STORIES, ORDERS, LONGEST = [2, 4, 8, 16], 3, {"heard": 4, "unheard": 3}
N_DRAWS = 20
LANGUAGE, AUDITORY = "late_language", "primary_auditory"
# By what a model was tuned to: alignment after so many stories, of the pretrained model's best.
CURVES = {
    BASELINE: [0.4, 0.6, 0.8, 1.0],
    "own": [0.8, 1.0, 1.1, 1.2],
    "other": [0.5, 0.8, 1.0, 1.1],
    "jointly-tuned": [1.0, 1.2, 1.4, 1.5],
}


def minutes(kind, tuned_to=None):
    """Curves of everyone; brain-tuned ones are `other` for those whom it was not tuned to."""
    dims = ("participant", "stories", "order", "n_stories", "region")
    curves = np.full((3, 2, ORDERS, 4, 2), np.nan)
    for person, name in enumerate(PEOPLE):
        which = kind if kind in CURVES else ("own" if name == tuned_to else "other")
        for k, n in enumerate(LONGEST.values()):
            spread = 0.01 * np.arange(-1, 2)[:, None]
            language = 0.3 * (1 + 0.1 * person) * (np.array(CURVES[which])[:n] + spread)
            auditory = (0.475 if kind == "jointly-tuned" else 0.5) + spread + np.zeros(n)
            curves[person, k, :, :n] = np.stack([language, auditory], -1)
    known = np.isfinite(curves[..., 0])
    spent = np.where(known, 4.0 * np.array(N_STORIES), np.nan)
    blocks = 1 + 0.02 * np.random.default_rng(0).normal(size=N_DRAWS)  # the same for all models
    return xr.Dataset(
        {
            "alignment": (dims, curves),
            "draws": ((*dims, "draw"), curves[..., None] * blocks),
            "r": (dims, curves / 2),
            "minutes": (dims[:-1], spent),
        },
        {
            "n_drawn": ("draw", np.full(N_DRAWS, 8)),
            "participant": PEOPLE,
            "stories": list(LONGEST),
            "n_stories": N_STORIES,
            "region": [LANGUAGE, AUDITORY],
        },
    )


def write_minutes(root):
    """Results of the profile of the simulation of many participants."""
    profile = profile_of("many_simulation", root)
    for condition in profile.conditions_of(MODEL):
        for tuned_to in profile.dataset.participants if condition == TUNED else [None]:
            folder = root.joinpath(*filter(None, (MODEL, tuned_to, condition)))
            write_dataset(minutes(condition, tuned_to), folder / "minutes.nc", MADE)
    return Results(root)

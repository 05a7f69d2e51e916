"""Invented alignment of known numbers, which tests of several results share."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from bthelpers.params.loading import load, to_dict
from bthelpers.params.settings import ModelSettings
from bthelpers.results.store import write_dataset

SMOKE = Path(__file__).parents[1] / "params" / "smoke.yaml"
PARTICIPANTS = ["SIM02", "SIM01"]
CONDITIONS = ["pretrained", "block-permuted", "brain-tuned"]
MODEL = "hubert-mini"
REGIONS = ["late_language", "early_auditory"]
N_LAYERS = 3
N_DRAWS = 200
N_VOXELS = 30
MADE = {"dataset": "Invented", "date": "2026-01-31T12:00:00+00:00", "commit": "0123456789"}
MADE |= {"device": "a processor", "version_bthelpers": "0"}
ABOVE = np.arange(4, 24)  # voxels above the ceiling's threshold


def write_results(root, participants=PARTICIPANTS, conditions=CONDITIONS):
    """A results folder of known numbers; returns the alignments that were written to it."""
    rng = np.random.default_rng(0)
    profile = replace(
        load(
            SMOKE,
            {
                "dataset.participants": participants,
                "conditions": conditions,
                "models.wav2vec2-mini.participants": participants,
            },
        ),
        models={MODEL: ModelSettings("mini", None)},
    )
    root.mkdir(parents=True)
    (root / "profile.json").write_text(json.dumps(to_dict(profile)))
    written = {}
    for participant in participants:
        ceiling = rng.uniform(0.3, 0.9, N_VOXELS)
        masks = np.stack([np.arange(N_VOXELS) < 12, np.arange(N_VOXELS) >= 12])
        voxels = xr.Dataset(
            {"ceiling": ("voxel", ceiling), "regions": (("region", "voxel"), masks)},
            coords={"region": REGIONS},
        )
        write_dataset(voxels, root / participant / "voxels.nc", {})
        for condition in conditions:
            written[participant, condition] = run = xr.Dataset(
                {
                    "r": (("layer", "voxel"), rng.uniform(-0.2, 0.9, (N_LAYERS + 1, len(ABOVE)))),
                    "alignment": (("layer", "region"), rng.uniform(0.2, 0.6, (N_LAYERS + 1, 2))),
                    "draws": (
                        ("layer", "region", "draw"),
                        rng.uniform(0.1, 0.7, (N_LAYERS + 1, 2, N_DRAWS)),
                    ),
                },
                coords={
                    "layer": np.arange(N_LAYERS + 1),
                    "voxel": ABOVE,
                    "region": REGIONS,
                    "draw": np.arange(N_DRAWS),
                },
            )
            path = root / MODEL / participant / condition / "alignment.nc"
            write_dataset(run, path, MADE)
    return written

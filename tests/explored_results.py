"""Invented results of one participant with surfaces, for maps to explore."""

import json
from dataclasses import replace

import numpy as np
import xarray as xr
from anatomy_dataset import PARTICIPANT, VOXEL_SIZE_MM, write_anatomy
from impact_results import SMOKE

from bthelpers.data.dataset import Dataset
from bthelpers.explorer.catalogue import Catalogue
from bthelpers.params.loading import load, to_dict
from bthelpers.params.settings import ModelSettings
from bthelpers.results.store import Results, write_dataset

MODEL = "hubert-mini"
CONDITIONS = ["pretrained", "brain-tuned", "block-permuted"]
N_LAYERS = 4
DROPPED = 7  # every so manieth voxel is below the threshold of the noise ceiling
ATTRS = {"dataset": "Invented <script>alert(1)</script>", "date": "2026-01-01", "commit": "0" * 40}


def write_profile(results, participants=(PARTICIPANT,)):
    smoke = load(SMOKE)
    profile = replace(
        smoke,
        dataset=replace(smoke.dataset, participants=participants),
        models={MODEL: ModelSettings("mini", None)},
        conditions=tuple(CONDITIONS),
    )
    results.root.mkdir(parents=True, exist_ok=True)
    (results.root / "profile.json").write_text(json.dumps(to_dict(profile)))


def write_runs(results, n_voxels, rng, participant=PARTICIPANT):
    """Write ceilings, and r and p of all conditions; residuals of all but the permuted one."""
    ceiling = rng.uniform(0.3, 0.9, n_voxels)
    write_dataset(
        xr.Dataset({"ceiling": ("voxel", ceiling)}),
        results.root / participant / "voxels.nc",
        ATTRS,
    )
    voxel = np.flatnonzero(np.arange(n_voxels) % DROPPED)
    labels = {"layer": np.arange(N_LAYERS), "voxel": voxel}
    for condition in CONDITIONS:
        folder = results.root / MODEL / participant / condition
        r = rng.uniform(-0.1, 0.5, (N_LAYERS, len(voxel))).astype(np.float32)
        p = rng.integers(1, 1001, r.shape) / 1001
        p[:, : len(voxel) // 2] = 1 / 1001
        alignment = xr.Dataset({"r": (("layer", "voxel"), r), "p": (("layer", "voxel"), p)}, labels)
        write_dataset(alignment, folder / "alignment.nc", ATTRS)
        if condition != "block-permuted":
            left = xr.DataArray(
                r[None] * rng.uniform(0, 1, (1, *r.shape)),
                labels | {"feature": ["joint"]},
                ("feature", "layer", "voxel"),
            )
            write_dataset(xr.Dataset({"r": left}), folder / "impact.nc", ATTRS)


def invented_catalogue(folder, voxel_size_mm=VOXEL_SIZE_MM):
    """A catalogue of invented results on the surfaces of a simulated participant."""
    results = Results(folder / "results")
    write_profile(results)
    dataset = Dataset(folder / results.profile().dataset.root)
    n_voxels = write_anatomy(dataset.root, 1, voxel_size_mm)
    write_runs(results, n_voxels, np.random.default_rng(0))
    return Catalogue(results, lambda results, participant: dataset)

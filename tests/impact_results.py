"""Invented low-level impact of known numbers, which tests of tables, maps and figures share."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from bthelpers.params.loading import load, to_dict
from bthelpers.params.settings import ModelSettings
from bthelpers.results.store import Results, write_dataset

SMOKE = Path(__file__).parents[1] / "params" / "smoke.yaml"
PARTICIPANTS = ["SIM02", "SIM01"]
CONDITIONS = ["pretrained", "block-permuted", "brain-tuned"]
MODEL = "hubert-mini"
REGIONS = ["late_language", "primary_auditory"]
FEATURES = ["power_spectrum", "diphones", "triphones", "articulation", "joint"]
N_LAYERS, N_DRAWS = 4, 300


def invented(rng, *leading):
    """Alignments clearly above 0; ``leading`` are further dimensions."""
    shape = (*(len(names) for _, names in leading), N_LAYERS, len(REGIONS))
    dims = (*(dim for dim, _ in leading), "layer", "region")
    return xr.Dataset(
        {
            "alignment": (dims, rng.uniform(0.2, 0.5, shape)),
            "draws": ((*dims, "draw"), rng.uniform(0.1, 0.6, (*shape, N_DRAWS))),
        },
        coords=dict(leading) | {"layer": np.arange(N_LAYERS), "region": REGIONS},
    )


def write_results(root):
    """Results of known numbers, and these by participant and condition."""
    rng = np.random.default_rng(0)
    profile = replace(
        load(SMOKE, {"dataset.participants": PARTICIPANTS, "conditions": CONDITIONS}),
        models={MODEL: ModelSettings("mini", None)},
    )
    (root / "profile.json").write_text(json.dumps(to_dict(profile)))
    runs = {}
    for participant in PARTICIPANTS:
        for condition in CONDITIONS:
            other = invented(rng, ("feature", FEATURES))
            residual = invented(rng, ("feature", FEATURES)).assign(
                floor_alignment=other["alignment"], floor_draws=other["draws"]
            )
            pair = invented(rng), residual
            runs[participant, condition] = pair
            for step, run in zip(("alignment", "impact"), pair, strict=True):
                path = root / MODEL / participant / condition / f"{step}.nc"
                write_dataset(run, path, {})
    return Results(root), runs


EVALUATED = np.arange(2, 30)  # voxels, of forty


def write_voxels(results, rng):
    """Correlations of single voxels, in the runs, and the regions of two participants.

    Returns
    -------
    dict
        Original (voxel) and residual (feature, voxel) correlations, mean over layers, by
        participant and condition.
    """
    masks = np.array([np.arange(40) % 2 == 0, np.arange(40) % 2 == 1, np.arange(40) > 20])
    labels = {"region": ["late_language", "primary_auditory", "early_auditory"]}
    means = {}
    for participant in PARTICIPANTS:
        voxels = xr.Dataset({"regions": (("region", "voxel"), masks)}, labels)
        write_dataset(voxels, results.root / participant / "voxels.nc", {})
        for condition in CONDITIONS:
            folder = results.root / MODEL / participant / condition
            r = rng.uniform(0, 0.6, (N_LAYERS, 40))
            left = rng.uniform(-0.1, 0.3, (len(FEATURES), N_LAYERS, len(EVALUATED)))
            before = xr.Dataset({"r": (("layer", "voxel"), r)}, {"voxel": np.arange(40)})
            coordinates = {"feature": FEATURES, "voxel": EVALUATED}
            after = xr.Dataset({"r": (("feature", "layer", "voxel"), left)}, coordinates)
            write_dataset(before, folder / "alignment.nc", {})
            write_dataset(after, folder / "impact.nc", {})
            means[participant, condition] = r[1:, EVALUATED].mean(axis=0), left[:, 1:].mean(axis=1)
    return means


def write_negative_draw(written):
    """Let an alignment have a draw below 0, so that its impact, a ratio, is not defined."""
    results, runs = written
    original, _ = runs["SIM01", "block-permuted"]
    original["draws"][..., 0] = -1.0
    path = results.root / MODEL / "SIM01" / "block-permuted" / "alignment.nc"
    write_dataset(original, path, {})


def drop_in_percent(original, residual):
    return 100 * (original - residual) / original


def invented_alignment(values, draws, layers=(1, 2)):
    """Alignment (feature, layer, region) or (layer, region) of given values, and draws."""
    dims = ("feature", "layer", "region")[-np.ndim(values) :]
    labels = {"feature": ["x", "y", "z"], "layer": list(layers), "region": ["language", "auditory"]}
    coords = {dim: labels[dim][: np.shape(values)[place]] for place, dim in enumerate(dims)}
    return xr.Dataset({"alignment": (dims, values), "draws": ((*dims, "draw"), draws)}, coords)

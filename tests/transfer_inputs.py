"""Participants whose responses follow one meaning or another, and models that represent them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from bthelpers.encoding.inputs import EncodingInputs, StoryResponses, delayed_features
from bthelpers.params.loading import load

PROFILE = load(Path(__file__).parents[1] / "params" / "smoke.yaml")
ENCODING = replace(PROFILE.encoding, fir_delays=(1, 2), alphas=(-3, 3, 7), folds=3)
STORIES = [f"story{k}" for k in range(8)]
TEST = "test"
N_ROWS = 75  # of each story, of which responses lose the first 10 and the last 5
N_VOXELS = 12


def features(values):
    """Features (story x tr, feature) as one layer at all TRs."""
    stories = np.repeat([*STORIES, TEST], N_ROWS)
    return xr.DataArray(values.astype(np.float32), {"story": ("tr", stories)}, ("tr", "feature"))


def meaning(seed, n_dimensions=4):
    rng = np.random.default_rng([9, seed])
    return rng.normal(size=((len(STORIES) + 1) * N_ROWS, n_dimensions))


def model_of(latent, clarity, n_features=10, seed=0):
    """Features that hold so much of a meaning, beside noise."""
    rng = np.random.default_rng([7, seed])
    weights = rng.normal(size=(latent.shape[1], n_features))
    return features(clarity * latent @ weights + rng.normal(size=(len(latent), n_features)))


def inputs_of(latent, noise=1.0, seed=0):
    """Responses that follow a meaning, delayed; two regions, of which one overlaps the other."""
    rng, source = np.random.default_rng([5, seed]), features(latent)
    weights = rng.normal(size=(2 * latent.shape[1], N_VOXELS))

    def respond(stories):
        X = delayed_features(source, stories, (1, 2))
        Y = X @ weights / np.sqrt(len(weights)) + noise * rng.normal(size=(len(X), N_VOXELS))
        rows = np.repeat(stories, len(X) // len(stories)).tolist()
        return StoryResponses(stories, Y.astype(np.float32), rows)

    masks = np.arange(N_VOXELS) < [[4], [N_VOXELS]]
    return EncodingInputs(
        respond(STORIES),
        respond([TEST]),
        np.linspace(0.5, 1, N_VOXELS),
        xr.DataArray(masks, {"region": ["few", "all"]}, ("region", "voxel")),
        ENCODING,
        PROFILE.statistics,
        seed=0,
    )

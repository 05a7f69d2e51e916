import shutil

import numpy as np
import pytest
import xarray as xr
from claim_results import MODELS, PARTICIPANTS, ReadOnce, invented, write_profile

from bthelpers.claims.papers.iclr2025 import CLAIMS
from bthelpers.claims.verdicts import evaluate_claims
from bthelpers.results.store import Results, result_folder, write_dataset


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Results in which every claim can be tested of HuBERT. To be read only."""
    root = tmp_path_factory.mktemp("results")
    rng = np.random.default_rng(0)
    profile = write_profile(root, MODELS)
    for model, participant, condition in profile.runs:
        steps = list(profile.evaluations_of(model))
        for step in [*steps, *(["low_level_probes"] if "probes" in steps else [])]:
            file = root / result_folder(model, participant, condition, step) / f"{step}.nc"
            if not file.is_file():
                made = {"dataset": "Simulated by a test"}
                write_dataset(invented(step, model, rng), file, made)
    for participant in PARTICIPANTS:
        above = xr.Dataset({"above": ("voxel", rng.random(40_000) < 0.9)})
        write_dataset(above, root / participant / "voxels.nc", {})
    return ReadOnce(root)


@pytest.fixture
def copied(written, tmp_path):
    """The same results, to be changed."""
    return Results(shutil.copytree(written.root, tmp_path / "results"))


@pytest.fixture(scope="module")
def published(written):
    return evaluate_claims(written, CLAIMS)

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from alignment_results import ABOVE, MODEL, N_VOXELS

from bthelpers.core.errors import ResultsError
from bthelpers.results.maps import drawing_dataset, mean_r, voxel_alignment, whole_brain
from bthelpers.results.store import ENVIRONMENT, Results, write_dataset
from bthelpers.workflow.recorded import compact


def test_voxels_keep_their_places(results, written):
    values = voxel_alignment(results, MODEL, "SIM01", "brain-tuned")
    ceiling = results.voxels("SIM01")["ceiling"].values
    mean = written["SIM01", "brain-tuned"]["r"].values[1:].mean(axis=0)
    np.testing.assert_allclose(values, mean / ceiling[ABOVE])
    brain = whole_brain(values, N_VOXELS)
    assert brain.shape == (N_VOXELS,)
    np.testing.assert_allclose(brain[ABOVE], values)
    assert np.isnan(np.delete(brain, ABOVE)).all()


def test_a_record_has_the_same_voxels_as_its_run(written):
    run = written["SIM01", "brain-tuned"]
    kept = compact(run)
    assert "r" not in kept
    assert mean_r(kept).dims == ("voxel",)
    np.testing.assert_allclose(mean_r(kept), run["r"].values[1:].mean(axis=0))
    xr.testing.assert_identical(mean_r(kept).rename(None), mean_r(run).rename(None))


def write_ceiling(root, participant, ceiling):
    write_dataset(xr.Dataset({"ceiling": ("voxel", ceiling)}), root / participant / "voxels.nc", {})


def test_records_are_drawn_on_surfaces_of_the_same_voxels(results, tmp_path, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, str(results.root))
    root = Path("..") / results.profile().dataset.root
    ceiling = results.voxels("SIM01")["ceiling"].values
    assert drawing_dataset(results, "SIM01").root == root
    write_ceiling(tmp_path, "SIM01", ceiling + np.linspace(-0.005, 0.005, N_VOXELS))
    assert drawing_dataset(Results(tmp_path, recorded=True), "SIM01").root == root


@pytest.mark.parametrize("other", ["another participant", "other voxels", "other ceilings"])
def test_records_of_other_voxels_are_not_drawn(results, tmp_path, monkeypatch, other):
    monkeypatch.setenv(ENVIRONMENT, str(results.root))
    ceiling = results.voxels("SIM01")["ceiling"].values
    participant = "SIM09" if other == "another participant" else "SIM01"
    one_differs = ceiling + 0.02 * (np.arange(N_VOXELS) == 7)
    changed = {"other voxels": ceiling[1:], "other ceilings": one_differs}
    write_ceiling(tmp_path, participant, changed.get(other, ceiling))
    message = rf"maps of {participant} are drawn on the surfaces of profile smoke.*`make book`"
    with pytest.raises(ResultsError, match=message):
        drawing_dataset(Results(tmp_path, recorded=True), participant)

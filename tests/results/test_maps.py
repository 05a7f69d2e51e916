from pathlib import Path

import impact_results
import numpy as np
import pytest
import xarray as xr
from alignment_results import ABOVE, MODEL, N_VOXELS

from bthelpers.core.errors import ResultsError
from bthelpers.results.maps import (
    drawing_dataset,
    mean_r,
    voxel_alignment,
    voxel_impact_change,
    whole_brain,
)
from bthelpers.results.store import ENVIRONMENT, Results, read_dataset, write_dataset
from bthelpers.workflow.recorded import compact, write_record


def test_voxels_keep_their_places(results, written):
    values = voxel_alignment(results, MODEL, "SIM01", "brain-tuned")
    ceiling = results.voxels("SIM01")["ceiling"].values
    mean = written["SIM01", "brain-tuned"]["r"].values[1:].mean(axis=0)
    np.testing.assert_allclose(values, mean / ceiling[ABOVE])
    brain = whole_brain(values, N_VOXELS)
    assert brain.shape == (N_VOXELS,)
    np.testing.assert_allclose(brain[ABOVE], values)
    assert np.isnan(np.delete(brain, ABOVE)).all()


@pytest.mark.parametrize("earlier", [False, True])
def test_maps_are_drawn_from_records_too(written, tmp_path, earlier):
    """Also from those of an earlier version, which hold the mean over layers alone."""
    run = written["SIM01", "brain-tuned"]
    kept = compact(run)
    if earlier:
        kept = kept.drop_vars("r").assign(mean_r=run["r"][1:].mean("layer"))
    write_record(kept, tmp_path / "record.nc")
    drawn = mean_r(read_dataset(tmp_path / "record.nc"))
    assert drawn.dims == ("voxel",)
    np.testing.assert_array_equal(drawn["voxel"], run["voxel"])
    np.testing.assert_allclose(drawn, run["r"].values[1:].mean(axis=0), atol=5.1e-5)


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


@pytest.mark.parametrize("kept", [lambda run: run, compact], ids=["results", "recorded"])
def test_changes_of_voxels_are_those_of_ratios(tmp_path, kept):
    """Of ten voxels, 1, 4, 5, 6 and 8 were evaluated; 9 is in no region of interest."""
    results, _ = impact_results.write_results(tmp_path)
    rng = np.random.default_rng(1)
    evaluated, aligned = [1, 4, 5, 6, 8], np.arange(1, 10)
    tiny = {("pretrained", 4): 0.04, ("brain-tuned", 4): -0.3, ("brain-tuned", 8): 0.0}
    before, after = {}, {}
    for condition in impact_results.CONDITIONS:
        r = rng.uniform(0.1, 0.6, (impact_results.N_LAYERS, len(aligned)))
        residual = rng.uniform(
            -0.1, 0.6, (len(impact_results.FEATURES), impact_results.N_LAYERS, len(evaluated))
        )
        for voxel in evaluated:
            if (condition, voxel) in tiny:
                r[:, voxel - 1] = tiny[condition, voxel]
            before[condition, voxel] = np.mean([r[layer, voxel - 1] for layer in (1, 2, 3)])
            place = impact_results.FEATURES.index("joint"), slice(1, None), evaluated.index(voxel)
            after[condition, voxel] = np.mean(residual[place])
        folder = results.root / MODEL / "SIM01" / condition
        alignment = xr.Dataset({"r": (("layer", "voxel"), r)}, {"voxel": aligned})
        write_dataset(kept(alignment), folder / "alignment.nc", {})
        coordinates = {"feature": impact_results.FEATURES, "voxel": evaluated}
        impact = xr.Dataset({"r": (("feature", "layer", "voxel"), residual)}, coordinates)
        write_dataset(kept(impact), folder / "impact.nc", {})
    of_region = {"late_language": [1, 4, 8], "primary_auditory": [5], "early_auditory": [5, 6]}
    masks = [np.isin(np.arange(10), members) for members in [*of_region.values(), [9]]]
    voxels = xr.Dataset(
        {"regions": (("region", "voxel"), masks)}, {"region": [*of_region, "elsewhere"]}
    )
    write_dataset(voxels, results.root / "SIM01" / "voxels.nc", {})

    found = voxel_impact_change(results, MODEL, "SIM01").sel(feature="joint")
    assert found["change"]["voxel"].values.tolist() == evaluated
    for voxel, change in zip(evaluated, found["change"].values, strict=True):
        both = [(condition, voxel) for condition in ("brain-tuned", "pretrained")]
        if min(before[one] for one in both) < 0.05:
            assert np.isnan(change)
        else:
            tuned, pretrained = (
                impact_results.drop_in_percent(before[one], after[one]) for one in both
            )
            assert change == pytest.approx(tuned - pretrained)
    assert dict(zip(found["region"].values, found["masked"].values, strict=True)) == {
        "late_language": 2,
        "primary_auditory": 0,
        "early_auditory": 0,
    }
    assert found["voxels"].values.tolist() == [3, 1, 2]

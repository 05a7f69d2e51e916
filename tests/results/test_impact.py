import json
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from drawn_figures import bars_and_errors

from bthelpers.core.errors import ResultsError
from bthelpers.figures.alignment import FEATURE_TITLES, impact_bars
from bthelpers.params.loading import load, to_dict
from bthelpers.params.settings import ModelSettings
from bthelpers.results.impact import impact_change_table, load_impacts
from bthelpers.results.maps import voxel_impact_change
from bthelpers.results.store import Results, write_dataset
from bthelpers.workflow.recorded import compact

mpl.use("Agg")
SMOKE = Path(__file__).parents[2] / "params" / "smoke.yaml"
PARTICIPANTS = ["SIM02", "SIM01"]
CONDITIONS = ["pretrained", "block-permuted", "brain-tuned"]
MODEL = "hubert-mini"
REGIONS = ["late_language", "primary_auditory"]
FEATURES = ["diphones", "joint"]
N_LAYERS, N_DRAWS = 4, 300


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


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


@pytest.fixture
def written(tmp_path):
    """Results of known numbers, and these by participant and condition."""
    rng = np.random.default_rng(0)
    profile = replace(
        load(SMOKE, {"dataset.participants": PARTICIPANTS, "conditions": CONDITIONS}),
        models={MODEL: ModelSettings("mini", None)},
    )
    (tmp_path / "profile.json").write_text(json.dumps(to_dict(profile)))
    runs = {}
    for participant in PARTICIPANTS:
        for condition in CONDITIONS:
            pair = invented(rng), invented(rng, ("feature", FEATURES))
            runs[participant, condition] = pair
            for step, run in zip(("alignment", "impact"), pair, strict=True):
                path = tmp_path / MODEL / participant / condition / f"{step}.nc"
                write_dataset(run, path, {})
    return Results(tmp_path), runs


def drop_in_percent(original, residual):
    return 100 * (original - residual) / original


def test_impacts_are_of_means_over_layers(written):
    results, runs = written
    impacts = load_impacts(results, MODEL)
    dims = ("participant", "condition", "feature", "region")
    assert dict(zip(dims, (PARTICIPANTS, CONDITIONS, FEATURES, REGIONS), strict=True)) == {
        dim: list(impacts[dim].values) for dim in dims
    }
    for (participant, condition), (original, residual) in runs.items():
        chosen = impacts.sel(participant=participant, condition=condition)
        for name, found in (("alignment", chosen["impact"]), ("draws", chosen["draws"])):
            before = original[name].values[1:].mean(axis=0)
            after = residual[name].values[:, 1:].mean(axis=1)
            np.testing.assert_allclose(
                found.transpose("feature", "region", ...), drop_in_percent(before, after)
            )


def test_changes_are_paired_by_draw(written):
    impacts = load_impacts(written[0], MODEL)
    table = impact_change_table(impacts, "joint", "late_language")
    assert list(table.index) == [
        (condition, participant) for condition in CONDITIONS[:2] for participant in PARTICIPANTS
    ]
    for (condition, participant), row in table.iterrows():
        one = impacts.sel(feature="joint", region="late_language", participant=participant)
        tuned, other = (one.sel(condition=name) for name in ("brain-tuned", condition))
        difference = float(tuned["impact"]) - float(other["impact"])
        assert row["difference (points)"] == pytest.approx(difference)
        draws = tuned["draws"].values - other["draws"].values
        np.testing.assert_allclose(row[["low", "high"]], np.percentile(draws, [2.5, 97.5]))


def test_a_condition_without_a_ratio_has_neither_bar_nor_difference(written):
    results, runs = written
    original, _ = runs["SIM01", "block-permuted"]
    original["draws"][..., 0] = -1.0
    path = results.root / MODEL / "SIM01" / "block-permuted" / "alignment.nc"
    write_dataset(original, path, {})
    impacts = load_impacts(results, MODEL)
    table = impact_change_table(impacts, "joint", "late_language")
    assert table.loc[("block-permuted", "SIM01")].drop("brain-tuned (%)").isna().all()
    assert table.loc[("block-permuted", "SIM02")].notna().all()
    [axes] = impact_bars(impacts, "late_language").axes
    heights = {
        container.get_label(): [patch.get_height() for patch in container.patches]
        for container in axes.containers
        if hasattr(container, "patches")
    }
    assert np.isnan(heights["block-permuted"]).all()
    assert np.isfinite([heights["pretrained"], heights["brain-tuned"]]).all()


@pytest.mark.filterwarnings("error")
def test_bars_stand_for_means_over_participants(written):
    impacts = load_impacts(written[0], MODEL)
    figure = impact_bars(impacts, "late_language")
    figure.canvas.draw()
    [axes] = figure.axes
    for condition, container, error in zip(CONDITIONS, *bars_and_errors(axes), strict=True):
        chosen = impacts["impact"].sel(condition=condition, region="late_language")
        heights = [patch.get_height() for patch in container.patches]
        np.testing.assert_allclose(heights, chosen.mean("participant"))
        draws = impacts["draws"].sel(condition=condition, region="late_language")
        bounds = np.percentile(draws.mean("participant"), [2.5, 97.5], axis=-1).T
        ends = [segment[:, 1] for segment in error[2][0].get_segments()]
        expected = np.sort(
            [[min(low, h), max(high, h)] for (low, high), h in zip(bounds, heights, strict=True)]
        )
        np.testing.assert_allclose(ends, expected)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [
        FEATURE_TITLES[f] for f in FEATURES
    ]
    assert axes.get_ylabel() == "Low-level impact (%)"


def test_a_missing_run_is_an_error_that_names_it(written):
    results, _ = written
    (results.root / MODEL / "SIM01" / "brain-tuned" / "impact.nc").unlink()
    with pytest.raises(ResultsError, match=r"SIM01/brain-tuned/impact\.nc"):
        load_impacts(results, MODEL)


@pytest.mark.parametrize("kept", [lambda run: run, compact], ids=["results", "recorded"])
def test_changes_of_voxels_are_those_of_ratios(written, kept):
    """Of ten voxels, 1, 4, 5, 6 and 8 were evaluated; 9 is in no region of interest."""
    results, _ = written
    rng = np.random.default_rng(1)
    evaluated, aligned = [1, 4, 5, 6, 8], np.arange(1, 10)
    tiny = {("pretrained", 4): 0.04, ("brain-tuned", 4): -0.3, ("brain-tuned", 8): 0.0}
    before, after = {}, {}
    for condition in ("pretrained", "brain-tuned"):
        r = rng.uniform(0.1, 0.6, (N_LAYERS, len(aligned)))
        residual = rng.uniform(-0.1, 0.6, (len(FEATURES), N_LAYERS, len(evaluated)))
        for voxel in evaluated:
            if (condition, voxel) in tiny:
                r[:, voxel - 1] = tiny[condition, voxel]
            before[condition, voxel] = np.mean([r[layer, voxel - 1] for layer in (1, 2, 3)])
            place = FEATURES.index("joint"), slice(1, None), evaluated.index(voxel)
            after[condition, voxel] = np.mean(residual[place])
        folder = results.root / MODEL / "SIM01" / condition
        alignment = xr.Dataset({"r": (("layer", "voxel"), r)}, {"voxel": aligned})
        write_dataset(kept(alignment), folder / "alignment.nc", {})
        coordinates = {"feature": FEATURES, "voxel": evaluated}
        impact = xr.Dataset({"r": (("feature", "layer", "voxel"), residual)}, coordinates)
        write_dataset(kept(impact), folder / "impact.nc", {})
    of_region = {"late_language": [1, 4, 8], "primary_auditory": [5], "early_auditory": [5, 6]}
    masks = [np.isin(np.arange(10), members) for members in [*of_region.values(), [9]]]
    voxels = xr.Dataset(
        {"regions": (("region", "voxel"), masks)}, {"region": [*of_region, "elsewhere"]}
    )
    write_dataset(voxels, results.root / "SIM01" / "voxels.nc", {})

    found = voxel_impact_change(results, MODEL, "SIM01", "joint")
    assert found["change"]["voxel"].values.tolist() == evaluated
    for voxel, change in zip(evaluated, found["change"].values, strict=True):
        both = [(condition, voxel) for condition in ("brain-tuned", "pretrained")]
        if min(before[one] for one in both) < 0.05:
            assert np.isnan(change)
        else:
            tuned, pretrained = (drop_in_percent(before[one], after[one]) for one in both)
            assert change == pytest.approx(tuned - pretrained)
    assert dict(zip(found["region"].values, found["masked"].values, strict=True)) == {
        "late_language": 2,
        "primary_auditory": 0,
        "early_auditory": 0,
    }
    assert found["voxels"].values.tolist() == [3, 1, 2]

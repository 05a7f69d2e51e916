import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bthelpers.core.errors import ResultsError
from bthelpers.params.loading import load, to_dict
from bthelpers.params.settings import ModelSettings
from bthelpers.results.alignment import (
    change,
    change_table,
    load_alignment,
    load_families,
    signed_rank_table,
)
from bthelpers.results.maps import drawing_dataset, mean_r, voxel_alignment, whole_brain
from bthelpers.results.runs import LAYERS, source
from bthelpers.results.store import ENVIRONMENT, Results, write_dataset
from bthelpers.workflow.recorded import compact

SMOKE = Path(__file__).parents[2] / "params" / "smoke.yaml"
PARTICIPANTS = ["SIM02", "SIM01"]
CONDITIONS = ["pretrained", "block-permuted", "brain-tuned"]
MODEL = "hubert-mini"
REGIONS = ["late_language", "early_auditory"]
N_LAYERS, N_DRAWS, N_VOXELS = 3, 200, 30
MADE = {"dataset": "Invented", "date": "2026-01-31T12:00:00+00:00", "commit": "0123456789"}
ABOVE = np.arange(4, 24)  # voxels above the ceiling's threshold


def write_results(root, participants=PARTICIPANTS, conditions=CONDITIONS):
    """A results folder of known numbers; returns the alignments that were written to it."""
    rng = np.random.default_rng(0)
    profile = replace(
        load(SMOKE, {"dataset.participants": participants, "conditions": conditions}),
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results") / "smoke"


@pytest.fixture(scope="module")
def written(folder):
    return write_results(folder)


@pytest.fixture(scope="module")
def results(folder, written):
    return Results(folder)


@pytest.fixture(scope="module")
def alignments(results):
    return load_alignment(results, MODEL)


def percent(new, old):
    return 100 * (new - old) / old


def test_runs_become_one_labelled_array(alignments, written):
    assert alignments["alignment"].dims == ("participant", "condition", "layer", "region")
    assert alignments["draws"].dims == ("participant", "condition", "layer", "region", "draw")
    assert list(alignments["participant"].values) == PARTICIPANTS
    assert list(alignments["condition"].values) == CONDITIONS
    assert "r" not in alignments  # participants have different voxels
    for (participant, condition), run in written.items():
        chosen = alignments.sel(participant=participant, condition=condition, drop=True)
        xr.testing.assert_equal(chosen, run[["alignment", "draws"]])


def test_a_missing_run_is_an_error_that_names_it(tmp_path):
    write_results(tmp_path / "smoke")
    missing = tmp_path / "smoke" / MODEL / "SIM01" / "brain-tuned" / "alignment.nc"
    missing.unlink()
    with pytest.raises(ResultsError) as caught:
        load_alignment(Results(tmp_path / "smoke"), MODEL)
    assert str(missing) in str(caught.value)
    assert "`bthelpers run" in str(caught.value)


@pytest.mark.parametrize("odd_one", [("SIM01", "brain-tuned"), ("SIM02", "pretrained")])
def test_runs_of_other_regions_are_never_filled_up(tmp_path, odd_one):
    written = write_results(tmp_path / "smoke")
    run = written[odd_one].isel(region=[0])
    write_dataset(run, tmp_path / "smoke" / MODEL / "/".join(odd_one) / "alignment.nc", {})
    with pytest.raises(ValueError, match="region"):
        load_alignment(Results(tmp_path / "smoke"), MODEL)


def test_changes_are_of_means_over_layers(alignments, written):
    for layers, chosen in (("mean over layers", slice(1, None)), ("last layer", slice(-1, None))):
        changes = change(alignments["alignment"], "brain-tuned", LAYERS[layers])
        assert changes.dims == ("participant", "region")
        for participant in PARTICIPANTS:
            new, old = (
                written[participant, condition]["alignment"].values[chosen].mean(axis=0)
                for condition in ("brain-tuned", "pretrained")
            )
            np.testing.assert_allclose(changes.sel(participant=participant), percent(new, old))


def test_the_table_holds_a_row_per_condition_layers_and_participant(alignments, written):
    table = change_table(alignments, "early_auditory")
    assert table.index.names == ["condition", "layers", "participant"]
    assert list(table.columns) == ["change (%)", "low", "high"]
    assert len(table) == 2 * 2 * 2
    assert "pretrained" not in table.index.get_level_values("condition")
    chosen = {"mean over layers": slice(1, None), "last layer": slice(-1, None)}
    for (condition, layers, participant), row in table.iterrows():
        new, old = (
            written[participant, which].sel(region="early_auditory").isel(layer=chosen[layers])
            for which in (condition, "pretrained")
        )
        means = [run["alignment"].values.mean() for run in (new, old)]
        assert row["change (%)"] == pytest.approx(percent(*means))
        # draws are paired: the change of each draw, then its quantiles
        draws = percent(*(run["draws"].values.mean(axis=0) for run in (new, old)))
        assert [row["low"], row["high"]] == pytest.approx([*np.quantile(draws, [0.025, 0.975])])


def test_a_change_from_nothing_has_no_interval(alignments):
    some = alignments.copy(deep=True)
    some["draws"].loc[{"participant": "SIM01", "condition": "pretrained", "draw": 3}] = -0.1
    table = change_table(some, "late_language")
    of_first, of_other = (table.xs(p, level="participant") for p in ("SIM01", "SIM02"))
    assert of_first[["low", "high"]].isna().all(axis=None)
    assert of_first["change (%)"].notna().all()
    assert of_other.notna().all(axis=None)


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


@pytest.mark.parametrize("region", REGIONS)
def test_tests_are_over_voxels_and_over_participants(results, written, region):
    table = signed_rank_table(results, MODEL, region, "brain-tuned")
    assert list(table.index) == [*PARTICIPANTS, "all participants"]
    # voxels of the region that are above the threshold: 12 is the first of the other region
    inside = ABOVE < 12 if region == "late_language" else ABOVE >= 12
    means = []
    for participant in PARTICIPANTS:
        ceiling = results.voxels(participant)["ceiling"].values[ABOVE]
        new, old = (
            (written[participant, condition]["r"].values[1:].mean(axis=0) / ceiling)[inside]
            for condition in ("brain-tuned", "pretrained")
        )
        expected = stats.wilcoxon(new, old)
        row = table.loc[participant]
        assert (row["over"], row["n"]) == ("voxels", inside.sum())
        assert (row["statistic"], row["p"]) == (expected.statistic, expected.pvalue)
        means.append((new.mean(), old.mean()))
    expected = stats.wilcoxon(*np.transpose(means))
    last = table.loc["all participants"]
    assert (last["over"], last["n"], last["p"]) == ("participants", 2, expected.pvalue)


def test_one_participant_is_no_sample_of_participants(tmp_path):
    write_results(tmp_path / "smoke", participants=["SIM01"])
    results = Results(tmp_path / "smoke")
    assert list(signed_rank_table(results, MODEL, REGIONS[0], "brain-tuned").index) == ["SIM01"]
    assert load_alignment(results, MODEL).sizes["participant"] == 1


def test_the_source_of_a_figure_is_said(results):
    said = "Invented (SIM02, SIM01); model hubert-mini; profile smoke"
    assert source(results, MODEL) == said
    recorded = Results(results.root, recorded=True)
    assert source(recorded, MODEL) == f"{said}; recorded 2026-01-31 from commit 0123456"


@pytest.fixture(scope="module")
def two_models(tmp_path_factory):
    """Results of two models; the second has four layers, one participant and two conditions."""
    results = Results(tmp_path_factory.mktemp("families") / "smoke")
    written = write_results(results.root)
    shared = ModelSettings("other", None, ("SIM01",), ("pretrained", "brain-tuned"))
    models = {MODEL: ModelSettings("mini", None), "other": shared}
    profile = replace(results.profile(), models=models)
    (results.root / "profile.json").write_text(json.dumps(to_dict(profile)))
    for condition in shared.conditions:
        run = written["SIM01", condition]
        deeper = xr.concat([run, run.isel(layer=[1])], "layer").assign_coords(layer=np.arange(5))
        path = results.root / "other" / "SIM01" / condition / "alignment.nc"
        written["other", condition] = deeper
        write_dataset(deeper, path, {})
    return results, written


def test_families_are_compared_on_what_they_share(two_models):
    results, written = two_models
    families = load_families(results)
    assert families["alignment"].dims == ("model", "condition", "region")
    assert list(families["condition"].values) == ["pretrained", "brain-tuned"]
    for model, owner in ((MODEL, "SIM01"), ("other", "other")):
        for condition in families["condition"].values:
            for name in ("alignment", "draws"):
                expected = written[owner, condition][name].values[1:].mean(axis=0)
                found = families[name].sel(model=model, condition=condition)
                np.testing.assert_allclose(found, expected)
    alone = load_families(results, [MODEL])
    assert list(alone["condition"].values) == CONDITIONS
    expected = [
        np.mean([written[name, condition]["alignment"].values[1:] for name in PARTICIPANTS], (0, 1))
        for condition in CONDITIONS
    ]
    np.testing.assert_allclose(alone["alignment"].sel(model=MODEL), expected)
    assert source(results, MODEL, "other") == (
        "Invented (SIM01); models hubert-mini, other; profile smoke"
    )
    assert list(load_alignment(results, "other")["participant"].values) == ["SIM01"]


def test_families_that_share_nothing_are_an_error(two_models):
    results, _ = two_models
    profile = results.profile()
    apart = {
        name: replace(model, participants=(participant,))
        for (name, model), participant in zip(profile.models.items(), PARTICIPANTS, strict=True)
    }
    (results.root / "profile.json").write_text(json.dumps(to_dict(replace(profile, models=apart))))
    with pytest.raises(ValueError, match="the models share no participant or no condition"):
        load_families(results)

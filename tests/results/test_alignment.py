import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import xarray as xr
from alignment_results import (
    ABOVE,
    CONDITIONS,
    MODEL,
    PARTICIPANTS,
    REGIONS,
    SMOKE,
    write_results,
)
from intervals_by_hand import of_one
from scipy import stats

from bthelpers.core.errors import ResultsError
from bthelpers.params.loading import load, to_dict
from bthelpers.params.settings import ModelSettings
from bthelpers.results.alignment import (
    change_table,
    load_alignment,
    load_families,
    penalty_table,
    signed_rank_p,
    signed_rank_table,
    significance_table,
)
from bthelpers.results.runs import source
from bthelpers.results.store import Results, write_dataset


def percent(new, old):
    return 100 * (new - old) / old


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
        # draws are paired: the change of each draw, then its interval
        draws = percent(*(run["draws"].values.mean(axis=0) for run in (new, old)))
        bounds = of_one(percent(*means), draws)
        assert [row["low"], row["high"]] == pytest.approx(list(bounds))


def test_a_change_from_nothing_has_no_interval(alignments):
    some = alignments.copy(deep=True)
    some["draws"].loc[{"participant": "SIM01", "condition": "pretrained", "draw": 3}] = -0.1
    table = change_table(some, "late_language")
    of_first, of_other = (table.xs(p, level="participant") for p in ("SIM01", "SIM02"))
    assert of_first[["low", "high"]].isna().all(axis=None)
    assert of_first["change (%)"].notna().all()
    assert of_other.notna().all(axis=None)


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


def region_pairs(results, written, participants, condition, region):
    """r / ceiling of a condition and pretrained, for each participant, by hand."""
    inside = ABOVE < 12 if region == "late_language" else ABOVE >= 12
    return [
        [
            (written[who, which]["r"].values[1:].mean(axis=0) / ceiling)[inside]
            for which in (condition, "pretrained")
        ]
        for who in participants
        for ceiling in [results.voxels(who)["ceiling"].values[ABOVE]]
    ]


def test_bars_are_tested_over_voxels_where_participants_are_few(results, written):
    p = signed_rank_p(results, [MODEL], REGIONS)
    assert p.dims == ("model", "condition", "region")
    assert p.attrs["over"] == "voxels"
    assert list(p["condition"].values) == CONDITIONS[1:]
    for condition, region in product(CONDITIONS[1:], REGIONS):
        pairs = region_pairs(results, written, PARTICIPANTS, condition, region)
        new, old = (np.concatenate(values) for values in zip(*pairs, strict=True))
        expected = stats.wilcoxon(new, old).pvalue
        assert p.sel(condition=condition, region=region).item() == pytest.approx(expected)


@pytest.mark.parametrize(("n", "over"), [(5, "voxels"), (6, "participants")])
def test_six_participants_are_enough_to_test_over(tmp_path, n, over):
    people = [f"SIM{k:02d}" for k in range(1, n + 1)]
    written = write_results(tmp_path / "smoke", people, ["pretrained", "brain-tuned"])
    results = Results(tmp_path / "smoke")
    p = signed_rank_p(results, [MODEL], REGIONS)
    assert p.attrs["over"] == over
    if over == "participants":
        for region in REGIONS:
            pairs = region_pairs(results, written, people, "brain-tuned", region)
            means = [(new.mean(), old.mean()) for new, old in pairs]
            expected = stats.wilcoxon(*np.transpose(means)).pvalue
            assert p.sel(region=region).item() == pytest.approx(expected)


def test_one_participant_is_no_sample_of_participants(tmp_path):
    write_results(tmp_path / "smoke", participants=["SIM01"])
    results = Results(tmp_path / "smoke")
    assert list(signed_rank_table(results, MODEL, REGIONS[0], "brain-tuned").index) == ["SIM01"]
    assert load_alignment(results, MODEL).sizes["participant"] == 1


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
    assert families["alignment"].dims == ("model", "participant", "condition", "region")
    assert list(families["condition"].values) == ["pretrained", "brain-tuned"]
    for model, owner in ((MODEL, "SIM01"), ("other", "other")):
        for condition in families["condition"].values:
            for name in ("alignment", "draws"):
                expected = written[owner, condition][name].values[1:].mean(axis=0)
                found = families[name].sel(model=model, condition=condition, participant="SIM01")
                np.testing.assert_allclose(found, expected)
    p = signed_rank_p(results, [MODEL, "other"], REGIONS)
    assert list(p["condition"].values) == ["brain-tuned"]
    pairs = region_pairs(results, written, ["SIM01"], "brain-tuned", REGIONS[0])
    expected = stats.wilcoxon(*pairs[0]).pvalue
    assert p.sel(model=MODEL, region=REGIONS[0]).item() == pytest.approx(expected)
    alone = load_families(results, [MODEL])
    assert list(alone["condition"].values) == CONDITIONS
    expected = [
        [written[name, condition]["alignment"].values[1:].mean(axis=0) for condition in CONDITIONS]
        for name in PARTICIPANTS
    ]
    np.testing.assert_allclose(alone["alignment"].sel(model=MODEL), expected)
    assert str(source(results, MODEL, "other")) == (
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


def write_p_values(root, p_of):
    """A results folder in which `p_of(rng)` gives p (layer, voxel) of each run."""
    rng = np.random.default_rng(0)
    overrides = {"dataset.participants": PARTICIPANTS, "conditions": CONDITIONS}
    root.mkdir(parents=True)
    (root / "profile.json").write_text(json.dumps(to_dict(load(SMOKE, overrides))))
    written = {}
    for participant in PARTICIPANTS:
        masks = np.stack([np.arange(30) < 12, np.arange(30) % 2 == 1])
        voxels = xr.Dataset(
            {"regions": (("region", "voxel"), masks)}, {"region": ["late_language", "odd"]}
        )
        write_dataset(voxels, root / participant / "voxels.nc", {"dataset": "Invented"})
        for condition in CONDITIONS:
            run = p_of(rng)
            written[participant, condition] = run.get("p")
            write_dataset(run, root / MODEL / participant / condition / "alignment.nc", {})
    return written


def random_p(rng):
    p = rng.uniform(size=(4, len(ABOVE))) ** 4
    p[2, 3] = np.nan
    return xr.Dataset(
        {"p": (("layer", "voxel"), p.astype(np.float32))},
        {"layer": np.arange(4), "voxel": ABOVE},
    )


def benjamini_hochberg(p, q):
    """Which hypotheses are rejected, by the procedure's own words."""
    passing = [k for k in range(1, len(p) + 1) if np.sort(p)[k - 1] <= q * k / len(p)]
    return p <= np.sort(p)[passing[-1] - 1] if passing else np.zeros(len(p), bool)


@pytest.mark.parametrize("region", ["late_language", "odd"])
def test_the_table_holds_shares_of_voxels_that_pass_over_the_whole_brain(tmp_path, region):
    written = write_p_values(tmp_path / "smoke", random_p)
    table = significance_table(Results(tmp_path / "smoke"), MODEL, region)
    assert list(table.columns) == ["voxels", "without p", "significant (%)"]
    layers_of = {"mean over layers": slice(1, None), "last layer": slice(-1, None)}
    assert list(table.index) == list(product(CONDITIONS, layers_of, PARTICIPANTS))
    inside = ABOVE < 12 if region == "late_language" else ABOVE % 2 == 1
    defined = np.arange(20) != 3  # the voxel that has no p in one layer: number 7
    for (condition, layers, participant), row in table.iterrows():
        p = written[participant, condition].values[layers_of[layers]]
        passed = [benjamini_hochberg(of_layer[defined], 0.05) for of_layer in p]
        share = np.mean(np.array(passed)[:, inside[defined]])
        assert row["significant (%)"] == pytest.approx(100 * share)
        assert row["voxels"] == (inside & defined).sum()
        assert row["without p"] == (inside & ~defined).sum() == 1
    assert 0 < table["significant (%)"].min() < table["significant (%)"].max() < 100


def test_results_without_p_are_an_error_that_names_them(tmp_path):
    write_p_values(tmp_path / "smoke", lambda rng: random_p(rng).rename(p="r"))
    with pytest.raises(ResultsError) as caught:
        significance_table(Results(tmp_path / "smoke"), MODEL, "odd")
    named = tmp_path / "smoke" / MODEL / "SIM02" / "pretrained" / "alignment.nc"
    assert f"{named} holds no p-values" in str(caught.value)
    assert "`bthelpers run" in str(caught.value)


def test_shares_at_the_edges_of_penalties_are_means_over_layers(tmp_path):
    written = write_results(tmp_path / "results")
    for index, (participant, condition) in enumerate(written):
        shares = np.array([[0.0, 0.01, 0.2]] * 3 + [[0.04, 0.01, 0.4]]) * (1 + index)
        run = written[participant, condition].assign(edge_share=(("layer", "edge"), shares))
        run = run.assign_coords(edge=["lower edge", "upper edge", "nothing predicted"])
        path = tmp_path / "results" / MODEL / participant / condition / "alignment.nc"
        write_dataset(run, path, {})
    table = penalty_table(Results(tmp_path / "results"), MODEL)
    assert table.index.names == ["condition", "participant"]
    assert list(table.columns) == ["lower edge", "upper edge", "nothing predicted"]
    for index, (participant, condition) in enumerate(written):
        expected = (1 + index) * np.array([1, 1, 25])
        np.testing.assert_allclose(table.loc[(condition, participant)], expected)


def test_shares_that_were_not_counted_are_not_known(results):
    assert penalty_table(results, MODEL).isna().all(axis=None)

from itertools import product

import impact_results
import numpy as np
import pytest
import xarray as xr
from impact_results import (
    CONDITIONS,
    EVALUATED,
    FEATURES,
    MODEL,
    PARTICIPANTS,
    REGIONS,
    drop_in_percent,
    invented_alignment,
    write_negative_draw,
    write_results,
    write_voxels,
)
from intervals_by_hand import of_one
from scipy import stats

from bthelpers.core.errors import ResultsError
from bthelpers.results.impact import (
    impact_change_table,
    impact_p,
    impact_signed_rank_table,
    impact_table,
    load_family_impacts,
    load_impacts,
    published_coding_table,
    replication_changes,
    with_mean,
)
from bthelpers.results.store import write_dataset


@pytest.fixture
def written(tmp_path):
    """Results of known numbers, and these by participant and condition."""
    return write_results(tmp_path)


def test_impacts_are_of_means_over_layers(written):
    results, runs = written
    impacts = load_impacts(results, MODEL)
    dims = ("participant", "condition", "feature", "region")
    assert dict(
        zip(dims, (PARTICIPANTS, CONDITIONS, [*FEATURES, "mean"], REGIONS), strict=True)
    ) == {dim: list(impacts[dim].values) for dim in dims}
    for (participant, condition), (original, residual) in runs.items():
        chosen = impacts.sel(participant=participant, condition=condition)
        for name, left, found in (
            ("alignment", "alignment", chosen["impact"]),
            ("draws", "draws", chosen["draws"]),
            ("alignment", "floor_alignment", chosen["floor"]),
            ("draws", "floor_draws", chosen["floor_draws"]),
        ):
            before = original[name].values[1:].mean(axis=0)
            after = residual[left].values[:, 1:].mean(axis=1)
            expected = drop_in_percent(before, after)
            expected = np.concatenate([expected, expected[None, :4].mean(axis=1)])
            np.testing.assert_allclose(found.transpose("feature", "region", ...), expected)


def test_records_without_floors_have_none(written):
    results, runs = written
    for (participant, condition), (_, residual) in runs.items():
        path = results.root / MODEL / participant / condition / "impact.nc"
        write_dataset(residual.drop_vars(["floor_alignment", "floor_draws"]), path, {})
    impacts = load_impacts(results, MODEL)
    assert impacts["impact"].notnull().all()
    assert impacts[["floor", "floor_draws"]].to_array().isnull().all()
    table = published_coding_table(impacts, "late_language")
    assert table["on the model's clock (%)"].notna().all()
    assert table.drop(columns="on the model's clock (%)").isna().all(axis=None)


def test_the_mean_needs_all_four_features(written):
    impacts = load_impacts(written[0], MODEL).drop_sel(feature=["mean", "triphones"])
    xr.testing.assert_identical(with_mean(impacts), impacts)


def test_the_published_coding_is_beside_the_other(written):
    impacts = load_impacts(written[0], MODEL).drop_vars("positive")
    published = (impacts.sel(feature=["joint"]) / 2).assign_coords(feature=["joint_as_published"])
    both = xr.concat([impacts, published], "feature")
    table = published_coding_table(both, "primary_auditory")
    for (condition, participant), row in table.iterrows():
        one = impacts.sel(
            condition=condition, participant=participant, region="primary_auditory", feature="joint"
        )
        impact, floor = one["impact"].item(), one["floor"].item()
        assert row.tolist() == pytest.approx([impact, floor, impact / 2, floor / 2])


def test_families_have_the_conditions_of_any(written, monkeypatch):
    impacts = load_impacts(written[0], MODEL)
    some = {"one": impacts, "two": impacts.drop_sel(condition="block-permuted")}
    monkeypatch.setattr("bthelpers.results.impact.load_impacts", lambda _, model: some[model])
    monkeypatch.setattr(type(written[0].profile()), "participants_of", lambda *_: ("SIM01",))
    families = load_family_impacts(written[0], ["one", "two"], "mean")
    assert list(families["participant"].values) == ["SIM01"]
    for model, found in some.items():
        for condition in CONDITIONS:
            there = condition in found["condition"]
            values = families["impact"].sel(model=model, condition=condition)
            assert values.notnull().all() == there
            if there:
                expected = found["impact"].sel(
                    condition=condition, feature="mean", participant=["SIM01"]
                )
                np.testing.assert_array_equal(values, expected)


def by_hand(means, participant, feature, region, condition):
    """Pairs of the impacts of voxels, where no original correlation is below 0.05."""
    inside = {"late_language": EVALUATED % 2 == 0, "primary_auditory": EVALUATED % 2 == 1}[region]
    pair = []
    for name in (condition, "pretrained"):
        before, after = means[participant, name]
        impact = drop_in_percent(before, after)
        impact = impact[:4].mean(axis=0) if feature == "mean" else impact[FEATURES.index(feature)]
        pair.append(np.where(before < 0.05, np.nan, impact)[inside])
    return [side[np.isfinite(pair).all(axis=0)] for side in pair]


@pytest.mark.parametrize("feature", ["joint", "mean"])
def test_impacts_of_voxels_are_tested(written, feature):
    results, _ = written
    means = write_voxels(results, np.random.default_rng(3))
    table = impact_signed_rank_table(results, MODEL, "late_language", feature)
    averages = []
    for participant in PARTICIPANTS:
        pair = by_hand(means, participant, feature, "late_language", "brain-tuned")
        row = table.loc[participant]
        assert (row["over"], row["n"]) == ("voxels", len(pair[0]))
        assert row["p"] == pytest.approx(stats.wilcoxon(*pair).pvalue)
        assert row["change (points)"] == pytest.approx(np.mean(pair[0] - pair[1]))
        averages.append([side.mean() for side in pair])
    row = table.loc["all participants"]
    assert (row["over"], row["n"]) == ("participants", 2)
    assert row["p"] == pytest.approx(stats.wilcoxon(*np.transpose(averages)).pvalue)
    p = impact_p(results, MODEL)
    assert p.attrs == {"over": "voxels"}
    for condition, region in product(CONDITIONS[1:], REGIONS):
        pairs = [by_hand(means, who, feature, region, condition) for who in PARTICIPANTS]
        together = [np.concatenate(side) for side in zip(*pairs, strict=True)]
        found = p.sel(condition=condition, feature=feature, region=region)
        assert found == pytest.approx(stats.wilcoxon(*together).pvalue)


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
        np.testing.assert_allclose(row[["low", "high"]], of_one(difference, draws))


def test_a_missing_run_is_an_error_that_names_it(written):
    results, _ = written
    (results.root / MODEL / "SIM01" / "brain-tuned" / "impact.nc").unlink()
    with pytest.raises(ResultsError, match=r"SIM01/brain-tuned/impact\.nc"):
        load_impacts(results, MODEL)


def test_a_condition_without_a_ratio_has_no_difference(written):
    write_negative_draw(written)
    impacts = load_impacts(written[0], MODEL)
    table = impact_change_table(impacts, "joint", "late_language")
    assert table.loc[("block-permuted", "SIM01")].drop("brain-tuned (%)").isna().all()
    assert table.loc[("block-permuted", "SIM02")].notna().all()


def test_the_table_holds_impacts_and_their_intervals():
    rng = np.random.default_rng(0)
    before, after = rng.uniform(0.1, 1, (2, 2)), rng.uniform(-0.1, 1, (3, 2, 2))
    draws, drawn_after = rng.uniform(0.1, 1, (2, 2, 50)), rng.uniform(-0.1, 1, (3, 2, 2, 50))
    table = impact_table(invented_alignment(before, draws), invented_alignment(after, drawn_after))
    for feature, layer, region in product(range(3), range(2), range(2)):
        chosen = (feature, layer, region)
        each = 100 * (1 - drawn_after[chosen] / draws[layer, region])
        row = table.loc[("xyz"[feature], layer + 1, ["language", "auditory"][region])]
        assert row.tolist() == [
            pytest.approx(before[layer, region]),
            pytest.approx(after[chosen]),
            pytest.approx(impact := 100 * (1 - after[chosen] / before[layer, region])),
            *map(pytest.approx, of_one(impact, each)),
            pytest.approx(np.nan, nan_ok=True),
            "",
        ]


def test_regions_that_may_not_be_aligned_have_a_remark(recwarn):
    draws = np.full((2, 2, 40), 0.1)
    draws[0, 1, :3] = [0, -0.01, -1]
    original = invented_alignment(np.full((2, 2), 0.1), draws)
    residual = invented_alignment(np.full((1, 2, 2), 0.04), draws[None] / 2)
    remarks = impact_table(original, residual)["remark"].tolist()
    assert remarks == ["", "no ratio: original alignment not above 0 in 3 of 40 draws", "", ""]
    assert [str(warning.message) for warning in recwarn] == []


def test_replications_change_as_their_runs_do(tmp_path, monkeypatch):
    monkeypatch.setattr(impact_results, "REGIONS", [*REGIONS, "early_auditory"])
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    written = {name: write_results(tmp_path / name) for name in ("one", "two")}
    found = replication_changes({name: results for name, (results, _) in written.items()})
    assert list(found["participant"].values) == [
        f"{name}, {participant}" for name in written for participant in PARTICIPANTS
    ]
    measures = [
        ("late_language", slice(1, None)),
        ("late_language", slice(-1, None)),
        ("primary_auditory", slice(1, None)),
        ("early_auditory", slice(1, None)),
    ]
    tuned = [condition for condition in CONDITIONS if condition != "pretrained"]
    assert found.sizes == {"measure": 5, "condition": 2, "participant": 4}
    for (name, (_, runs)), participant, condition in product(written.items(), PARTICIPANTS, tuned):
        changes = found.sel(participant=f"{name}, {participant}", condition=condition)
        pair = [runs[participant, which] for which in (condition, "pretrained")]
        for (region, layers), change in zip(measures, changes["change"].values[:4], strict=True):
            new, old = (
                original["alignment"].sel(region=region).values[layers].mean()
                for original, _ in pair
            )
            assert change == pytest.approx(100 * (new / old - 1))
        new, old = (
            drop_in_percent(
                original["alignment"].sel(region="late_language").values[1:].mean(),
                residual["alignment"]
                .sel(region="late_language", feature="joint")
                .values[1:]
                .mean(),
            )
            for original, residual in pair
        )
        assert changes["change"].values[4] == pytest.approx(new - old)
        assert (changes["low"] <= changes["high"]).all()

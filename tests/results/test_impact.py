from itertools import product

import numpy as np
import pytest
from impact_results import (
    CONDITIONS,
    FEATURES,
    MODEL,
    PARTICIPANTS,
    REGIONS,
    drop_in_percent,
    invented_alignment,
    write_negative_draw,
    write_results,
)
from intervals_by_hand import of_one

from bthelpers.core.errors import ResultsError
from bthelpers.results.impact import impact_change_table, impact_table, load_impacts


@pytest.fixture
def written(tmp_path):
    """Results of known numbers, and these by participant and condition."""
    return write_results(tmp_path)


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

import numpy as np
import pytest
from impact_results import (
    CONDITIONS,
    FEATURES,
    MODEL,
    PARTICIPANTS,
    REGIONS,
    drop_in_percent,
    write_negative_draw,
    write_results,
)

from bthelpers.core.errors import ResultsError
from bthelpers.results.impact import impact_change_table, load_impacts


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
        np.testing.assert_allclose(row[["low", "high"]], np.percentile(draws, [2.5, 97.5]))


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

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bthelpers.claims.claim import Statement
from bthelpers.claims.expected import expected_counts
from bthelpers.claims.quantities import alignment_with
from bthelpers.claims.rows import Row
from bthelpers.claims.verdicts import Verdicts

LATE = alignment_with("late_language", "late language")  # margin 10
N_DRAWS = 300


def row(claimed, rng, deviation, n_participants=1):
    draws = rng.normal(3, deviation, N_DRAWS) + np.zeros((n_participants, 1))
    values = 3 + rng.normal(0, 0.01, n_participants)
    estimate = xr.Dataset(
        {"value": ("participant", values), "draws": (("participant", "draw"), draws)},
        {"n_drawn": ("draw", np.full(N_DRAWS, 8))},
    )
    return Row(Statement(LATE, ("a", "b"), claimed), "m", "", estimate)


def verdicts(rows_of_claims, topics):
    claims = pd.DataFrame({"topic": topics, "verdict": "holds"})
    return Verdicts(claims, pd.DataFrame(), dict(enumerate(rows_of_claims)))


@pytest.mark.parametrize("n_participants", [1, 3])
def test_equality_is_expected_and_differences_are_not(n_participants):
    """Of ten claims of a difference, each a topic of its own, 5 % hold; clear equality holds."""
    rng = np.random.default_rng(0)
    claims = [[row("above", rng, 1, n_participants)] for _ in range(10)]
    claims += [[row("equal to", rng, 1, n_participants)]]
    table = expected_counts(verdicts(claims, [*map(str, range(10)), "equal"]))
    assert list(table.index) == [*map(str, range(10)), "equal", "all"]
    nothing, none = (table[world] for world in ("if nothing were true", "if no claim were true"))
    assert nothing.loc["equal", "mean"] > 0.95
    assert nothing["mean"].iloc[:10].mean() == pytest.approx(0.05, abs=0.015)
    assert none["mean"].iloc[:11].mean() == pytest.approx(0.05, abs=0.015)
    assert table.loc["all", ("", "tested")] == table.loc["all", ("", "holds")] == 11


def test_if_no_claim_were_true_few_topics_would_have_one_that_holds():
    rng = np.random.default_rng(1)
    kinds = ["above", "below", "not above", "not below", "equal to"]
    claims = [[row(kind, rng, 2) for _ in range(2)] for kind in kinds]
    table = expected_counts(verdicts(claims, ["a"] * len(kinds)))
    assert table.loc["a", ("if no claim were true", "any (%)")] <= 5 + 2.5


def test_what_is_vague_is_not_expected_to_be_shown():
    rng = np.random.default_rng(2)
    table = expected_counts(verdicts([[row("equal to", rng, 30)]], ["a"]))
    assert table.loc["a", ("if nothing were true", "mean")] == 0

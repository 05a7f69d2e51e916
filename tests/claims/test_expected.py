from itertools import product

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

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


def equality(rng, drawn, between, n_participants, common=True):
    """Of eight units; draws are of what participants have in common, or of their own noise."""
    patterns = rng.standard_normal((N_DRAWS, 1 if common else n_participants))
    patterns = np.linalg.qr(patterns - patterns.mean(axis=0))[0] * np.sqrt(N_DRAWS - 1)
    patterns = patterns * np.sqrt(1 if common else n_participants)
    values = rng.standard_normal(n_participants)
    if n_participants > 1:
        values *= np.sqrt(n_participants * between / values.var(ddof=1))
    draws = np.sqrt(drawn * (1 - 1 / 8)) * patterns.T + np.zeros((n_participants, 1))
    estimate = xr.Dataset(
        {"value": ("participant", values), "draws": (("participant", "draw"), draws)},
        {"n_drawn": ("draw", np.full(N_DRAWS, 8))},
    )
    return Row(Statement(LATE, ("a", "b"), "equal to"), "m", "", estimate)


@pytest.mark.parametrize("width", [0.8, 1.2])
@pytest.mark.parametrize("n_participants", [1, 3, 8])
def test_as_much_is_expected_over_studies_as_holds(n_participants, width):
    """Of studies of equal models: by their true variances, and by what each of them estimates.

    `width` is that of the tests, in margins, if variances were known. Estimates in place of true
    variances let up to 0.12 more of the studies be expected to hold. With three participants, it
    is 0.04 still: two degrees of freedom say little.
    """
    rng = np.random.default_rng(0)
    df = np.array([7, max(n_participants - 1, 1)])
    quantiles = stats.t.isf(0.05, df)
    true = np.array([1, n_participants > 1])
    true = true * (10 * width) ** 2 / (true @ quantiles**2)
    estimates = true * rng.chisquare(df, (100_000, 2)) / df
    room = 10 - np.sqrt(estimates @ quantiles**2)
    holds = np.clip(1 - 2 * stats.norm.sf(room / np.sqrt(true.sum())), 0, 1).mean()
    chances = [*product((np.arange(5) + 0.5) / 5, repeat=2)]
    studies = [
        [equality(rng, *variances, n_participants)]
        for variances in true * stats.chi2.ppf(chances, df) / df
    ]
    table = expected_counts(verdicts(studies, [*map(str, range(len(studies)))]))
    expected = table.loc["all", ("if nothing were true", "mean")] / len(studies)
    assert expected == pytest.approx(holds, abs=0.045)


def test_own_noise_of_participants_counts_once():
    """It is in their draws and in their spread: here, in their draws alone, it is in no error."""
    rng = np.random.default_rng(0)
    deviation = 10 / 1.5 / stats.t.isf(0.05, 7)
    own = [[equality(rng, deviation**2, 1e-9, 3, common=False)]]
    shared = [[equality(rng, deviation**2, 1e-9, 3)]]
    name = "if nothing were true", "mean"
    assert expected_counts(verdicts(own, ["a"])).loc["a", name] > 0.9
    assert expected_counts(verdicts(shared, ["a"])).loc["a", name] < 0.8

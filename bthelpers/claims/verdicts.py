"""Published and ours: whether the runs of a profile bear out the claims of a paper.

A claim *holds* if each of its rows is shown to be where it is claimed to be: an intersection-union
test, whose p-value is the largest of its rows' (Berger, 1982). It *does not* if one row is shown to
be elsewhere: the smallest of the opposite p-values, times the number of rows. Both at 5 %, after
Holm's (1979) adjustment over the claims of a topic; with neither shown, it is *not clear*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pandas.io.formats.style import Styler

from bthelpers.claims.claim import Claim
from bthelpers.claims.rows import Row, p_values, rows_of
from bthelpers.params.settings import Profile
from bthelpers.results.store import Results
from bthelpers.statistics.multiple import holm
from bthelpers.statistics.permutation import LEVEL

HOLDS, FAILS, UNCLEAR, UNTESTED = "holds", "does not", "not clear", "cannot be tested"
SIMULATED = "about published models or real brains, and the data are simulated"


@dataclass(frozen=True)
class Verdicts:
    """What the runs of a profile say of claims.

    Parameters
    ----------
    claims : DataFrame
        A row per claim: ``topic``, ``claim``, ``source``, ``verdict``; ``p`` and ``opposite``, its
        p-value and that of the opposite after Holm's adjustment, NaN where it was not tested; its
        numbers of ``rows`` and of ``participants``; ``remark``: what some models lack, or why it
        cannot be tested.
    rows : DataFrame
        A row per statement, model and task of each claim: ``claim``, its number; ``model``,
        ``statistic``, ``value``, ``low``, ``high``, ``unit``; where it is ``claimed`` to be, in
        words, and the ends of that interval, ``claimed_low`` and ``claimed_high``; ``p`` and
        ``opposite``.
    tested : dict of list of Row
        Rows of the claims that were tested, by the claims' numbers.
    """

    claims: pd.DataFrame
    rows: pd.DataFrame
    tested: dict[int, list[Row]]


def decide(
    p: NDArray, opposite: NDArray, claim_of_row: NDArray, topic_of_claim: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Adjusted p-values of claims and of their opposites: (claim, ...).

    Parameters
    ----------
    p, opposite : array of shape (n_rows, ...)
        Of the rows, as `bthelpers.claims.rows.p_values` gives them; further axes are of other data.
    claim_of_row : int array of shape (n_rows,)
        Numbers from 0; each claim has a row.
    topic_of_claim : sequence of str
    """
    n_claims = len(topic_of_claim)
    of_claims, of_opposites = np.zeros((n_claims, *p.shape[1:])), np.ones((n_claims, *p.shape[1:]))
    np.maximum.at(of_claims, claim_of_row, p)
    np.minimum.at(of_opposites, claim_of_row, opposite)
    n_rows = np.bincount(claim_of_row, minlength=n_claims).reshape(-1, *[1] * (p.ndim - 1))
    of_opposites = np.minimum(n_rows * of_opposites, 1)
    for topic in set(topic_of_claim):
        some = np.array([of_claim == topic for of_claim in topic_of_claim])
        of_claims[some], of_opposites[some] = holm(of_claims[some]), holm(of_opposites[some])
    return of_claims, of_opposites


def evaluate_claims(results: Results, claims: Mapping[str, Sequence[Claim]]) -> Verdicts:
    """Test claims on the runs of a profile.

    Parameters
    ----------
    results : Results
    claims : mapping of sequence of Claim
        By topic.

    Returns
    -------
    Verdicts

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    profile = results.profile()
    load = cache(lambda measure, model: measure.load(results, model))
    said, listed, tested = [], [], {}
    for topic, claim in ((topic, claim) for topic, some in claims.items() for claim in some):
        number, (rows, lacking) = len(said), rows_of(claim, profile, load)
        listed += [_listed(number, row) for row in rows]
        untested = _untested(results, profile, claim, rows)
        if rows and not untested:
            tested[number] = rows
        remarks = [*untested, *([f"not tested: {', '.join(lacking)}"] if lacking else [])]
        participants = [row.estimate.sizes["participant"] for row in rows]
        said.append(
            {"topic": topic, "claim": claim.text, "source": claim.source, "rows": len(rows)}
            | {"participants": min(participants, default=0), "remark": "; ".join(remarks)}
        )
    table = pd.DataFrame(listed, columns=ROWS)
    return Verdicts(_with_verdicts(pd.DataFrame(said), table, tested), table, tested)


ROWS = ["claim", "model", "statistic", "value", "low", "high", "unit"]
ROWS += ["claimed", "claimed_low", "claimed_high", "p", "opposite"]


def _listed(number: int, row: Row) -> dict:
    value, half = row.value.item(), row.spread.half_width(LEVEL / 2).item()
    p, opposite = map(float, p_values(row.statement, row.value, row.spread))
    measured = {"value": value, "low": value - half, "high": value + half}
    measured |= {"p": p, "opposite": opposite}
    named = {"claim": number, "model": row.model, "statistic": str(row)}
    claimed_low, claimed_high = row.statement.limits
    claimed = {"claimed": str(row.statement), "claimed_low": claimed_low}
    claimed |= {"claimed_high": claimed_high, "unit": row.statement.measure.unit}
    return named | measured | claimed


def _untested(results: Results, profile: Profile, claim: Claim, rows: Sequence[Row]) -> list[str]:
    """Why a claim cannot be tested, if so."""
    reasons = []
    evaluation = claim.statements[0].measure.evaluation
    if claim.of_published and _simulated(results, profile, evaluation):
        reasons.append(SIMULATED)
    undefined = max((row.n_undefined for row in rows), default=0)
    if undefined:
        reasons.append(f"no value in up to {undefined} draws of a row")
    return reasons


def _simulated(results: Results, profile: Profile, evaluation: str) -> bool:
    """Whether the runs of an evaluation, if there are any, are of simulated data."""
    models = profile.models_with(evaluation)
    if not models:
        return False
    run = models[0], profile.participants_of(models[0])[0], profile.conditions_of(models[0])[0]
    return results.open(*run, evaluation).attrs["dataset"].lower().startswith("simulated")


def _with_verdicts(
    claims: pd.DataFrame, rows: pd.DataFrame, tested: Mapping[int, list[Row]]
) -> pd.DataFrame:
    """Add p-values and verdicts to claims."""
    claims = claims.assign(p=np.nan, opposite=np.nan, verdict=UNTESTED)
    if tested:
        some, numbers = rows[rows["claim"].isin(list(tested))], list(tested)
        of_row = np.searchsorted(numbers, some["claim"])
        topics = claims.loc[numbers, "topic"].tolist()
        p, opposite = decide(some["p"].values, some["opposite"].values, of_row, topics)
        claims.loc[numbers, "p"], claims.loc[numbers, "opposite"] = p, opposite
        claims.loc[numbers, "verdict"] = _verdict(p, opposite)
    return claims


def _verdict(p: ArrayLike, opposite: ArrayLike) -> NDArray[np.str_]:
    shown = np.where(np.asarray(opposite) <= LEVEL, FAILS, UNCLEAR)
    return np.where(np.asarray(p) <= LEVEL, HOLDS, shown)


def rows_alone(verdicts: Verdicts) -> pd.DataFrame:
    """Verdicts on the rows of tested claims, each tested by itself: no p-value is adjusted.

    Returns
    -------
    DataFrame
        A row per row: its claim's ``topic``, its ``verdict``.
    """
    rows = verdicts.rows[verdicts.rows["claim"].isin(list(verdicts.tested))]
    topics = verdicts.claims.loc[rows["claim"], "topic"].values
    return pd.DataFrame({"topic": topics, "verdict": _verdict(rows["p"], rows["opposite"])})


def count_verdicts(claims: pd.DataFrame) -> pd.DataFrame:
    """How many claims of `Verdicts`, or `rows_alone`, have each verdict: by topic, and in all."""
    counts = pd.crosstab(claims["topic"], claims["verdict"])
    kinds = [HOLDS, UNCLEAR, FAILS, UNTESTED]
    counts = counts.reindex(index=claims["topic"].unique(), columns=kinds, fill_value=0)
    return pd.concat([counts, counts.sum().to_frame("all").T])


def readable_claims(verdicts: Verdicts, topic: str) -> Styler:
    """Claims of a topic for reading."""
    some = verdicts.claims[verdicts.claims["topic"] == topic]
    shown = some.assign(claim=_with_source(some), **_shown_p(some)).set_index("claim")
    columns = ["verdict", "p", "opposite", "rows", "participants", "remark"]
    return _styled(shown[columns])


def readable_rows(verdicts: Verdicts, topic: str) -> Styler:
    """Rows of a topic's claims for reading: short numbers, and what matters most comes first."""
    some = verdicts.claims[verdicts.claims["topic"] == topic]
    rows = verdicts.rows[verdicts.rows["claim"].isin(some.index)]
    numbers = rows[["value", "low", "high", "unit"]].itertuples(index=False, name=None)
    ours = [
        "" if np.isnan(low) else f"{value:+.3g} [{low:+.3g}, {high:+.3g}] {unit}"
        for value, low, high, unit in numbers
    ]
    shown = rows.assign(ours=ours, said=rows["claim"].map(_with_source(some)), **_shown_p(rows))
    columns = ["model", "ours", "claimed", "p", "opposite", "statistic"]
    # An index of one level is not grouped by pandas' styles; a second one, hidden, makes it so.
    grouped = shown.set_index(["said", shown.groupby("claim").cumcount()])[columns]
    return _styled(grouped.rename_axis(["claim", None])).hide(level=1)


def _shown_p(table: pd.DataFrame) -> pd.DataFrame:
    return table[["p", "opposite"]].map(lambda p: "" if np.isnan(p) else f"{p:.3f}")


def _with_source(claims: pd.DataFrame) -> pd.Series:
    return claims["claim"] + " (" + claims["source"] + ")"


def _styled(table: pd.DataFrame) -> Styler:
    left = {"selector": "th, td", "props": "text-align: left; vertical-align: top"}
    light = {"selector": "th.row_heading", "props": "font-weight: normal; min-width: 14em"}
    escaped = table.style.format(escape="html").format_index(escape="html")
    return escaped.set_table_styles([left, light])

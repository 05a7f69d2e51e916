"""Published and ours: whether the runs of a profile bear out the claims of the ICLR paper.

A claim says that a quantity is above or below a bound, or that it is not. Its verdict follows from
the 95 % interval of that quantity, and from nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath
from typing import Literal

import pandas as pd
import xarray as xr
from pandas.io.formats.style import Styler

from bthelpers.claims.quantities import Measure
from bthelpers.params.settings import Profile
from bthelpers.results.store import Results
from bthelpers.results.tasks import by_task
from bthelpers.statistics.bootstrap import interval

Claimed = Literal["above", "below", "equal to", "not above", "not below"]
FAMILIES = ("Wav2vec2", "HuBERT", "Whisper")  # of the paper
HOLDS, FAILS, UNTESTED = "holds", "does not", "cannot be tested"
UNCLEAR = f"{FAILS}: not clear"
SIMULATED = f"{UNTESTED} on simulated data"
# By where a quantity is claimed to be, and where its interval is: around the bound, or beside it.
VERDICTS = {
    "above": {"above": HOLDS, "around": UNCLEAR, "below": FAILS},
    "below": {"above": FAILS, "around": UNCLEAR, "below": HOLDS},
    "equal to": {"above": FAILS, "around": HOLDS, "below": FAILS},
    "not above": {"above": FAILS, "around": HOLDS, "below": HOLDS},
    "not below": {"above": HOLDS, "around": HOLDS, "below": FAILS},
}
COLUMNS = [
    *("topic", "claim", "source", "model", "statistic"),
    *("value", "low", "high", "unit", "claimed", "verdict"),
]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and how it is tested here.

    Parameters
    ----------
    text : str
        What is claimed.
    source : str
        Where in the paper.
    measure : Measure
        The quantity.
    compared : tuple of str
        One condition, whose value is tested; or two: the first one's value minus the second one's.
    claimed : str
        Where that is said to be …
    bound : float
        … of what.
    families : tuple of str
        Model families of which it is said.
    tasks : tuple of str, optional
        Tasks of which it is said, where a quantity has tasks; by default all.
    of_published : bool
        Whether it is about published models or real brains as such: data with a planted truth
        then have no bearing on it.
    """

    text: str
    source: str
    measure: Measure
    compared: tuple[str, ...]
    claimed: Claimed
    bound: float = 0
    families: tuple[str, ...] = FAMILIES
    tasks: tuple[str, ...] | None = None
    of_published: bool = False


def judge(draws: xr.DataArray, claimed: Claimed, bound: float) -> tuple[float, float, str]:
    """95 % interval of a quantity, and what it says of a claim.

    Parameters
    ----------
    draws : DataArray (draw)
        Bootstrap draws of the quantity.
    claimed : str
        A key of `VERDICTS`.
    bound : float

    Returns
    -------
    low, high : float
        NaN if some draw has no value.
    verdict : str
    """
    low, high = interval(draws).values.tolist()
    if undefined := int(draws.isnull().sum()):
        return low, high, f"{UNTESTED}: no value in {undefined} of {draws.size} draws"
    place = "above" if low > bound else "below" if high < bound else "around"
    return low, high, VERDICTS[claimed][place]


def evaluate_claims(results: Results, claims: Mapping[str, Sequence[Claim]]) -> pd.DataFrame:
    """Test claims on the runs of a profile.

    Values and draws are means over participants, and draws of what is compared are paired.

    Parameters
    ----------
    results : Results
    claims : mapping of sequence of Claim
        By topic.

    Returns
    -------
    DataFrame
        A row per claim, model and task: `COLUMNS`. One more for a claim for which not all of its
        families have the runs; its verdict names what they lack.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    profile = results.profile()
    load = cache(lambda measure, model: measure.load(results, model))
    rows = []
    for topic, claim in ((topic, claim) for topic, some in claims.items() for claim in some):
        models, lacking = _models_for(claim, profile)
        tested = [
            row for model in models for row in _rows(claim, model, load(claim.measure, model))
        ]
        if lacking:
            named = f"{UNTESTED} with these runs: {'; '.join(lacking)}"
            tested.append({"model": "", "statistic": _in_words(claim), "verdict": named})
        if claim.of_published and _simulated(results, claim.measure.evaluation):
            tested = [row | {"verdict": SIMULATED} for row in tested]
        said = {"topic": topic, "claim": claim.text, "source": claim.source}
        said |= {"unit": claim.measure.unit, "claimed": f"{claim.claimed} {claim.bound:g}"}
        rows += [said | row for row in tested]
    return pd.DataFrame(rows, columns=COLUMNS)


def family_of(model: str, path: str) -> str | None:
    """Model family of the paper that a model's name, or its checkpoint's, says; None if none."""
    named = f"{model} {PurePath(path).name}".lower()
    return next((family for family in FAMILIES if family.lower() in named), None)


def _models_for(claim: Claim, profile: Profile) -> tuple[list[str], list[str]]:
    """Models that have the runs for a claim, and what the others lack."""
    measure, found, lacking = claim.measure, [], []
    evaluated = profile.models_with(measure.evaluation)
    for family in claim.families:
        models = [
            name for name in evaluated if family_of(name, profile.models[name].path) == family
        ]
        if not models:
            lacking.append(f"no {family} with {measure.evaluation}")
        for model in models:
            there = {*measure.conditions(profile, model)}
            there |= {*profile.impact.features, *profile.impact.regions}
            if missing := [name for name in (*claim.compared, *measure.needs) if name not in there]:
                lacking.append(f"{model} without {' and '.join(missing)}")
            else:
                found.append(model)
    return found, lacking


def _rows(claim: Claim, model: str, conditions: xr.Dataset) -> list[dict]:
    """A claim tested on one model, once for each task."""
    first, *other = (conditions.sel(condition=name, drop=True) for name in claim.compared)
    difference = first - sum(other)
    tasks = by_task(difference) if "task" in difference.dims else {"": difference}
    rows = []
    for task in claim.tasks or tasks:
        run = tasks[task]
        low, high, verdict = judge(run["draws"], claim.claimed, claim.bound)
        words = f"{task}: {_in_words(claim)}" if task else _in_words(claim)
        row = {"model": model, "statistic": words, "value": run["value"].item()}
        rows.append(row | {"low": low, "high": high, "verdict": verdict})
    return rows


def _in_words(claim: Claim) -> str:
    return f"{claim.measure.words}, {' minus '.join(claim.compared)}"


def _simulated(results: Results, evaluation: str) -> bool:
    """Whether the runs of an evaluation, if there are any, are of simulated data."""
    profile = results.profile()
    models = profile.models_with(evaluation)
    if not models:
        return False
    run = models[0], profile.participants_of(models[0])[0], profile.conditions_of(models[0])[0]
    return results.open(*run, evaluation).attrs["dataset"].lower().startswith("simulated")


def count_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """How many rows of `evaluate_claims` have each kind of verdict, by topic and in all."""
    kinds = (HOLDS, UNCLEAR, FAILS, UNTESTED)  # UNCLEAR first: it begins with FAILS
    verdicts = table["verdict"].str.extract(f"^({'|'.join(kinds)})", expand=False)
    counts = pd.crosstab(table["topic"], verdicts)
    counts = counts.reindex(index=table["topic"].unique(), columns=kinds, fill_value=0)
    return pd.concat([counts, counts.sum().to_frame("all").T])


def readable(table: pd.DataFrame) -> Styler:
    """Rows of `evaluate_claims` for reading: short numbers, and what matters most comes first."""
    value, low, high = (table[name].map("{:+.3g}".format) for name in ("value", "low", "high"))
    ours = (value + " [" + low + ", " + high + "] " + table["unit"]).where(table["low"].notna(), "")
    shown = table.assign(ours=ours, claim=table["claim"] + " (" + table["source"] + ")")
    columns = ["model", "ours", "claimed", "verdict", "statistic"]
    left = {"selector": "th, td", "props": "text-align: left; vertical-align: top"}
    light = {"selector": "th.row_heading", "props": "font-weight: normal; min-width: 14em"}
    # An index of one level is not grouped by pandas' styles; a second one, hidden, makes it so.
    grouped = shown.set_index(["claim", shown.groupby("claim").cumcount()])[columns]
    return grouped.style.hide(level=1).set_table_styles([left, light])

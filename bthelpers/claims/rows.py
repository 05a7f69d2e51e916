"""Claims on the runs of a profile: a row for each statement, model and task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bthelpers.claims.claim import ALL_FAMILIES, Claim, Statement
from bthelpers.claims.quantities import Measure
from bthelpers.params.settings import Profile
from bthelpers.results.tasks import by_task
from bthelpers.statistics.intervals import Spread, one_sided_p, spread


@dataclass(frozen=True)
class Row:
    """A statement on one model and task.

    Parameters
    ----------
    statement : Statement
    model, task : str
        The task is empty where there is only one.
    estimate : Dataset
        ``value`` (participant) and ``draws`` (participant, draw) of what is compared.
    """

    statement: Statement
    model: str
    task: str
    estimate: xr.Dataset

    @cached_property
    def value(self) -> xr.DataArray:
        """Mean over participants; NaN where one of them has none."""
        return self.estimate["value"].mean("participant", skipna=False)

    @cached_property
    def spread(self) -> Spread:
        """Spread of the value."""
        return spread(self.estimate, "participant")

    @property
    def n_undefined(self) -> int:
        """Draws in which some participant has no value."""
        return int(self.estimate["draws"].isnull().any("participant").sum())

    def __str__(self) -> str:
        words = f"{self.statement.measure.words}, {' minus '.join(self.statement.compared)}"
        return f"{self.task}: {words}" if self.task else words


def p_values(
    statement: Statement, value: xr.DataArray, uncertain: Spread
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """p-values of what a statement says, and of its opposite.

    A quantity is inside its limits if it is shown to be inside each: one one-sided test, or two
    (Schuirmann, 1987). It is outside if it is shown to be beyond either, with Bonferroni's factor
    where there are two.

    Parameters
    ----------
    statement : Statement
    value : DataArray
        Estimates of the quantity.
    uncertain : Spread
        Of these.
    """
    low, high = statement.limits
    ends = [(low, value - low), (high, high - value)]
    inside = [excess for end, excess in ends if np.isfinite(end)]
    p = np.max([one_sided_p(excess, uncertain) for excess in inside], axis=0)
    return p, np.minimum(len(inside) * (1 - p), 1)


def rows_of(
    claim: Claim, profile: Profile, load: Callable[[Measure, str], xr.Dataset]
) -> tuple[list[Row], list[str]]:
    """Rows of a claim, and what models lack of which it is said too."""
    rows: list[Row] = []
    lacking: list[str] = []
    for statement in claim.statements:
        models, missing = _models_for(statement, profile)
        lacking += [one for one in missing if one not in lacking]
        for model in models:
            rows += _rows(statement, model, load(statement.measure, model))
    return rows, lacking


def _rows(statement: Statement, model: str, conditions: xr.Dataset) -> Iterator[Row]:
    first, *other = (conditions.sel(condition=name, drop=True) for name in statement.compared)
    difference = first - sum(other)
    tasks = by_task(difference) if "task" in difference.dims else {"": difference}
    for task in statement.tasks or tasks:
        yield Row(statement, model, task, tasks[task])


def family_of(model: str, path: str) -> str | None:
    """Model family that a model's name, or its checkpoint's, says; None if none."""
    named = f"{model} {PurePath(path).name}".lower()
    return next((family for family in ALL_FAMILIES if family.lower() in named), None)


def _models_for(statement: Statement, profile: Profile) -> tuple[list[str], list[str]]:
    """Models that have the runs for a statement, and what the others lack."""
    measure, found, lacking = statement.measure, [], []
    evaluated = profile.models_with(measure.evaluation)
    if not statement.families:
        return evaluated[:1], [] if evaluated else [f"no model with {measure.evaluation}"]
    for family in statement.families:
        models = [
            name for name in evaluated if family_of(name, profile.models[name].path) == family
        ]
        if not models:
            lacking.append(f"no {family} with {measure.evaluation}")
        for model in models:
            there = {*measure.conditions(profile, model)}
            there |= {*profile.impact.features, *profile.impact.regions}
            needed = (*statement.compared, *measure.needs)
            if missing := [name for name in needed if name not in there]:
                lacking.append(f"{model} without {' and '.join(missing)}")
            else:
                found.append(model)
    return found, lacking

"""Two values and their change, with its interval: the one comparison that all tables make.

An *estimate* is a Dataset with ``value`` (...) and its bootstrap ``draws`` (..., draw). Draws of
estimates that are compared are paired: the same TRs, clips or words were drawn for both.
"""

from __future__ import annotations

from operator import sub

import xarray as xr

from bthelpers.results.runs import BASELINE, Labelled
from bthelpers.statistics.bootstrap import percent_change
from bthelpers.statistics.intervals import interval

CHANGES = {"difference": sub, "percent": percent_change}


def estimate(run: xr.Dataset, value: str, draws: str = "draws") -> xr.Dataset:
    """Make an estimate of two of a Dataset's variables."""
    return run[[value, draws]].rename({value: "value", draws: "draws"})


def tuned_and_pretrained(run: Labelled) -> tuple[Labelled, Labelled]:
    """All other conditions, and the pretrained one."""
    return run.drop_sel(condition=BASELINE), run.sel(condition=BASELINE, drop=True)


def change(run: Labelled) -> Labelled:
    """Difference from pretrained in all other conditions."""
    return sub(*tuned_and_pretrained(run))


def compare(
    new: xr.Dataset, old: xr.Dataset, kind: str = "difference", over: str | None = None
) -> xr.Dataset:
    """Change from one estimate to another, with the 95 % interval of that change.

    Parameters
    ----------
    new, old : Dataset
        Estimates; broadcast against each other by label.
    kind : str
        Of `CHANGES`. A change in percent is NaN where the old value is not positive.
    over : str, optional
        Dim of the participants over whom values and changes are averaged, as of
        `bthelpers.statistics.intervals.spread`; by default each is compared by itself.

    Returns
    -------
    Dataset
        ``baseline`` (the old value), ``value`` (the new one), their ``change``, and the ends of its
        interval, ``low`` and ``high``; these are NaN where a draw's change is.

    Examples
    --------
    >>> pretrained = xr.Dataset({"value": 4.0, "draws": ("draw", [3.0, 4.0, 5.0])})
    >>> tuned = xr.Dataset({"value": 5.0, "draws": ("draw", [4.0, 5.0, 6.0])})
    >>> {name: number.item() for name, number in compare(tuned, pretrained).items()}
    {'baseline': 4.0, 'value': 5.0, 'change': 1.0, 'low': 1.0, 'high': 1.0}
    """
    changes = CHANGES[kind](new, old)
    columns = {"baseline": old["value"], "value": new["value"], "change": changes["value"]}
    if over is not None:
        columns = {name: values.mean(over, skipna=False) for name, values in columns.items()}
    return xr.Dataset(columns | dict(interval(changes, over).to_dataset("bound")))

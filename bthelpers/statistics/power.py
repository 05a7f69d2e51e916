"""Which differences a test would find: the power of intervals by Student's t."""

from __future__ import annotations

import math
from bisect import bisect_left

import numpy as np
import xarray as xr
from scipy import optimize, stats

from bthelpers.statistics.intervals import Spread

MOST_UNITS = 1_000_000  # that are looked for


def detectable_shift(df: float, power: float = 0.8, level: float = 0.95) -> float:
    """Difference, in standard errors, whose t interval leaves out 0 with some probability.

    By the noncentral t distribution: with few degrees of freedom it is far above the 2.8 that
    textbooks give for large samples.

    Parameters
    ----------
    df : float
        Degrees of freedom of the standard error; the shift is NaN where there are none.
    power : float
        Share of studies that find the difference.
    level : float
        Coverage of the interval.

    Examples
    --------
    >>> [round(detectable_shift(df), 1) for df in (1, 4, 17, 1000)]
    [16.3, 3.8, 3.0, 2.8]
    """
    if not df > 0:
        return math.nan  # one speaker tells nothing of others
    critical = stats.t.isf((1 - level) / 2, df)

    def missing(shift: float) -> float:
        return power - stats.nct.sf(critical, df, shift)  # on the other side, hardly ever

    return float(optimize.brentq(missing, 0, 2 * critical + 3))


def smallest_difference(uncertain: Spread, power: float = 0.8, level: float = 0.95) -> xr.DataArray:
    """Smallest true difference that the interval over what is drawn would tell from 0.

    Of further participants, whose spread an interval may hold too, nothing is said.

    Parameters
    ----------
    uncertain : Spread
        Of a difference of paired values, such as the F1 of two conditions.
    power, level : float
        As of `detectable_shift`.
    """
    shift = xr.apply_ufunc(
        np.vectorize(lambda df: detectable_shift(df, power, level), otypes=[float]),
        uncertain.drawn_df,
    )
    return shift * np.sqrt(uncertain.drawn)


def units_needed(
    uncertain: Spread, difference: float, power: float = 0.8, level: float = 0.95
) -> xr.DataArray:
    """How many speakers or clips would have to be drawn for a true difference to be found.

    The standard error is taken to fall with one over the square root of their number.

    Parameters
    ----------
    uncertain : Spread
        Of a difference of paired values.
    difference : float
    power, level : float
        As of `detectable_shift`.

    Returns
    -------
    DataArray
        Two at least; NaN where the spread is.
    """

    def needed(variance: float, df: float) -> float:
        of_one = math.sqrt(variance * (df + 1))
        if not math.isfinite(of_one):
            return math.nan

        def finds(n: int) -> bool:
            return detectable_shift(n - 1, power, level) * of_one <= difference * math.sqrt(n)

        return 2.0 + bisect_left(range(2, MOST_UNITS), True, key=finds)

    return xr.apply_ufunc(np.vectorize(needed, otypes=[float]), uncertain.drawn, uncertain.drawn_df)

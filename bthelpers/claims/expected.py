"""How many claims would hold if nothing, or none of them, were true.

For each bootstrap draw, every row of every claim is given a made-up value and spread: what it would
truly be, as much error as its draws and its participants have, and what the data would say of that
error. The whole procedure then judges it. Errors of one draw are of the same blocks, clips and
participants in all rows, as in the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from bthelpers.claims.claim import Statement
from bthelpers.claims.rows import Row, p_values
from bthelpers.claims.verdicts import Verdicts, decide
from bthelpers.statistics.intervals import Spread
from bthelpers.statistics.permutation import LEVEL

WORLDS: dict[str, Callable[[Statement], float]] = {
    "if nothing were true": lambda statement: statement.null,
    "if no claim were true": lambda statement: statement.edge,
}
N_DRAWS = 300  # at most: enough for counts


def expected_counts(verdicts: Verdicts, seed: int = 0) -> pd.DataFrame:
    """How many claims hold in made-up worlds, beside how many do.

    If nothing were true, all differences would be zero: claims of a difference would then hold
    by chance, and claims of equality with their power. If no claim were true, each quantity would
    be at the edge of where it is claimed to be: any claim would hold by chance.

    Parameters
    ----------
    verdicts : Verdicts
    seed : int
        Of the errors that are not in the bootstrap's draws.

    Returns
    -------
    DataFrame
        By topic and in all, of the claims that were tested: ``tested``, ``holds``; for each of
        `WORLDS` the ``mean`` number that hold, and the ``low`` and ``high`` end of the middle 90 %;
        and ``any (%)``, in how many draws any does.
    """
    numbers = list(verdicts.tested)
    rows = [row for number in numbers for row in verdicts.tested[number]]
    claim_of_row = np.repeat(np.arange(len(numbers)), [len(verdicts.tested[n]) for n in numbers])
    tested = verdicts.claims.loc[numbers]
    held = {"": (tested["verdict"] == "holds").values[:, None]}
    n_draws = min(N_DRAWS, *(row.estimate.sizes["draw"] for row in rows))
    errors = [_errors(row, n_draws, seed) for row in rows]
    for world, truth in WORLDS.items():
        p = np.array(
            [
                p_values(row.statement, truth(row.statement) + error, uncertain)
                for row, (error, uncertain) in zip(rows, errors, strict=True)
            ]
        )
        p_of_claims, _ = decide(p[:, 0], p[:, 1], claim_of_row, tested["topic"].tolist())
        held[world] = p_of_claims <= LEVEL
    topics = {topic: (tested["topic"] == topic).values for topic in tested["topic"].unique()}
    return pd.DataFrame(
        {
            topic: {("", "tested"): some.sum(), ("", "holds"): held[""][some].sum()}
            | {
                (world, name): number
                for world in WORLDS
                for name, number in _summary(held[world][some].sum(axis=0)).items()
            }
            for topic, some in (topics | {"all": np.ones(len(tested), bool)}).items()
        }
    ).T


def _summary(counts: NDArray) -> dict[str, float]:
    low, high = np.quantile(counts, [0.05, 0.95])
    return {"mean": counts.mean(), "low": low, "high": high, "any (%)": 100 * (counts > 0).mean()}


def _errors(row: Row, n_draws: int, seed: int) -> tuple[xr.DataArray, Spread]:
    """Errors that a row's value might have, and the spreads that data would say it has: (draw)."""
    chances = np.random.default_rng(seed).uniform(size=(2, n_draws))
    value, observed = row.estimate["value"], row.spread
    draws = row.estimate["draws"].isel(draw=slice(n_draws)).astype(float)
    n = value.sizes["participant"]
    of_draws, drawn = _divided(
        _standardized(draws.mean("participant")), observed.drawn, observed.drawn_df, chances[0]
    )
    weights = np.random.default_rng(seed + n).standard_normal((n_draws, n))
    between = xr.DataArray(weights, dims=("draw", "participant")) @ (value - value.mean())
    of_participants, participants = _divided(
        _standardized(between), observed.participants, observed.participants_df, chances[1]
    )
    error = of_draws * np.sqrt(_in_common(draws)) + of_participants
    return error, replace(observed, drawn=drawn, participants=participants)


def _standardized(errors: xr.DataArray) -> xr.DataArray:
    """Errors (draw) in units of their standard deviation; 0 where they do not vary."""
    deviation = errors.std("draw", ddof=1)
    return (errors - errors.mean("draw")) / deviation.where(deviation > 0, np.inf)


def _divided(
    normal: xr.DataArray, variance: xr.DataArray, df: xr.DataArray, chance: NDArray
) -> tuple[xr.DataArray, xr.DataArray]:
    """Errors whose variance is not known but estimated, and further estimates of it: (draw).

    An error and an estimate say of the true variance what error² + df · estimate says: the sum is
    sufficient, and the error's part of it follows the same law whatever is true. So the sum is
    taken to be as observed, (df + 1) · `variance`, and chance divides it: an error in units of
    its estimate is Student's t. If the observed estimate were taken for the true variance, and
    others varied about it, estimates would vary by chance twice: more equality would be expected
    than is shown where that is seldom, and less where it is often.

    Parameters
    ----------
    normal : DataArray
        Standard normal errors.
    variance, df : DataArray
        The observed estimate, and its degrees of freedom.
    chance : array of shape (n_draws,)
        Uniform from 0 to 1.
    """
    if not np.isfinite(df):
        return normal * np.sqrt(variance), variance * xr.ones_like(normal)
    estimated = stats.chi2.ppf(chance, df.item())
    unit = variance * (df + 1) / (normal**2 + estimated)
    return normal * np.sqrt(unit), unit * estimated / df


def _in_common(draws: xr.DataArray) -> xr.DataArray:
    """Part of the variance of a mean over participants that is not of each one's own noise.

    Own noise makes participants differ too, and an error must not hold it twice. What they have in
    common is the covariance of their `draws` (participant, draw).
    """
    n, of_mean = draws.sizes["participant"], draws.mean("participant").var("draw")
    own = (draws.var("draw").mean("participant") - of_mean) / max(n - 1, 1)
    return (1 - own / of_mean.where(of_mean > 0, np.inf)).clip(min=0)

"""How many claims would hold if nothing, or none of them, were true.

For each bootstrap draw, every row of every claim is given a made-up value: what it would truly be,
and as much error as its draws and its participants have. The whole procedure then judges it.
Errors of one draw are of the same blocks, clips and participants in all rows, as in the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    for world, truth in WORLDS.items():
        p, opposite = _made_up(rows, truth, seed)
        held[world] = decide(p, opposite, claim_of_row, tested["topic"].tolist())[0] <= LEVEL
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


def _made_up(
    rows: Sequence[Row], truth: Callable[[Statement], float], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """p-values of rows and of their opposites, in a made-up world: (row, draw)."""
    n_draws = min(N_DRAWS, *(row.estimate.sizes["draw"] for row in rows))
    chances = np.random.default_rng(seed).uniform(size=(2, n_draws))
    p = np.empty((2, len(rows), n_draws))
    for number, row in enumerate(rows):
        value = truth(row.statement) + _errors(row, n_draws, seed)
        p[:, number] = p_values(row.statement, value, _estimated(row.spread, chances))
    return p[0], p[1]


def _errors(row: Row, n_draws: int, seed: int) -> xr.DataArray:
    """Errors of a row's value, with the variances of its spread: (draw)."""
    draws = row.estimate["draws"].mean("participant").isel(draw=slice(n_draws)).astype(float)
    drawn_df, value = row.spread.drawn_df, row.estimate["value"]
    drawn = (draws - draws.mean()) * np.sqrt(1 + 1 / drawn_df)
    n = value.sizes["participant"]
    weights = np.random.default_rng(seed + n).standard_normal((n_draws, n))
    between = xr.DataArray(weights, dims=("draw", "participant")) @ (value - value.mean())
    return drawn + between / np.sqrt(max(n * (n - 1), 1))


def _estimated(uncertain: Spread, chances: NDArray) -> Spread:
    """What data would estimate a spread to be, by chance: a variance varies with its chi-square."""

    def drawn(variance: xr.DataArray, df: xr.DataArray, chance: NDArray) -> xr.DataArray:
        factors = stats.chi2.ppf(chance, df) / df if np.isfinite(df) else np.ones_like(chance)
        return variance * xr.DataArray(factors, dims="draw")

    return replace(
        uncertain,
        drawn=drawn(uncertain.drawn, uncertain.drawn_df.item(), chances[0]),
        participants=drawn(uncertain.participants, uncertain.participants_df.item(), chances[1]),
    )

"""Intervals of 95 % by NumPy and SciPy alone, which tests of several packages share."""

import numpy as np
from scipy import stats


def by_hand(values, draws, n_drawn=np.inf):
    """Ends (2, ...) for the mean of values (participant, ...) with their draws (..., draw)."""
    values, draws = np.asarray(values, float), np.asarray(draws, float)
    n = len(values)
    of_draws = np.var(draws.mean(axis=0), axis=-1, ddof=1) / (1 - 1 / n_drawn)
    squared = stats.t.isf(0.025, n_drawn - 1) ** 2 * of_draws
    if n > 1:
        squared = squared + stats.t.isf(0.025, n - 1) ** 2 * np.var(values, axis=0, ddof=1) / n
    return np.stack(
        [values.mean(axis=0) - np.sqrt(squared), values.mean(axis=0) + np.sqrt(squared)]
    )


def of_one(value, draws, n_drawn=np.inf):
    """Ends (2, ...) for values of one participant."""
    return by_hand(np.asarray(value)[None], np.asarray(draws)[None], n_drawn)

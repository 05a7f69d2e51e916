"""The haemodynamic response, and autocorrelated noise."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike
from scipy.stats import gamma

UNDERSHOOT_AFTER = 10  # s, from the peak of the response to that of its undershoot


def double_gamma(
    ages: np.ndarray, peak: float = 5, dispersion: float = 1, undershoot: float = 1 / 6
) -> np.ndarray:
    """Haemodynamic response to a brief event; the canonical one, where only ages are given.

    Parameters
    ----------
    ages : array
        Seconds since the event; the response before it is 0.
    peak : float
        Seconds from the event to the peak of the first of two gamma densities; the second, that of
        the undershoot, peaks 10 s later.
    dispersion : float
        Scale of both densities, in seconds: the variance of the first is its mean times that.
    undershoot : float
        Share of the second density, which is subtracted.

    Returns
    -------
    array of the same shape
        Per second. The canonical one has its undershoot around 15 s (Glover 1999; the shape that
        SPM uses by default).
    """
    ages = np.asarray(ages, float)
    first, second = (
        gamma.pdf(ages, 1 + mode / dispersion, scale=dispersion)
        for mode in (peak, peak + UNDERSHOOT_AFTER)
    )
    return first - undershoot * second


def autocorrelated_noise(
    shape: tuple[int, ...], coefficient: float, rng, dtype: DTypeLike = np.float64
) -> np.ndarray:
    """AR(1) noise along the first axis, stationary with unit variance, in float64 or float32."""
    noise = rng.standard_normal(shape, dtype)
    noise[1:] *= np.sqrt(1 - coefficient**2)
    for before, row in pairwise(noise):
        row += coefficient * before
    return noise

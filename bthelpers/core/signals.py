"""The haemodynamic response."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter
from scipy.stats import gamma

PEAK_SHAPE, UNDERSHOOT_SHAPE, UNDERSHOOT_SHARE = 6, 16, 1 / 6


def double_gamma(ages: np.ndarray) -> np.ndarray:
    """Canonical response to a brief event.

    Parameters
    ----------
    ages : array
        Seconds since the event; the response before it is 0.

    Returns
    -------
    array of the same shape
        Per second; a peak at 5 s and an undershoot around 15 s (Glover 1999; the shape that SPM
        uses by default).
    """
    ages = np.asarray(ages, float)
    return gamma.pdf(ages, PEAK_SHAPE) - UNDERSHOOT_SHARE * gamma.pdf(ages, UNDERSHOOT_SHAPE)


def autocorrelated_noise(shape: tuple[int, int], coefficient: float, rng) -> np.ndarray:
    """AR(1) noise along the first axis, stationary with unit variance."""
    innovations = rng.normal(size=shape)
    innovations[1:] *= np.sqrt(1 - coefficient**2)
    return lfilter([1.0], [1.0, -coefficient], innovations, axis=0)

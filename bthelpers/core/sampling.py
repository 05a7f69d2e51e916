"""Recordings at any rate: delays in seconds as samples, and the times of samples."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bthelpers.core.timing import TRIM

_TOLERANCE = 1e-6  # samples: what is left of a decimal number such as 2.0045 in binary


def whole_samples(delays: Iterable[float], interval: float) -> tuple[int, ...]:
    """Delays as numbers of samples. None is rounded: a delay is a whole number of them, or wrong.

    Parameters
    ----------
    delays : iterable of float
        Seconds.
    interval : float
        Seconds from one sample to the next: 1 / rate, or the TR.

    Raises
    ------
    ValueError
        If one lies between two samples: the message names these.

    Examples
    --------
    >>> whole_samples([0.125, 0.25], interval=1 / 64)
    (8, 16)
    """
    found = []
    for delay in delays:
        nearest = round(delay / interval)
        if abs(delay / interval - nearest) > _TOLERANCE:
            below = int(delay // interval)
            around = " and ".join(f"{number * interval:.6g} s" for number in (below, below + 1))
            raise ValueError(
                f"{delay:g} s lies between two samples, which are {interval:.6g} s apart"
                f" ({1 / interval:.6g} Hz): the nearest delays are {around}"
            )
        found.append(nearest)
    return tuple(found)


def sample_times(n_samples: int, rate: float, first: float = 0.0) -> NDArray[np.float64]:
    """Times at which features are computed for a recording of so many samples.

    As for volumes, `bthelpers.core.timing.trim` leaves those of the recording: ten samples more are
    before them, five after.

    Parameters
    ----------
    n_samples : int
        Of the recording.
    rate : float
        Samples per second.
    first : float
        Seconds from the onset of the sound to the first sample.

    Returns
    -------
    array of shape (n_samples + 15,)
        Seconds from the onset of the sound.

    Raises
    ------
    ValueError
        If there is no sample.

    Examples
    --------
    >>> from bthelpers.core.timing import trim
    >>> trim(sample_times(3, rate=64))
    array([0.      , 0.015625, 0.03125 ])
    """
    if n_samples < 1:
        raise ValueError("a recording of no sample has no times")
    before, after = TRIM
    return first + np.arange(-before, n_samples + after) / rate

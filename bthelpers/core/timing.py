"""Time: the only place where audio, features and fMRI volumes (TRs) are put on one clock.

All times are in seconds relative to the onset of the sound. The scanner runs ahead of the sound:
the first volume is triggered 10 s before it, and volume ``i`` at ``i * TR - 10``. The preprocessed
responses of ds003020 leave out the first 10 and the last 5 volumes of a story, and `trim` does the
same to anything that is sampled at `tr_times`, so that row ``k`` of either belongs to the volume
at ``(k + 10) * TR - 10``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SAMPLE_RATE = 16_000
"""Samples per second of sound as all models take it, and of the times in TIMIT's transcriptions."""

SILENCE = "sp"
"""Label of silences in transcriptions."""

TR = 2.0045
"""Repetition time of ds003020, in seconds."""

SOUND_DELAY = 10.0
"""Seconds from the first trigger to the onset of the sound."""

TRIM = (10, 5)
"""Volumes left out of the responses at the start and at the end of a story."""

# `respdict.json` counts five volumes more than there are triggers.
_UNTRIGGERED = 5


def tr_times(n_respdict: int, tr: float = TR) -> NDArray[np.float64]:
    """Times of a story's triggers.

    Parameters
    ----------
    n_respdict : int
        The story's count in ``respdict.json``.
    tr : float
        Repetition time in seconds.

    Returns
    -------
    array of shape (n_respdict - 5,)
        Seconds relative to the onset of the sound; the first is -10.

    Raises
    ------
    ValueError
        If the count leaves no trigger.

    Examples
    --------
    >>> tr_times(8, tr=2.0)
    array([-10.,  -8.,  -6.])
    """
    if n_respdict <= _UNTRIGGERED:
        raise ValueError(f"a respdict count of {n_respdict} leaves no trigger: it must exceed 5")
    return np.arange(n_respdict - _UNTRIGGERED) * tr - SOUND_DELAY


def trim(rows: NDArray) -> NDArray:
    """Leave out the volumes that the preprocessed responses leave out, ``rows[10:-5]``.

    Parameters
    ----------
    rows : array of shape (n_respdict - 5, ...)
        One row per trigger.

    Returns
    -------
    array of shape (n_respdict - 20, ...)
        One row per row of the responses.

    Raises
    ------
    ValueError
        If nothing would be left.

    Examples
    --------
    >>> trim(np.arange(18))
    array([10, 11, 12])
    """
    start, end = TRIM
    if len(rows) <= start + end:
        raise ValueError(
            f"{len(rows)} rows are too few to trim {start} at the start, {end} at the end"
        )
    return rows[start:-end]


def response_times(n_respdict: int, tr: float = TR) -> NDArray[np.float64]:
    """Times of the rows of a story's preprocessed responses: `tr_times`, trimmed.

    Row ``k`` of shape (n_respdict - 20,) is at ``(k + 10) * tr - 10`` seconds from the onset of the
    sound.
    """
    return trim(tr_times(n_respdict, tr))


def n_respdict_for(duration: float, tr: float = TR) -> int:
    """The ``respdict.json`` count of a story of a given length.

    Parameters
    ----------
    duration : float
        Length of the sound in seconds.
    tr : float
        Repetition time in seconds.

    Returns
    -------
    int
        The count whose triggers span the 10 s before the sound and the sound itself.

    Raises
    ------
    ValueError
        If the story is too short to leave a row after trimming.
    """
    n_triggers = round((duration + SOUND_DELAY) / tr)
    if n_triggers <= sum(TRIM):
        raise ValueError(f"a story of {duration} s has {n_triggers} volumes; trimming leaves none")
    return n_triggers + _UNTRIGGERED


def windows(end_times: ArrayLike, length: float, rate: float) -> NDArray[np.int64]:
    """Sample ranges of the sliding windows of audio that end at given times.

    The window of time t holds the audio of [t - length, t], as in section 3.2 of Moussa et al.
    (ICLR 2025). Every window has the same number of samples. Near the onset a window starts before
    the sound: its start is negative and is *not* clipped, so the caller must decide what precedes
    the sound. Likewise nothing here knows where the sound ends.

    Parameters
    ----------
    end_times : array of shape (n,)
        Ends of the windows, in seconds.
    length : float
        Length of a window in seconds.
    rate : float
        Sampling rate in Hz.

    Returns
    -------
    array of shape (n, 2)
        Half-open ranges [start, stop) of sample indices.

    Raises
    ------
    ValueError
        If a window holds no sample or an end is not a finite number.

    Examples
    --------
    >>> windows([1.0, 2.0], length=1.5, rate=10)
    array([[-5, 10],
           [ 5, 20]])
    """
    end_times = np.asarray(end_times, dtype=np.float64)
    n_samples = round(length * rate)
    if n_samples < 1:
        raise ValueError(f"a window of {length} s at {rate} Hz holds no sample")
    if end_times.ndim != 1 or not np.isfinite(end_times).all():
        raise ValueError("end_times must be a list of finite times")
    # To the nearest sample: end * rate is inexact, and truncation would lose a sample now and then.
    stop = np.rint(end_times * rate).astype(np.int64)
    return np.stack([stop - n_samples, stop], axis=1)


def lanczos_downsample(
    data: ArrayLike, data_times: ArrayLike, tr_times: ArrayLike, lobes: int = 3
) -> NDArray[np.floating]:
    """Low-pass features at the rate of the TRs and sample them at the TRs.

    The filter of the Huth lab (``lanczosinterp2D``): with x = (t_tr - t_data) / TR the weight is
    sinc(x) sinc(x / lobes) for abs(x) < lobes and 0 elsewhere. The weights are not normalised, so
    a constant grows with the sampling rate of the data: z-score afterwards.

    Parameters
    ----------
    data : array of shape (n_samples, n_features)
        Features; float32 stays float32, anything else is filtered in float64.
    data_times : array of shape (n_samples,)
        Their times in seconds, in any order and spacing.
    tr_times : array of shape (n_trs,)
        Evenly spaced times in seconds; 1 / spacing is the cutoff in Hz.
    lobes : int
        Lobes of the filter on each side.

    Returns
    -------
    array of shape (n_trs, n_features)
        Zero where no sample lies within `lobes` TRs. A NaN spreads to the TRs within `lobes` TRs.

    Raises
    ------
    ValueError
        If rows and times do not match, or `tr_times` are fewer than two or do not increase.

    Examples
    --------
    >>> lanczos_downsample([[1], [2], [3]], data_times=[0, 2, 4], tr_times=[0, 2, 4]).round(6)
    array([[1.],
           [2.],
           [3.]])
    """
    data = _as_float(data)
    data_times = np.asarray(data_times, dtype=np.float64)
    tr_times = np.asarray(tr_times, dtype=np.float64)
    if data.ndim != 2 or data_times.shape != data.shape[:1]:
        raise ValueError(f"data of shape {data.shape} need {data.shape[:1]} data_times")
    if not np.isfinite(data_times).all():
        raise ValueError("data_times must be finite")
    if tr_times.ndim != 1 or len(tr_times) < 2 or not (np.diff(tr_times) > 0).all():
        raise ValueError("tr_times must hold two or more increasing times: they set the cutoff")
    cutoff = 1 / np.diff(tr_times).mean()
    downsampled = np.empty((len(tr_times), data.shape[1]), dtype=data.dtype)
    for row, time in enumerate(tr_times):
        x = (time - data_times) * cutoff
        near = np.abs(x) < lobes
        weights = np.sinc(x[near]) * np.sinc(x[near] / lobes)
        downsampled[row] = weights.astype(data.dtype) @ data[near]
    return downsampled


def fir_delay(features: ArrayLike, delays: Sequence[int]) -> NDArray:
    """Copies of a story's features, delayed by whole TRs: a finite impulse response model.

    Row t of the block of delay d holds ``features[t - d]``; rows from before the first or after
    the last row of the story are zero. To be used story by story, or one story leaks into another.

    Parameters
    ----------
    features : array of shape (n_trs, n_features)
        Features of one story.
    delays : sequence of int
        Delays in TRs; a negative one looks ahead.

    Returns
    -------
    array of shape (n_trs, n_delays * n_features)
        One block of all features per delay, in the order of `delays`.

    Raises
    ------
    ValueError
        If the features are not a matrix, or the delays are none or not whole numbers.

    Examples
    --------
    >>> fir_delay([[1], [2], [3]], delays=[1, 2])
    array([[0, 0],
           [1, 0],
           [2, 1]])
    """
    features = np.asarray(features)
    delays = np.asarray(delays)
    if features.ndim != 2:
        raise ValueError(f"features must be of shape (n_trs, n_features), not {features.shape}")
    if delays.ndim != 1 or not np.issubdtype(delays.dtype, np.integer):
        raise ValueError("delays must be one or more whole numbers of TRs")
    n_trs, n_features = features.shape
    delayed = np.zeros((n_trs, len(delays), n_features), dtype=features.dtype)
    for block, delay in enumerate(delays):
        start, stop = np.clip([delay, n_trs + delay], 0, n_trs)
        delayed[start:stop, block] = features[start - delay : stop - delay]
    return delayed.reshape(n_trs, len(delays) * n_features)


def zscore(x: ArrayLike) -> NDArray[np.floating]:
    """Standardise each column: mean 0, standard deviation 1 (ddof 0) over the rows.

    Parameters
    ----------
    x : array of shape (n_trs, ...)
        Usually one story; float32 stays float32, anything else gives float64.

    Returns
    -------
    array of shape (n_trs, ...)
        A constant column gives zeros, a column with a NaN gives NaN throughout.
    """
    x = _as_float(x)
    # Found by its range, because rounding gives the deviations of a constant a tiny variance.
    deviation = np.where(np.ptp(x, axis=0) == 0, np.inf, x.std(axis=0, dtype=np.float64))
    return ((x - x.mean(axis=0, dtype=np.float64)) / deviation).astype(x.dtype, copy=False)


def block_permutation(n: int, block: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Shuffle blocks of consecutive TRs so that no block keeps its place.

    The order of the blocks is a derangement, drawn uniformly; rows keep their order within a
    block. For the block-permuted control, which must differ from brain-tuning in nothing else.
    When `n` is no multiple of `block` the last block is shorter, and a block that moves by one
    place across it can move by as few rows as it has.

    Parameters
    ----------
    n : int
        Rows of the story.
    block : int
        Rows of a block.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    array of shape (n,)
        Row indices, a permutation of ``arange(n)``.

    Raises
    ------
    ValueError
        If there are fewer than two blocks, so that none can move.

    Examples
    --------
    >>> block_permutation(5, 2, np.random.default_rng(0))
    array([4, 0, 1, 2, 3])
    """
    if block < 1 or n <= block:
        raise ValueError(f"{n} rows hold fewer than two blocks of {block}: nothing can move")
    rows = np.arange(n)
    blocks = np.split(rows, rows[block::block])
    places = np.arange(len(blocks))
    order = rng.permutation(places)
    while (order == places).any():  # 1 in e permutations is a derangement
        order = rng.permutation(places)
    return np.concatenate([blocks[index] for index in order])


def _as_float(x: ArrayLike) -> NDArray[np.floating]:
    x = np.asarray(x)
    return x if x.dtype == np.float32 else x.astype(np.float64, copy=False)


@dataclass(frozen=True)
class Interval:
    """A labelled stretch of time, in seconds."""

    start: float
    stop: float
    label: str

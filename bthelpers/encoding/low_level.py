"""Low-level features of stories at their TRs (appendix A.3 of the ICLR paper).

To a TR belongs the sound of the TR before it, as to a window that ends there; silence precedes and
follows a story. The rows are those of `bthelpers.encoding.representations.extract`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bthelpers.core.errors import did_you_mean, listed
from bthelpers.core.timing import SAMPLE_RATE, TR, Interval, windows
from bthelpers.data.dataset import Dataset
from bthelpers.encoding.acoustics import (
    BAND_EDGES,
    articulation_table,
    log_mel,
    mfcc,
    phone_name,
    phone_sequences,
    power_spectrum,
)
from bthelpers.encoding.inputs import at_trs

HOP = SAMPLE_RATE // 100  # samples from one frame of mel bands or cepstra to the next


def sound_segments(waveform: np.ndarray, rate: int, tr_times: np.ndarray) -> list[np.ndarray]:
    """Cut the sound of the TR before each time, silent where there is none.

    Parameters
    ----------
    waveform : array of shape (n_samples,)
    rate : int
        Samples per second.
    tr_times : array of shape (n_trs,)
        In seconds from the sound's start.

    Returns
    -------
    list of n_trs arrays of shape (n_segment_samples,)
    """
    ranges = windows(tr_times, TR, rate)
    before, after = max(0, -ranges.min()), max(0, ranges.max() - len(waveform))
    padded = np.pad(waveform, (before, after))
    return [padded[start:stop] for start, stop in ranges + before]


def presence(
    intervals: Iterable[Interval], labels: Sequence[str], tr_times: np.ndarray
) -> NDArray[np.float32]:
    """Which labels are heard, wholly or in part, in the TR before each time.

    Parameters
    ----------
    intervals : iterable of Interval
        Labelled with some of the labels.
    labels : sequence of str
        Different from each other.
    tr_times : array of shape (n_trs,)
        Increasing, in seconds from the sound's start.

    Returns
    -------
    array of shape (n_trs, n_labels), 0 or 1
    """
    columns = {label: number for number, label in enumerate(labels)}
    present = np.zeros((len(tr_times), len(labels)), np.float32)
    for interval in intervals:
        first = np.searchsorted(tr_times, interval.start, side="right")
        end = np.searchsorted(tr_times - TR, interval.stop, side="left")
        present[first:end, columns[interval.label]] = 1
    return present


def _labelled(dataset: Dataset, rows: dict[str, np.ndarray], columns: list[str]) -> xr.DataArray:
    """Join the arrays (tr, feature) of stories."""
    values = np.concatenate(list(rows.values()))
    return at_trs(dataset, list(rows), values).assign_coords(feature=columns)


def _of_sound(
    dataset: Dataset,
    stories: Sequence[str],
    read: Callable[[str], tuple[np.ndarray, int]],
    describe: Callable[[np.ndarray, int], np.ndarray],
) -> xr.DataArray:
    """Numbers that describe each TR's sound, of stories as they are read: waveform, rate."""
    rows = {}
    for story in stories:
        waveform, rate = read(story)
        segments = sound_segments(waveform, rate, dataset.tr_times(story))
        rows[story] = np.stack([describe(segment, rate) for segment in segments])
    n_columns = rows[stories[0]].shape[1]
    return _labelled(dataset, rows, [str(number) for number in range(n_columns)])


def _power_spectrum(dataset: Dataset, stories: Sequence[str]) -> xr.DataArray:
    values = _of_sound(dataset, stories, dataset.audio, power_spectrum)
    n_bands = len(BAND_EDGES) - 1
    beyond = n_bands - values.sizes["feature"]
    return values.assign_attrs(bands_beyond_the_sound=f"{beyond} of {n_bands}")


def _mel(
    dataset: Dataset, stories: Sequence[str], frames: Callable[..., np.ndarray]
) -> xr.DataArray:
    """Mean over the frames of a TR."""

    return _of_sound(
        dataset,
        stories,
        read=lambda story: (dataset.waveform(story, SAMPLE_RATE), SAMPLE_RATE),
        describe=lambda segment, rate: frames(segment, rate, HOP).mean(axis=0),
    )


def _of_phones(
    dataset: Dataset,
    stories: Sequence[str],
    relabelled: Callable[[list[Interval]], list[Interval]],
    columns: Iterable[str] = (),
) -> xr.DataArray:
    """Presence of what phones are, or make up; of the given columns and all that occur."""
    phones = {story: dataset.phones(story) for story in stories}
    intervals = {story: relabelled(phones[story]) for story in stories}
    occurring = {interval.label for story in stories for interval in intervals[story]}
    columns = sorted(occurring.union(columns))
    rows = {
        story: presence(intervals[story], columns, dataset.tr_times(story)) for story in stories
    }
    others = Counter(
        phone.label
        for story in stories
        for phone in phones[story]
        if phone_name(phone) not in articulation_table()
    )
    counts = listed(f"{label} ({count})" for label, count in sorted(others.items()))
    return _labelled(dataset, rows, columns).assign_attrs(not_phones=counts)


def _articulated(phones: list[Interval]) -> list[Interval]:
    """Each phone once for each of its articulatory features."""
    return [
        Interval(phone.start, phone.stop, feature)
        for phone in phones
        for feature in articulation_table().get(phone_name(phone), [])
    ]


# (dataset, stories) -> DataArray (tr, feature)
LOW_LEVEL_FEATURES: dict[str, Callable[[Dataset, Sequence[str]], xr.DataArray]] = {
    "power_spectrum": _power_spectrum,
    "diphones": partial(_of_phones, relabelled=partial(phone_sequences, length=2)),
    "triphones": partial(_of_phones, relabelled=partial(phone_sequences, length=3)),
    "articulation": partial(
        _of_phones,
        relabelled=_articulated,
        columns=frozenset().union(*articulation_table().values()),
    ),
    "fbank": partial(_mel, frames=log_mel),
    "mfcc": partial(_mel, frames=mfcc),
}
JOINT = ("power_spectrum", "diphones", "triphones", "articulation")  # side by side: "joint"


def low_level_features(
    dataset: Dataset, stories: Sequence[str], names: Sequence[str]
) -> dict[str, xr.DataArray]:
    """Low-level features of stories at all of their TRs, before trimming and delays.

    Parameters
    ----------
    dataset : Dataset
    stories : sequence of str
    names : sequence of str
        Keys of `LOW_LEVEL_FEATURES`, and "joint", which is those of `JOINT` side by side.

    Returns
    -------
    dict of str to DataArray (tr, feature), float32
        Of each name, with coordinates ``story`` and ``time`` (seconds of sound) along ``tr``,
        and, along ``feature``, the phones, articulatory feature or number of a column and its
        ``feature_set``, a key of `LOW_LEVEL_FEATURES`. Attributes count what has no column: labels
        of the transcription that are no phones, and bands of the power spectrum that the stimuli,
        at their rate, cannot hold.

    Raises
    ------
    ValueError
        If a name is unknown.
    DatasetError
        If a stimulus or transcription is missing or malformed.
    """
    for name in names:
        if name not in {*LOW_LEVEL_FEATURES, "joint"}:
            known = did_you_mean(name, [*LOW_LEVEL_FEATURES, "joint"])
            raise ValueError(f"{name!r} is no low-level feature{known}")
    needed = {*names, *(JOINT if "joint" in names else ())}
    features = {}
    for name in needed & LOW_LEVEL_FEATURES.keys():
        values = LOW_LEVEL_FEATURES[name](dataset, stories)
        feature_set = np.full(values.sizes["feature"], name)
        features[name] = values.assign_coords(feature_set=("feature", feature_set))
    if "joint" in names:
        parts = [features[name] for name in JOINT]
        features["joint"] = xr.concat(parts, "feature", combine_attrs="no_conflicts")
    return {name: features[name] for name in names}

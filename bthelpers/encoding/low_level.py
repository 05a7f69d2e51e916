"""Low-level features of stories at their TRs (appendix A.3 of the ICLR paper).

A feature is brought to TRs as a model's states are, by `WindowClock` and the Lanczos filter: the
mean over the sound that is pooled at each window's end, as if the feature were a layer whose tokens
are short frames. What a ridge does not predict of a representation is then not for want of time.

As published, a TR has the sound of the TR before it: its spectrum, and which phones occur in it.
The rows of both are those of `bthelpers.encoding.representations.extract`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import chain, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from scipy.sparse import csr_array

from bthelpers.core.errors import did_you_mean, listed
from bthelpers.core.timing import (
    SAMPLE_RATE,
    TR,
    Interval,
    fir_delay,
    lanczos_downsample,
    windows,
)
from bthelpers.data.dataset import Dataset
from bthelpers.encoding.acoustics import (
    BAND_EDGES,
    articulation_table,
    log_mel,
    mfcc,
    phone_name,
    phone_sequences,
    power_spectra,
    power_spectrum,
)
from bthelpers.encoding.inputs import at_trs

if TYPE_CHECKING:  # it takes seconds to load
    from bthelpers.encoding.representations import WindowClock

COLUMNS_AT_ONCE = 512  # that are filtered: bounds memory
TRS_AT_ONCE = 16  # of which the spectra are computed: bounds memory


def sound_segments(waveform: np.ndarray, rate: int, tr_times: np.ndarray) -> np.ndarray:
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
    array of shape (n_trs, n_segment_samples)
    """
    ranges = windows(tr_times, TR, rate)
    before, after = max(0, -ranges.min()), max(0, ranges.max() - len(waveform))
    padded = np.pad(waveform, (before, after))
    return np.stack([padded[start:stop] for start, stop in ranges + before])


def shares(
    intervals: Sequence[Interval], labels: Sequence[str], starts: np.ndarray, stops: np.ndarray
) -> csr_array:
    """Share of each stretch of time that each label takes.

    Parameters
    ----------
    intervals : sequence of Interval
        Labelled with some of the labels.
    labels : sequence of str
        Different from each other.
    starts, stops : array of shape (n_stretches,)
        Both increasing, in seconds.

    Returns
    -------
    sparse array of shape (n_stretches, n_labels)
        Above one only where intervals of one label overlap.

    Examples
    --------
    >>> phones = [Interval(0.0, 1.5, "S"), Interval(1.5, 2.0, "T")]
    >>> shares(phones, ["S", "T"], starts=np.array([0, 1]), stops=np.array([1, 2])).toarray()
    array([[1. , 0. ],
           [0.5, 0.5]])
    """
    columns = {label: number for number, label in enumerate(labels)}
    column = np.array([columns[interval.label] for interval in intervals], int)
    edges = np.array([(each.start, each.stop) for each in intervals]).reshape(-1, 2)
    first = np.searchsorted(stops, edges[:, 0], side="right")
    count = np.maximum(np.searchsorted(starts, edges[:, 1], side="left") - first, 0)
    of_overlap = np.repeat(np.arange(len(edges)), count)
    stretch = np.arange(len(of_overlap)) - np.repeat(np.cumsum(count) - count - first, count)
    start, stop = edges[of_overlap].T
    heard = np.minimum(stop, stops[stretch]) - np.maximum(start, starts[stretch])
    share = heard / (stops - starts)[stretch]
    return csr_array((share, (stretch, column[of_overlap])), (len(stops), len(labels)))


def _pooled(
    intervals: Sequence[Interval],
    labels: Sequence[str],
    duration: float,
    clock: WindowClock,
) -> tuple[csr_array, np.ndarray]:
    """Shares of what is pooled at the end of each window, and these ends."""
    ends = clock.ends(duration)
    return shares(intervals, labels, np.maximum(ends - clock.pooled, 0), ends), ends


def _occurrence_on_clock(
    intervals: list[Interval], labels: list[str], dataset: Dataset, story: str, clock: WindowClock
) -> np.ndarray:
    """How long labels are heard, at TRs."""
    share, ends = _pooled(intervals, labels, dataset.duration(story), clock)
    blocks = [
        lanczos_downsample(
            share[:, first : first + COLUMNS_AT_ONCE].toarray(), ends, dataset.tr_times(story)
        )
        for first in range(0, len(labels), COLUMNS_AT_ONCE)
    ]
    return np.concatenate(blocks, axis=1)


def _presence(
    intervals: list[Interval], labels: list[str], dataset: Dataset, story: str, clock: WindowClock
) -> np.ndarray:
    """Which labels are heard, wholly or in part, in the TR before each: 0 or 1, as published."""
    tr_times = dataset.tr_times(story)
    return shares(intervals, labels, tr_times - TR, tr_times).toarray() > 0


def _sound_on_clock(
    waveform: np.ndarray,
    rate: int,
    tr_times: np.ndarray,
    clock: WindowClock,
    frames: Callable[[np.ndarray, int, int], np.ndarray],
    hop: float,
) -> np.ndarray:
    """Frames, one every so many seconds, at TRs."""
    n_hop = round(hop * rate)
    values = frames(np.pad(waveform, (0, -len(waveform) % n_hop)), rate, n_hop)
    edges = np.arange(len(values) + 1) * n_hop / rate
    intervals = [Interval(*pair, k) for k, pair in enumerate(pairwise(edges))]
    share, ends = _pooled(intervals, range(len(values)), len(waveform) / rate, clock)
    return lanczos_downsample(share @ values, ends, tr_times)


def _spectrum_of_tr(
    waveform: np.ndarray, rate: int, tr_times: np.ndarray, clock: WindowClock
) -> np.ndarray:
    """Power spectrum of the TR before each, as published."""
    segments = sound_segments(waveform, rate, tr_times)
    batches = range(0, len(segments), TRS_AT_ONCE)
    spectra = [power_spectrum(segments[first : first + TRS_AT_ONCE], rate) for first in batches]
    return np.concatenate(spectra)


class SoundCoding(NamedTuple):
    """How sound, read at a rate or at that of its file (None), is brought to TRs."""

    rate: int | None
    coded: Callable[[np.ndarray, int, np.ndarray, WindowClock], np.ndarray]


Coded = tuple[str, bool]  # name of a feature, and whether it is in the published coding


def _of_sound(
    dataset: Dataset,
    stories: Sequence[str],
    clock: WindowClock,
    codings: Mapping[Coded, SoundCoding],
) -> dict[Coded, xr.DataArray]:
    """Codings of the sound. That of a story is read once for all of them, and not kept."""

    def of_story(story: str) -> list[np.ndarray]:
        @cache
        def sound(rate: int | None) -> tuple[np.ndarray, int]:
            return dataset.audio(story) if rate is None else (dataset.waveform(story, rate), rate)

        tr_times = dataset.tr_times(story)
        return [each.coded(*sound(each.rate), tr_times, clock) for each in codings.values()]

    found, n_bands = {}, len(BAND_EDGES) - 1
    for (name, published), *rows in zip(codings, *map(of_story, stories), strict=True):
        values = at_trs(dataset, stories, np.concatenate(rows))
        n_columns = values.sizes["feature"]
        values = values.assign_coords(feature=[str(number) for number in range(n_columns)])
        if name == "power_spectrum":
            values.attrs["bands_beyond_the_sound"] = f"{n_bands - n_columns} of {n_bands}"
        found[name, published] = values
    return found


def _of_phones(
    dataset: Dataset,
    stories: Sequence[str],
    clock: WindowClock,
    codings: Mapping[Coded, Callable[..., np.ndarray]],
) -> dict[Coded, xr.DataArray]:
    """What phones are, or make up: a column for all that occur and, of articulation, for all."""
    if not codings:
        return {}
    phones = [dataset.phones(story) for story in stories]
    others = Counter(
        phone.label for phone in chain(*phones) if phone_name(phone) not in articulation_table()
    )
    counts = listed(f"{label} ({count})" for label, count in sorted(others.items()))
    found = {}
    for (name, published), coded in codings.items():
        intervals = [RELABELLED[name](of_story) for of_story in phones]
        occurring = {interval.label for interval in chain(*intervals)}
        if name == "articulation":
            occurring = occurring.union(*articulation_table().values())
        columns = sorted(occurring)
        rows = [
            coded(of_story, columns, dataset, story, clock)
            for story, of_story in zip(stories, intervals, strict=True)
        ]
        values = at_trs(dataset, stories, np.concatenate(rows)).assign_coords(feature=columns)
        found[name, published] = values.assign_attrs(not_phones=counts)
    return found


def _articulated(phones: list[Interval]) -> list[Interval]:
    """Each phone once for each of its articulatory features."""
    return [
        Interval(phone.start, phone.stop, feature)
        for phone in phones
        for feature in articulation_table().get(phone_name(phone), [])
    ]


RELABELLED: dict[str, Callable[[list[Interval]], list[Interval]]] = {
    "diphones": partial(phone_sequences, length=2),
    "triphones": partial(phone_sequences, length=3),
    "articulation": _articulated,
}
MEL_HOP, SPECTRUM_HOP = 0.01, 0.06  # s from one frame to the next; of spectra, half a window
# Of sound a SoundCoding; of phones a function as `_occurrence_on_clock`.
LOW_LEVEL_FEATURES: dict[str, SoundCoding | Callable[..., np.ndarray]] = {
    "power_spectrum": SoundCoding(
        None, partial(_sound_on_clock, frames=power_spectra, hop=SPECTRUM_HOP)
    ),
    **dict.fromkeys(RELABELLED, _occurrence_on_clock),
    **{
        name: SoundCoding(SAMPLE_RATE, partial(_sound_on_clock, frames=frames, hop=MEL_HOP))
        for name, frames in (("fbank", log_mel), ("mfcc", mfcc))
    },
}
AS_PUBLISHED: dict[str, SoundCoding | Callable[..., np.ndarray]] = {
    "power_spectrum": SoundCoding(None, _spectrum_of_tr),
    **dict.fromkeys(RELABELLED, _presence),
}
JOINT = tuple(AS_PUBLISHED)
PARTS = {"joint": JOINT, "joint_as_published": JOINT}  # side by side
FEATURE_NAMES = (*LOW_LEVEL_FEATURES, *PARTS)


def low_level_features(
    dataset: Dataset,
    stories: Sequence[str],
    names: Sequence[str],
    clock: WindowClock,
    delays: Sequence[int],
) -> dict[str, xr.DataArray]:
    """Low-level features of stories at all of their TRs, before trimming.

    Parameters
    ----------
    dataset : Dataset
    stories : sequence of str
    names : sequence of str
        Keys of `LOW_LEVEL_FEATURES`; "joint", which is the four of `JOINT` side by side; and
        "joint_as_published", which is the four in the published coding.
    clock : WindowClock
        Of the representations that the features are to predict.
    delays : sequence of int
        In TRs: a feature has the columns of all these neighbours of a TR. As published: of the TR
        alone.

    Returns
    -------
    dict of str to DataArray (tr, feature), float32
        Of each name, with coordinates ``story`` and ``time`` (seconds of sound) along ``tr``,
        and, along ``feature``, the phones, articulatory feature or number of a column, its
        ``delay``, and its ``feature_set``, a key of `LOW_LEVEL_FEATURES`. Attributes count what has
        no column: labels of the transcription that are no phones, and bands of the power spectrum
        that the stimuli, at their rate, cannot hold.

    Raises
    ------
    ValueError
        If a name is unknown.
    DatasetError
        If a stimulus or transcription is missing or malformed.
    """
    for name in names:
        if name not in FEATURE_NAMES:
            raise ValueError(f"{name!r} is no low-level feature{did_you_mean(name, FEATURE_NAMES)}")
    parts = {
        name: [(part, name == "joint_as_published") for part in PARTS.get(name, (name,))]
        for name in names
    }
    codings = {
        (part, published): (AS_PUBLISHED if published else LOW_LEVEL_FEATURES)[part]
        for part, published in chain(*parts.values())
    }
    of_phones = {coded: codings[coded] for coded in codings if coded[0] in RELABELLED}
    of_sound = {coded: codings[coded] for coded in codings if coded not in of_phones}
    found = _of_sound(dataset, stories, clock, of_sound)
    found |= _of_phones(dataset, stories, clock, of_phones)
    for (part, published), values in found.items():
        columns = delayed(values, (0,) if published else delays)
        feature_set = ("feature", np.full(columns.sizes["feature"], part))
        found[part, published] = columns.assign_coords(feature_set=feature_set)
    return {
        name: xr.concat([found[part] for part in of_name], "feature", combine_attrs="no_conflicts")
        for name, of_name in parts.items()
    }


def delayed(values: xr.DataArray, delays: Sequence[int]) -> xr.DataArray:
    """Columns (tr, feature) as they were so many TRs ago, story by story, one block per delay."""
    stories = values["story"].values
    rows = [fir_delay(values.values[stories == name], delays) for name in dict.fromkeys(stories)]
    blocks = xr.concat([values] * len(delays), "feature")
    delay = np.repeat(delays, values.sizes["feature"])
    return blocks.copy(data=np.concatenate(rows)).assign_coords(delay=("feature", delay))

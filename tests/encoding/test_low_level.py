from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import welch

from bthelpers.core.timing import Interval
from bthelpers.data.dataset import Dataset
from bthelpers.encoding.acoustics import (
    articulation_table,
    log_mel,
    mfcc,
    power_spectra,
    power_spectrum,
)
from bthelpers.encoding.low_level import (
    FEATURE_NAMES,
    JOINT,
    delayed,
    low_level_features,
    shares,
    sound_segments,
)
from bthelpers.encoding.representations import WindowClock
from tests.tiny_dataset import write_tree

TR = 2.0045
N_RESPDICT = {"cat": 27, "long": 29}
CLOCK = WindowClock(stride=0.5, token=0.1, pooled=0.62)
DELAYS = (-1, 0, 1)


class Spoken:
    """Stands for a dataset: two stories of noise, at one rate, and a few phones."""

    def __init__(self, rate=16_000):
        self.rate = rate

    def tr_times(self, story):
        return np.arange(N_RESPDICT[story] - 5) * TR - 10

    def audio(self, story):
        n_samples = int(self.tr_times(story)[-1] * self.rate)
        return np.random.default_rng(len(story)).normal(0, 0.1, n_samples), self.rate

    def duration(self, story):
        return len(self.audio(story)[0]) / self.rate

    def waveform(self, story, rate):
        return Spoken(rate).audio(story)[0]

    def phones(self, story):
        labels = {"cat": "K AE1 T sp K AE0 B", "long": "{NS} L AO1 NG sp sp"}[story].split()
        return [Interval(0.8 * k, 0.8 * (k + 1), label) for k, label in enumerate(labels)]


@pytest.fixture(scope="module")
def features():
    return low_level_features(Spoken(), ["long", "cat"], FEATURE_NAMES, CLOCK, DELAYS)


def of_cat(values, delay=0, part=None):
    """Rows of the second story, and columns of a delay and a part."""
    chosen = values["delay"] == delay
    if part:
        chosen &= values["feature_set"] == part
    return values.isel(tr=slice(24, None), feature=chosen)


def naive_lanczos(values, times):
    """What is at so many seconds, at the TRs of the second story."""
    rows = []
    for time in Spoken().tr_times("cat"):
        x = (time - times) / TR
        weights = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
        rows.append(weights @ values)
    return np.array(rows)


def test_rows_are_all_trs_of_the_stories(features):
    for values in features.values():
        assert values.dims == ("tr", "feature")
        assert values.dtype == np.float32
        assert values["story"].values.tolist() == ["long"] * 24 + ["cat"] * 22
        expected = np.concatenate([Spoken().tr_times(story) for story in ("long", "cat")])
        np.testing.assert_array_equal(values["time"], expected)


def test_phones_are_brought_to_trs_as_states_are(features):
    """Milliseconds in which a phone is heard, counted in what is pooled at each window's end."""
    phones, times = Spoken().phones("cat"), 0.5 * np.arange(1, 65)
    heard = {"articulation": np.zeros((33_000, 22)), "diphones": np.zeros((33_000, 5))}
    names = sorted(set().union(*articulation_table().values()))
    pairs = ["AE-B", "AE-T", "AO-NG", "K-AE", "L-AO"]
    for phone, next_phone in zip(phones, [*phones[1:], Interval(0, 0, "sp")], strict=True):
        start, stop = (round(1000 * edge) for edge in (phone.start, phone.stop))
        for feature in articulation_table().get(phone.label.rstrip("01"), []):
            heard["articulation"][start:stop, names.index(feature)] += 1
        pair = f"{phone.label}-{next_phone.label}".replace("0", "").replace("1", "")
        if pair in pairs:
            heard["diphones"][start : round(1000 * next_phone.stop), pairs.index(pair)] += 1
    for name, presence in heard.items():
        pooled = [presence[max(end - 620, 0) : end].mean(axis=0) for end in range(500, 32_001, 500)]
        expected = naive_lanczos(np.array(pooled), times[: len(pooled)])
        np.testing.assert_allclose(of_cat(features[name]), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "frames", "hop"),
    [("power_spectrum", power_spectra, 960), ("fbank", log_mel, 160), ("mfcc", mfcc, 160)],
)
def test_sound_is_brought_to_trs_as_states_are(features, name, frames, hop):
    waveform, rate = Spoken().audio("cat")
    of_frame = frames(np.pad(waveform, (0, -len(waveform) % hop)), rate, hop)
    of_sample = np.repeat(of_frame, hop, axis=0)
    ends = np.arange(8000, len(waveform) + 1, 8000)
    pooled = [of_sample[max(end - 9920, 0) : end].mean(axis=0) for end in ends]
    expected = naive_lanczos(np.array(pooled), ends / rate)
    np.testing.assert_allclose(of_cat(features[name]), expected, rtol=1e-4, atol=1e-3)


def test_neighbours_are_other_columns(features):
    for name in set(FEATURE_NAMES) - {"joint_as_published"}:
        now = of_cat(features[name], 0).values
        for delay in (-1, 1):
            moved = np.roll(now, delay, axis=0)
            moved[0 if delay == 1 else -1] = 0
            np.testing.assert_array_equal(of_cat(features[name], delay), moved)
    assert set(features["joint_as_published"]["delay"].values) == {0}


def test_neighbours_are_of_the_same_story():
    values = Spoken()
    rows = low_level_features(values, ["long", "cat"], ["articulation"], CLOCK, (0,))
    moved = delayed(rows["articulation"], (1,))
    assert not moved.values[[0, 24]].any()


def test_as_published_a_tr_has_the_sound_before_it(features):
    waveform, rate = Spoken().audio("cat")
    spectrum = of_cat(features["joint_as_published"], part="power_spectrum").values
    for row, time in ((6, 6 * TR - 10), (15, 15 * TR - 10)):
        stop = round(time * rate)
        segment = waveform[stop - round(TR * rate) : stop]
        np.testing.assert_allclose(spectrum[row], power_spectrum(segment, rate), atol=1e-4)
        frequencies, density = welch(segment, rate, nperseg=1920)
        band = (frequencies >= 25) & (frequencies < 25 + 14_975 / 448)
        assert spectrum[row, 0] == pytest.approx(10 * np.log10(density[band].mean()), abs=1e-4)
    assert (spectrum[:5] == -140).all()  # before the sound
    assert (spectrum[6:20] > -140).all()


def test_as_published_phones_are_there_or_not(features):
    triphones = of_cat(features["joint_as_published"], part="triphones")
    # K AE T from 0 to 2.4 s, K AE B from 3.2 to 5.6 s; the TR of row 6 ends at 2.027 s
    heard = [np.flatnonzero(triphones[:, column]).tolist() for column in range(3)]
    assert heard == [[7, 8], [5, 6, 7], []]
    assert set(np.unique(triphones)) == {0, 1}


def test_long_before_the_sound_there_is_nothing(features):
    for name in set(FEATURE_NAMES) - {"joint_as_published"}:
        assert not features[name].values[:1].any()  # 10 s before: its neighbour is 8 s before


@pytest.mark.parametrize("rate", [8000, 11_025])
def test_segments_are_those_of_a_loop(rate):
    waveform = np.random.default_rng(0).normal(size=5 * rate)
    times = np.arange(9) * TR - 4
    for time, segment in zip(times, sound_segments(waveform, rate, times), strict=True):
        stop = round(time * rate)
        expected = [
            waveform[sample] if 0 <= sample < len(waveform) else 0
            for sample in range(stop - round(TR * rate), stop)
        ]
        np.testing.assert_array_equal(segment, expected)


EDGES = st.lists(st.integers(0, 2500), min_size=2, max_size=9, unique=True).map(sorted)


@given(EDGES, st.integers(1, 12), st.sampled_from([0.3, TR, 7.0]), st.randoms())
def test_shares_are_those_of_a_loop(edges, n_stretches, length, random):
    edges = np.array(edges) / 100
    intervals = [Interval(start, stop, random.choice("abc")) for start, stop in pairwise(edges)]
    stops = np.arange(n_stretches) * TR - 2.0045
    naive = np.zeros((n_stretches, 3))
    for interval in intervals:
        for row, stop in enumerate(stops):
            heard = min(interval.stop, stop) - max(interval.start, stop - length)
            naive[row, "abc".index(interval.label)] += max(heard, 0) / length
    found = shares(intervals, "abc", stops - length, stops).toarray()
    np.testing.assert_allclose(found, naive, atol=1e-12)
    np.testing.assert_array_equal(found > 0, naive > 0)


def test_phones_that_occur_have_columns(features):
    labels = {name: of_cat(features[name])["feature"].values.tolist() for name in JOINT[1:3]}
    assert labels["diphones"] == ["AE-B", "AE-T", "AO-NG", "K-AE", "L-AO"]
    assert labels["triphones"] == ["K-AE-B", "K-AE-T", "L-AO-NG"]


def test_articulation_has_22_columns_of_which_some_may_be_empty(features):
    articulation = features["articulation"].isel(feature=features["articulation"]["delay"] == 0)
    assert articulation.sizes["feature"] == 22
    assert articulation.sel(feature="nasal").values.any()
    assert not articulation.sel(feature="affricate").values.any()


def test_what_has_no_column_is_counted(features):
    assert features["triphones"].attrs == {"not_phones": "sp (3), {NS} (1)"}
    assert features["power_spectrum"].attrs == {"bands_beyond_the_sound": "210 of 448"}
    names = ["power_spectrum"]
    whole = low_level_features(Spoken(44_100), ["cat"], names, CLOCK, (0,))["power_spectrum"]
    assert whole.attrs == {"bands_beyond_the_sound": "0 of 448"}
    assert whole.sizes["feature"] == 448


def test_joint_features_are_side_by_side(features):
    for name, n_delays in (("joint", 3), ("joint_as_published", 1)):
        joint = features[name]
        widths = [features[part].sizes["feature"] // 3 * n_delays for part in JOINT]
        assert joint["feature_set"].values.tolist() == np.repeat(JOINT, widths).tolist()
        assert set(joint.attrs) == {"not_phones", "bands_beyond_the_sound"}
    expected = np.concatenate([features[name].values for name in JOINT], axis=1)
    np.testing.assert_array_equal(features["joint"].values, expected)


def test_only_what_is_asked_for_is_given():
    for names in (["joint"], ["triphones", "diphones"]):
        assert list(low_level_features(Spoken(), ["cat"], names, CLOCK, DELAYS)) == names


def test_a_story_is_read_once_for_all_codings(monkeypatch):
    calls = []
    for name in ("audio", "waveform", "phones"):
        method = getattr(Spoken, name)

        def recorded(self, story, *rate, name=name, method=method):
            if self is dataset:
                calls.append((name, story, *rate))
            return method(self, story, *rate)

        monkeypatch.setattr(Spoken, name, recorded)
    monkeypatch.setattr(Spoken, "duration", lambda self, story: 20.0)
    dataset = Spoken()
    low_level_features(dataset, ["long", "cat"], FEATURE_NAMES, CLOCK, DELAYS)
    reads = [("audio",), ("waveform", 16_000), ("phones",)]
    assert sorted(calls) == sorted(
        (name, story, *rate) for name, *rate in reads for story in ("long", "cat")
    )
    calls.clear()
    low_level_features(dataset, ["cat"], ["articulation"], CLOCK, DELAYS)
    assert calls == [("phones", "cat")]


def test_an_unknown_feature_is_an_error():
    with pytest.raises(ValueError, match=r"'powerspectrum' is no low-level feature; .*'power_spec"):
        low_level_features(Spoken(), ["cat"], ["powerspectrum"], CLOCK, DELAYS)


def test_a_folder_in_the_published_layout_is_read(tmp_path):
    write_tree(tmp_path, {"cat": 26, "dog": 28}, {}, None)
    for path in tmp_path.glob("stimuli/*.wav"):  # what is silent throughout is no story
        waveform, rate = soundfile.read(path, dtype="int16")
        waveform[-1:] = 1
        soundfile.write(path, waveform, rate)
    names = ["joint", "joint_as_published"]
    found = low_level_features(Dataset(tmp_path), ["dog", "cat"], names, CLOCK, (0,))
    for joint in found.values():
        assert joint.sizes == {"tr": 23 + 21, "feature": 448 + 2 + 1 + 22}
        assert joint.attrs == {"bands_beyond_the_sound": "0 of 448", "not_phones": "sp (4)"}
    joint = found["joint_as_published"]
    assert (joint.sel(feature="K-AE-T") == (np.abs(joint["time"] - 2) < 0.5)).all()
    assert (joint.isel(feature=slice(448)) == -140).all()

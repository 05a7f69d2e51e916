from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import welch

from bthelpers.core.timing import Interval
from bthelpers.data.dataset import Dataset
from bthelpers.encoding.acoustics import log_mel, mfcc, power_spectrum
from bthelpers.encoding.low_level import (
    JOINT,
    LOW_LEVEL_FEATURES,
    low_level_features,
    presence,
    sound_segments,
)
from tests.tiny_dataset import write_tree

TR = 2.0045
N_RESPDICT = {"cat": 27, "long": 29}


class Spoken:
    """Stands for a dataset: two stories of noise, at one rate, and a few phones."""

    def __init__(self, rate=16_000):
        self.rate = rate

    def tr_times(self, story):
        return np.arange(N_RESPDICT[story] - 5) * TR - 10

    def audio(self, story):
        n_samples = int(self.tr_times(story)[-1] * self.rate)
        return np.random.default_rng(len(story)).normal(0, 0.1, n_samples), self.rate

    def waveform(self, story, rate):
        return Spoken(rate).audio(story)[0]

    def phones(self, story):
        labels = {"cat": "K AE1 T sp K AE0 B", "long": "{NS} L AO1 NG sp sp"}[story].split()
        return [Interval(0.8 * k, 0.8 * (k + 1), label) for k, label in enumerate(labels)]


@pytest.fixture(scope="module")
def features():
    names = [*LOW_LEVEL_FEATURES, "joint"]
    return low_level_features(Spoken(), ["long", "cat"], names)


def test_rows_are_all_trs_of_the_stories(features):
    for values in features.values():
        assert values.dims == ("tr", "feature")
        assert values.dtype == np.float32
        assert values["story"].values.tolist() == ["long"] * 24 + ["cat"] * 22
        expected = np.concatenate([Spoken().tr_times(story) for story in ("long", "cat")])
        np.testing.assert_array_equal(values["time"], expected)


def test_a_tr_has_the_sound_before_it(features):
    waveform, rate = Spoken().audio("cat")
    of_story = features["power_spectrum"].values[24:]
    for row, time in ((6, 6 * TR - 10), (15, 15 * TR - 10)):
        stop = round(time * rate)
        segment = waveform[stop - round(TR * rate) : stop]
        np.testing.assert_allclose(of_story[row], power_spectrum(segment, rate), atol=1e-4)
        frequencies, density = welch(segment, rate, nperseg=1920)
        band = (frequencies >= 25) & (frequencies < 25 + 14_975 / 448)
        assert of_story[row, 0] == pytest.approx(10 * np.log10(density[band].mean()), abs=1e-4)
        for name, frames in (("fbank", log_mel), ("mfcc", mfcc)):
            expected = frames(segment, rate, 160).mean(axis=0)
            np.testing.assert_allclose(features[name].values[24 + row], expected, atol=1e-4)


def test_before_the_sound_there_is_silence(features):
    assert (features["power_spectrum"].values[:5] == -140).all()
    assert (features["power_spectrum"].values[6:20] > -140).all()
    assert not features["diphones"].values[:5].any()


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


@given(EDGES, st.integers(1, 12), st.randoms(use_true_random=False))
def test_presence_is_that_of_a_loop(edges, n_trs, random):
    """Intervals overlap a TR if they share more than a point with it."""
    edges = np.array(edges) / 100
    intervals = [Interval(start, stop, random.choice("abc")) for start, stop in pairwise(edges)]
    times = np.arange(n_trs) * TR - 2.0045
    naive = np.zeros((n_trs, 3))
    for interval in intervals:
        for row, time in enumerate(times):
            if interval.start < time and interval.stop > time - TR:
                naive[row, "abc".index(interval.label)] = 1
    np.testing.assert_array_equal(presence(intervals, "abc", times), naive)


def test_phones_that_occur_have_columns(features):
    diphones, triphones = features["diphones"], features["triphones"]
    assert diphones["feature"].values.tolist() == ["AE-B", "AE-T", "AO-NG", "K-AE", "L-AO"]
    assert triphones["feature"].values.tolist() == ["K-AE-B", "K-AE-T", "L-AO-NG"]
    of_cat = triphones.isel(tr=slice(24, None))
    # K AE T from 0 to 2.4 s, K AE B from 3.2 to 5.6 s; the TR of row 6 ends at 2.027 s
    heard = [np.flatnonzero(of_cat[:, column]).tolist() for column in range(3)]
    assert heard == [[7, 8], [5, 6, 7], []]


def test_articulation_has_22_columns_of_which_some_may_be_empty(features):
    articulation = features["articulation"]
    assert articulation.sizes["feature"] == 22
    assert articulation.sel(feature="nasal").values.sum() == 1  # NG, from 2.4 to 3.2 s
    assert not articulation.sel(feature="affricate").any()


def test_what_has_no_column_is_counted(features):
    assert features["triphones"].attrs == {"not_phones": "sp (3), {NS} (1)"}
    assert features["power_spectrum"].attrs == {"bands_beyond_the_sound": "210 of 448"}
    whole = low_level_features(Spoken(44_100), ["cat"], ["power_spectrum"])["power_spectrum"]
    assert whole.attrs == {"bands_beyond_the_sound": "0 of 448"}
    assert whole.sizes["feature"] == 448


def test_joint_features_are_side_by_side(features):
    joint = features["joint"]
    expected = np.concatenate([features[name].values for name in JOINT], axis=1)
    np.testing.assert_array_equal(joint.values, expected)
    widths = [features[name].sizes["feature"] for name in JOINT]
    assert joint["feature_set"].values.tolist() == np.repeat(JOINT, widths).tolist()
    assert set(joint.attrs) == {"not_phones", "bands_beyond_the_sound"}


def test_only_what_is_asked_for_is_given():
    assert list(low_level_features(Spoken(), ["cat"], ["joint"])) == ["joint"]
    assert list(low_level_features(Spoken(), ["cat"], ["triphones", "diphones"])) == [
        "triphones",
        "diphones",
    ]


def test_an_unknown_feature_is_an_error():
    with pytest.raises(ValueError, match=r"'powerspectrum' is no low-level feature; .*'power_spec"):
        low_level_features(Spoken(), ["cat"], ["powerspectrum"])


def test_a_folder_in_the_published_layout_is_read(tmp_path):
    write_tree(tmp_path, {"cat": 26, "dog": 28}, {}, None)
    found = low_level_features(Dataset(tmp_path), ["dog", "cat"], ["joint"])["joint"]
    assert found.sizes == {"tr": 23 + 21, "feature": 448 + 2 + 1 + 22}
    assert (found.sel(feature="K-AE-T") == (np.abs(found["time"] - 2) < 0.5)).all()
    assert (found.isel(feature=slice(448)) == -140).all()
    assert found.attrs == {"bands_beyond_the_sound": "0 of 448", "not_phones": "sp (2)"}

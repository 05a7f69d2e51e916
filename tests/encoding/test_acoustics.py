import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import welch

from bthelpers.core.timing import Interval
from bthelpers.encoding.acoustics import (
    BAND_EDGES,
    articulation,
    articulation_table,
    log_mel,
    mfcc,
    phone_sequences,
    power_spectra,
    power_spectrum,
)
from bthelpers.simulation.espeak import CONSONANTS, VOWELS

RATE = 16_000
WINDOW = 512


def hertz_to_mel(frequency):
    return 2595 * np.log10(1 + frequency / 700)


def naive_filters(rate, n_bands):
    """Triangles between mel-spaced corners, one bin and one band at a time."""
    mels = np.linspace(hertz_to_mel(60), hertz_to_mel(0.95 * rate / 2), n_bands + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)
    filters = np.zeros((WINDOW // 2 + 1, n_bands))
    for bin_number in range(WINDOW // 2 + 1):
        frequency = bin_number * rate / WINDOW
        for band in range(n_bands):
            low, middle, high = corners[band : band + 3]
            rise, fall = (frequency - low) / (middle - low), (high - frequency) / (high - middle)
            filters[bin_number, band] = max(0, min(rise, fall))
    return filters


def naive_log_mel(waveform, rate, hop, n_bands):
    """Frames cut one at a time around (k + 1/2) hop, silence beyond the ends."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / (WINDOW - 1))
    filters, frames = naive_filters(rate, n_bands), []
    for k in range(len(waveform) // hop):
        middle = math.floor((k + 0.5) * hop)
        samples = range(middle - WINDOW // 2, middle + WINDOW // 2)
        cut = [waveform[s] if 0 <= s < len(waveform) else 0.0 for s in samples]
        power = np.abs(np.fft.rfft(cut * window)) ** 2
        frames.append(np.log(np.maximum(power @ filters, 1e-6)))
    return np.array(frames).reshape(-1, n_bands)


def noise(n_samples, seed=0):
    return np.random.default_rng(seed).standard_normal(n_samples).astype(np.float32)


@pytest.mark.parametrize("hop", [160, 333, 512, 640, 1001])
@pytest.mark.parametrize("extra", [-1, 0, 7])
def test_log_mel_is_that_of_frames_cut_one_by_one(hop, extra):
    waveform = noise(5 * hop + extra)
    expected = naive_log_mel(waveform, RATE, hop, 26)
    assert len(expected) == (4 if extra < 0 else 5)
    found = log_mel(waveform, RATE, hop)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_log_mel_at_another_rate_and_number_of_bands():
    waveform = noise(4000)
    np.testing.assert_allclose(
        log_mel(waveform, 44_100, 441, n_bands=8),
        naive_log_mel(waveform, 44_100, 441, 8),
        atol=2e-4,
    )


def test_sound_shorter_than_a_frame_has_no_frame():
    assert log_mel(noise(100), RATE, 160).shape == (0, 26)


def test_silence_is_at_the_floor():
    np.testing.assert_allclose(log_mel(np.zeros(3200), RATE, 160), np.log(1e-6), rtol=1e-6)


@pytest.mark.parametrize("hop", [160, 333, 640, 1001])
@pytest.mark.parametrize("frame", [0, 3, 7])
def test_click_is_loudest_in_the_frame_that_it_is_the_middle_of(hop, frame):
    waveform = np.zeros(8 * hop)
    waveform[math.floor((frame + 0.5) * hop)] = 1
    energy = log_mel(waveform, RATE, hop).sum(axis=1)
    assert energy.argmax() == frame
    reached = np.abs(np.arange(8) - frame) * hop < WINDOW // 2
    assert ((energy > energy.min()) == reached).all()


def test_tone_is_in_its_band():
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    mels = np.linspace(hertz_to_mel(60), hertz_to_mel(0.95 * RATE / 2), 28)[1:-1]
    band = np.abs(mels - hertz_to_mel(1000)).argmin()
    assert (log_mel(tone, RATE, 640)[1:-1].argmax(axis=1) == band).all()


@pytest.mark.parametrize("hop", [320, 333])
def test_mfcc_is_the_cosine_transform_and_its_slope(hop):
    waveform = noise(9 * hop)
    mel = naive_log_mel(waveform, RATE, hop, 26)
    cepstra = np.zeros((9, 13))
    for k in range(13):
        scale = math.sqrt((1 if k == 0 else 2) / 26)
        for band in range(26):
            cepstra[:, k] += scale * mel[:, band] * math.cos(math.pi * k * (2 * band + 1) / 52)
    slopes = np.zeros_like(cepstra)
    slopes[0], slopes[-1] = cepstra[1] - cepstra[0], cepstra[-1] - cepstra[-2]
    for t in range(1, 8):
        slopes[t] = (cepstra[t + 1] - cepstra[t - 1]) / 2
    found = mfcc(waveform, RATE, hop)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.hstack([cepstra, slopes]), atol=1e-3)


def test_every_phone_of_the_synthesizer_has_articulatory_features():
    spoken = {phone for entry in VOWELS.values() for phone in entry.split()}
    spoken |= set(CONSONANTS.values())
    assert spoken <= set(articulation_table())
    assert len({feature for row in articulation_table().values() for feature in row}) == 22


def naive_articulation(phones, n_frames, frame_rate):
    names = sorted({feature for row in articulation_table().values() for feature in row})
    present = np.zeros((n_frames, 22))
    for phone in phones:
        bare = "".join(character for character in phone.label if not character.isdigit())
        first, last = math.floor(phone.start * frame_rate), math.floor(phone.stop * frame_rate)
        for frame in range(n_frames):
            if first <= frame < last or (frame == first == last):
                for feature in articulation_table().get(bare, []):
                    present[frame, names.index(feature)] = 1
    return present


LABELS = ["AA1", "IY0", "OW2", "S", "NG", "ZH", "HH", "sp", ""]
PHONES = st.lists(st.tuples(st.integers(1, 400), st.sampled_from(LABELS)), max_size=8)


@given(PHONES, st.integers(0, 40), st.sampled_from([10.0, 25.0, 31.3]))
def test_articulation_is_that_of_a_loop(lengths, n_frames, frame_rate):
    edges = np.cumsum([0] + [milliseconds for milliseconds, _ in lengths]) / 1000
    phones = [
        Interval(start, stop, label)
        for (start, stop), (_, label) in zip(pairwise(edges), lengths, strict=True)
    ]
    found = articulation(phones, n_frames, frame_rate)
    assert found.shape == (n_frames, 22)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, naive_articulation(phones, n_frames, frame_rate))


def test_short_phone_is_not_lost_and_silence_has_no_feature():
    phones = [Interval(0, 0.1, "sp"), Interval(0.101, 0.102, "K"), Interval(0.12, 0.2, "sp")]
    present = articulation(phones, 5, 25)
    assert present[2].sum() == len(articulation_table()["K"])
    assert present.sum() == present[2].sum()


# Samples per frequency step of a quarter of a band, rounded up to what is quick to transform.
WELCH_WINDOWS = {44_100: 5400, 48_000: 5760, 22_050: 2700, 16_000: 1920, 11_025: 1350}


def naive_power(segment, rate):
    """SciPy's estimate at many frequencies, averaged over those of each band."""
    frequencies, density = welch(segment, rate, nperseg=WELCH_WINDOWS[rate])
    bands = []
    for low, high in pairwise(25 + 14_975 / 448 * np.arange(449)):
        if high <= rate / 2 + 1e-6:
            inside = [low <= frequency < high for frequency in frequencies]
            bands.append(10 * np.log10(max(density[inside].mean(), 1e-14)))
    return np.array(bands)


@pytest.mark.parametrize(
    ("rate", "n_bands"), [(44_100, 448), (48_000, 448), (22_050, 329), (16_000, 238), (11_025, 164)]
)
def test_power_spectrum_is_that_of_scipy_in_bands(rate, n_bands):
    segment = 0.1 * noise(round(0.5 * rate)).astype(float) * np.linspace(0, 1, round(0.5 * rate))
    found = power_spectrum(segment, rate)
    assert found.shape == (n_bands,)
    np.testing.assert_allclose(found, naive_power(segment, rate), atol=1e-9)


def test_bands_are_as_published():
    assert len(BAND_EDGES) == 449
    assert BAND_EDGES[[0, -1]].tolist() == [25, 15_000]
    np.testing.assert_allclose(np.diff(BAND_EDGES), 33.5, atol=0.1)


@pytest.mark.parametrize("frequency", [70.0, 440.0, 3350.0, 7760.0])
def test_tone_has_its_power_in_its_band_at_any_rate(frequency):
    spectra = []
    for rate in (16_000, 44_100):
        tone = 0.3 * np.sin(2 * np.pi * frequency * np.arange(2 * rate) / rate)
        power = 10 ** (power_spectrum(tone, rate) / 10) * np.diff(BAND_EDGES)[0]
        assert BAND_EDGES[power.argmax()] <= frequency < BAND_EDGES[power.argmax() + 1]
        assert power.sum() == pytest.approx(0.3**2 / 2, rel=0.05)
        spectra.append(power[:238])
    np.testing.assert_allclose(*spectra, atol=0.03 * 0.3**2)


def test_silence_is_at_the_floor_of_the_power_spectrum():
    rounding = np.random.default_rng(0).uniform(-0.5, 0.5, 44_100) / 2**15
    for quiet in (np.zeros(44_100, np.float32), rounding):
        assert power_spectrum(quiet, 44_100) == pytest.approx(-140)


@pytest.mark.parametrize(
    ("n_samples", "rate", "message"),
    [(5000, 44_100, "5000 samples are too few for a spectrum: 5400"), (99, 100, "no band")],
)
def test_sound_without_a_spectrum_is_an_error(n_samples, rate, message):
    with pytest.raises(ValueError, match=message):
        power_spectrum(np.zeros(n_samples), rate)


@pytest.mark.parametrize("hop", [800, 1600, 4001])
def test_spectra_are_of_windows_around_the_middle_of_each_hop(hop, monkeypatch):
    monkeypatch.setattr("bthelpers.encoding.acoustics.FRAMES_AT_ONCE", 2)
    waveform = 0.1 * noise(5 * hop + 7).astype(float)
    found = power_spectra(waveform, RATE, hop)
    assert found.shape == (5, 238)
    padded = np.pad(waveform, 4000)
    for frame in range(5):
        first = 4000 + frame * hop + hop // 2 - 960
        expected = power_spectrum(padded[first : first + 1920], RATE)
        np.testing.assert_allclose(found[frame], expected, atol=1e-4)


def spoken(text, gaps=()):
    """Phones of 0.1 s; an extra 0.05 s of nothing before those at the given places."""
    phones, time = [], 0.0
    for place, label in enumerate(text.split()):
        time += 0.05 * (place in gaps)
        phones.append(Interval(time, time + 0.1, label))
        time += 0.1
    return phones


@pytest.mark.parametrize(
    ("text", "gaps", "diphones", "triphones"),
    [
        ("K AE1 T", (), ["K-AE", "AE-T"], ["K-AE-T"]),
        ("K AE1 T sp AH0 {NS} S IY2 S", (), ["K-AE", "AE-T", "S-IY", "IY-S"], ["K-AE-T", "S-IY-S"]),
        ("k ae0 t t", (2,), ["K-AE", "T-T"], []),
        ("sp", (), [], []),
        ("", (), [], []),
    ],
)
def test_sequences_end_at_silences_and_gaps(text, gaps, diphones, triphones):
    phones = spoken(text, gaps)
    assert [sequence.label for sequence in phone_sequences(phones, 2)] == diphones
    assert [sequence.label for sequence in phone_sequences(phones, 3)] == triphones


def test_a_sequence_lasts_from_its_first_phone_to_its_last():
    phones = spoken("sp K AE1 T")
    for sequence, first in zip(phone_sequences(phones, 2), (1, 2), strict=True):
        assert (sequence.start, sequence.stop) == (phones[first].start, phones[first + 1].stop)


@given(st.lists(st.sampled_from(["AA1", "AA0", "S", "sp"]), max_size=12), st.integers(1, 4))
def test_sequences_are_those_of_a_loop(labels, length):
    phones = spoken(" ".join(labels))
    naive = []
    for first in range(len(labels) - length + 1):
        part = labels[first : first + length]
        if "sp" not in part:
            naive.append("-".join(part).replace("1", "").replace("0", ""))
    assert [sequence.label for sequence in phone_sequences(phones, length)] == naive

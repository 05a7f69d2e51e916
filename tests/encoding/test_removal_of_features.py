"""Features of made-up speech are removed from representations that are made of them, or are not."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bthelpers.core.timing import Interval, n_respdict_for, response_times, tr_times, zscore
from bthelpers.encoding.acoustics import (
    articulation,
    articulation_table,
    log_mel,
    power_spectra,
)
from bthelpers.encoding.alignment import evaluate_layers
from bthelpers.encoding.impact import low_level_impact, residual_alignment, residualize
from bthelpers.encoding.inputs import EncodingInputs, StoryResponses
from bthelpers.encoding.low_level import low_level_features
from bthelpers.encoding.representations import WindowClock
from bthelpers.params.loading import load
from bthelpers.simulation.participants import FRAME_RATE, haemodynamic

RATE = 4000  # of the sound, samples per second
MINUTES, TEST_MINUTES = 4, 16  # the test story is long, so that chance alignments are small
TRAINING, TEST = [f"story{k}" for k in range(8)], "new"
STORIES = [*TRAINING, TEST]
DELAYS = (-1, 0, 1)
ALPHAS = np.logspace(-3, 4, 15)
PROFILE = load(Path(__file__).parents[2] / "params" / "smoke.yaml")
CANONICAL = np.empty((1, 0))  # one response, of the parameters that it has by default
FINE = 100  # frames per second of what tokens are made of
# Of the demo, a second of a miniature's tokens; of the paper, one token every 0.1 s. With the
# frames from one token to the next.
CLOCKS = {
    "demo": (WindowClock(1.0, 1810 / 16_000, (1810 + 24 * 640) / 16_000), 4),
    "paper": (WindowClock(0.1, 400 / 16_000, 400 / 16_000), 2),
}
PHONES = sorted(articulation_table())
N_WORDS, N_MEANINGS, N_VOXELS = 40, 8, 30


class Speech:
    """Stands for a dataset: words of random phones that sound like noise of their own spectrum."""

    def __init__(self):
        rng = np.random.default_rng(0)
        words = [rng.choice(PHONES, rng.integers(2, 6)) for _ in range(N_WORDS)]
        self.sounds = {}
        self.gains = rng.normal(0, 1.5, (len(PHONES), 8))
        self.spoken = {story: _phones(words, minutes(story), rng) for story in STORIES}

    def tr_times(self, story):
        return tr_times(n_respdict_for(60 * minutes(story)))

    def audio(self, story):
        if story not in self.sounds:
            n_samples = 60 * minutes(story) * RATE
            self.sounds[story] = _sound(self.spoken[story], self.gains, n_samples)
        return self.sounds[story], RATE

    def duration(self, story):
        return 60.0 * minutes(story)

    def phones(self, story):
        return self.spoken[story]


def minutes(story):
    return TEST_MINUTES if story == TEST else MINUTES


def _phones(words, n_minutes, rng):
    phones, time = [], 0.0
    while time < 60 * n_minutes - 2:
        for phone in [*words[rng.integers(N_WORDS)], *["sp"] * (rng.random() < 0.3)]:
            stop = time + rng.uniform(0.04, 0.16) * (1 if phone != "sp" else rng.uniform(1, 6))
            phones.append(Interval(time, stop, str(phone)))
            time = stop
    return phones


def _sound(phones, gains, n_samples):
    """Noise in eight bands, each as loud as the phone says."""
    rng = np.random.default_rng(n_samples)
    loud = np.full((n_samples, 8), -6.0)
    for phone in phones:
        if phone.label != "sp":
            rows = slice(round(phone.start * RATE), round(phone.stop * RATE))
            loud[rows] = gains[PHONES.index(phone.label)]
    noise, sound = np.fft.rfft(rng.normal(size=n_samples)), np.zeros(n_samples)
    edges = np.linspace(0, len(noise), 9).astype(int)
    for band, (low, high) in enumerate(pairwise(edges)):
        only = np.zeros_like(noise)
        only[low:high] = noise[low:high]
        sound += 0.02 * np.exp(loud[:, band] / 2) * np.fft.irfft(only, n_samples)
    return sound.clip(-1, 1)


@pytest.fixture(scope="module")
def speech():
    return Speech()


def frames_of(speech, story, kind, rate):
    """What a representation, or a voxel, is made of: so many frames per second."""
    n_frames = int(60 * minutes(story) * rate)
    if kind == "meaning":  # of words that come and go without the sound
        rng = np.random.default_rng([7, STORIES.index(story)])
        meaning = np.random.default_rng(1).normal(size=(N_WORDS, N_MEANINGS))
        frames, n_said = np.zeros((n_frames, N_MEANINGS)), 120 * minutes(story)
        when = (rng.random(n_said) * n_frames).astype(int)
        np.add.at(frames, when, meaning[rng.integers(N_WORDS, size=n_said)])
        return frames
    phones = articulation(speech.spoken[story], n_frames, rate)
    if kind == "articulation":
        return phones
    if kind == "spectrum":  # with articulation
        spectra = power_spectra(speech.audio(story)[0], RATE, round(RATE / rate))
        return np.concatenate([spectra / 20, phones], axis=1)
    bands = log_mel(speech.audio(story)[0], RATE, round(RATE / rate), n_bands=8)[:n_frames]
    return np.concatenate([bands, 2 * phones[: len(bands)]], axis=1)


def represented(speech, kind, clock, hop):
    """Tokens that are linear in what each sees, pooled and filtered as hidden states are."""
    mixing, rows, seen = None, [], round(clock.token * FINE)
    for story in STORIES:
        frames = frames_of(speech, story, kind, FINE)
        if mixing is None:
            mixing = np.random.default_rng(2).normal(size=(frames.shape[1], 16))
        starts = np.arange(0, len(frames) - seen, hop)
        sums = np.cumsum(np.pad(frames, ((1, 0), (0, 0))), axis=0)
        tokens = (sums[starts + seen] - sums[starts]) @ mixing / seen
        ends = clock.stride * np.arange(1, round(60 * minutes(story) / clock.stride))
        stops = (np.rint(ends * FINE).astype(int) - seen) // hop + 1
        n_pooled = round((clock.pooled - clock.token) * FINE / hop) + 1
        ends, stops = ends[stops > 0], stops[stops > 0]
        states = [tokens[max(stop - n_pooled, 0) : stop].mean(axis=0) for stop in stops]
        x = (speech.tr_times(story)[:, None] - ends) / 2.0045
        rows.append(np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0) @ np.array(states))
    story = np.repeat(STORIES, [len(of_story) for of_story in rows])
    values = np.concatenate(rows).astype(np.float32)[None]
    coords = {"layer": [1], "story": ("tr", story)}
    return xr.DataArray(values, coords, ("layer", "tr", "feature"))


def responding(speech, kind):
    """Training and test responses of voxels that follow frames of a kind and noise."""
    rng = np.random.default_rng(3)
    signals = []
    for story in STORIES:
        frames = frames_of(speech, story, kind, FRAME_RATE)
        times = response_times(n_respdict_for(60 * minutes(story)))
        signals.append(haemodynamic(frames, times, CANONICAL)[0])
    weights = rng.normal(size=(signals[0].shape[1], N_VOXELS))
    heard = [zscore(signal @ weights) for signal in signals]
    noisy = [zscore(one + rng.normal(0, 0.7, one.shape)).astype(np.float32) for one in heard]
    rows = np.repeat(TRAINING, [len(one) for one in noisy[:-1]]).tolist()
    training = StoryResponses(TRAINING, np.concatenate(noisy[:-1]), rows)
    return training, StoryResponses([TEST], noisy[-1], [TEST] * len(noisy[-1]))


def impact(speech, representation, kind, names, clock):
    """Low-level impact and its floor, by feature."""
    training, test = responding(speech, kind)
    regions = xr.DataArray(
        np.ones((1, N_VOXELS), bool),
        {"region": ["all"], "voxel": np.arange(N_VOXELS)},
        ("region", "voxel"),
    )
    encoding = replace(PROFILE.encoding, fir_delays=(1, 2, 3, 4, 5), alphas=(-5, 5, 11), folds=4)
    statistics = replace(PROFILE.statistics, bootstrap_draws=200, block=10)
    ceiling = np.ones(N_VOXELS)
    inputs = EncodingInputs(training, test, ceiling, regions, encoding, statistics, seed=0)
    features = low_level_features(speech, STORIES, names, clock, DELAYS)
    residual = residual_alignment(representation, features, inputs, ALPHAS)
    found = low_level_impact(evaluate_layers(representation, inputs), residual)
    return found.squeeze(("layer", "region"))


@pytest.mark.parametrize("setting", CLOCKS)
def test_a_representation_made_of_articulation_is_predicted_by_it(speech, setting):
    """The published coding knows little of it: that is no measure of what articulation explains."""
    clock, hop = CLOCKS[setting]
    representation = represented(speech, "articulation", clock, hop)
    names = ["articulation", "joint_as_published"]
    features = low_level_features(speech, STORIES, names, clock, DELAYS)
    published = features["joint_as_published"]
    features["published"] = published.sel(feature=published["feature_set"] == "articulation")
    rows = np.flatnonzero(representation["story"] == TEST)[10:-5]
    explained = {}
    for name in ("articulation", "published"):
        removal = residualize(features[name], representation, TRAINING, 4, ALPHAS)
        values = representation.values[0]
        spread = [values[np.flatnonzero(representation["story"] == s)[10:-5]] for s in TRAINING]
        deviation = np.concatenate([one - one.mean(axis=0) for one in spread]).std(axis=0)
        left = removal["residual"].values[0][rows] * deviation
        left = ((left - left.mean(axis=0)) ** 2).sum(axis=0)
        whole = values[rows]
        explained[name] = 1 - (left / ((whole - whole.mean(axis=0)) ** 2).sum(axis=0)).mean()
    print(setting, explained)
    assert explained["articulation"] >= 0.75
    assert explained["published"] < 0.5


@pytest.mark.parametrize("setting", CLOCKS)
def test_articulation_has_all_the_impact_where_there_is_nothing_else(speech, setting):
    clock, hop = CLOCKS[setting]
    representation = represented(speech, "articulation", clock, hop)
    names = ["articulation", "joint_as_published"]
    found = impact(speech, representation, "articulation", names, clock)
    print(setting, found["impact"].values, found["floor"].values)
    assert found["impact"].sel(feature="articulation") >= 95
    assert found["impact"].sel(feature="joint_as_published") < 90


def test_acoustics_have_all_the_impact_on_planted_auditory_voxels(speech):
    clock, hop = CLOCKS["demo"]
    representation = represented(speech, "spectrum", clock, hop)
    names = ["joint", "joint_as_published"]
    found = impact(speech, representation, "acoustics", names, clock)
    print("joint", found["impact"].values, found["floor"].values)
    assert found["impact"].sel(feature="joint") >= 95
    assert found["impact"].sel(feature="joint_as_published") < 90


def test_features_have_no_more_than_their_floor_of_what_is_independent(speech):
    clock, hop = CLOCKS["demo"]
    representation = represented(speech, "meaning", clock, hop)
    found = impact(speech, representation, "meaning", ["articulation", "diphones"], clock)
    print(found["impact"].values, found["floor"].values)
    assert (np.abs(found["impact"] - found["floor"]) < 1).all()  # points

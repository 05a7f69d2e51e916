import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from tiny_models import standardized
from transformers import HubertModel

from bthelpers.core.timing import SAMPLE_RATE, TR, tr_times
from bthelpers.encoding import representations
from bthelpers.encoding.representations import (
    POOLING,
    WindowClock,
    extract,
    window_features,
    windows_at_once,
)
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.loading import load
from bthelpers.simulation.miniatures.speech import miniature_config

SETTINGS = replace(
    load(Path(__file__).parents[2] / "params" / "smoke.yaml").representation,
    window=2.0,
    stride=0.3,
    pooling="last",
    precision="float32",
)


def tiny_model(**changes):
    config = miniature_config()
    config.update({"num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 24})
    config.update({"conv_dim": (8,) * 5, **changes})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return HubertModel(config).eval()


def sound(seconds, seed=0):
    n_samples = round(seconds * SAMPLE_RATE)
    return np.random.default_rng(seed).normal(size=n_samples).astype(np.float32)


def naive_features(model, waveform, window, stride, pooling):
    """Every layer's features of every window, by a direct call on the window's own samples."""
    hop, field = 640, 1810  # samples: of a miniature's token
    samples = torch.from_numpy(standardized(waveform))
    longest = (round(window * SAMPLE_RATE) - field) // hop + 1
    features, times = [], []
    for k in range(1, 10_000):
        end = round(k * stride * SAMPLE_RATE)
        if end > len(waveform):
            break
        tokens = [t for t in range(len(waveform) // hop) if t * hop + field <= end][-longest:]
        if not tokens:
            continue
        with torch.no_grad():
            states = model(
                samples[None, tokens[0] * hop : tokens[-1] * hop + field],
                output_hidden_states=True,
            ).hidden_states
        new = max(1, round(stride * SAMPLE_RATE / hop))
        pooled = {
            "last": lambda s: s[-1],
            "mean": lambda s: s.mean(dim=0),
            "stride": lambda s, new=new: s[-new:].mean(dim=0),
        }
        features.append([pooled[pooling](state[0]).numpy() for state in states])
        times.append(k * stride)
    return np.array(features).transpose(1, 0, 2), np.array(times)


@pytest.mark.parametrize("pooling", POOLING)
@pytest.mark.parametrize(
    ("window", "stride", "seconds"), [(2.0, 0.3, 5.0), (0.7, 0.05, 2.4), (0.5, 1 / 64, 1.1)]
)
def test_features_are_those_of_each_window_by_itself(pooling, window, stride, seconds):
    """Also where windows slide by less than a token, and several are the same."""
    model, waveform = tiny_model(), sound(seconds)
    encoder = SpeechEncoder(copy.deepcopy(model))
    settings = replace(SETTINGS, window=window, stride=stride, pooling=pooling)
    features, times = window_features(encoder, waveform, settings)
    expected, expected_times = naive_features(model, waveform, window, stride, pooling)
    assert features.dtype == np.float32
    assert features.shape == expected.shape == (3, len(times), 16)
    np.testing.assert_allclose(times, expected_times, atol=1e-9)
    np.testing.assert_allclose(features, expected, atol=1e-5)


def test_a_front_end_with_a_group_norm_sees_one_window_at_a_time():
    model, waveform = tiny_model(feat_extract_norm="group"), sound(3)
    encoder = SpeechEncoder(copy.deepcopy(model))
    features, _ = window_features(encoder, waveform, SETTINGS)
    expected, _ = naive_features(model, waveform, SETTINGS.window, SETTINGS.stride, "last")
    np.testing.assert_allclose(features, expected, atol=1e-5)


@pytest.mark.parametrize("stride", [0.1, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("n_strides", [3, 6, 7])
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_the_last_window_ends_with_the_sound(stride, n_strides, extra):
    """Also where 0.3 / 0.1 is 2.9999999999999996."""
    waveform = sound(n_strides * stride)
    waveform = waveform[:-1] if extra < 0 else np.pad(waveform, (0, extra))
    settings = replace(SETTINGS, stride=stride)
    _, times = window_features(SpeechEncoder(tiny_model()), waveform, settings)
    assert times[-1] == pytest.approx((n_strides - (extra < 0)) * stride)
    assert times[0] == pytest.approx(0.2 if stride == 0.1 else stride)  # one token is 0.113 s
    np.testing.assert_allclose(np.diff(times), stride)


def test_batches_change_nothing(monkeypatch):
    encoder, waveform = SpeechEncoder(tiny_model()), sound(6)
    many, _ = window_features(encoder, waveform, SETTINGS)
    assert windows_at_once(encoder, SETTINGS).number > 1
    monkeypatch.setattr(representations, "CACHED", 1)
    assert windows_at_once(encoder, SETTINGS).number == 1
    one, _ = window_features(encoder, waveform, SETTINGS)
    np.testing.assert_allclose(many, one, atol=1e-5)


def test_windows_that_do_not_fit_the_device_are_halved_once(small_dataset, monkeypatch, capsys):
    """For all stories, and come to the same."""
    whole, sizes = SpeechEncoder.all_layers, []

    def hold(number):
        def all_layers(encoder, frames, n_tokens):
            sizes.append(len(frames))
            if len(frames) > number:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return whole(encoder, frames, n_tokens)

        monkeypatch.setattr(SpeechEncoder, "all_layers", all_layers)

    encoder, stories = SpeechEncoder(tiny_model()), ["story01", "story02"]
    arguments = encoder, small_dataset, stories, replace(SETTINGS, stride=0.5)
    expected = extract(*arguments)
    hold(32)
    np.testing.assert_allclose(extract(*arguments), expected, atol=1e-5)
    assert [size for size in sizes if size > 32] == [64]
    assert capsys.readouterr().err.count("WARNING: the GPU has no memory for windows (64 at") == 1
    hold(31)
    with pytest.raises(torch.OutOfMemoryError, match=r"\(32 at once\): set `representation\.prec"):
        extract(*arguments)


def test_a_feature_hears_nothing_after_its_time():
    encoder, waveform = SpeechEncoder(tiny_model()), sound(6)
    other = waveform.copy()
    other[4 * SAMPLE_RATE :] = other[4 * SAMPLE_RATE :][::-1]  # keeps mean and deviation
    features, times = window_features(encoder, waveform, SETTINGS)
    changed, _ = window_features(encoder, other, SETTINGS)
    np.testing.assert_allclose(features[:, times <= 4], changed[:, times <= 4], atol=1e-4)
    assert np.abs(features - changed)[:, times > 4.1].max(axis=(0, 2)).min() > 1e-2


@pytest.mark.usefixtures("bfloat16")
def test_lower_precision_gives_nearly_the_same():
    encoder, waveform = SpeechEncoder(tiny_model()), sound(3)
    full, _ = window_features(encoder, waveform, SETTINGS)
    half, _ = window_features(encoder, waveform, replace(SETTINGS, precision="bfloat16"))
    assert half.dtype == np.float32
    assert not np.array_equal(full, half)
    np.testing.assert_allclose(full, half, atol=0.1)


def test_dropout_is_off():
    encoder = SpeechEncoder(tiny_model(hidden_dropout=0.5))
    encoder.model.train()
    (first, _), (second, _) = (window_features(encoder, sound(3), SETTINGS) for _ in range(2))
    np.testing.assert_array_equal(first, second)


LENGTHS = {"long": 8.0, "short": 5.0}  # s


class TwoStories:
    """Stands for a dataset."""

    def waveform(self, story):
        return sound(LENGTHS[story], seed=len(story))

    def tr_times(self, story):
        return tr_times(round((LENGTHS[story] + 10) / TR) + 5)


@pytest.fixture(scope="module")
def representation():
    return extract(SpeechEncoder(tiny_model()), TwoStories(), ["short", "long"], SETTINGS)


def test_every_story_has_a_row_per_tr(representation):
    stories, n_trs = TwoStories(), {"short": 7, "long": 9}
    assert representation.dims == ("layer", "tr", "feature")
    assert representation.shape == (3, 7 + 9, 16)
    assert representation.dtype == np.float32
    assert list(representation["story"].values) == ["short"] * 7 + ["long"] * 9
    assert list(representation["layer"].values) == [0, 1, 2]
    for story in ("short", "long"):
        rows = representation["story"].values == story
        np.testing.assert_allclose(
            representation["time"].values[rows], np.arange(n_trs[story]) * TR - 10
        )
        assert rows.sum() == len(stories.tr_times(story))


def test_rows_are_filtered_features(representation):
    """Naive three-lobed Lanczos filter with its cutoff at the rate of the TRs."""
    features, times = window_features(
        SpeechEncoder(tiny_model()), TwoStories().waveform("long"), SETTINGS
    )
    rows = representation.isel(tr=representation["story"].values == "long")
    for row in range(rows.sizes["tr"]):
        expected = np.zeros((3, 16))
        for k, time in enumerate(times):
            x = (row * TR - 10 - time) / TR
            if abs(x) < 3:
                expected += np.sinc(x) * np.sinc(x / 3) * features[:, k]
        np.testing.assert_allclose(rows.isel(tr=row).values, expected, atol=1e-4)
    assert (rows.sel(layer=2).isel(tr=0) == 0).all()  # 10 s before the sound


@pytest.mark.parametrize(("pooling", "tokens"), [("last", 1), ("mean", 48), ("stride", 8)])
def test_the_clock_says_in_which_sound_the_pooled_tokens_are_heard(pooling, tokens):
    """A token sees 1810 samples, and the next one begins 640 later; a window has 2 s of sound."""
    encoder, settings = SpeechEncoder(tiny_model()), replace(SETTINGS, pooling=pooling)
    clock = WindowClock.of(encoder, settings)
    assert (clock.stride, clock.token) == (0.3, 1810 / 16_000)
    assert clock.pooled == pytest.approx((1810 + (tokens - 1) * 640) / 16_000)


def test_a_representation_holds_its_clock(representation):
    assert WindowClock(**representation.attrs) == WindowClock(0.3, 1810 / 16_000, 1810 / 16_000)


def test_a_representation_comes_back_from_a_file(representation, tmp_path):
    representation.to_dataset(name="representation").to_netcdf(tmp_path / "r.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "r.nc", engine="h5netcdf") as read:
        found = read["representation"].load().rename(None)
        xr.testing.assert_identical(found, representation)

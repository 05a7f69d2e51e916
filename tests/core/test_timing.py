from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bthelpers.core import timing

# Counts in the respdict.json of ds003020, and the rows of its preprocessed responses.
REAL_ROWS = {
    "adollshouse": (261, 241),
    "hangtime": (344, 324),
    "wheretheressmoke": (311, 291),
    "souls": (375, 355),
    "sweetaspie": (177, 157),
    "stagefright": (313, 293),
    "life": (450, 430),
    "breakingupintheageofgoogle": (541, 521),
}
TRS = (2.0, 2.0045)

fast = settings(max_examples=60)
values = st.floats(-100, 100, width=32)
matrices = arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=values)


@pytest.mark.parametrize("tr", TRS)
@pytest.mark.parametrize(("n_respdict", "rows"), REAL_ROWS.values(), ids=REAL_ROWS)
def test_rows_are_those_of_the_preprocessed_responses(n_respdict, rows, tr):
    times = timing.tr_times(n_respdict, tr)
    assert times.shape == (n_respdict - 5,)
    assert len(timing.trim(times)) == rows
    by_hand = [(k + 10) * tr - 10 for k in range(rows)]
    np.testing.assert_allclose(timing.response_times(n_respdict, tr), by_hand, atol=1e-9)


def test_default_tr_and_first_trigger():
    times = timing.tr_times(311)
    assert times[0] == -10
    np.testing.assert_allclose(np.diff(times), 2.0045)


def test_trim_keeps_one_row_and_no_fewer():
    assert timing.response_times(21).shape == (1,)
    with pytest.raises(ValueError, match="15 rows"):
        timing.response_times(20)
    with pytest.raises(ValueError, match="trigger"):
        timing.tr_times(5)


def test_trim_takes_rows_of_any_shape():
    rows = np.arange(40).reshape(20, 2)
    np.testing.assert_array_equal(timing.trim(rows), rows[[10, 11, 12, 13, 14]])


@pytest.mark.parametrize("tr", TRS)
@pytest.mark.parametrize("n_respdict", [n for n, _ in REAL_ROWS.values()])
def test_n_respdict_inverts_the_length_of_a_story(n_respdict, tr):
    duration = (n_respdict - 5) * tr - timing.SOUND_DELAY
    assert timing.n_respdict_for(duration, tr) == n_respdict
    assert timing.n_respdict_for(duration + 0.4 * tr, tr) == n_respdict
    assert timing.n_respdict_for(duration + 0.6 * tr, tr) == n_respdict + 1


def test_n_respdict_refuses_a_story_without_responses():
    with pytest.raises(ValueError, match="trimming leaves none"):
        timing.n_respdict_for(20.0)


@pytest.mark.parametrize("rate", [16_000, 44_100, 49.95])
@pytest.mark.parametrize("tr", TRS)
@pytest.mark.parametrize("n_respdict", [261, 541])
def test_windows_have_one_length_and_end_at_the_tr(n_respdict, tr, rate):
    ends = timing.response_times(n_respdict, tr)
    windows = timing.windows(ends, 16.0, rate)
    assert windows.dtype == np.int64
    assert windows.shape == (len(ends), 2)
    assert set(windows[:, 1] - windows[:, 0]) == {round(16 * rate)}
    np.testing.assert_array_less(np.abs(windows[:, 1] / rate - ends), 0.5 / rate + 1e-9)


def test_windows_at_tr_2_0045_are_whole_samples():
    # 2.0045 s are exactly 32,072 samples at 16 kHz.
    ends = timing.response_times(541)
    by_hand = [(k + 10) * 32_072 - 160_000 for k in range(521)]
    np.testing.assert_array_equal(timing.windows(ends, 2.0, 16_000)[:, 1], by_hand)


def test_windows_before_the_sound_are_not_clipped():
    np.testing.assert_array_equal(
        timing.windows([-1.0, 0.5, 3.0], 2.0, 10), [[-30, -10], [-15, 5], [10, 30]]
    )


@pytest.mark.parametrize(
    ("ends", "length", "rate"),
    [([1.0], 0.0, 16_000), ([1.0], 0.01, 10), ([np.nan], 1.0, 10), ([[1.0]], 1.0, 10)],
)
def test_windows_refuse_what_has_no_samples(ends, length, rate):
    with pytest.raises(ValueError, match=r"holds no sample|finite times"):
        timing.windows(ends, length, rate)


def lanczos_by_loops(data, data_times, tr_times, lobes):
    """The filter of the Huth lab, one weight at a time."""
    cutoff = 1 / ((tr_times[-1] - tr_times[0]) / (len(tr_times) - 1))
    result = np.zeros((len(tr_times), data.shape[1]))
    for i, tr_time in enumerate(tr_times):
        for j, data_time in enumerate(data_times):
            t = (tr_time - data_time) * cutoff
            if t == 0:
                weight = 1.0
            elif abs(t) > lobes:
                weight = 0.0
            else:
                weight = lobes * np.sin(np.pi * t) * np.sin(np.pi * t / lobes) / (np.pi * t) ** 2
            result[i] += weight * data[j]
    return result


@pytest.mark.parametrize("tr", TRS)
@pytest.mark.parametrize("lobes", [1, 2, 3])
@pytest.mark.parametrize(("n_trs", "step"), [(2, 0.1), (7, 0.7), (12, 2.5)])
def test_lanczos_agrees_with_loops(tr, lobes, n_trs, step):
    rng = np.random.default_rng(0)
    data_times = np.arange(0.1, n_trs * tr, step) + rng.uniform(0, 0.05)
    data = rng.standard_normal((len(data_times), 3))
    tr_times = np.arange(n_trs) * tr
    np.testing.assert_allclose(
        timing.lanczos_downsample(data, data_times, tr_times, lobes),
        lanczos_by_loops(data, data_times, tr_times, lobes),
        rtol=0,
        atol=1e-12,
    )


def test_lanczos_of_samples_at_the_trs_is_the_identity():
    # The sinc is zero at every other TR and the weight at lag zero is 1.
    tr_times = timing.tr_times(40)
    data = np.random.default_rng(1).standard_normal((len(tr_times), 2))
    np.testing.assert_allclose(
        timing.lanczos_downsample(data, tr_times, tr_times), data, rtol=0, atol=1e-10
    )


def test_lanczos_passes_slow_and_stops_fast_oscillations():
    tr_times = np.arange(60) * 2.0
    data_times = np.arange(0, 120, 0.1)
    # Below and above the Nyquist frequency of the TRs, 0.25 Hz.
    data = np.sin(2 * np.pi * np.outer(data_times, [0.05, 0.9]))
    inner = timing.lanczos_downsample(data, data_times, tr_times)[5:-5] / 20  # 20 samples a TR
    np.testing.assert_allclose(inner[:, 0], np.sin(0.1 * np.pi * tr_times[5:-5]), atol=0.03)
    assert np.abs(inner[:, 1]).max() < 0.02


def test_lanczos_does_not_normalise_its_weights():
    tr_times, data_times = np.arange(30) * 2.0, np.arange(0, 60, 0.1)
    ones = timing.lanczos_downsample(np.ones((600, 1)), data_times, tr_times)
    np.testing.assert_allclose(ones[5:-5], 20, rtol=0.01)


def test_lanczos_is_zero_far_from_the_data_and_ignores_their_order():
    tr_times, data_times = np.arange(20) * 2.0, np.arange(20, 30, 0.5)
    data = np.random.default_rng(2).standard_normal((20, 2))
    downsampled = timing.lanczos_downsample(data, data_times, tr_times)
    np.testing.assert_array_equal(downsampled[tr_times <= 14], 0)
    assert (downsampled[tr_times == 24] != 0).all()
    shuffled = np.random.default_rng(3).permutation(20)
    np.testing.assert_allclose(
        timing.lanczos_downsample(data[shuffled], data_times[shuffled], tr_times),
        downsampled,
        atol=1e-12,
    )


def test_lanczos_nan_spreads_as_far_as_the_filter():
    tr_times, data_times = np.arange(20) * 2.0, np.arange(0, 40, 0.5)
    data = np.ones((80, 2))
    data[41, 0] = np.nan  # at 20.5 s; 3 lobes are 6 s
    bad = np.isnan(timing.lanczos_downsample(data, data_times, tr_times))
    np.testing.assert_array_equal(bad[:, 0], np.abs(tr_times - 20.5) < 6)
    assert not bad[:, 1].any()


@fast
@given(a=values, b=values, seed=st.integers(0, 99))
def test_lanczos_is_linear(a, b, seed):
    rng = np.random.default_rng(seed)
    data_times = np.sort(rng.uniform(0, 20, size=31))
    x, y = rng.standard_normal((2, 31, 2))
    tr_times = np.arange(9) * 2.0045

    def down(data):
        return timing.lanczos_downsample(data, data_times, tr_times)

    np.testing.assert_allclose(down(a * x + b * y), a * down(x) + b * down(y), atol=1e-9)


def test_lanczos_keeps_float32_and_widens_integers():
    data, tr_times = np.arange(10)[:, None], np.arange(5) * 2.0
    data_times = np.arange(10) * 1.0
    exact = timing.lanczos_downsample(data, data_times, tr_times)
    single = timing.lanczos_downsample(data.astype(np.float32), data_times, tr_times)
    assert exact.dtype == np.float64
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("data", "data_times", "tr_times"),
    [
        (np.ones((4, 2)), [0, 1, 2], [0, 2]),
        (np.ones(4), [0, 1, 2, 3], [0, 2]),
        (np.ones((2, 1)), [0, np.nan], [0, 2]),
        (np.ones((2, 1)), [0, 1], [0]),
        (np.ones((2, 1)), [0, 1], [2, 0]),
    ],
)
def test_lanczos_refuses_times_that_do_not_fit(data, data_times, tr_times):
    with pytest.raises(ValueError, match=r"data_times|tr_times"):
        timing.lanczos_downsample(data, data_times, tr_times)


def fir_by_loops(features, delays):
    rows = []
    for t in range(len(features)):
        row = []
        for delay in delays:
            inside = 0 <= t - delay < len(features)
            row.extend(features[t - delay] if inside else np.zeros(features.shape[1]))
        rows.append(row)
    return np.array(rows)


@fast
@given(features=matrices, delays=st.lists(st.integers(-12, 12), min_size=1, max_size=5))
def test_fir_delay_agrees_with_loops(features, delays):
    np.testing.assert_array_equal(
        timing.fir_delay(features, delays), fir_by_loops(features, delays)
    )


@fast
@given(seed=st.integers(0, 99), a=values, delays=st.lists(st.integers(-4, 4), min_size=1))
def test_fir_delay_is_linear(seed, a, delays):
    x, y = np.random.default_rng(seed).standard_normal((2, 7, 3))
    np.testing.assert_allclose(
        timing.fir_delay(a * x + y, delays),
        a * timing.fir_delay(x, delays) + timing.fir_delay(y, delays),
        atol=1e-9,
    )


@fast
@given(features=matrices, first=st.integers(0, 10), then=st.integers(0, 10))
def test_fir_delays_in_one_direction_add(features, first, then):
    twice = timing.fir_delay(timing.fir_delay(features, [first]), [then])
    np.testing.assert_array_equal(twice, timing.fir_delay(features, [first + then]))


def test_fir_delay_by_hand():
    np.testing.assert_array_equal(
        timing.fir_delay([[1, 10], [2, 20], [3, 30]], [2, 0, -1]),
        [[0, 0, 1, 10, 2, 20], [0, 0, 2, 20, 3, 30], [1, 10, 3, 30, 0, 0]],
    )


def test_fir_delay_keeps_the_precision_and_nan():
    features = np.array([[np.nan], [1]], dtype=np.float32)
    delayed = timing.fir_delay(features, range(2))
    assert delayed.dtype == np.float32
    np.testing.assert_array_equal(delayed, [[np.nan, 0], [1, np.nan]])


@pytest.mark.parametrize(
    ("features", "delays"), [(np.ones(3), [1]), (np.ones((3, 1)), []), (np.ones((3, 1)), [1.5])]
)
def test_fir_delay_refuses(features, delays):
    with pytest.raises(ValueError, match=r"features|delays"):
        timing.fir_delay(features, delays)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zscore(dtype):
    x = np.random.default_rng(4).normal(1000, 3, size=(241, 5)).astype(dtype)
    z = timing.zscore(x)
    assert z.dtype == dtype
    np.testing.assert_allclose(z.mean(0, dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(z.std(0, dtype=np.float64), 1, atol=1e-6)
    exact = x.astype(np.float64)
    for column in range(5):
        by_hand = (exact[:, column] - np.mean(exact[:, column])) / np.std(exact[:, column])
        np.testing.assert_allclose(z[:, column], by_hand, atol=1e-6)


def test_zscore_of_constants_is_zero_and_of_nan_is_nan():
    x = np.full((241, 3), 0.1)  # its mean is not exactly 0.1
    x[7, 1] = np.nan
    x[:, 2] = np.arange(241)
    z = timing.zscore(x)
    np.testing.assert_array_equal(z[:, 0], 0)
    assert np.isnan(z[:, 1]).all()
    assert np.isfinite(z[:, 2]).all()
    np.testing.assert_array_equal(timing.zscore([[1.0, 2.0]]), [[0, 0]])


@settings(max_examples=150)
@given(n=st.integers(2, 400), block=st.integers(1, 60), seed=st.integers(0, 2**32 - 1))
def test_block_permutation_moves_every_block_and_keeps_every_row(n, block, seed):
    if n <= block:
        with pytest.raises(ValueError, match="fewer than two blocks"):
            timing.block_permutation(n, block, np.random.default_rng(seed))
        return
    rows = timing.block_permutation(n, block, np.random.default_rng(seed))
    np.testing.assert_array_equal(np.sort(rows), np.arange(n))
    assert not (rows == np.arange(n)).any()
    # Blocks are whole: reading the permuted rows block by block gives each block once, in order.
    order, place = [], 0
    while place < n:
        index = rows[place] // block
        length = min(block, n - index * block)
        np.testing.assert_array_equal(
            rows[place : place + length], index * block + np.arange(length)
        )
        order.append(index)
        place += length
    assert all(index != place for place, index in enumerate(order))


def test_block_permutation_draws_every_derangement_alike():
    rng = np.random.default_rng(5)
    drawn = [tuple(timing.block_permutation(4, 1, rng)) for _ in range(1800)]
    counts = {order: drawn.count(order) for order in set(drawn)}
    assert len(counts) == 9  # derangements of four
    assert all(140 < count < 260 for count in counts.values())


def test_block_permutation_depends_on_the_generator_alone():
    first, again, other = (
        timing.block_permutation(241, 10, np.random.default_rng(seed)) for seed in (6, 6, 7)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()

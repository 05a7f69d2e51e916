import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bthelpers.core.sampling import sample_times, whole_samples
from bthelpers.core.timing import TR, trim


@given(st.integers(-500, 500), st.sampled_from([1 / 64, 1 / 100, 1 / 128, 0.3, 2.0, TR]))
def test_multiples_of_the_interval_are_their_numbers(number, interval):
    assert whole_samples([number * interval], interval) == (number,)


@pytest.mark.parametrize(
    ("delay", "nearest"), [(0.1, "0.09375 s and 0.109375 s"), (-0.1, "-0.109375 s and -0.09375 s")]
)
def test_a_delay_between_samples_is_refused_by_name(delay, nearest):
    with pytest.raises(ValueError, match=f"{delay} s lies between two samples.*64 Hz.*{nearest}"):
        whole_samples([0.125, delay], 1 / 64)


def test_volumes_take_delays_in_seconds_too():
    assert whole_samples([2.0045, 4.009, 10.0225], TR) == (1, 2, 5)
    with pytest.raises(ValueError, match=r"2 s lies between.*2.0045 s apart"):
        whole_samples([2], TR)


@pytest.mark.parametrize(("n_samples", "rate"), [(1, 64), (97, 64), (250, 512.5)])
def test_responses_begin_with_the_sound(n_samples, rate):
    times = sample_times(n_samples, rate)
    assert len(times) == n_samples + 15
    np.testing.assert_allclose(trim(times), [k / rate for k in range(n_samples)], rtol=1e-14)
    np.testing.assert_allclose(np.diff(times), 1 / rate)


def test_responses_may_begin_later():
    np.testing.assert_array_equal(trim(sample_times(3, 4, first=1.5)), [1.5, 1.75, 2])


def test_no_sample_is_no_recording():
    with pytest.raises(ValueError, match="no sample"):
        sample_times(0, 64)

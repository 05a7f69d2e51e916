import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from unpacked import unpack

from bthelpers.explorer.chunks import STEPS, pack, quantize

VALUES = st.floats(-1e6, 1e6, width=32) | st.just(np.nan)
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)


@given(arrays.arrays(np.float64, SHAPES, elements=VALUES))
def test_values_come_back_within_half_a_step_and_nan_as_nan(values):
    back = unpack(pack({"x": values}))["x"]
    np.testing.assert_array_equal(np.isnan(back), np.isnan(values))
    known = ~np.isnan(values)
    if known.any():
        step = np.ptp(values[known]) / STEPS
        assert (
            np.abs(back - values)[known].max() <= 0.501 * step + 1e-9 * np.abs(values[known]).max()
        )


@given(
    arrays.arrays(np.uint32, SHAPES, elements=st.integers(0, 2**32 - 1)),
    arrays.arrays(np.uint8, SHAPES),
)
def test_whole_numbers_come_back_as_they_are(large, small):
    back = unpack(pack({"large": large, "small": small}))
    np.testing.assert_array_equal(back["large"], large)
    np.testing.assert_array_equal(back["small"], small)


@pytest.mark.parametrize("value", [0.0, -3.5, np.nan])
def test_values_that_are_all_alike(value):
    np.testing.assert_array_equal(unpack(pack({"x": np.full((1, 1), value)}))["x"], [[value]])


def test_infinite_values_are_refused():
    with pytest.raises(ValueError, match="2 of 3 values are infinite"):
        quantize(np.array([np.inf, -np.inf, 1.0]))


def test_a_damaged_piece_is_noticed():
    packed = bytearray(pack({"x": np.linspace(0, 1, 400).reshape(2, 200)}))
    packed[-1] ^= 1
    with pytest.raises(zlib.error):
        unpack(bytes(packed))


def test_random_correlations_take_about_twelve_bits():
    values = np.random.default_rng(0).uniform(-1, 1, (6, 5000))
    assert len(pack({"r": values})) < 1.1 * values.size * 12 / 8

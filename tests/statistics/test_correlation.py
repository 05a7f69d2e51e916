from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from bthelpers.statistics.correlation import pearson_r


@pytest.mark.parametrize("n_trs", [2, 7, 291])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pearson_r_agrees_with_scipy(n_trs, dtype):
    rng = np.random.default_rng(4)
    a = rng.normal(100, 2, size=(n_trs, 5)).astype(dtype)
    b = (a + rng.standard_normal((n_trs, 5))).astype(dtype)
    reference = [
        stats.pearsonr(x.astype(float), y.astype(float)).statistic
        for x, y in zip(a.T, b.T, strict=True)
    ]
    np.testing.assert_allclose(pearson_r(a, b), reference, rtol=0, atol=1e-12)


def test_pearson_r_is_undefined_for_constants_and_nan():
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((2, 241, 4))
    a[:, 0] = 0.1  # its mean is not exactly 0.1
    b[:, 1] = 0
    b[17, 2] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        r = pearson_r(a, b)
    np.testing.assert_array_equal(np.isnan(r), [True, True, True, False])
    assert np.isnan(pearson_r([[1.0]], [[2.0]])).all()  # one row


@pytest.mark.parametrize(
    "shapes", [((5, 3), (5, 2)), ((5, 3), (4, 3)), ((5,), (5,)), ((0, 3),) * 2]
)
def test_pearson_r_refuses_shapes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match="cannot correlate"):
        pearson_r(np.ones(shapes[0]), np.ones(shapes[1]))

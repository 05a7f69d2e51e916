import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bthelpers.statistics.multiple import holm


def rejected_step_by_step(p, level):
    """The procedure in Holm's words: from the smallest on, until one is above its level."""
    rejected = np.zeros(len(p), bool)
    for step, number in enumerate(np.argsort(p, kind="stable")):
        if p[number] > level / (len(p) - step):
            break
        rejected[number] = True
    return rejected


@given(st.lists(st.floats(1e-4, 1), min_size=1, max_size=9), st.sampled_from([0.01, 0.05, 0.3]))
def test_what_is_rejected_is_what_the_procedure_rejects(p, level):
    adjusted = holm(p)
    clear = abs(adjusted - level) > 1e-9
    np.testing.assert_array_equal(
        (adjusted <= level)[clear], rejected_step_by_step(p, level)[clear]
    )
    assert (adjusted >= p).all()
    assert adjusted.max() <= 1


def test_sets_of_tests_are_apart():
    p = np.random.default_rng(0).uniform(size=(5, 3, 2))
    for place in np.ndindex(3, 2):
        np.testing.assert_allclose(holm(p)[:, *place], holm(p[:, *place]))


def test_the_chance_of_any_false_rejection_is_the_level():
    p = np.random.default_rng(0).uniform(size=(8, 20_000))
    assert (holm(p) <= 0.05).any(axis=0).mean() == pytest.approx(0.05, abs=0.005)

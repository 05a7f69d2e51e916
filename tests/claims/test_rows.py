import numpy as np
import pytest
import xarray as xr
from claim_results import MODEL
from scipy import stats

from bthelpers.claims.claim import Statement
from bthelpers.claims.quantities import alignment_with
from bthelpers.claims.rows import Row, family_of, p_values

LATE = alignment_with("late_language", "late language")  # margin 10
N_BLOCKS = 9


def row(claimed, place, bound=0, n_draws=4000):
    """A row of one participant, whose value and standard error are known."""
    rng = np.random.default_rng(0)
    draws = rng.standard_normal(n_draws)
    draws = 2 * (draws - draws.mean()) / draws.std(ddof=1)
    estimate = xr.Dataset(
        {
            "value": ("participant", [bound + place]),
            "draws": (("participant", "draw"), bound + place + draws[None]),
        },
        {"n_drawn": ("draw", np.full(n_draws, N_BLOCKS))},
    )
    return Row(Statement(LATE, ("a", "b"), claimed, bound), MODEL, "", estimate)


def student(excess):
    """One-sided p-value of an excess, by SciPy."""
    return stats.t.sf(excess / (2 * np.sqrt(N_BLOCKS / (N_BLOCKS - 1))), N_BLOCKS - 1)


@pytest.mark.parametrize("place", [-14.0, -3.0, 0.5, 3.0, 14.0])
def test_p_values_are_of_one_or_two_one_sided_tests(place):
    expected = {
        "above": (student(place), student(-place)),
        "below": (student(-place), student(place)),
        "not above": (student(10 - place), student(place - 10)),
        "not below": (student(place + 10), student(-place - 10)),
        "equal to": (
            max(student(10 - place), student(place + 10)),
            min(2 * student(place - 10), 2 * student(-place - 10), 1),
        ),
    }
    for claimed, pair in expected.items():
        for bound in (0, 30):
            one = row(claimed, place, bound)
            found = p_values(one.statement, one.value, one.spread)
            assert [float(p) for p in found] == pytest.approx(pair, rel=0.04), claimed


def test_equality_is_not_shown_by_not_knowing():
    """A wide interval around the bound: the rule before called this equal, and not above."""
    for claimed in ("equal to", "not above", "not below"):
        vague = row(claimed, 0.0)
        wide = vague.estimate.assign(draws=10 * vague.estimate["draws"])
        one = Row(vague.statement, MODEL, "", wide)
        p, opposite = p_values(one.statement, one.value, one.spread)
        assert p > 0.05
        assert opposite > 0.05
        near = row(claimed, 0.0)
        assert p_values(near.statement, near.value, near.spread)[0] < 0.05


@pytest.mark.parametrize(
    ("model", "path", "family"),
    [
        ("hubert-mini", "bthelpers/checkpoints/hubert-mini", "HuBERT"),
        ("base", "facebook/wav2vec2-base", "Wav2vec2"),
        ("mine", "hubert-models/whisper-small", "Whisper"),
        ("wavlm-mini", "bthelpers/checkpoints/wavlm-mini", "WavLM"),
        ("mine", "models/mine", None),
    ],
)
def test_a_family_is_read_off_the_names(model, path, family):
    assert family_of(model, path) == family

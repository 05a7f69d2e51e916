from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bthelpers.core.timing import Interval
from bthelpers.params.simulation import SimulationSpec
from bthelpers.simulation import confound
from bthelpers.simulation.confound import PREDICTORS, predicted_meaning, timed_text

LEXICONS = Path(__file__).parents[2] / "params" / "lexicons"
PHONES = ["di-phones", "tri-phones"]


def told(name, n, seed=0, **changes):
    spec = SimulationSpec(str(LEXICONS / f"{name}.yaml"), words_per_category=n, **changes)
    return predicted_meaning(spec, seed)


@pytest.mark.parametrize("name", ["square", "square_second"])
def test_phones_of_a_square_tell_no_category_but_words_do(name):
    """Of categories alone: the interval of the mean over left-out stories holds zero."""
    r = told(name, 14, word_idiosyncrasy=0.0)
    assert r.dims == ("predictor", "story")
    for predictor in PHONES:
        interval = stats.ttest_1samp(r.sel(predictor=predictor), 0).confidence_interval(0.99)
        assert interval.low < 0 < interval.high
        assert abs(r.sel(predictor=predictor).mean()) < 0.1
    assert r.sel(predictor="words").min() > 0.7


def test_phones_of_a_square_tell_next_to_nothing_of_the_meanings_of_single_words():
    r = told("square", 14).mean("story")
    assert (r.sel(predictor=PHONES) < 0.15).all()
    assert r.sel(predictor="words") > 0.7


def test_phones_of_english_words_tell_nearly_as_much_as_the_words():
    r = told("english", 8).mean("story")
    assert (r.sel(predictor=PHONES) > 0.85 * r.sel(predictor="words")).all()
    assert r.sel(predictor="words") > 0.6


def test_everything_random_follows_from_the_seed(monkeypatch):
    monkeypatch.setattr(confound, "TOPICS", 3)
    first, again, other = (told("square", 14, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first, other).any()


def test_phones_of_words_follow_each_other_and_sentences_are_apart(monkeypatch):
    monkeypatch.setattr(confound, "PHONE_SECONDS", 0.5)
    monkeypatch.setattr(confound, "PAUSE_SECONDS", 1.0)
    phones_of = {"a": ("AH",), "cat": ("K", "AE", "T"), "and": ("AE", "N")}
    story = timed_text("a cat, a. and.", phones_of)
    assert story.words == [
        Interval(0.0, 0.5, "a"),
        Interval(0.5, 2.0, "cat"),
        Interval(2.0, 2.5, "a"),
        Interval(3.5, 4.5, "and"),
    ]
    assert [phone.label for phone in story.phones] == "AH K AE T AH AE N".split()  # noqa: SIM905
    assert [phone.start for phone in story.phones] == [0, 0.5, 1, 1.5, 2, 3.5, 4]
    assert story.duration == 4.5
    labels = [interval.label for interval in PREDICTORS["tri-phones"](story)]
    assert labels == ["AH-K-AE", "K-AE-T", "AE-T-AH"]  # none goes over the pause

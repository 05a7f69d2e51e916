import numpy as np
import pytest

from bthelpers.core.timing import Interval
from bthelpers.encoding.stages.stimulus import category_shares, rate_and_position

TR = 2.0
CATEGORIES = {"cat": "animal", "dog": "animal", "soup": "food", "rain": "weather"}


class Told:
    """Stands for a dataset: two stories, a few words, and TRs on whole seconds."""

    def tr_times(self, story):
        return np.arange({"one": 6, "two": 5}[story]) * TR - 4

    def words(self, story):
        if story == "two":
            return [Interval(0.0, 4.0, "SOUP"), Interval(3.9, 4.0, "{NS}")]
        starts = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0]
        labels = ["the", "Cat", "sp", "and", "dog", "soup"]
        return [Interval(t, t + 0.5, label) for t, label in zip(starts, labels, strict=True)]


@pytest.fixture(autouse=True)
def two_seconds(monkeypatch):
    monkeypatch.setattr("bthelpers.encoding.stages.stimulus.TR", TR)


def test_words_count_at_the_tr_in_which_they_begin_and_once():
    found = rate_and_position(Told(), ["one", "two"])
    # TRs of the first story end at -4, -2, 0, 2, 4 and 6 s; a word at 2 s is in (0, 2].
    assert found.sel(feature="word rate").values.tolist() == [0, 0, 1, 3, 1, 0, 0, 0, 1, 0, 0]
    assert found["story"].values.tolist() == ["one"] * 6 + ["two"] * 5


def test_position_goes_from_one_end_to_the_other_in_every_story():
    found = rate_and_position(Told(), ["two", "one"])
    position = found.sel(feature="position").values
    np.testing.assert_allclose(position[:5], [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_allclose(position[5:], np.linspace(-1, 1, 6), atol=1e-7)
    np.testing.assert_allclose(found.sel(feature="position²").values, position**2, atol=1e-7)


def test_categories_take_their_share_of_a_tr():
    found = category_shares(Told(), ["one", "two"], CATEGORIES)
    assert found["feature"].values.tolist() == ["animal", "food", "weather"]
    one = found.values[:6]
    np.testing.assert_allclose(one[:, 0], [0, 0, 0, 0.25, 0.25, 0])
    np.testing.assert_allclose(one[:, 1], [0, 0, 0, 0, 0.25, 0])
    np.testing.assert_allclose(found.values[6:, 1], [0, 0, 0, 1, 1])
    assert (found.values[:, 2] == 0).all()
    assert found.attrs["words"] == "4 of 6"


def test_words_without_any_category_are_refused():
    with pytest.raises(ValueError, match="none of 6 spoken words has a category"):
        category_shares(Told(), ["one", "two"], {"tiger": "animal"})

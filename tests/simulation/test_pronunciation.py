import re
import warnings
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.linear_model import LinearRegression

from bthelpers.simulation.espeak import pronunciations
from bthelpers.simulation.lexicon import Lexicon, load_lexicon
from bthelpers.simulation.pronunciation import (
    load_spoken_lexicon,
    meaning_in_phones,
    warn_of_telling_phones,
)

LEXICONS = Path(__file__).parents[2] / "params" / "lexicons"
ENGLISH, SECOND = LEXICONS / "english.yaml", LEXICONS / "english_second.yaml"
SQUARE, SECOND_SQUARE = LEXICONS / "square.yaml", LEXICONS / "square_second.yaml"
SHIPPED = [(ENGLISH, 12), (SECOND, 10), (SQUARE, 14), (SECOND_SQUARE, 14)]


def write(tmp_path, **categories):
    path = tmp_path / "mine.yaml"
    content = {"categories": categories, "verbs": "saw", "templates": ["the C V the C for one."]}
    path.write_text(yaml.safe_dump(content))
    return path


# Words that sound alike


@pytest.mark.parametrize(("path", "n"), SHIPPED)
def test_lexicons_of_the_repository_have_no_words_alike(path, n):
    assert load_spoken_lexicon(path, n) == load_lexicon(path, n)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"person": "son dog", "weather": "sun rain"}, ["son and sun (S AH N)"]),
        ({"plant": "flower flour", "food": "bread soup"}, ["flower and flour"]),
        ({"food": "flower pear", "plant": "flour pair"}, ["flower and flour", "pear and pair"]),
        ({"number": "four six", "food": "bread soup"}, ["four and for"]),  # of the template
        ({"sport": "won lost", "food": "bread soup"}, ["won and one"]),
    ],
)
def test_words_that_are_spoken_alike_are_named_with_the_file(tmp_path, words, named):
    path = write(tmp_path, **words)
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        load_spoken_lexicon(path, 2)
    assert all(each in str(caught.value) for each in named)


def test_other_words_may_sound_alike(tmp_path):
    path = write(tmp_path, animal="dog cat", food="bread soup")
    content = yaml.safe_load(path.read_text()) | {"verbs": "saw see sea"}
    path.write_text(yaml.safe_dump(content))
    assert load_spoken_lexicon(path, 2).verbs == ("saw", "see", "sea")


def test_word_without_a_sound_is_an_error_that_names_the_file(tmp_path):
    path = write(tmp_path, animal="dog '", food="bread soup")
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*no phones"):
        load_spoken_lexicon(path, 2)


# What phones tell


def lexicon_of(**categories):
    listed = {name: tuple(words.split()) for name, words in categories.items()}
    return Lexicon(listed, ("saw",), ("the C V the C.",))


@pytest.mark.parametrize(("path", "n"), SHIPPED)
def test_phones_tell_all_in_english_and_nothing_in_a_square(path, n):
    told = meaning_in_phones(load_lexicon(path, n))
    assert told == pytest.approx(1.0 if "english" in path.name else 0.0, abs=1e-9)


def test_share_is_that_of_a_linear_regression():
    """In a square in which two words have changed places: phones tell a little of it."""
    square = dict(load_lexicon(SQUARE, 14).categories)
    animal, food = square["animal"], square["food"]
    square |= {"animal": (food[0], *animal[1:]), "food": (animal[0], *food[1:])}
    lexicon = Lexicon(square, (), ())
    phones = pronunciations(lexicon.words)
    counts = [
        Counter(pairwise(p)) + Counter(zip(p, p[1:], p[2:], strict=False)) for p in phones.values()
    ]
    columns = sorted(set().union(*counts))
    x = np.array([[count[column] for column in columns] for count in counts])
    y = np.eye(7)[np.repeat(np.arange(7), 14)]
    residuals = y - LinearRegression().fit(x, y).predict(x)
    share = 1 - np.sum(residuals**2) / np.sum((y - y.mean(axis=0)) ** 2)
    assert 1e-4 < share < 0.1
    assert meaning_in_phones(lexicon) == pytest.approx(share)


def test_words_of_one_phone_tell_nothing():
    assert meaning_in_phones(lexicon_of(one="a", other="oh")) == 0


@pytest.mark.parametrize(("path", "n"), [(ENGLISH, 8), (SECOND, 8)])
def test_warning_says_how_well_and_what_to_do(path, n):
    with pytest.warns(UserWarning, match=re.escape(str(path))) as caught:
        warn_of_telling_phones(path, load_lexicon(path, n))
    [warning] = caught
    assert "100 %" in str(warning.message)
    assert "params/lexicons/square.yaml" in str(warning.message)
    assert (LEXICONS / "square.yaml").is_file()


@pytest.mark.parametrize("path", [SQUARE, SECOND_SQUARE])
def test_square_gives_no_warning(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_telling_phones(path, load_lexicon(path, 14))

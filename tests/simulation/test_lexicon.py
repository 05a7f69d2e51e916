import re
from collections import Counter
from itertools import combinations
from math import gcd
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bthelpers.simulation.lexicon import Lexicon, latin_square, load_lexicon

LEXICONS = Path(__file__).parents[2] / "params" / "lexicons"
FIRST, SECOND = LEXICONS / "english.yaml", LEXICONS / "english_second.yaml"
SQUARES = [LEXICONS / "square.yaml", LEXICONS / "square_second.yaml"]


# Lexicons


@pytest.mark.parametrize("path", [FIRST, SECOND])
@pytest.mark.parametrize("n", [1, 8, 10])
def test_first_words_of_each_category_are_kept(path, n):
    content = yaml.safe_load(path.read_text())
    lexicon = load_lexicon(path, n)
    for name, text in content["categories"].items():
        assert lexicon.categories[name] == tuple(text.split()[:n])
    assert len(lexicon.words) == n * len(content["categories"])
    assert lexicon.verbs == tuple(content["verbs"].split())
    assert lexicon.templates == tuple(content["templates"])


def test_lexicons_share_no_content_word():
    first, second = load_lexicon(FIRST, 12), load_lexicon(SECOND, 10)
    assert not set(first.words) & set(second.words)
    assert not set(first.categories) & set(second.categories)
    assert not set(first.words) & set(second.verbs)
    assert not set(second.words) & set(first.verbs)


SMALL = {
    "categories": {"animal": "dog cat", "food": "bread soup"},
    "verbs": "saw",
    "templates": ["the C V the C."],
}


def write(tmp_path, **changes):
    path = tmp_path / "mine.yaml"
    content = {key: value for key, value in {**SMALL, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(content))
    return path


def test_own_lexicon_needs_no_code(tmp_path):
    lexicon = load_lexicon(write(tmp_path), 2)
    assert lexicon == Lexicon(
        {"animal": ("dog", "cat"), "food": ("bread", "soup")}, ("saw",), ("the C V the C.",)
    )


@pytest.mark.parametrize(
    ("changes", "fragments"),
    [
        ({"verbs": None}, ["'verbs'"]),
        ({"categories": None}, ["'categories'"]),
        ({"templates": None}, ["'templates'"]),
        ({"templates": "the C V the C."}, ["'templates'"]),
        ({"verbs": ["saw"]}, ["'verbs'"]),
        ({"categories": {"animal": "dog cat"}}, ["2 categories"]),
        (
            {"categories": {"animal": "dog", "food": "bread soup"}},
            ["'animal' has 1", "2 are asked"],
        ),
        ({"categories": {"animal": "dog cat", "food": "soup dog"}}, ["two places", "dog"]),
        ({"categories": {"animal": "dog dog", "food": "soup rice"}}, ["two places", "dog"]),
        ({"categories": {"animal": "dog cat", "food": "soup saw"}}, ["two places", "saw"]),
        ({"templates": ["the soup V the C."]}, ["two places", "soup"]),
        ({"categories": {"animal": "dog cat", "food": "soup Curry"}}, ["lower-case", "Curry"]),
        ({"categories": {"animal": "dog cat", "food": "soup ice-cream"}}, ["lower-case", "ice-c"]),
    ],
)
def test_error_names_file_and_fault(tmp_path, changes, fragments):
    path = write(tmp_path, **changes)
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        load_lexicon(path, 2)
    assert all(fragment in str(caught.value) for fragment in fragments)


@pytest.mark.parametrize("text", ["", "dog cat", "categories: {animal: [dog"])
def test_file_that_is_no_lexicon_is_named(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        load_lexicon(path, 1)


def test_word_beyond_those_that_are_used_may_repeat(tmp_path):
    path = write(tmp_path, categories={"animal": "dog cat", "food": "soup dog"})
    assert load_lexicon(path, 1).words == ("dog", "soup")


# Latin squares


@st.composite
def squares(draw):
    """Syllables that spell words in one way only, and a multiplier without common divisor."""
    n = draw(st.integers(2, 9))
    multiplier = draw(st.integers(1, 20).filter(lambda number: gcd(number, n) == 1))
    first, last = ([f"{letter}{'i' * k}" for k in range(n)] for letter in "bd")
    middle = [f"l{'u' * k}" for k in range(draw(st.integers(1, 3)))]
    return [f"category{k}" for k in range(n)], first, middle, last, multiplier


@given(squares())
def test_each_syllable_is_in_words_of_all_categories_equally_often(square):
    names, first, middle, last, _ = square
    categories = latin_square(*square)
    assert list(categories) == names
    for words in categories.values():
        parts = [re.fullmatch("(bi*)(lu*)(di*)", word).groups() for word in words]
        assert len(set(parts)) == len(parts) == len(first) * len(middle)
        for pair, syllables in (((0, 1), first), ((1, 2), last)):
            counts = Counter(tuple(part[k] for k in pair) for part in parts)
            assert set(counts.values()) == {1}
            assert len(counts) == len(syllables) * len(middle)


@given(st.sampled_from([2, 3, 5, 7, 11]), st.data())
def test_two_multipliers_of_a_prime_order_agree_on_one_word_in_n(n, data):
    multipliers = data.draw(
        st.lists(st.integers(1, n - 1), min_size=1, max_size=2, unique=True), "multipliers"
    )
    names = [str(k) for k in range(n)]
    first, last = ([f"{letter}{'i' * k}" for k in range(n)] for letter in "bd")
    found = [latin_square(names, first, ["l"], last, each) for each in multipliers]
    for one, other in combinations(found, 2):
        shared = sum(len({*one[name]} & {*other[name]}) for name in names)
        assert shared == n  # of n ** 2: those with the first of the last syllables


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first": ["ba", "di"]}, "incomplete: 2 first, 1 middle and 3"),
        ({"last": ["so", "fi", "va", "ko"]}, "incomplete: 3 first, 1 middle and 4"),
        ({"middle": []}, "incomplete"),
        ({"multiplier": 3}, "common divisor"),
        ({"multiplier": 0}, "common divisor"),
        ({"categories": ["animal", "food", "food"]}, "twice: food"),
        ({"first": ["ba", "di", "ba"]}, "twice: ba"),
        ({"middle": ["lee", "lee"]}, "twice: lee"),
        ({"last": ["so", "so", "so"]}, "twice: so"),
        (
            {"first": ["ba", "bal", "di"], "middle": ["lee", "ee"]},
            "in two ways: baleeso, baleeva, baleefi",
        ),
    ],
)
def test_square_that_cannot_be_is_an_error(changes, message):
    square = {
        "categories": ["animal", "food", "body"],
        "first": ["ba", "di", "gu"],
        "middle": ["lee"],
        "last": ["so", "fi", "va"],
        "multiplier": 1,
    }
    with pytest.raises(ValueError, match=message):
        latin_square(**(square | changes))


@pytest.mark.parametrize("path", SQUARES)
def test_squares_of_the_repository_are_kept_whole(path):
    lexicon = load_lexicon(path, 14)
    assert len(set(lexicon.words)) == 98
    with pytest.raises(ValueError, match=re.escape(f"{path}: of a square all words")):
        load_lexicon(path, 13)
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".* has 14 words, but 15"):
        load_lexicon(path, 15)


SQUARE = {
    "categories": "animal food body",
    "first": "ba di gu",
    "middle": "lee",
    "last": "so fi va",
    "multiplier": 1,
}


@pytest.mark.parametrize(
    "changes",
    [
        {"multiplier": "1"},
        {"multiplier": True},
        {"multiplier": 1.0},
        {"multiplier": 3},
        {"multiplier": None},
        {"first": "ba di"},
        {"first": ["ba", "di", "gu"]},
        {"last": None},
        {"categories": "animal food food"},
        {"size": 3},
    ],
)
def test_error_of_a_square_names_the_file(tmp_path, changes):
    square = {key: value for key, value in (SQUARE | changes).items() if value is not None}
    path = write(tmp_path, categories=None, square=square)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        load_lexicon(path, 3)


@pytest.mark.parametrize("square", [None, "ba di gu", ["ba"]])
def test_square_in_another_form_is_an_error_that_names_the_file(tmp_path, square):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**SMALL, "square": square}))
    with pytest.raises(ValueError, match=re.escape(str(path))):
        load_lexicon(path, 3)

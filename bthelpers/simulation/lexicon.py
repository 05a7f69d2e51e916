"""Words with meanings, and sentences of them: English, or an artificial language.

In English the sound of a word can give its meaning away: with some hundred words, their di- and
tri-phones tell the category. In a Latin square of syllables they tell nothing, as in real languages
with their many words: what a model knows of meaning there, it knows of words.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from bthelpers.params.schema import ParameterError
from bthelpers.params.yaml_files import read_yaml
from bthelpers.tasks.word_pairs import Meaning

TOPIC_CATEGORIES = 2


@dataclass(frozen=True)
class Lexicon:
    """Content words in semantic categories, verbs and sentence templates."""

    categories: dict[str, tuple[str, ...]]
    verbs: tuple[str, ...]
    templates: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """All content words, category after category."""
        return tuple(word for words in self.categories.values() for word in words)

    @property
    def other_words(self) -> tuple[str, ...]:
        """Verbs, and the words of the templates, whose slots are capital letters."""
        return (*self.verbs, *re.findall("[a-z']+", " ".join(self.templates)))


def latin_square(
    categories: Sequence[str],
    first: Sequence[str],
    middle: Sequence[str],
    last: Sequence[str],
    multiplier: int,
) -> dict[str, tuple[str, ...]]:
    """Words of three syllables in categories that no syllable tells.

    Of n first, n last syllables and n categories, a word with the i-th first and the j-th last
    syllable is in category (i + multiplier * j) modulo n. Each syllable, and with it each di- and
    tri-phone within a word, is in words of all categories equally often.

    Raises
    ------
    ValueError
        If the square is incomplete, the multiplier leaves categories out, a category or syllable is
        there twice, or two ways to join syllables make the same word.

    Examples
    --------
    >>> latin_square(["animal", "food", "body"], ["ba", "di", "gu"], ["lee"], ["so", "fi", "va"], 1)
    ... # doctest: +NORMALIZE_WHITESPACE
    {'animal': ('baleeso', 'dileeva', 'guleefi'),
     'food': ('baleefi', 'dileeso', 'guleeva'),
     'body': ('baleeva', 'dileefi', 'guleeso')}
    """
    for name, texts in zip(
        ("categories", "first", "middle", "last"), (categories, first, middle, last), strict=True
    ):
        if repeated := [text for text, count in Counter(texts).items() if count > 1]:
            raise ValueError(f"{name!r} of the square has twice: {', '.join(repeated)}")
    n = len(categories)
    if not len(first) == len(last) == n or not middle:
        raise ValueError(
            f"the square is incomplete: {len(first)} first, {len(middle)} middle and {len(last)}"
            f" last syllables for {n} categories; give as many first and last ones as categories,"
            " and a middle one"
        )
    if math.gcd(multiplier, n) != 1:
        raise ValueError(
            f"multiplier {multiplier} and the number of categories, {n}, have a common divisor:"
            " some last syllables would tell the category; choose another multiplier"
        )
    words = {category: [] for category in categories}
    for (i, start), centre, (j, end) in product(enumerate(first), middle, enumerate(last)):
        words[categories[(i + multiplier * j) % n]].append(start + centre + end)
    counts = Counter(word for spelled in words.values() for word in spelled)
    if repeated := [word for word, count in counts.items() if count > 1]:
        raise ValueError(f"syllables make a word in two ways: {', '.join(repeated)}; change them")
    return {category: tuple(sorted(spelled)) for category, spelled in words.items()}


def _square_categories(square: dict) -> dict[str, tuple[str, ...]]:
    names = ("categories", "first", "middle", "last")
    if (
        {*square} != {*names, "multiplier"}
        or type(square["multiplier"]) is not int  # true and false are whole numbers to Python
        or not all(isinstance(square[name], str) for name in names)
    ):
        raise ValueError(
            f"'square' takes {', '.join(names)}, each of words between blanks, and a whole number"
            " as multiplier"
        )
    return latin_square(*(square[name].split() for name in names), square["multiplier"])


def _listed_categories(listed: dict) -> dict[str, tuple[str, ...]]:
    return {category: tuple(str(text).split()) for category, text in listed.items()}


# How a file says which words are in which category.
FORMS = {"categories": _listed_categories, "square": _square_categories}


def load_lexicon(path: str | Path, words_per_category: int) -> Lexicon:
    """Read a lexicon file, keeping the first words of each category.

    Raises
    ------
    ParameterError
        If there is no such file, a key is missing or unknown or holds something else than words,
        there are too few categories or words, a square is incomplete or not kept whole, or a
        content word is not in lower-case letters or has a second place in the lexicon.
    """
    path = Path(path)
    content = read_yaml(path, "verbs: saw found")
    form = "square" if "square" in content else "categories"
    for key, kind in ((form, dict), ("verbs", str), ("templates", list)):
        if not isinstance(content.get(key), kind) or not _is_text(content[key]):
            raise ParameterError(
                f"{path}: the lexicon has no {key!r}, or in another form; compare params/lexicons/"
            )
    if unknown := content.keys() - {form, "verbs", "templates"}:
        raise ParameterError(f"{path}: unknown {sorted(map(str, unknown))}: remove it")
    try:
        categories = FORMS[form](content[form])
    except ValueError as error:
        raise ParameterError(f"{path}: {error}") from error
    if len(categories) < TOPIC_CATEGORIES:
        raise ParameterError(f"{path}: a topic takes {TOPIC_CATEGORIES} categories: add some")
    for category, words in categories.items():
        if len(words) < words_per_category:
            raise ParameterError(
                f"{path}: category {category!r} has {len(words)} words, but"
                f" {words_per_category} are asked for: add words or lower words_per_category"
            )
        if form == "square" and len(words) > words_per_category:
            raise ParameterError(
                f"{path}: of a square all words are needed: set words_per_category to {len(words)}"
            )
    kept = {category: words[:words_per_category] for category, words in categories.items()}
    lexicon = Lexicon(kept, tuple(content["verbs"].split()), tuple(content["templates"]))
    _check_content_words(path, lexicon)
    return lexicon


def _is_text(words: dict | list | str) -> bool:
    """Whether there is text, and nothing else; of a square, the multiplier is a number."""
    if isinstance(words, dict):
        words = [*words, *(value for key, value in words.items() if key != "multiplier")]
    texts = [words] if isinstance(words, str) else words
    return all(isinstance(one, str) and one.strip() and one.isprintable() for one in texts) and any(
        texts
    )


def _check_content_words(path: Path, lexicon: Lexicon) -> None:
    """A content word carries its meaning wherever a transcription has it: nowhere else, then."""
    if odd := [word for word in lexicon.words if not re.fullmatch("[a-z']+", word)]:
        raise ParameterError(f"{path}: content words not in lower-case letters: {', '.join(odd)}")
    counts = Counter(lexicon.words)
    repeated = [word for word in counts if counts[word] > 1 or word in lexicon.other_words]
    if repeated:
        raise ParameterError(
            f"{path}: words in two places: {', '.join(repeated)}; keep each in one"
        )


def sentence(lexicon: Lexicon, topic: list[str], topic_probability: float, rng) -> str:
    """Fill one random template; each content word is on topic with the given probability."""
    names = list(lexicon.categories)
    filled = []
    for character in lexicon.templates[rng.integers(len(lexicon.templates))]:
        if character == "C":
            on_topic = rng.random() < topic_probability
            category = rng.choice(topic) if on_topic else rng.choice(names)
            filled.append(str(rng.choice(lexicon.categories[category])))
        elif character == "V":
            filled.append(str(rng.choice(lexicon.verbs)))
        else:
            filled.append(character)
    return "".join(filled)


def topic_text(
    lexicon: Lexicon, topic_sentences: int, topic_probability: float, rng: np.random.Generator
) -> str:
    """Sentences that share a topic: two categories, drawn at random."""
    topic = list(rng.choice(list(lexicon.categories), TOPIC_CATEGORIES, replace=False))
    return " ".join(
        sentence(lexicon, topic, topic_probability, rng) for _ in range(topic_sentences)
    )


def lexicon_meanings(lexicon: Lexicon) -> dict[str, Meaning]:
    """Meanings of the content words of simulated stories: a category is a sense."""
    return {
        word: Meaning(frozenset([category]), frozenset([word]))
        for category, words in lexicon.categories.items()
        for word in words
    }

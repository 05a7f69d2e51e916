"""How the words of a lexicon sound: apart from each other, and apart from what they mean."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from bthelpers.simulation.espeak import pronunciations
from bthelpers.simulation.lexicon import Lexicon, load_lexicon

PHONES_OF_A_FEATURE = (2, 3)  # di-phones and tri-phones
MOST_TOLD = 0.1  # of the categories' variance, by phones: a warning says more


def load_spoken_lexicon(path: str | Path, words_per_category: int) -> Lexicon:
    """Read a lexicon that is to be heard: no content word sounds like another word of it.

    Raises
    ------
    ValueError
        As `load_lexicon` and `distinct_phones`.
    """
    lexicon = load_lexicon(path, words_per_category)
    distinct_phones(path, lexicon)
    return lexicon


def distinct_phones(path: str | Path, lexicon: Lexicon) -> dict[str, tuple[str, ...]]:
    """Phones of all words of a lexicon, of which no content word sounds like another word.

    Raises
    ------
    ValueError
        If espeak-ng speaks a content word, by itself, as another word; all such words, and the file
        `path` that they are in, are named.
    """
    try:
        phones_of = pronunciations([*lexicon.words, *lexicon.other_words])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    spoken: dict[tuple[str, ...], list[str]] = {}
    for word, phones in phones_of.items():
        spoken.setdefault(phones, []).append(word)
    alike = [
        f"{' and '.join(words)} ({' '.join(phones)})"
        for phones, words in spoken.items()
        if len(words) > 1 and not {*words}.isdisjoint(lexicon.words)
    ]
    if alike:
        raise ValueError(f"{path}: espeak-ng speaks words alike: {'; '.join(alike)}; keep one each")
    return phones_of


def meaning_in_phones(lexicon: Lexicon) -> float:
    """How much of the meaning of words a linear map from their phones tells.

    That is R², of least squares from the counts of each di- and tri-phone in each content word to
    indicators of its category. The map is fitted to the words that it is tested on, because an
    encoding model is too: stories of training and test have the same words. Where there are more
    di- and tri-phones than words, it is 1 of any lexicon.

    Returns
    -------
    float
        From 0 (in a Latin square) to 1.

    Examples
    --------
    >>> listed = {"animal": ("dog", "cat"), "food": ("bread", "soup")}
    >>> lexicon = Lexicon(listed, verbs=("saw",), templates=("the C V the C.",))
    >>> round(meaning_in_phones(lexicon), 6)
    1.0
    """
    counts = [
        Counter(
            phones[first : first + length]
            for length in PHONES_OF_A_FEATURE
            for first in range(len(phones) - length + 1)
        )
        for phones in pronunciations(lexicon.words).values()
    ]
    columns = sorted(set().union(*counts))
    features = np.array([[count[column] for column in columns] for count in counts], float)
    categories = np.repeat(
        np.eye(len(lexicon.categories)), [len(words) for words in lexicon.categories.values()], 0
    )
    features, categories = (rows - rows.mean(axis=0) for rows in (features, categories))
    told = features @ np.linalg.lstsq(features, categories, rcond=None)[0]
    return float(np.sum(told**2) / np.sum(categories**2))


def warn_of_telling_phones(path: str | Path, lexicon: Lexicon) -> None:
    """Warn where phones tell the meaning of a lexicon's words, and say how well."""
    share = meaning_in_phones(lexicon)
    if share > MOST_TOLD:
        warnings.warn(
            f"{path}: a linear map from di- and tri-phones to the categories of its words explains"
            f" {100 * share:.0f} % of their variance. Low-level impact on such data cannot tell"
            " meaning from phones; in params/lexicons/square.yaml phones explain nothing",
            stacklevel=3,
        )

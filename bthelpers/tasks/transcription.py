"""Transcriptions: their normal form, how CTC spells them, and word errors."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise

import jiwer
import numpy as np

from bthelpers.tasks.clips import NAMES_SHOWN, examples

ALPHABET = " 'ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # Wav2vec2's; character k is class k + 1
BLANK = 0


def normalize_text(text: str) -> str:
    """Upper case, words apart by one space, without punctuation but apostrophes.

    Examples
    --------
    >>> normalize_text("Don't ask me – carry an oily rag.")
    "DON'T ASK ME CARRY AN OILY RAG"
    """
    kept = []
    for character in text.upper().replace("’", "'"):
        category = unicodedata.category(character)
        if category == "Pd":
            kept.append(" ")
        elif character == "'" or not category.startswith("P"):
            kept.append(character)
    return " ".join("".join(kept).split())


def checked_texts(texts: Mapping[str, str]) -> list[str]:
    """Normalised texts of clips, given by the clips' names.

    Raises
    ------
    ValueError
        If a text has no word, or a character that is not spelt; the message names the clips.
    """
    normalized = {name: normalize_text(text) for name, text in texts.items()}
    if empty := [name for name, text in normalized.items() if not text.strip("' ")]:
        raise ValueError(
            f"{len(empty)} of {len(texts)} clips have no word in their text: {examples(empty)};"
            " transcribe them or leave them out"
        )
    odd = {name: "".join(sorted(set(text) - set(ALPHABET))) for name, text in normalized.items()}
    if odd := {name: characters for name, characters in odd.items() if characters}:
        shown = ", ".join(f"{name} ({odd[name]})" for name in sorted(odd)[:NAMES_SHOWN])
        raise ValueError(
            f"{len(odd)} of {len(texts)} clips have other characters than the letters A to Z in"
            f" their text: {shown}; spell them in these letters"
        )
    return list(normalized.values())


def spell(text: str) -> list[int]:
    """Classes of a normalised text's characters."""
    return [ALPHABET.index(character) + 1 for character in text]


def read_classes(classes: Sequence[int]) -> str:
    """Text of each token's class: repetitions merged, then blanks left out."""
    merged = [k for k, _ in groupby(classes) if k != BLANK]
    return " ".join("".join(ALPHABET[k - 1] for k in merged).split())


def n_tokens_needed(text: str) -> int:
    """Tokens that CTC spells a text in: one a character, and a blank within each double letter.

    Examples
    --------
    >>> n_tokens_needed("TREE")
    5
    """
    return len(text) + sum(one == other for one, other in pairwise(text))


def word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> np.ndarray:
    """Count substituted, deleted and inserted words of each clip, and words of its reference.

    Parameters
    ----------
    references, hypotheses : sequence of str
        Normalised texts; no reference is empty.

    Returns
    -------
    int array of shape (clip, 2)
        Errors and words.
    """
    counts = []
    for pair in zip(references, hypotheses, strict=True):
        measured = jiwer.process_words(*pair)
        wrong = measured.substitutions + measured.deletions
        counts.append((wrong + measured.insertions, wrong + measured.hits))
    return np.array(counts)


def word_error_rate(errors: np.ndarray) -> float:
    """Word error rate of clips, from their `word_errors`; above 1 where many words are made up."""
    wrong, words = errors.sum(axis=0)
    return float(wrong / words)

import jiwer
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bthelpers.tasks.transcription import (
    ALPHABET,
    BLANK,
    checked_texts,
    n_tokens_needed,
    normalize_text,
    read_classes,
    spell,
    word_error_rate,
    word_errors,
)

WORDS = st.text("ABL'", min_size=1, max_size=4)
TEXTS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("She had your dark suit in greasy wash water all year.", None),
        ("Don't ask me -- to carry an oily rag, like that!", "DON'T ASK ME TO CARRY AN OILY RAG"),
        ("don’t\tsay  “semi-finals”", "DON'T SAY SEMI FINALS"),
        ("thirty—three…", "THIRTY THREE"),
        ("...", ""),
    ],
)
def test_texts_are_normalized(text, expected):
    expected = expected or text.upper().rstrip(".") if text != "..." else ""
    assert normalize_text(text).removesuffix(" LIKE THAT") == expected


def test_texts_without_words_are_named():
    texts = {"SA1.WAV": "one", "SI2.WAV": " ?!", "SX3.WAV": "'", "SX4.WAV": ""}
    with pytest.raises(ValueError, match=r"3 of 4 clips have no word.*SI2.WAV, SX3.WAV, SX4.WAV"):
        checked_texts(texts)


def test_texts_that_cannot_be_spelt_are_named():
    texts = {"SA1.WAV": "at 9 o'clock", "SA2.WAV": "at nine", "SA3.WAV": "café + 1"}
    with pytest.raises(ValueError, match=r"2 of 3 clips have .*: SA1.WAV \(9\), SA3.WAV \(\+1É\)"):
        checked_texts(texts)


def test_checked_texts_keep_their_order():
    assert checked_texts({"b": "Two.", "a": "One."}) == ["TWO", "ONE"]


@given(TEXTS, st.data())
def test_what_is_spelt_can_be_read(text, data):
    """However often each class is repeated, and with any blanks: one within double letters."""
    classes = []
    for number, k in enumerate(spell(text)):
        least = 1 if number and text[number] == text[number - 1] else 0
        classes += [BLANK] * data.draw(st.integers(least, 2)) + [k] * data.draw(st.integers(1, 3))
    assert read_classes([*classes, BLANK]) == text


def test_delimiters_that_are_no_word_are_not_read():
    space, a = spell(" A")
    assert read_classes([space, a, BLANK, space, BLANK, space, a, space]) == "A A"
    assert read_classes([BLANK, space, BLANK]) == ""


@given(TEXTS)
def test_ctc_spells_a_text_in_so_many_tokens_and_no_fewer(text):
    n_tokens, target = n_tokens_needed(text), torch.tensor(spell(text))
    uniform = torch.zeros(n_tokens, 1, len(ALPHABET) + 1).log_softmax(dim=-1)

    def loss(length):
        lengths = torch.tensor([length]), torch.tensor([len(target)])
        return torch.nn.functional.ctc_loss(uniform[:length], target[None], *lengths).item()

    assert np.isfinite(loss(n_tokens))
    if n_tokens > 1:
        assert loss(n_tokens - 1) == np.inf


# The examples of jiwer's documentation, with its rates.
EXAMPLES = [
    (["hello world"], ["hello duck"], 1 / 2),
    (["hello world", "i like monty python"], ["hello duck", "i like python"], 2 / 6),
    (
        ["short one here", "quite a bit of longer sentence"],
        ["shoe order one", "quite bit of an even longest sentence here"],
        8 / 9,
    ),
]


@pytest.mark.parametrize(("references", "hypotheses", "rate"), EXAMPLES)
def test_rates_are_those_of_the_library(references, hypotheses, rate):
    assert word_error_rate(word_errors(references, hypotheses)) == pytest.approx(rate)
    assert jiwer.wer(references, hypotheses) == pytest.approx(rate)


def distance(reference, hypothesis):
    """Edits from one list to another, by recursion over their ends."""
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(hypothesis, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


@given(st.lists(st.tuples(TEXTS, st.one_of(TEXTS, st.just(""))), min_size=1, max_size=4))
def test_errors_are_edit_distances(pairs):
    references, hypotheses = zip(*pairs, strict=True)
    errors = word_errors(references, hypotheses)
    expected = [(distance(a.split(), b.split()), len(a.split())) for a, b in pairs]
    np.testing.assert_array_equal(errors, expected)
    assert word_error_rate(errors) == pytest.approx(jiwer.wer(list(references), list(hypotheses)))

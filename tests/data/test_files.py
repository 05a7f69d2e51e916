import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from textgrids import ENCODINGS, FORMS, INTERVALS, POINTS, praat_bytes, praat_text

from bthelpers.core.errors import DatasetError
from bthelpers.core.timing import Interval
from bthelpers.data.files import read_tiers, read_transcription

# TextGrids

HOSTILE = [
    *("ah0", "AE1", "sp", "{NS}", "{BR} ", "don't", "mother-in-law,", "o'clock.", "", " ", "é"),
    *(
        "5",
        "1.5 2",
        "-3e4",
        "xmin = 0.5",
        "item [1]:",
        "intervals [2]:",
        '"IntervalTier"',
        "<exists>",
    ),
    *('say "so"', '"', '""', "! no comment", "two\nlines", 'text = "a"', "\\", "class", "nan"),
]
LABELS = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(codec="latin-1", exclude_characters="\r"), max_size=8),
)


def intervals_of(times, labels):
    pairs = zip(pairwise(times), labels, strict=False)
    return [(start, stop, label) for (start, stop), label in pairs]


def read(folder, content, names=("phone", "word")):
    path = folder / "story.TextGrid"
    path.write_bytes(content)
    return read_tiers(path, names)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.floats(0.125, 9), min_size=1, max_size=7),
    st.lists(LABELS, min_size=9, max_size=9),
    st.lists(LABELS, min_size=9, max_size=9),
    st.sampled_from(FORMS),
    st.sampled_from(ENCODINGS),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([(0, 1, 2), (2, 0, 1), (1, 2, 0)]),
    st.booleans(),
)
def test_a_textgrid_reads_as_it_was_written(
    tmp_path_factory, lengths, phones, words, form, encoding, newline, order, final
):
    times = np.cumsum([0, *lengths]).tolist()
    tiers = [
        (INTERVALS, "phone", intervals_of(times, phones)),
        (INTERVALS, "word", intervals_of(times, words)),
        (POINTS, 'clicks "5"', [(time, "5") for time in times]),
    ]
    text = praat_text([tiers[k] for k in order], form, times[-1])
    text = text if final else text.rstrip()
    content = praat_bytes(text.replace("\n", newline), encoding)
    if encoding == "latin-1" and not text.isascii():  # what is UTF-8 as well is read as that
        assume("\ufffd" in content.decode("utf-8", "replace"))
    found, n_overlaps = read(tmp_path_factory.mktemp("grid"), content)
    for _, name, entries in tiers[:2]:
        expected = [Interval(a, b, label.strip()) for a, b, label in entries if label.strip()]
        assert found[name] == expected
    assert n_overlaps == 0


def test_labels_beyond_latin_come_in_unicode(tmp_path):
    tiers = [(INTERVALS, "word", [(0, 1, "‘naïve’ 猫")])]
    for encoding in set(ENCODINGS) - {"latin-1"}:
        content = praat_bytes(praat_text(tiers, "short", 1), encoding)
        assert read(tmp_path, content, ["word"]) == ({"word": [Interval(0, 1, "‘naïve’ 猫")]}, 0)


def test_a_grid_as_its_manual_prints_it_is_read(tmp_path):
    """Comments, several entries to a line, the older header; gaps are no intervals."""
    content = b"""File type = "ooTextFile short"
"TextGrid"
0 2.5 ! seconds, 5 "tiers" in all
<exists> 2 tiers
"IntervalTier" "word" 0 2.5 2 intervals coming
0.5 1 "cat" from 0.5s
1.5 2.5 "sat"
"TextTier" "bell" 0 2.5 1
1.25 "ding" """
    expected = [Interval(0.5, 1, "cat"), Interval(1.5, 2.5, "sat")]
    assert read(tmp_path, content, ["word"]) == ({"word": expected}, 0)


@pytest.mark.parametrize("form", FORMS)
def test_small_overlaps_are_clipped_at_the_later_start_and_counted(tmp_path, form):
    word = [(0, 1.0001, "a"), (1, 2.0009, ""), (2, 3, "b"), (3, 4, "c")]
    phone = [(0, 2, "K"), (1.9999, 1.99995, "T"), (1.9999, 4, "sp")]
    phone[1] = (1.9999, 2.0001, "T")  # which begins with the next one
    tiers = [(INTERVALS, "word", word), (INTERVALS, "phone", phone)]
    found, n_overlaps = read(tmp_path, praat_text(tiers, form, 4).encode())
    assert n_overlaps == 4
    assert found["word"] == [Interval(0, 1, "a"), Interval(2, 3, "b"), Interval(3, 4, "c")]
    assert found["phone"] == [
        Interval(0, 1.9999, "K"),
        Interval(1.9999, 1.9999, "T"),
        Interval(1.9999, 4, "sp"),
    ]


CAT, DOG, END = (0, 1, "cat"), (1, 2, "dog"), (2, 3, "")
MALFORMED = {
    "an overlap": ([(0, 1.0011, "cat"), DOG, END], ["tier 'word'", "cat", "1.0011", "dog"]),
    "a long one": ([(0, 1.5, "cat"), DOG, END], ["tier 'word'", "1.5", "dog", "in praat"]),
    "negative": ([CAT, (2, 1, "dog"), END], ["tier 'word'", "dog", "stops before"]),
    "endless": ([CAT, DOG, (2, 1e999, "end")], ["truncated or no TextGrid", "found", "end"]),
    "no number": ([(float("nan"), 1, "cat"), DOG], ["truncated or no TextGrid", "cat"]),
    "no interval": ([], ["tier 'word', is truncated", "3.0 s"]),
    "the end lacks": ([CAT, DOG], ["tier 'word', is truncated", "3.0 s"]),
}


def assert_refused(folder, content, fragments):
    with pytest.raises(DatasetError, match="download it again") as caught:
        read(folder, content, ["word"])
    assert all(part in str(caught.value) for part in ["story.TextGrid", *fragments])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_intervals_are_refused_by_name(tmp_path, name, form):
    entries, fragments = MALFORMED[name]
    content = praat_text([(INTERVALS, "word", entries)], form, 3).encode()
    assert_refused(tmp_path, content, fragments)


def test_a_number_beyond_all_numbers_is_refused(tmp_path):
    text = praat_text([(INTERVALS, "word", [CAT, DOG, END])], "short", 3)
    content = text.replace('2\n3\n""', '2\n1e999\n""').encode()
    assert_refused(tmp_path, content, ["tier 'word'", "or never"])


@pytest.mark.parametrize("form", ["long", "short"])
def test_intervals_out_of_order_are_refused_by_name(tmp_path, form):
    content = praat_text([(INTERVALS, "word", [DOG, CAT, END])], form, 3).encode()
    assert_refused(tmp_path, content, ["tier 'word'", "dog", "cat", "begins before"])


@pytest.mark.parametrize("form", FORMS)
def test_wherever_a_grid_is_cut_off_it_is_refused(tmp_path, form):
    words = [(0, 1, "the 5 cats"), (1, 2, 'say "5"'), (2, 3, "2 3"), (3, 4, "")]
    tiers = [(INTERVALS, "phone", [(0, 4, "sp")]), (INTERVALS, "word", words)]
    text = praat_text(tiers, form, 4).rstrip()
    for length in range(len(text)):
        with pytest.raises(DatasetError):
            read(tmp_path, text[:length].encode())
    whole = praat_bytes(text, "utf-16")
    for length in range(3, len(whole), 7):
        with pytest.raises(DatasetError):
            read(tmp_path, whole[:length])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>404</html>", "expected text, found its end"),
        (b'"Praat" "TextGrid"', "begins with 'Praat'"),
        (b'File type = "ooTextFile"\nObject class = "Pitch 1"', "begins with 'ooTextFile'"),
        (b'"ooTextFile" "TextGrid" 0 1 <absent>', "expected number, number, count"),
        (b'"ooTextFile" "TextGrid" 0 1 <exists> 1.5', "expected number, number, count"),
        (b'"ooTextFile" "TextGrid" 0 1 1 "Tier" "word" 0 1 0', "'Tier' is no kind of tier"),
        (
            b'"ooTextFile" "TextGrid" 0 1 1 "TextTier" "word" 0 1 0',
            r"1 tier 'word', .*of intervals",
        ),
        (b'"ooTextFile" "TextGrid" 0 1 1 "IntervalTier" "word" 0 1 1 0 1 "a" 1', "unexpected 1"),
        (b'"Praat chronological TextGrid text file" 0 1 0 7', "unexpected 7"),
        (praat_text(2 * [(INTERVALS, "word", [CAT])], "short", 1).encode(), "2 tier 'word'"),
        (b"\xff\xfea", "expected text"),
    ],
)
def test_what_is_no_textgrid_is_told(tmp_path, content, message):
    path = re.escape(str(tmp_path / "story.TextGrid"))
    with pytest.raises(DatasetError, match=f"{path}.*{message}.*download it again"):
        read(tmp_path, content, ["word"])


def transcription(folder, *ends):
    """A TextGrid whose words end at these times; its phones, at the last one."""
    words = [(start, stop, "word") for start, stop in pairwise((0.0, *ends))]
    tiers = [(INTERVALS, "phone", [(0.0, ends[-1], "AH0")]), (INTERVALS, "word", words)]
    path = folder / "story.TextGrid"
    path.write_text(praat_text(tiers, "short", ends[-1]))
    return path


@pytest.mark.parametrize("end", [540.0, 600.0, 612.0])
def test_a_transcription_ends_about_where_its_story_does(tmp_path, end):
    """Speech may begin late and end early, and sounds last 12 s longer than the responses."""
    path = transcription(tmp_path, 300.0, end)
    assert read_transcription(path, ["phone", "word"], 600.0) == read_tiers(path, ["phone", "word"])


@pytest.mark.parametrize(
    "ends",
    [(150.0, 300.0), (300_000.0, 600_000.0), (0.3, 0.6), (300.0, 900.0)],
    ids=["half as long", "in milliseconds", "in thousands of seconds", "of a longer story"],
)
def test_a_transcription_that_is_none_of_its_story_is_refused(tmp_path, ends):
    path = transcription(tmp_path, *ends)
    with pytest.raises(DatasetError, match=re.escape(f"labels end at {ends[-1]:.1f} s")) as caught:
        read_transcription(path, ["word"], 600.0)
    assert str(path) in str(caught.value)
    assert "until 600.0 s" in str(caught.value)


def test_a_transcription_without_words_is_refused(tmp_path):
    path = tmp_path / "story.TextGrid"
    path.write_text(praat_text([(INTERVALS, "word", [(0.0, 600.0, " ")])], "long", 600.0))
    with pytest.raises(DatasetError, match=r"tier 'word': its labels end at 0\.0 s"):
        read_transcription(path, ["word"], 600.0)

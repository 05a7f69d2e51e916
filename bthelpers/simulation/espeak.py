"""Speech by espeak-ng, with the time of every word and phone.

The shared library and its voices come from the `espeakng-loader` package. It keeps global state,
so one process speaks one utterance at a time, and an utterance depends on those before it: voices
waver and breathe on. `restart` begins a sequence that can be repeated.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import espeakng_loader
import numpy as np
import soxr

from bthelpers.core.timing import SILENCE, Interval

SYNCHRONOUS_RETRIEVAL = 2
PHONEME_EVENTS = 1
EVENT_END, EVENT_WORD, EVENT_PHONEME = 0, 1, 7
PARAMETER_RATE, PARAMETER_PITCH = 1, 3
CHARS_UTF8 = 1
PHONEME_SEPARATOR = "|"
LANGUAGE = "en-us"  # whose phonemes have ARPAbet names here
RATES, PITCHES = (80, 450), (0, 99)  # words per minute and pitches that espeak-ng does not clip
BREATH_SEED = 0
PALATALISATION = ";"  # a glide of the phone before it, not a phone

# espeak-ng's American English phonemes in ARPAbet. Vowels take a stress digit.
VOWELS = {
    "3:": "ER", "3": "ER", "@": "AH", "@2": "AH", "a#": "AH", "A:": "AA", "A@": "AA R",
    "A#": "AA", "E": "EH", "E#": "EH", "I": "IH", "I2": "IH", "I#": "IH", "O2": "AO",
    "O:": "AO", "O@": "AO R", "OI": "OY", "U": "UH", "V": "AH", "a": "AE", "aa": "AE",
    "aI": "AY", "aI3": "AY ER", "aI@": "AY AH", "aU": "AW", "e@": "EH R", "eI": "EY",
    "i:": "IY", "i": "IY", "i@": "IY AH", "i@3": "IH R", "o@": "AO R", "oU": "OW", "u:": "UW",
    "0": "AA", "U@": "UH R", "@L": "AH L", "IR": "IH R", "VR": "ER", "n-": "AH N", "m-": "AH M",
    "@-": "AH", "O": "AO", "o": "OW", "i::": "IY", "a#:": "AH", "A~": "AA N", "O~": "AA N",
}  # fmt: skip
CONSONANTS = {
    "p": "P", "b": "B", "t": "T", "t2": "T", "t#": "T", "*": "T", "d": "D", "k": "K", "g": "G",
    "f": "F", "v": "V", "T": "TH", "D": "DH", "s": "S", "z": "Z", "S": "SH", "Z": "ZH", "h": "HH",
    "tS": "CH", "dZ": "JH", "m": "M", "n": "N", "N": "NG", "l": "L", "l^": "L", "l#": "L",
    "r": "R", "r-": "R", "w": "W", "j": "Y", "?": "T", "x": "K",
}  # fmt: skip


@dataclass(frozen=True)
class Utterance:
    """Speech with its transcription.

    Attributes
    ----------
    waveform : int16 array of shape (n_samples,)
    rate : int
        Samples per second.
    words, phones : list of Interval
        Times in seconds; phones in ARPAbet with stress. Silences are labelled ``sp``.
    """

    waveform: np.ndarray
    rate: int
    words: list[Interval]
    phones: list[Interval]

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.waveform) / self.rate

    def resampled(self, rate: int) -> Utterance:
        """The same speech at another rate.

        Rounded: of 16-bit sound soxr would make dithered one, whose end is not always the same.
        """
        converted = soxr.resample(self.waveform.astype(np.float32), self.rate, rate)
        limits = np.iinfo(np.int16)
        waveform = np.rint(converted).clip(limits.min, limits.max).astype(np.int16)
        return replace(self, waveform=waveform, rate=rate)


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class _Engine:
    """A copy of the library and what its callback has collected of the current utterance.

    The library never forgets: only a copy that is loaded anew begins with fresh state.
    """

    def __init__(self):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            copy = shutil.copy(espeakng_loader.get_library_path(), folder)
            self.library = ctypes.CDLL(copy)
        self.samples: list[np.ndarray] = []
        self.events: list[tuple[int, float, int, int, str]] = []
        self.callback = _CALLBACK(self._collect)  # kept alive as long as the library
        self.rate = self.library.espeak_Initialize(
            SYNCHRONOUS_RETRIEVAL, 0, str(espeakng_loader.get_data_path()).encode(), PHONEME_EVENTS
        )
        if self.rate <= 0:
            raise RuntimeError("espeak-ng did not start: reinstall the espeakng-loader package")
        # The noise of breathy voices would otherwise be seeded from the clock, and that of a few
        # (such as Reed) go on where the process's last one ended.
        self.library.espeak_ng_SetRandSeed(ctypes.c_long(BREATH_SEED))
        ctypes.CDLL(None).srand(BREATH_SEED)
        self.library.espeak_SetSynthCallback(self.callback)
        self.library.espeak_Synth.argtypes = [
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
            ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        self.library.espeak_TextToPhonemes.restype = ctypes.c_char_p

    def _collect(self, samples, n_samples, events) -> int:
        if n_samples > 0:
            self.samples.append(np.ctypeslib.as_array(samples, shape=(n_samples,)).copy())
        index = 0
        while events[index].type != EVENT_END:
            event = events[index]
            name = event.id.string.decode() if event.type == EVENT_PHONEME else ""
            self.events.append(
                (event.type, event.audio_position / 1000, event.text_position, event.length, name)
            )
            index += 1
        return 0

    def _set_voice(self, voice: str) -> None:
        if not _has_variant(voice) or self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}; one that it has is 'en-us+f4'")

    def phonemes(self, text: str, voice: str) -> list[str]:
        """What the text would be spoken with, in the names of the voice's language."""
        self._set_voice(voice)
        rest, mode, found = ctypes.c_char_p(text.encode()), ord(PHONEME_SEPARATOR) << 8, []
        while rest.value:  # a clause at a time
            clause = self.library.espeak_TextToPhonemes(ctypes.byref(rest), CHARS_UTF8, mode)
            found += re.findall(rf"[^\s{PHONEME_SEPARATOR}]+", clause.decode())
        return found

    def synthesize(self, text: str, voice: str, rate: int, pitch: int) -> None:
        self._set_voice(voice)
        self.library.espeak_SetParameter(PARAMETER_RATE, rate, 0)
        self.library.espeak_SetParameter(PARAMETER_PITCH, pitch, 0)
        self.samples.clear()
        self.events.clear()
        encoded = text.encode()
        status = self.library.espeak_Synth(
            encoded, len(encoded) + 1, 0, 1, 0, CHARS_UTF8, None, None
        )
        if status != 0 or not self.samples:
            raise RuntimeError(f"espeak-ng could not speak {text[:40]!r} (status {status})")


_engine = functools.cache(_Engine)


def _has_variant(voice: str) -> bool:
    """Whether what follows the ``+`` is there: espeak-ng would leave it out without a word."""
    _, plus, variant = voice.partition("+")
    return not plus or variant in os.listdir(f"{espeakng_loader.get_data_path()}/voices/!v")


def restart() -> None:
    """Forget all utterances: what is spoken next is what a new process would speak."""
    _engine.cache_clear()


def arpabet(phoneme: str) -> list[str]:
    """ARPAbet phones of one espeak-ng phoneme; vowels with stress 0, 1 or 2.

    Raises
    ------
    ValueError
        If the phoneme is not one of American English.
    """
    bare = phoneme.lstrip("',%=")
    if bare in CONSONANTS:
        return [CONSONANTS[bare]]
    if bare not in VOWELS:
        raise ValueError(f"espeak-ng phoneme {phoneme!r} has no ARPAbet entry in espeak.py")
    stress = "1" if phoneme.startswith("'") else "2" if phoneme.startswith(",") else "0"
    first, *others = VOWELS[bare].split()
    consonants = CONSONANTS.values()
    return [first + stress, *(phone if phone in consonants else phone + "0" for phone in others)]


def _labels(phoneme: str) -> list[str]:
    """Phones of a phoneme; a pause is a silence, and what has no sound of its own is nothing."""
    if phoneme == PALATALISATION:
        return []
    return [SILENCE] if phoneme.startswith("_") or not phoneme else arpabet(phoneme)


def pronunciations(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Phones of words that are spoken alone: ARPAbet without stress.

    No sound is made, so this is quick. Of American English, whatever the voice. All utterances are
    forgotten, as `restart` does.

    Raises
    ------
    ValueError
        If a word has no phones, such as a lone apostrophe.

    Examples
    --------
    >>> pronunciations(["sun", "son", "music"])
    ... # doctest: +NORMALIZE_WHITESPACE
    {'sun': ('S', 'AH', 'N'), 'son': ('S', 'AH', 'N'),
     'music': ('M', 'Y', 'UW', 'Z', 'IH', 'K')}
    """
    names_of = {word: _engine().phonemes(word, LANGUAGE) for word in words}
    restart()  # or the next utterance would lose its first word
    found = {}
    for word, names in names_of.items():
        labels = [label for name in names for label in _labels(name)]
        found[word] = tuple(label.rstrip("012") for label in labels if label != SILENCE)
    if silent := [word for word, phones in found.items() if not phones]:
        raise ValueError(f"espeak-ng has no phones for {', '.join(map(repr, silent))}")
    return found


def _phone_intervals(events: list[tuple], duration: float) -> list[Interval]:
    """Phones from one event's start to the next one's; pauses become silences."""
    starts = [
        (time, labels)
        for kind, time, _, _, name in events
        if kind == EVENT_PHONEME and (labels := _labels(name))
    ]
    stops = [time for time, _ in starts[1:]] + [duration]
    intervals: list[Interval] = []
    if starts[0][0] > 0:
        intervals.append(Interval(0.0, starts[0][0], SILENCE))
    for (start, labels), stop in zip(starts, stops, strict=True):
        if stop <= start:  # merged into its neighbour by espeak-ng
            continue
        edges = np.linspace(start, stop, len(labels) + 1)
        for label, (left, right) in zip(labels, pairwise(edges.tolist()), strict=True):
            if intervals and label == SILENCE == intervals[-1].label:
                left = intervals.pop().start
            intervals.append(Interval(left, right, label))
    return intervals


def _word_intervals(text: str, events: list[tuple], phones: list[Interval]) -> list[Interval]:
    """Words from their onset to the next word or silence, and the silences between them.

    espeak-ng speaks some pairs of function words ("of the") as one word: the pair shares its time
    in proportion to its letters.
    """
    silences = [phone for phone in phones if phone.label == SILENCE]
    # Positions in the text count from 1, and may point at the blank before the word.
    onsets = [(time, position - 1) for kind, time, position, _, _ in events if kind == EVENT_WORD]
    positions = [position for _, position in onsets[1:]] + [len(text)]
    starts = [
        next((s.stop for s in silences if s.start <= time < s.stop), time) for time, _ in onsets
    ]
    bounds = sorted({*starts, *(s.start for s in silences), phones[-1].stop})
    words = []
    for start, (_, position), next_position in zip(starts, onsets, positions, strict=True):
        labels = re.findall(r"[\w']+", text[position:next_position].lower())
        stop = next(bound for bound in bounds if bound > start)
        letters = np.cumsum([0] + [len(label) for label in labels])
        edges = start + (stop - start) * letters / letters[-1]
        words += [
            Interval(left, right, label)
            for (left, right), label in zip(pairwise(edges.tolist()), labels, strict=True)
        ]
    return sorted(words + silences, key=lambda interval: interval.start)


def speak(text: str, voice: str = LANGUAGE, rate: int = 165, pitch: int = 50) -> Utterance:
    """Speak a text.

    The same text sounds a little different each time; see `restart`.

    Parameters
    ----------
    text : str
    voice : str
        A voice of espeak-ng, such as ``en-us+f4``.
    rate : int
        Words per minute, from 80 to 450.
    pitch : int
        From 0 to 99.

    Raises
    ------
    ValueError
        If there is no word to speak, the voice does not exist, rate or pitch is out of range, or a
        phoneme has no ARPAbet entry.
    RuntimeError
        If espeak-ng fails.
    """
    if not re.search(r"\w", text):
        raise ValueError(f"there is no word to speak in {text!r}")
    for name, value, (low, high) in (("rate", rate, RATES), ("pitch", pitch, PITCHES)):
        if not low <= value <= high:
            raise ValueError(f"espeak-ng speaks at a {name} from {low} to {high}, not {value}")
    engine = _engine()
    engine.synthesize(text, voice, rate, pitch)
    waveform = np.concatenate(engine.samples)
    phones = _phone_intervals(engine.events, len(waveform) / engine.rate)
    return Utterance(waveform, engine.rate, _word_intervals(text, engine.events, phones), phones)

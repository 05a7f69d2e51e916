"""Simulated stand-ins for the corpora of the downstream tasks, in the same layouts.

A synthesiser speaks them, with words and sentences of the lexicon of the simulated stories. What
decides a label is planted:

- TIMIT: SX and SI sentences have the same templates, but words of different semantic categories.
- SLURP: the wording of a request and the semantic category of its content word make the action.
- Speech Commands: the word itself, in noise.
- CREMA-D: rate, pitch and loudness, about those of the actor, make the emotion.

Names of files, speakers, actions and emotions are those of the corpora, or like them; nothing else
is theirs.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from itertools import cycle, islice, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from bthelpers.core.checksums import write_sums
from bthelpers.core.files import atomic_folder, write_json
from bthelpers.core.progress import Progress
from bthelpers.core.timing import SAMPLE_RATE, SILENCE, Interval
from bthelpers.data.files import refuse_to_replace
from bthelpers.params.simulation import CorporaSpec
from bthelpers.simulation.espeak import Utterance, restart, speak
from bthelpers.simulation.lexicon import Lexicon, sentence
from bthelpers.simulation.pronunciation import load_spoken_lexicon
from bthelpers.simulation.stories import Speaker, random_speaker
from bthelpers.tasks.corpora import (
    COMMANDS,
    COMMANDS_LISTS,
    EMOTIONS,
    FIFTHS,
    SLURP_ACTIONS,
    SLURP_LISTS,
)
from bthelpers.tasks.timit import DEVELOPMENT

READERS_OF_SX = 7  # speakers of one SX sentence, as in TIMIT
FIRST_SX, FIRST_SI = 3, 453  # TIMIT numbers its sentences so
REDUCED = {"AH0": "ax", "IH0": "ix", "ER0": "axr"}  # unstressed vowels with a symbol of their own

REQUESTS = ("find the {}", "tell me about the {}", "put away the {}", "count every {}")
OPENINGS = ("", "please ", "now ", "could you ", "i want you to ")
FIRST_RECORDING = 1_490_000_000
SIGNAL_TO_NOISE = (5, 25)  # dB, of a command

LEVELS = {"LO": 0.4, "MD": 0.7, "HI": 1.0, "XX": 1.0}  # strength of an emotion
SENTENCE_OF_LEVELS = "IEO"  # the one that is acted at three levels
CREMA_D_SENTENCES = (
    "IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI",
)  # fmt: skip
NEUTRAL_DECIBELS = -9  # peak of a neutral clip, relative to the largest that 16 bit hold


class Prosody(NamedTuple):
    """How an emotion, or a clip, departs from an actor's neutral speech."""

    rate: float  # share
    pitch: float  # of espeak-ng's 0 to 99
    decibels: float


PROSODIES = {
    "ANG": Prosody(0.12, 6, 6),
    "DIS": Prosody(-0.12, -14, -1),
    "FEA": Prosody(0.22, 18, 0),
    "HAP": Prosody(0.08, 14, 3),
    "NEU": Prosody(0, 0, 0),
    "SAD": Prosody(-0.2, -10, -6),
}
VARIATION = Prosody(0.06, 6, 2)  # up to so much more or less in each clip


def distinct_sentences(lexicon: Lexicon, n: int, rng: np.random.Generator) -> list[str]:
    """Fill templates with words of all categories of a lexicon until n sentences are there.

    Raises
    ------
    ValueError
        If the lexicon hardly makes so many.
    """
    texts: dict[str, None] = {}
    for _ in range(100 * n):
        texts.setdefault(sentence(lexicon, [], 0.0, rng))
        if len(texts) == n:
            return list(texts)
    raise ValueError(
        f"the lexicon gave {len(texts)} sentences, but {n} are needed: add words or templates, or"
        " ask for fewer speakers"
    )


def timit_prompts(
    splits: list[str], lexicon: Lexicon, rng: np.random.Generator
) -> list[dict[str, str]]:
    """Sentences for the speakers of a stand-in for TIMIT, given the splits of the speakers.

    SX sentences speak of every other category of the lexicon, SI sentences of the others, and SA
    sentences of all. About seven speakers read an SX sentence, all of training or none.

    Returns
    -------
    list of dict, one for each speaker
        Ten sentences by their names: SA1, SX3, SI453 and so on.
    """
    names = list(lexicon.categories)
    of_sx, of_si = (
        replace(lexicon, categories={name: lexicon.categories[name] for name in half})
        for half in (names[::2], names[1::2])
    )
    trains = [split == "train" for split in splits]
    n_sx = [max(5, math.ceil(5 * trains.count(part) / READERS_OF_SX)) for part in (True, False)]
    sa = distinct_sentences(lexicon, 2, rng)
    sx = list(enumerate(distinct_sentences(of_sx, sum(n_sx), rng), start=FIRST_SX))
    si = iter(enumerate(distinct_sentences(of_si, 3 * len(splits), rng), start=FIRST_SI))
    shared = {True: cycle(sx[: n_sx[0]]), False: cycle(sx[n_sx[0] :])}
    return [
        {f"SA{number}": text for number, text in enumerate(sa, start=1)}
        | {f"SX{number}": text for number, text in islice(shared[part], 5)}
        | {f"SI{number}": text for number, text in islice(si, 3)}
        for part in trains
    ]


def timit_phones(phones: list[Interval]) -> list[Interval]:
    """Symbols of TIMIT for ARPAbet phones with stress; there are no flaps and no closures."""
    symbols = [REDUCED.get(phone.label, phone.label.rstrip("012").lower()) for phone in phones]
    for number, phone in enumerate(phones):
        if phone.label == SILENCE:
            symbols[number] = "h#" if number in (0, len(phones) - 1) else "pau"
    return [replace(phone, label=s) for phone, s in zip(phones, symbols, strict=True)]


def act(
    speaker: Speaker, emotion: str, strength: float, rng: np.random.Generator
) -> tuple[Speaker, float]:
    """How a speaker says something with an emotion: rate and pitch, and the sound's peak (0 to 1).

    Each clip varies at random about its emotion.
    """
    variation = rng.uniform(-1, 1, size=3) * VARIATION
    change = Prosody(*(strength * np.array(PROSODIES[emotion]) + variation))
    rate, pitch = speaker.rate * (1 + change.rate), speaker.pitch + change.pitch
    peak = 10 ** ((NEUTRAL_DECIBELS + change.decibels) / 20)
    return replace(speaker, rate=round(rate), pitch=round(pitch)), peak


def _say(text: str, speaker: Speaker) -> Utterance:
    """Speech at 16 kHz, 16 bit."""
    return speak(text, speaker.voice, speaker.rate, speaker.pitch).resampled(SAMPLE_RATE)


def _write(path: Path, waveform: np.ndarray, peak: float) -> None:
    """Write a sound in 16 bit, its largest sample at a share of what 16 bit hold."""
    soundfile.write(path, waveform * (peak / np.abs(waveform).max()), SAMPLE_RATE, "PCM_16")


def _speaker(spec: CorporaSpec, rng: np.random.Generator) -> Speaker:
    return random_speaker(spec.voices, spec.rate, spec.pitch, rng)


def write_timit(root: Path, spec: CorporaSpec, lexicon: Lexicon, rng: np.random.Generator) -> None:
    """Write sentences with their words and phones; names of speakers say nothing of the voice."""
    splits = [FIFTHS[number % 5] for number in range(spec.timit_speakers)]
    development = iter(DEVELOPMENT)
    for number, prompts in enumerate(timit_prompts(splits, lexicon, rng)):
        speaker, split = _speaker(spec, rng), splits[number]
        letters = "".join(chr(ord("A") + k) for k in divmod(number, 26))
        name = next(development) if split == "validation" else f"MZ{letters}0"
        part = "TRAIN" if split == "train" else "TEST"
        folder = root / part / f"DR{1 + number % 8}" / name
        folder.mkdir(parents=True)
        for prompt, text in prompts.items():
            spoken = _say(text, speaker)
            soundfile.write(folder / f"{prompt}.WAV", spoken.waveform, SAMPLE_RATE, format="NIST")
            words = [word for word in spoken.words if word.label != SILENCE]
            tables = {
                "TXT": [Interval(0, spoken.duration, text.capitalize())],
                "WRD": words,
                "PHN": timit_phones(spoken.phones),
            }
            for suffix, intervals in tables.items():
                lines = (f"{_sample(i.start)} {_sample(i.stop)} {i.label}\n" for i in intervals)
                (folder / f"{prompt}.{suffix}").write_text("".join(lines), encoding="ascii")


def _sample(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def slurp_requests(
    spec: CorporaSpec, lexicon: Lexicon, rng: np.random.Generator
) -> list[tuple[str, str, str, str]]:
    """Split, category, action and text of each request of a stand-in for SLURP.

    All words of a category stand for the same action in one wording, and for other actions in
    others. No text is twice.

    Raises
    ------
    ValueError
        If the lexicon makes fewer actions, or fewer sentences of an action.
    """
    meanings = list(product(REQUESTS, lexicon.categories))
    n_texts = len(OPENINGS) * spec.words_per_category
    if spec.slurp_actions > len(meanings) or spec.slurp_sentences > n_texts:
        raise ValueError(
            f"{spec.lexicon} makes {len(meanings)} actions of {n_texts} sentences, but"
            f" slurp_actions is {spec.slurp_actions} and slurp_sentences {spec.slurp_sentences}:"
            " lower them, or take more words_per_category"
        )
    requests = []
    actions = SLURP_ACTIONS[: spec.slurp_actions]
    for action, (wording, category) in zip(actions, meanings, strict=False):
        texts = [o + wording.format(w) for o in OPENINGS for w in lexicon.categories[category]]
        for number, text in enumerate(rng.permutation(texts)[: spec.slurp_sentences]):
            requests.append((FIFTHS[number % 5], category, action, str(text)))
    return requests


def write_slurp(root: Path, spec: CorporaSpec, lexicon: Lexicon, rng: np.random.Generator) -> None:
    """Write requests, each recorded once by a speaker of its own."""
    lists, audio = root / "dataset/slurp", root / "audio/slurp_real"
    lists.mkdir(parents=True)
    audio.mkdir(parents=True)
    entries = {split: "" for split in SLURP_LISTS}
    for number, (split, category, action, text) in enumerate(slurp_requests(spec, lexicon, rng)):
        file = f"audio-{FIRST_RECORDING + number}-headset.flac"
        spoken = _say(text, _speaker(spec, rng))
        soundfile.write(audio / file, spoken.waveform, SAMPLE_RATE)
        entry = {
            "slurp_id": number,
            "sentence": text,
            "intent": f"{category}_{action}",
            "action": action,
            "scenario": category,
            "recordings": [{"file": file, "wer": 0.0, "ent_wer": None, "status": "correct"}],
            "entities": [],
        }
        entries[split] += json.dumps(entry) + "\n"
    for split, name in SLURP_LISTS.items():
        (lists / name).write_text(entries[split], encoding="utf-8")


def write_speech_commands(
    root: Path, spec: CorporaSpec, lexicon: Lexicon, rng: np.random.Generator
) -> None:
    """Write the 35 words by each speaker, each in a second of noise; no lexicon is used."""
    listed = {split: "" for split in FIFTHS}
    for number in range(spec.commands_speakers):
        speaker = _speaker(spec, rng)
        for word in COMMANDS:
            waveform = _say(word, speaker).waveform
            spare = max(0, SAMPLE_RATE - len(waveform))
            before = int(rng.integers(spare + 1))
            noise = waveform.std() * 10 ** (-rng.uniform(*SIGNAL_TO_NOISE) / 20)
            sound = np.pad(waveform.astype(float), (before, spare - before))
            sound += noise * rng.standard_normal(len(sound))
            name = f"{word}/{number:08x}_nohash_0.wav"
            (root / word).mkdir(exist_ok=True)
            _write(root / name, sound, peak=0.5)
            listed[FIFTHS[number % 5]] += f"{name}\n"
    for split, name in COMMANDS_LISTS.items():
        (root / name).write_text(listed[split], encoding="utf-8")


def write_crema_d(
    root: Path, spec: CorporaSpec, lexicon: Lexicon, rng: np.random.Generator
) -> None:
    """Write twelve sentences in six emotions by each actor, one of them at three levels."""
    audio = root / "AudioWAV"
    audio.mkdir()
    texts = distinct_sentences(lexicon, len(CREMA_D_SENTENCES), rng)
    for number in range(1001, 1001 + spec.crema_d_actors):
        actor = _speaker(spec, rng)
        for (code, text), emotion in product(zip(CREMA_D_SENTENCES, texts, strict=True), EMOTIONS):
            at_levels = code == SENTENCE_OF_LEVELS and emotion != "NEU"
            for level in ("LO", "MD", "HI") if at_levels else ("XX",):
                speaker, peak = act(actor, emotion, LEVELS[level], rng)
                path = audio / f"{number}_{code}_{emotion}_{level}.wav"
                _write(path, _say(text, speaker).waveform, peak)


WRITERS = {
    "timit": write_timit,
    "slurp": write_slurp,
    "speech_commands": write_speech_commands,
    "crema_d": write_crema_d,
}


def make_corpora(root: str | Path, spec: CorporaSpec, seed: int) -> None:
    """Write simulated stand-ins for the four corpora, in their published layouts.

    Parameters
    ----------
    root : path
        Folder for the corpora: ``timit``, ``slurp``, ``speech_commands`` and ``crema_d``. Each
        appears when it is complete; a simulated one that is there is replaced. Each says in
        ``dataset_description.json`` that it is simulated.
    spec : CorporaSpec
    seed : int
        Everything random follows from it.

    Raises
    ------
    ValueError
        If a corpus is there that was not simulated, or the lexicon does not suffice.
    """
    root = Path(root)
    for name in WRITERS:
        refuse_to_replace(root / name)
    lexicon = load_spoken_lexicon(spec.lexicon, spec.words_per_category)
    progress = Progress("simulated corpora", len(WRITERS))
    for number, (name, write) in enumerate(WRITERS.items()):
        with atomic_folder(root / name) as folder:
            restart()
            write(folder, spec, lexicon, np.random.default_rng([seed, number]))
            description = {
                "Name": f"Simulated stand-in for {name}, spoken by a synthesiser",
                "Simulated": True,
                "seed": seed,
                "spec": asdict(spec),
            }
            write_json(folder / "dataset_description.json", description)
            write_sums(folder)
        progress.advance(name)

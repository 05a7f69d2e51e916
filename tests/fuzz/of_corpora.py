"""Trials of the corpora of downstream tasks, and of vectors of words."""

from __future__ import annotations

import json
import re

import numpy as np
import soundfile
from fuzz.damages import JSON, TEXT, on_bytes
from fuzz.trial import Reader

from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.encoding.stages.word_vectors import read_word_vectors
from bthelpers.tasks.clips import read_waveform
from bthelpers.tasks.corpora import (
    COMMANDS,
    EMOTIONS,
    read_crema_d,
    read_slurp,
    read_speech_commands,
)
from bthelpers.tasks.timit import FOLDING, read_timit

SENTENCES = ("SA1", "SA2", "SI648", "SI1027", "SI1657", "SX37", "SX127", "SX217", "SX307", "SX397")
STEM = "TRAIN/DR1/FCJF0/SA1"
SOUND = np.random.default_rng(0).normal(scale=0.1, size=1600)
ACTIONS = {"train": "set", "devel": "joke", "test": "quirky"}
LISTED = {
    "validation_list.txt": "bed/0a7c2a8d_nohash_0.wav",
    "testing_list.txt": "up/1_nohash_3.wav",
}
ACTOR = "AudioWAV/1003_DFA_ANG_XX.wav"  # in the validation split alone
VECTORS = "glove.6B.5d.txt"
WORDS = ("the", ",", "of", "café", "dog", "unk", "cat", "naïve", "'s", "zebra")
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def _listed(root, clips):
    """Clips without the folder that they are in."""
    return [{**vars(clip), "path": str(clip.path.relative_to(root))} for clip in clips]


def _write_sound(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, SOUND, SAMPLE_RATE, format="NIST" if path.suffix == ".WAV" else None)


def _write_timit(root):
    for speaker in ("TRAIN/DR1/FCJF0", "TEST/DR1/FAKS0", "TEST/DR2/MWEW0"):
        for sentence in SENTENCES:
            stem = root / speaker / sentence
            _write_sound(stem.with_suffix(".WAV"))
            stem.with_suffix(".TXT").write_text("0 1600 Don't ask, he said.\n")
            stem.with_suffix(".WRD").write_text("200 800 don't\n800 1400 ask\n")
            stem.with_suffix(".PHN").write_text("0 200 h#\n200 600 d\n600 1000 ih\n1000 1600 h#\n")


def _says_timit(root, clips):
    """By columns of the files of the damaged sentence; in order, within the sound."""
    (clip,) = (clip for clip in clips if clip["name"] == f"{STEM}.WAV")
    for name, ending in (("words", "WRD"), ("phones", "PHN")):
        rows = [
            line.split(maxsplit=2)
            for line in (root / f"{STEM}.{ending}").read_text("latin-1").splitlines()
        ]
        labels = [
            FOLDING[label.strip()] if name == "phones" else label.strip() for *_, label in rows
        ]
        edges = [int(edge) for start, stop, _ in rows for edge in (start, stop)]
        if [one.label for one in clip[name]] != labels or edges != sorted(edges):
            return False
        if not all(label.isprintable() for label in labels) or edges[-1] > 1600 * 1.2:
            return False
    return clip["text"].isprintable()


def _write_slurp(root):
    for k, (name, action) in enumerate(ACTIONS.items()):
        path = root / f"dataset/slurp/{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        recordings = [{"file": f"audio-{k}.flac", "wer": 0.2}]
        path.write_text(json.dumps({"slurp_id": k, "action": action, "recordings": recordings}))
        _write_sound(root / f"audio/slurp_real/audio-{k}.flac")


def _says_slurp(root, clips):
    found = {clip["path"]: clip["label"] for clip in clips}
    lines = [
        json.loads(line)
        for name in ACTIONS
        for line in (root / f"dataset/slurp/{name}.jsonl").read_text("utf-8").splitlines()
    ]
    return found == {
        f"audio/slurp_real/{sound['file']}": line["action"]
        for line in lines
        for sound in line["recordings"]
    }


def _write_commands(root):
    for word in COMMANDS:
        _write_sound(root / word / "00176480_nohash_0.wav")
    for name, file in LISTED.items():
        _write_sound(root / file)
        (root / name).write_text(f"{file}\n")


def _says_commands(root, clips):
    named = {name: (root / name).read_text("utf-8").split() for name in LISTED}
    splits = dict(zip(LISTED, ("validation", "test"), strict=True))
    return all(
        sorted(clip["name"] for clip in clips if clip["split"] == split) == sorted(set(named[name]))
        for name, split in splits.items()
    )


def _write_crema_d(root):
    for actor, emotion in enumerate(EMOTIONS, start=1000):
        _write_sound(root / f"AudioWAV/{actor}_DFA_{emotion}_XX.wav")
    _write_sound(root / ACTOR)


def _read_crema_d(root):
    clips = read_crema_d(root)
    sounds = {clip.name: len(read_waveform(clip.path)) for clip in clips}
    return {"clips": _listed(root, clips), "samples": sounds}


def _says_crema_d(root, found):
    """By the names that the corpus documents, and as many samples as libsndfile counts."""
    there = (root / "AudioWAV").iterdir()
    paths = {f"AudioWAV/{path.name}": path for path in there if path.name.lower().endswith(".wav")}
    for clip in found["clips"]:
        actor, sentence, emotion, level = clip["name"].removesuffix(".wav").split("/")[1].split("_")
        info = soundfile.info(paths[clip["name"]])
        if (clip["speaker"], clip["label"]) != (actor, emotion) or not actor.isascii():
            return False
        if not (actor.isdigit() and len(actor) == 4 and len(sentence) == 3 and level.isupper()):
            return False
        n_samples = info.frames * SAMPLE_RATE / info.samplerate
        if abs(found["samples"][clip["name"]] - n_samples) > 2:
            return False
    return found["samples"].keys() == paths.keys()


ODD_NAMES = (
    *("1003_DFA_ANG_XX.WAV", "1003_DFA_ANG_XX.wav.wav", "1003_DFA_ANG_XX (1).wav", "x.wav"),
    *("1003_DFA_ANX_XX.wav", "1003_DFA_SAD_X.wav", "1003_dfa_ang_xx.wav", "003_DFA_ANG_XX.wav"),
    *("１００３_DFA_ANG_XX.wav", "1003_DFA_ANG_XX.wav\n.wav", "1003_DFA_ANG_XX.wav\n"),
    *("1003_DFA_ANG_XX\udcff.wav", "1008_IEO_HAP_HI.wav", "1003_DFA_ANG_HI.wav", "~.wav"),
)


def renamed(path, rng):
    """As copies, other systems and other corpora have it."""
    path.rename(path.with_name(ODD_NAMES[rng.integers(len(ODD_NAMES))]))


def _write_vectors(root):
    numbers = np.random.default_rng(0).normal(size=(len(WORDS), 5))
    rows = [
        f"{word} {' '.join(map('{:.5g}'.format, of_word))}\n"
        for word, of_word in zip(WORDS, numbers, strict=True)
    ]
    (root / VECTORS).write_text("".join(rows), "utf-8")


def _read_vectors(root):
    file = root / VECTORS
    return {"all": read_word_vectors(file, WORDS), "some": read_word_vectors(file, WORDS[3:5])}


def _says_vectors(root, found):
    """Rows of a word and as many decimal numbers as the first; those of each word, once."""
    rows = [
        row.removesuffix("\r").split(" ")
        for row in (root / VECTORS).read_bytes().decode().removesuffix("\n").split("\n")
    ]
    said = {row[0]: row[1:] for row in rows if row[0] in WORDS}
    whole = all(map(DECIMAL.fullmatch, [*rows[0][1:], *(n for row in said.values() for n in row)]))
    return (
        whole
        and {len(row) for row in rows} == {len(rows[0])}
        and len(said) == sum(row[0] in WORDS for row in rows)
        and _same_vectors(found["all"], said)
        and _same_vectors(found["some"], {w: said[w] for w in WORDS[3:5] if w in said})
    )


def _same_vectors(found, said):
    vectors = {word: np.array(numbers, float).astype(np.float32) for word, numbers in said.items()}
    return found.keys() == said.keys() and all(
        np.isfinite(found[word]).all() and np.array_equal(found[word], vectors[word])
        for word in said
    )


SOUNDS = {"nist": "x.WAV", "wav": "x.wav", "flac": "x.flac"}


def _write_sounds(root):
    for name in SOUNDS.values():
        _write_sound(root / name)


def _says_sounds(root, sounds):
    """As many samples as the intact sound has, or as libsndfile counts, none of them lost."""
    for name, sound in zip(SOUNDS.values(), sounds, strict=True):
        info = soundfile.info(root / name)
        expected = info.frames * SAMPLE_RATE / info.samplerate
        if abs(len(sound) - expected) > 2 or not np.isfinite(sound).all() or not sound.any():
            return False
    return True


@on_bytes
def wav_header_changed(content, rng):
    """Sizes, rates and counts of channels of RIFF, in place."""
    k = int(rng.choice([4, 16, 20, 22, 24, 28, 32, 34, 40]))
    odd = [0, 1, 2, 3, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 44_100, 8_000, 24, 32, 0xFFFE]
    n = 2 if k in (20, 22, 32, 34) else 4
    number = int(odd[rng.integers(len(odd))]) % 256**n
    return content[:k] + number.to_bytes(n, "little") + content[k + n :]


CORPORA = (
    Reader(
        "TIMIT",
        _write_timit,
        lambda root: _listed(root, read_timit(root)),
        dict.fromkeys((f"{STEM}.{ending}" for ending in ("PHN", "WRD", "TXT")), TEXT),
        _says_timit,
        cases=50,
    ),
    Reader(
        "SLURP",
        _write_slurp,
        lambda root: _listed(root, read_slurp(root)),
        {"dataset/slurp/train.jsonl": (*JSON, *TEXT)},
        _says_slurp,
        cases=100,
    ),
    Reader(
        "Speech Commands",
        _write_commands,
        lambda root: _listed(root, read_speech_commands(root)),
        dict.fromkeys(LISTED, TEXT),
        _says_commands,
        cases=40,
    ),
    Reader(
        "CREMA-D",
        _write_crema_d,
        _read_crema_d,
        {ACTOR: (renamed, renamed, wav_header_changed)},
        _says_crema_d,
        cases=80,
    ),
    Reader("GloVe", _write_vectors, _read_vectors, {VECTORS: TEXT}, _says_vectors, cases=120),
    Reader(
        "clips' sounds",
        _write_sounds,
        lambda root: [read_waveform(root / name) for name in SOUNDS.values()],
        {"x.WAV": TEXT, "x.wav": (wav_header_changed,), "x.flac": ()},
        _says_sounds,
        cases=50,
    ),
)

"""Trials of the corpora of downstream tasks: lists, transcriptions and sounds."""

from __future__ import annotations

import json

import numpy as np
import soundfile
from fuzz.damages import JSON, TEXT, on_bytes
from fuzz.trial import Reader

from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.tasks.clips import read_waveform
from bthelpers.tasks.corpora import COMMANDS, read_slurp, read_speech_commands
from bthelpers.tasks.timit import FOLDING, read_timit

SENTENCES = ("SA1", "SA2", "SI648", "SI1027", "SI1657", "SX37", "SX127", "SX217", "SX307", "SX397")
STEM = "TRAIN/DR1/FCJF0/SA1"
SOUND = np.random.default_rng(0).normal(scale=0.1, size=1600)
ACTIONS = {"train": "set", "devel": "joke", "test": "quirky"}
LISTED = {
    "validation_list.txt": "bed/0a7c2a8d_nohash_0.wav",
    "testing_list.txt": "up/1_nohash_3.wav",
}


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
        "clips' sounds",
        _write_sounds,
        lambda root: [read_waveform(root / name) for name in SOUNDS.values()],
        {"x.WAV": TEXT, "x.wav": (wav_header_changed,), "x.flac": ()},
        _says_sounds,
        cases=50,
    ),
)

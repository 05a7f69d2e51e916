"""Clips of speech corpora: their sound, and what all readers of corpora check."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from bthelpers.core.errors import LONGEST_NAME, DatasetError, MissingError, did_you_mean, parsing
from bthelpers.core.timing import SAMPLE_RATE

SPLITS = ("train", "validation", "test")
NIST_HEADER_BYTES = 1024
NAMES_SHOWN = 5


@dataclass(frozen=True)
class Clip:
    """A labelled recording of a corpus.

    Attributes
    ----------
    name : str
        Path of the sound inside the corpus folder.
    path : Path
        Path of the sound.
    split : str
        ``train``, ``validation`` or ``test``.
    speaker : str or None
        None where the corpus does not say.
    label : str
        What a probe predicts from the sound.
    """

    name: str
    path: Path
    split: str
    speaker: str | None
    label: str

    @property
    def cluster(self) -> str:
        """What its test is resampled with: the speaker; the clip alone where none is named."""
        return self.speaker or self.name


def read_waveform(path: Path) -> np.ndarray:
    """Read the sound of a clip: wav, FLAC or uncompressed NIST sphere, of any rate.

    Returns
    -------
    float32 array of shape (n_samples,)
        At 16 kHz; the mean of the channels.

    Raises
    ------
    DatasetError
        If the file is missing, empty, truncated or in no form that can be read.
    """
    if not path.is_file():
        raise MissingError(f"{path} is missing: copy the corpus again")
    with path.open("rb") as file:
        head = file.read(NIST_HEADER_BYTES)
    if head.startswith(b"version https://git-lfs"):
        raise DatasetError(
            f"{path} is a Git LFS pointer and no sound: run `git lfs pull` in the corpus folder"
        )
    if b"embedded-shorten" in head:
        raise DatasetError(
            f"{path} is compressed by shorten: convert all sounds of the corpus, each under its"
            " name, by `sph2pipe -f wav IN OUT`"
        )
    # libsndfile reads what is there of such a file, without a word. A last padding byte may lack.
    if path.stat().st_size + 1 < _announced_bytes(head):
        raise DatasetError(f"{path} is truncated: copy the corpus again")
    with parsing(path, "sound", "copy the corpus again"):
        channels, rate = soundfile.read(path, dtype="float32", always_2d=True)
        waveform = soxr.resample(channels.mean(axis=1), rate, SAMPLE_RATE)
    if not len(waveform) or not np.isfinite(waveform).all():
        raise DatasetError(
            f"{path} holds no sound, or no finite one: copy the corpus again, or remove the clip"
        )
    return waveform


def read_lines(path: Path, source: str, encoding: str = "utf-8") -> list[str]:
    """Read the lines of a list or transcription.

    Raises
    ------
    DatasetError
        If there is no such file, or it is no text of this encoding.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is missing or no file: get {source}")
    with parsing(path, "text", f"get {source}"):
        return path.read_text(encoding=encoding).splitlines()


def _announced_bytes(head: bytes) -> int:
    """Length of a file by its RIFF, RF64, AIFF or NIST sphere header; 0 for other forms."""
    if head.startswith(b"RIFF"):
        return 8 + int.from_bytes(head[4:8], "little")
    if head.startswith(b"FORM"):
        return 8 + int.from_bytes(head[4:8], "big")
    if head.startswith(b"RF64"):
        return 8 + int.from_bytes(head[20:28], "little")
    if head.startswith(b"NIST_1A"):
        fields = dict(re.findall(rb"(\w+) -i (\d{1,15})\b", head))
        keys = (b"sample_count", b"channel_count", b"sample_n_bytes")
        return NIST_HEADER_BYTES + math.prod(int(fields.get(key, 0)) for key in keys)
    return 0


def examples(names: Iterable[str]) -> str:
    """Join the first few names for a message."""
    names = sorted(f"{name:.100}" for name in names)
    return ", ".join(names[:NAMES_SHOWN]) + (", …" if len(names) > NAMES_SHOWN else "")


def file_names(folder: Path) -> set[str]:
    """Names in a folder; none where there is no folder that can be read."""
    return set(os.listdir(folder)) if folder.is_dir() and os.access(folder, os.R_OK) else set()


def require_layout(root: Path, entries: Collection[str], source: str) -> None:
    """Raise an error unless a corpus folder holds its top entries, in upper or lower case.

    The error names a folder nearby that does hold them: a corpus is easily unpacked, or named, a
    level too high or too low.
    """

    def holds(folder: Path) -> bool:
        names = {name.casefold() for name in file_names(folder)}
        return names >= {entry.casefold() for entry in entries}

    if not root.is_dir():
        raise MissingError(f"{root} is missing: get {source}, or name its folder in the profile")
    if not holds(root):
        nearby = [*sorted(root.glob("*")), *sorted(root.glob("*/*")), *root.absolute().parents[:3]]
        found = [folder for folder in nearby if holds(folder)]
        remedy = f"name {found[0]} in the profile, which does" if found else f"get {source}"
        raise DatasetError(f"{root} does not hold {' and '.join(sorted(entries))}: {remedy}")


def require_files(
    folder: Path, names: Collection[str], present: Collection[str], remedy: str
) -> None:
    """Raise a MissingError that counts the files that are not present in a folder."""
    if missing := set(names) - set(present):
        raise MissingError(
            f"{folder}: {len(missing)} of {len(set(names))} file(s) are missing, such as"
            f" {examples(missing)}: {remedy}"
        )


def require_label(label: str, known: Collection[str], what: str, place: str, source: str) -> None:
    """Raise a DatasetError, with the nearest one, if a label is none of the known ones."""
    if label not in known:
        raise DatasetError(
            f"{place}: {label[:LONGEST_NAME]!r} is no {what}{did_you_mean(label, known)}:"
            f" correct it, or get {source}"
        )


def require_splits(root: Path, clips: Sequence[Clip]) -> None:
    """Raise a DatasetError if a split of a corpus has no clip."""
    for split in SPLITS:
        if not any(clip.split == split for clip in clips):
            raise DatasetError(
                f"{root}: none of {len(clips)} clips is in the {split} split: copy the corpus again"
            )

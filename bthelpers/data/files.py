"""Readers of the dataset's single files, which say what is wrong with a file and what to do."""

from __future__ import annotations

import codecs
import contextlib
import itertools
import math
import re
import struct
from collections import namedtuple
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import h5py
import nibabel
import numpy as np
import soundfile

from bthelpers.core.errors import DatasetError, MissingError, listed, look_up, parsing
from bthelpers.core.files import parse_json
from bthelpers.core.timing import SILENCE, Interval

RESTORE = "download it again (`bthelpers download`), or make the simulated dataset again"
# Labels of the word tier that are no words, without braces: silence, breath, laughter, lip smack,
# noise, and the ends of sentences.
NOT_WORDS = {"", SILENCE, "br", "lg", "ls", "ns", "sentence_start", "sentence_end"}
LARGEST_OVERLAP = 1e-3  # s, of neighbouring intervals; below it, they are clipped
# Where the last label of a story's transcription may end, by the time of its last response: sounds
# end some seconds after that, and may begin and end without speech.
EARLIEST_END, LATEST_END = 0.75, 1.25
LONGER_SOUND = 20.0  # s
# Of praat's text files, texts and numbers that stand free count, and no other words.
PRAAT = re.compile(
    r'"(?P<text>(?:[^"]|"")*+)"|!.*|<[^>]*>'
    r"|(?P<number>[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)|\S+",
    re.ASCII,
)
KINDS = {"text": str, "number": Real, "count": int}
Tier = namedtuple("Tier", "kind name start end entries")  # of a TextGrid
ENTRIES = {"IntervalTier": ("number", "number", "text"), "TextTier": ("number", "text")}
REMEDIES = {
    "data": RESTORE,
    "individual_repeats": f"{RESTORE}; or choose a test story that was heard several times "
    "(dataset.splits.test)",
}


class Sound(NamedTuple):
    """Form of a wav file."""

    rate: int  # samples per second
    coding: str  # of a sample, as libsndfile calls it
    channels: int

    def __str__(self):
        return f"{self.rate} Hz, {self.coding}, {self.channels} channel(s)"


def existing(path: Path) -> Path:
    """Return `path`, or raise a MissingError if nothing is there."""
    if path.is_symlink() and not path.exists():
        raise MissingError(
            f"{path} is a link to what is not here: fetch it (`datalad get` or `git annex get`), or"
            f" {RESTORE}"
        )
    if not path.exists():
        raise MissingError(f"{path} is missing: {RESTORE}")
    return path


def existing_file(path: Path) -> Path:
    """Return `path`, or raise a DatasetError if no file is there; a pipe would not end."""
    if not existing(path).is_file():
        raise DatasetError(f"{path} is a folder or device and no file: {RESTORE}")
    return path


def read_table(path: Path) -> dict:
    """Read a JSON file that holds an object."""
    content = existing_file(path).read_bytes()
    with parsing(path, "JSON", RESTORE):
        table = parse_json(content)
    if not isinstance(table, dict):
        raise DatasetError(f"{path} holds no table of names: {RESTORE}")
    return table


def refuse_to_replace(root: Path) -> None:
    """Raise a DatasetError if a folder holds files and was not simulated."""
    description = root / "dataset_description.json"
    simulated = description.is_file() and read_table(description).get("Simulated") is True
    # The workflow makes empty folders beforehand.
    if not simulated and any(path.is_file() or path.is_symlink() for path in root.rglob("*")):
        raise DatasetError(
            f"{root} holds files that were not simulated, and is not replaced by simulated ones:"
            " name another folder in the parameter file"
        )


def read_volume(path: Path) -> np.ndarray:
    """Read the voxels of a NIfTI image, in its order (x, y, z)."""
    existing_file(path)
    with parsing(path, "NIfTI", RESTORE):
        return np.asanyarray(nibabel.load(path).dataobj)


def wav_header(path: Path) -> tuple[Sound, float]:
    """Form of a wav file and its length in seconds.

    Raises
    ------
    DatasetError
        If there is no such file, or its header announces more than is there.
    """
    with existing_file(path).open("rb") as file:
        riff = file.read(12)
        if riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
            raise DatasetError(f"{path} is no wav file: {RESTORE}")
        while len(header := file.read(8)) == 8:
            chunk, size = struct.unpack("<4sI", header)
            if chunk == b"data":
                break
            file.seek(size + size % 2, 1)  # chunks are padded to even sizes
        else:
            raise DatasetError(f"{path} is truncated before its sound: {RESTORE}")
        present = path.stat().st_size - file.tell()
    if present < size:  # soundfile would read what is there without a word
        raise DatasetError(
            f"{path} is truncated, it holds {present} of {size} bytes of sound: {RESTORE}"
        )
    with parsing(path, "wav file", RESTORE):
        info = soundfile.info(path)
    return Sound(info.samplerate, info.subtype, info.channels), info.duration


def read_tiers(path: Path, names: Iterable[str]) -> tuple[dict[str, list[Interval]], int]:
    """Read the labelled intervals of the named tiers of a TextGrid.

    In any of praat's text forms and in UTF-8, UTF-16 with its mark, or Latin-1. Where an interval
    overlaps the next one by less than 1 ms, it ends where that begins. Gaps are left as they are.

    Returns
    -------
    tiers : dict of str to list of Interval
        Without intervals whose label is blank, and without blanks around other labels.
    n_overlaps : int
        Overlaps that were clipped, in all of these tiers.

    Raises
    ------
    DatasetError
        If the file is missing, truncated or no TextGrid, has not one tier of intervals of each
        name, or these are out of order or overlap by more.
    """
    existing_file(path)
    with parsing(path, "TextGrid", RESTORE):
        grid = _parse_grid(_praat_text(path))
    tiers, n_overlaps = {}, 0
    for name in names:
        named = [tier for tier in grid if tier.name == name]
        if [tier.kind for tier in named] != ["IntervalTier"]:
            raise DatasetError(
                f"{path} has {len(named) or 'no'} tier {name!r}, expected one of intervals, among"
                f" {listed(f'{tier.name} ({tier.kind})' for tier in grid)}: {RESTORE}"
            )
        tiers[name], clipped = _clipped(named[0], f"{path}, tier {name!r}")
        n_overlaps += clipped
    return tiers, n_overlaps


def spoken(words: Iterable[Interval]) -> list[Interval]:
    """Words in lower case, without silences and noises.

    Examples
    --------
    >>> labels = ["{BR}", "The", "cat", "sp"]
    >>> [word.label for word in spoken(Interval(k, k + 1, labels[k]) for k in range(4))]
    ['the', 'cat']
    """
    named = [replace(word, label=word.label.lower().strip("{} ")) for word in words]
    return [word for word in named if word.label not in NOT_WORDS]


def read_transcription(
    path: Path, names: Iterable[str], last_response: float
) -> tuple[dict[str, list[Interval]], int]:
    """Read the tiers of a story's TextGrid, as `read_tiers` does, and compare them with its length.

    Parameters
    ----------
    path : Path
    names : iterable of str
    last_response : float
        Seconds from the beginning of the sound to the last response to it.

    Raises
    ------
    DatasetError
        As `read_tiers`; or if a tier has no label, or ends far from where the story does, as one of
        another story does, or one in milliseconds.
    """
    tiers, n_overlaps = read_tiers(path, names)
    for name, intervals in tiers.items():
        end = intervals[-1].stop if intervals else 0.0
        latest = LATEST_END * last_response + LONGER_SOUND
        if not EARLIEST_END * last_response <= end <= latest:
            raise DatasetError(
                f"{path}, tier {name!r}: its labels end at {end:.1f} s, but the responses to the"
                f" story last until {last_response:.1f} s; it is of another story, in another unit"
                f" of time, or not complete: {RESTORE}"
            )
    return tiers, n_overlaps


def _clipped(tier: Tier, where: str) -> tuple[list[Interval], int]:
    """Labelled intervals of a tier, and how many overlaps with the next one were clipped."""
    intervals = [Interval(start, stop, label.strip()) for start, stop, label in tier.entries]
    # A file in the chronological form can be cut off and still be read.
    if not intervals or intervals[-1].stop < tier.end - 0.1:
        raise DatasetError(f"{where}, is truncated, it ends before {tier.end:.1f} s: {RESTORE}")
    for interval in intervals:
        if not interval.start <= interval.stop < math.inf:
            raise DatasetError(f"{where}: {interval} stops before it starts, or never: {RESTORE}")
    n_overlaps = 0
    for number, (earlier, later) in enumerate(itertools.pairwise(intervals)):
        if later.start < earlier.start or earlier.stop - later.start >= LARGEST_OVERLAP:
            raise DatasetError(
                f"{where}: {later} begins before {earlier}, or overlaps it by"
                f" {LARGEST_OVERLAP} s or more: {RESTORE}; or correct it in praat"
            )
        if later.start < earlier.stop:
            intervals[number] = replace(earlier, stop=later.start)
            n_overlaps += 1
    return [interval for interval in intervals if interval.label], n_overlaps


def _praat_text(path: Path) -> str:
    marked = path.read_bytes().startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return path.read_text("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        return path.read_text("latin-1")


def _parse_grid(text: str) -> list[Tier]:
    """Tiers of a TextGrid, by praat's manual, "TextGrid file formats"."""
    take = partial(_take, tokens := _tokens(text))
    (form,) = take("text")
    chronological = form == "Praat chronological TextGrid text file"
    if not chronological and [form.split(" ")[0], *take("text")] != ["ooTextFile", "TextGrid"]:
        raise ValueError(f"it begins with {form!r}")
    *_, n_tiers = take("number", "number", "count")
    tiers = []
    for _ in range(n_tiers):
        tier = Tier(*take("text", "text", "number", "number"), [])
        entry = look_up(tier.kind, ENTRIES, "kind of tier")
        n_entries = 0 if chronological else take("count")[0]
        tier.entries.extend(take(*entry) for _ in range(n_entries))
        tiers.append(tier)
    numbered = dict(enumerate(tiers, 1)) if chronological else {}
    for number in tokens:
        if number not in numbered:
            raise ValueError(f"unexpected {number!r}")
        numbered[number].entries.append(take(*ENTRIES[numbered[number].kind]))
    return tiers


def _tokens(text: str) -> Iterator[str | float]:
    """Texts and numbers of a file of praat's."""
    for token in PRAAT.finditer(text):
        if token["text"] is not None:
            yield token["text"].replace('""', '"')
        elif (number := token["number"]) is not None:
            yield int(number) if number.isdigit() else float(number)


def _take(tokens: Iterator[str | float], *kinds: str) -> list:
    taken = list(itertools.islice(tokens, len(kinds)))
    if list(map(isinstance, taken, map(KINDS.get, kinds))) != [True] * len(kinds):
        raise ValueError(f"expected {listed(kinds)}, found {taken or 'its end'}")
    return taken


@contextlib.contextmanager
def open_responses(
    path: Path, n_rows: int, repeated: bool = False
) -> Iterator[tuple[h5py.Dataset, h5py.Dataset | None]]:
    """Open a response file of `n_rows` TRs.

    Yields
    ------
    data : h5py.Dataset of shape (tr, voxel)
    individual_repeats : h5py.Dataset of shape (repeat, tr, voxel), or None unless `repeated`
    """
    existing_file(path)
    with contextlib.ExitStack() as stack:
        with parsing(path, "HDF5", RESTORE):
            file = stack.enter_context(h5py.File(path))
        data = _checked_array(file, "data", (n_rows, None))
        repeats = None
        if repeated:
            repeats = _checked_array(file, "individual_repeats", (None, *data.shape))
            if len(repeats) < 2:
                raise DatasetError(
                    f"{path} holds {len(repeats)} repeat(s), a noise ceiling needs two or more: "
                    f"{REMEDIES['individual_repeats']}"
                )
        yield data, repeats


def _checked_array(file: h5py.File, key: str, shape: tuple[int | None, ...]) -> h5py.Dataset:
    """Array `key` of a response file, of the expected shape (None: any length)."""
    with parsing(file.filename, "HDF5", RESTORE):
        names, array = list(file), file.get(key)
    if not isinstance(array, h5py.Dataset):
        raise DatasetError(
            f"{file.filename} has no array {key!r}, only {listed(names)}: {REMEDIES[key]}"
        )
    # float64 is published; models read float32, so that an array of those loses nothing
    if array.ndim != len(shape) or array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        raise DatasetError(
            f"{file.filename}: {key!r} has {array.ndim} dimensions of {array.dtype}, expected "
            f"{len(shape)} of float64 (or float32): {RESTORE}"
        )
    for name, length, found in zip(
        ("voxels", "rows", "repeats"), shape[::-1], array.shape[::-1], strict=False
    ):
        if length not in (None, found):
            raise DatasetError(
                f"{file.filename}: {key!r} has {found} {name}, expected {length}: {RESTORE}"
            )
    return array

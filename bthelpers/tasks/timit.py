"""TIMIT (Garofolo et al., 1993): sentences read by 630 speakers, with words and phones in time."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from bthelpers.core.errors import LONGEST_NAME, DatasetError
from bthelpers.core.timing import SAMPLE_RATE, Interval
from bthelpers.tasks.clips import (
    Clip,
    examples,
    read_lines,
    require_files,
    require_label,
    require_layout,
    require_splits,
)

SOURCE = "TIMIT from the Linguistic Data Consortium (LDC93S1)"
SUFFIXES = (".WAV", ".PHN", ".WRD", ".TXT")
FILE = re.compile(
    r"(?P<part>TRAIN|TEST)/DR[1-8]/(?P<speaker>[FM][A-Z]{3}\d)/(?P<sentence>(?:SA|SX|SI)\d+)"
    r"(?P<suffix>\.WAV|\.PHN|\.WRD|\.TXT)"
)
LINE = re.compile(r"(\d{1,9})\s+(\d{1,9})\s+(\S.*)", re.ASCII)
OVERLONG = 0.1  # s, by which words and phones may go on after the sentence
EXAMPLE = "TRAIN/DR1/FCJF0/SA1.WAV"
SENTENCES = {"SA": 2, "SX": 5, "SI": 3}  # of each speaker

# The development set of Halberstadt (1998): 50 speakers of TEST.
DEVELOPMENT = (
    "FAKS0", "FDAC1", "FJEM0", "MGWT0", "MJAR0", "MMDB1", "MMDM2", "MPDF0", "FCMH0", "FKMS0",
    "MBDG0", "MBWM0", "MCSH0", "FADG0", "FDMS0", "FEDW0", "MGJF0", "MGLB0", "MRTK0", "MTAA0",
    "MTDT0", "MTHC0", "MWJG0", "FNMR0", "FREW0", "FSEM0", "MBNS0", "MMJR0", "MDLS0", "MDLF0",
    "MDVC0", "MERS0", "FMAH0", "FDRW0", "MRCS0", "MRJM4", "FCAL1", "MMWH0", "FJSJ0", "MAJC0",
    "MJSW0", "MREB0", "FGJD0", "FJMG0", "MROA0", "MTEB0", "MJFC0", "MRJR0", "FMML0", "MRWS1",
)  # fmt: skip

# From the 61 symbols to 39 phones (Lee and Hon, 1989); the glottal stop is deleted.
FOLDING: dict[str, str | None] = {
    **{phone: phone for phone in (
        "aa", "ae", "ah", "aw", "ay", "b", "ch", "d", "dh", "dx", "eh", "er", "ey", "f", "g", "hh",
        "ih", "iy", "jh", "k", "l", "m", "n", "ng", "ow", "oy", "p", "r", "s", "sh", "t", "th",
        "uh", "uw", "v", "w", "y", "z",
    )},
    **dict.fromkeys(("bcl", "dcl", "gcl", "pcl", "tcl", "kcl", "h#", "pau", "epi"), "sil"),
    "ao": "aa", "ax": "ah", "ax-h": "ah", "axr": "er", "hv": "hh", "ix": "ih", "el": "l",
    "em": "m", "en": "n", "nx": "n", "eng": "ng", "zh": "sh", "ux": "uw", "q": None,
}  # fmt: skip
PHONES = tuple(sorted({phone for phone in FOLDING.values() if phone}))


@dataclass(frozen=True)
class TimitClip(Clip):
    """A sentence of TIMIT; its label is the type of the sentence: SA, SX or SI.

    Attributes
    ----------
    text : str
        The sentence, with capitals and punctuation.
    words, phones : tuple of Interval
        Times in seconds; phones are among the 39 of `PHONES`, silences included.
    """

    text: str
    words: tuple[Interval, ...]
    phones: tuple[Interval, ...]


def read_timit(root: str | Path) -> list[TimitClip]:
    """List the sentences of TIMIT, its names in upper or lower case.

    TRAIN trains. Of the 168 speakers of TEST, the 50 of the development set of Halberstadt (1998)
    validate, and the other 118, his full test set, test. No speaker is in two splits, but texts
    are: everybody reads the two SA sentences, and SX sentences are shared by readers in
    validation and test. The SA sentences stay, since the types of sentences are predicted.

    Parameters
    ----------
    root : path
        Folder that holds ``TRAIN`` and ``TEST``. Sounds may be NIST sphere files, as published,
        or converted to wav under the same names.

    Raises
    ------
    DatasetError
        If the folder or a file is missing, the layout is another, a sentence is of another type, a
        split is empty, a speaker is in two, or a transcription is malformed.
    """
    root = Path(root)
    require_layout(root, ("TRAIN", "TEST"), SOURCE)
    sentences = _find_sentences(root)
    _require_complete(root, sentences)
    clips = [_read_clip(root, *key, files) for key, files in sorted(sentences.items())]
    require_splits(root, clips)
    return clips


def _find_sentences(root: Path) -> dict[tuple[str, str, str], dict[str, Path]]:
    """Files of each sentence by suffix; sentences by part, speaker and name, in upper case."""
    sentences: dict[tuple[str, str, str], dict[str, Path]] = defaultdict(dict)
    for path in root.glob("*/*/*/*"):
        name = path.relative_to(root).as_posix().upper()
        # Some copies hold converted sounds as SA1.WAV.wav, beside SA1.WAV.
        others = name.endswith(".WAV.WAV") or path.name.startswith(".")
        if others or not name.startswith(("TRAIN", "TEST")) or not name.endswith(SUFFIXES):
            continue
        if not (match := FILE.fullmatch(name)):
            raise DatasetError(
                f"{path} is not named as {EXAMPLE}, with a sentence of type"
                f" {', '.join(SENTENCES)}: remove it, or get {SOURCE}"
            )
        sentences[match["part"], match["speaker"], match["sentence"]][match["suffix"]] = path
    if not sentences:
        raise DatasetError(f"{root}: no file is named as {EXAMPLE}: get {SOURCE}")
    return sentences


def _require_complete(root: Path, sentences: dict[tuple[str, str, str], dict[str, Path]]) -> None:
    """Raise a DatasetError if files are missing, or speakers are in both parts."""
    stems = {"/".join(key): files for key, files in sentences.items()}
    require_files(
        root,
        [stem + suffix for stem in stems for suffix in SUFFIXES],
        [stem + suffix for stem, files in stems.items() for suffix in files],
        f"get {SOURCE}",
    )
    types: dict[str, Counter] = defaultdict(Counter)
    parts: dict[str, set] = defaultdict(set)
    for part, speaker, sentence in sentences:
        types[speaker][sentence[:2]] += 1
        parts[speaker].add(part)
    if shared := [speaker for speaker in parts if len(parts[speaker]) > 1]:
        raise DatasetError(
            f"{root}: {len(shared)} speaker(s) are in both TRAIN and TEST, such as"
            f" {examples(shared)}: get {SOURCE}"
        )
    if incomplete := [speaker for speaker in types if types[speaker] != SENTENCES]:
        raise DatasetError(
            f"{root}: {len(incomplete)} of {len(types)} speakers do not have 2 SA, 5 SX and 3 SI"
            f" sentences, such as {examples(incomplete)}: get {SOURCE}"
        )


def _read_clip(root: Path, part: str, speaker: str, sentence: str, files: dict) -> TimitClip:
    validates = part == "TEST" and speaker in DEVELOPMENT
    text, words, phones = (_read_intervals(files[end]) for end in (".TXT", ".WRD", ".PHN"))
    for labels, ending in ((words, ".WRD"), (phones, ".PHN")):
        if labels[-1].stop > text[-1].stop + OVERLONG:
            raise DatasetError(
                f"{files[ending]} goes on to {labels[-1].stop:.3f} s, {files['.TXT']} ends at"
                f" {text[-1].stop:.3f} s: get {SOURCE}"
            )
    for earlier, later in pairwise(phones):
        if 2 * later.start < earlier.start + earlier.stop:
            raise DatasetError(
                f"{files['.PHN']}: {later} begins in the first half of {earlier}: get {SOURCE}"
            )
    for phone in phones:
        require_label(phone.label, FOLDING, "phone of TIMIT", str(files[".PHN"]), SOURCE)
    return TimitClip(
        name=files[".WAV"].relative_to(root).as_posix(),
        path=files[".WAV"],
        split="validation" if validates else part.lower(),
        speaker=speaker,
        label=sentence[:2],
        text=" ".join(line.label for line in text),
        words=tuple(words),
        phones=tuple(replace(p, label=FOLDING[p.label]) for p in phones if FOLDING[p.label]),
    )


def _read_intervals(path: Path) -> list[Interval]:
    """Lines of first sample, last sample (at 16 kHz) and label; words may overlap, in order."""
    intervals: list[Interval] = []
    for number, line in enumerate(read_lines(path, SOURCE, "latin-1"), start=1):
        match = LINE.fullmatch(line.strip())
        printable = match and line.replace("\t", " ").isprintable() and match[3].isprintable()
        if not printable or int(match[1]) > int(match[2]):
            raise DatasetError(
                f"{path}, line {number}: {line[:LONGEST_NAME]!r} is not 'first_sample last_sample"
                f" label': get {SOURCE}"
            )
        start, stop = (int(sample) / SAMPLE_RATE for sample in match.groups()[:2])
        before = (intervals[-1].start, intervals[-1].stop) if intervals else (-1.0, 0.0)
        if (start, stop) <= before or stop < before[1]:
            raise DatasetError(
                f"{path}, line {number}: {line[:LONGEST_NAME]!r} is not after the line above: get"
                f" {SOURCE}"
            )
        intervals.append(Interval(start, stop, match[3]))
    if not intervals:
        raise DatasetError(f"{path} is empty: get {SOURCE}")
    return intervals

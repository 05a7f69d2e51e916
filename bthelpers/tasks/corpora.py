"""Readers of the corpora of the downstream tasks, in their published layouts and splits.

ICLR paper, section 3.4.3 and appendix B. TIMIT has a module of its own, `bthelpers.tasks.timit`.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from bthelpers.core.errors import DatasetError
from bthelpers.core.files import parse_json
from bthelpers.tasks.clips import (
    Clip,
    examples,
    file_names,
    read_lines,
    require_files,
    require_label,
    require_layout,
    require_splits,
)
from bthelpers.tasks.timit import PHONES, read_timit

SLURP = "SLURP (github.com/pswietojanski/slurp, and its slurp_real.tar.gz from zenodo.org/4274930)"
SLURP_LISTS = {"train": "train.jsonl", "validation": "devel.jsonl", "test": "test.jsonl"}
SLURP_ACTIONS = (
    "addcontact", "audiobook", "cleaning", "coffee", "convert", "createoradd", "currency",
    "definition", "dislikeness", "events", "factoid", "game", "greet", "hue_lightchange",
    "hue_lightdim", "hue_lightoff", "hue_lighton", "hue_lightup", "joke", "likeness", "locations",
    "maths", "movies", "music", "order", "podcasts", "post", "query", "querycontact", "quirky",
    "radio", "recipe", "remove", "sendemail", "set", "settings", "stock", "taxi", "ticket",
    "traffic", "volume_down", "volume_mute", "volume_other", "volume_up", "wemo_off", "wemo_on",
)  # fmt: skip

COMMANDS_SOURCE = "Speech Commands 0.02 (download.tensorflow.org/data/speech_commands_v0.02.tar.gz)"
COMMANDS_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
COMMANDS = (
    "backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward", "four",
    "go", "happy", "house", "learn", "left", "marvin", "nine", "no", "off", "on", "one", "right",
    "seven", "sheila", "six", "stop", "three", "tree", "two", "up", "visual", "wow", "yes", "zero",
)  # fmt: skip
NOISE = "_background_noise_"

CREMA_D = "CREMA-D (github.com/CheyneyComputerScience/CREMA-D, with Git LFS)"
EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
# Some copies hold a 1040_ITH_SAD_X.wav.
CREMA_D_FILE = re.compile(
    r"(?P<actor>[0-9]{4})_[A-Z]{3}_(?P<emotion>[A-Z]{3})_(?:LO|MD|HI|XX?)\.wav"
)
# Known to be broken in the release: nearly empty, of no length, or all emotions in one.
CREMA_D_UNUSABLE = (
    "1064_IEO_DIS_MD.wav", "1064_TIE_SAD_XX.wav", "1076_MTI_NEU_XX.wav", "1076_MTI_SAD_XX.wav",
)  # fmt: skip
FIFTHS = ("train", "train", "train", "validation", "test")  # split of what is numbered, modulo 5


def read_slurp(root: str | Path) -> list[Clip]:
    """List the recordings of SLURP (Bastianelli et al., 2020); a label is one of 46 actions.

    The published splits part the sentences, not the speakers, whom the lists do not name. All
    recordings are taken, of near and far microphones, whatever was recognised of them.

    Parameters
    ----------
    root : path
        Folder of the repository, with ``dataset/slurp/*.jsonl`` and ``audio/slurp_real/*.flac``.

    Warns
    -----
    UserWarning
        If a split lists recordings several times. They are taken once; those under several actions
        are left out.

    Raises
    ------
    DatasetError
        If folder, lists or recordings are missing, the layout is another, a list is malformed, an
        action is unknown, a split is empty, or a recording is listed in two.
    """
    root = Path(root)
    require_layout(root, ("dataset", "audio"), SLURP)
    lists, audio = root / "dataset/slurp", root / "audio/slurp_real"
    require_files(lists, SLURP_LISTS.values(), file_names(lists), f"get {SLURP}")
    labels = {split: _slurp_actions(lists / name) for split, name in SLURP_LISTS.items()}
    counts = Counter(file for split in labels.values() for file in split)
    if shared := [file for file in counts if counts[file] > 1]:
        raise DatasetError(
            f"{lists}: {len(shared)} recording(s) are listed in two splits, such as"
            f" {examples(shared)}: remove them from all lists but one"
        )
    require_files(
        audio,
        counts,
        file_names(audio),
        f"unpack slurp_real.tar.gz in {audio.parent}; remove what it lacks from the lists",
    )
    clips = [
        Clip(f"audio/slurp_real/{file}", audio / file, split, None, *actions)
        for split, files in labels.items()
        for file, actions in files.items()
        if len(actions) == 1
    ]
    require_splits(root, clips)
    return clips


def _slurp_actions(path: Path) -> dict[str, set[str]]:
    """Actions under which a list of SLURP has each recording; a warning if there are several."""
    actions: dict[str, set[str]] = defaultdict(set)
    n_listed = 0
    for number, line in enumerate(read_lines(path, SLURP), start=1):
        place = f"{path}, line {number}"
        try:
            entry = parse_json(line)
            action, files = entry["action"], [sound["file"] for sound in entry["recordings"]]
            if not all(isinstance(name, str) for name in (action, *files)):
                raise TypeError("action and files are text")
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(
                f"{place} is no entry with action and recordings ({error!r}): get {SLURP}"
            ) from error
        require_label(action, SLURP_ACTIONS, "action of SLURP", place, SLURP)
        n_listed += len(files)
        for file in files:
            actions[file].add(action)
    if n_listed > len(actions):
        ambiguous = [file for file in actions if len(actions[file]) > 1]
        warnings.warn(
            f"{path} lists {n_listed - len(actions)} of {len(actions)} recordings again. They are"
            f" taken once, but for {len(ambiguous)} under several actions, which are left out"
            f" {ambiguous}",
            stacklevel=3,
        )
    return actions


def read_speech_commands(root: str | Path) -> list[Clip]:
    """List the clips of Speech Commands 0.02 (Warden, 2018); a label is one of 35 words.

    Splits are those of the lists in the corpus, which keep each speaker in one. The recordings of
    background noise are not read.

    Parameters
    ----------
    root : path
        Folder that holds the two lists and a folder for each word.

    Raises
    ------
    DatasetError
        If folder, lists or clips are missing, the layout is another, a word is unknown, a file is
        of another name, a split is empty, or a clip is listed in two.
    """
    root = Path(root)
    require_layout(root, COMMANDS_LISTS.values(), COMMANDS_SOURCE)
    words = {path.name for path in root.iterdir() if path.is_dir() and path.name[0] != "."}
    for word in sorted(words - {NOISE}):
        require_label(word, COMMANDS, "word of Speech Commands", str(root), COMMANDS_SOURCE)
    require_files(root, COMMANDS, words, f"get {COMMANDS_SOURCE}; 0.01 has 30 words")
    names = sorted(f"{w}/{path.name}" for w in COMMANDS for path in (root / w).glob("[!.]*.wav"))
    listed = {
        split: {name.strip() for name in read_lines(root / file, COMMANDS_SOURCE)} - {""}
        for split, file in COMMANDS_LISTS.items()
    }
    if shared := listed["validation"] & listed["test"]:
        raise DatasetError(
            f"{root}: {len(shared)} clip(s) are in both {' and '.join(COMMANDS_LISTS.values())},"
            f" such as {examples(shared)}: get {COMMANDS_SOURCE}"
        )
    require_files(root, listed["validation"] | listed["test"], names, f"get {COMMANDS_SOURCE}")
    clips = []
    for name in names:
        if not (match := re.fullmatch(r"(\w+)/(\w+)_nohash_\d+\.wav", name)):
            raise DatasetError(
                f"{root / name} is not named as SPEAKER_nohash_NUMBER.wav: remove it, or get"
                f" {COMMANDS_SOURCE}"
            )
        split = next((split for split, of_split in listed.items() if name in of_split), "train")
        clips.append(Clip(name, root / name, split, match[2], match[1]))
    require_splits(root, clips)
    return clips


def read_crema_d(root: str | Path) -> list[Clip]:
    """List the clips of CREMA-D (Cao et al., 2014); a label is one of six acted emotions.

    There is no published split. Here the last digit of an actor's number says it, so that no actor
    is in two: 3 and 8 validate (18 actors), 4 and 9 test (18), the others train (55). Four clips
    that are known to be broken in the release are left out (`CREMA_D_UNUSABLE`).

    Parameters
    ----------
    root : path
        Folder of the repository, with ``AudioWAV/ACTOR_SENTENCE_EMOTION_LEVEL.wav``.

    Raises
    ------
    DatasetError
        If the folder is missing or holds something else, an emotion is unknown, or a split is
        empty.
    """
    root = Path(root)
    require_layout(root, ("AudioWAV",), CREMA_D)
    clips = []
    for path in sorted((root / "AudioWAV").glob("[!.]*.[wW][aA][vV]")):
        if not (match := CREMA_D_FILE.fullmatch(path.name)):
            raise DatasetError(
                f"{path} is not named as 1001_DFA_ANG_XX.wav: remove it, or get {CREMA_D}"
            )
        require_label(match["emotion"], EMOTIONS, "emotion of CREMA-D", str(path), CREMA_D)
        if path.name not in CREMA_D_UNUSABLE:
            actor, name = match["actor"], f"AudioWAV/{path.name}"
            clips.append(Clip(name, path, FIFTHS[int(actor) % 5], actor, match["emotion"]))
    require_splits(root, clips)
    return clips


CORPORA: dict[str, Callable[[str | Path], list[Clip]]] = {
    "timit": read_timit,
    "slurp": read_slurp,
    "speech_commands": read_speech_commands,
    "crema_d": read_crema_d,
}
"""Readers by the name of the corpus: from its folder to its clips."""


def probe_tasks(
    clips: Mapping[str, Sequence[Clip]], features: Mapping[str, xr.DataArray]
) -> dict[str, tuple[xr.DataArray, np.ndarray]]:
    """Features and truth of the linear probes of whole clips (ICLR paper, appendix B).

    Sentences of type SA are the same for all speakers, so that test sentences would be known from
    training. They are left out where phones are predicted.

    Parameters
    ----------
    clips : mapping of str to sequence of Clip
        Of every corpus, as the readers of `CORPORA` list them.
    features : mapping of str to DataArray (layer, clip, feature)
        Of the same clips.

    Returns
    -------
    dict of str to tuple of DataArray (layer, clip, feature) and array
        By task: features and, of the same clips, their classes (clip,) or which phones they hold,
        bool (clip, phone).
    """
    labels = {corpus: np.array([clip.label for clip in clips[corpus]]) for corpus in clips}
    various = labels["timit"] != "SA"
    phones = [{phone.label for phone in clip.phones} for clip in clips["timit"]]
    present = np.array([[phone in of_clip for phone in PHONES] for of_clip in phones])
    return {
        "sentence type": (features["timit"], labels["timit"]),
        "action": (features["slurp"], labels["slurp"]),
        "phones": (features["timit"].isel(clip=various), present[various]),
        "word": (features["speech_commands"], labels["speech_commands"]),
        "emotion": (features["crema_d"], labels["crema_d"]),
    }

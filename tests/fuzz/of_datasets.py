"""Trials of the files of a dataset folder: tables, transcriptions, sounds, responses."""

from __future__ import annotations

import json
import re
import wave

import h5py
import numpy as np
import soundfile
from fuzz.damages import JSON, TEXT
from fuzz.hdf5_damages import HDF5
from fuzz.trial import Reader
from textgrids import INTERVALS, POINTS, praat_text

from bthelpers.data.dataset import TIERS, Dataset
from bthelpers.data.files import read_tiers
from bthelpers.encoding.ceiling import load_published

STORY, PARTICIPANT = "wheretheressmoke", "UTS01"
N_RESPDICT, N_VOXELS, N_REPEATS = 22, 50, 3
RESPONSES = f"derivative/preprocessed_data/{PARTICIPANT}/{STORY}.hf5"
TEXTGRID = f"derivative/TextGrids/{STORY}.TextGrid"
WAV = f"stimuli/{STORY}.wav"


def _write_tables(root):
    (root / "derivative").mkdir()
    (root / "derivative/respdict.json").write_text(json.dumps({STORY: N_RESPDICT, "alternate": 30}))
    transforms = {PARTICIPANT: "UTS01_auto", "UTS02": "UTS02_auto"}
    (root / "derivative/subject_xfms.json").write_text(json.dumps(transforms))
    (root / "dataset_description.json").write_text(json.dumps({"Name": "made", "BIDSVersion": "1"}))


def _read_tables(root):
    dataset = Dataset(root)
    return {
        "derivative/respdict.json": {story: dataset.n_respdict(story) for story in dataset.stories},
        "derivative/subject_xfms.json": {
            name: dataset.transform(name) for name in dataset.participants
        },
        "dataset_description.json": {"Name": dataset.name},
    }


def _says_tables(root, tables):
    counts = json.loads((root / "derivative/respdict.json").read_text("utf-8-sig"))
    transforms = json.loads((root / "derivative/subject_xfms.json").read_text("utf-8-sig"))
    name = json.loads((root / "dataset_description.json").read_text("utf-8-sig"))["Name"]
    return (
        list(tables.values()) == [counts, transforms, {"Name": name}]
        and all(type(n) is int and 20 < n < 10_000 for n in counts.values())
        and all("/" not in name and name.strip(". ") for name in transforms.values())
        and isinstance(name, str)
        and name.isprintable()
    )


def _write_stories(root):
    _write_tables(root)
    duration = N_RESPDICT * 2.0045
    entries = {
        "phone": [(0.0, 0.5, "sp"), (0.5, 0.75, "K"), (0.75, 1.0, "AE1"), (1.0, duration, "sp")],
        "word": [(0.0, 0.5, ""), (0.5, 1.25, "cat"), (1.25, 1.5, "ouïe"), (1.5, duration, "sp")],
    }
    tiers = [(INTERVALS, name, intervals) for name, intervals in entries.items()]
    tiers.append((POINTS, "point", [(0.5, "x"), (0.7, "y")]))
    for form in ("long", "short", "chronological"):
        path = root / f"{form}.TextGrid"
        path.write_text(praat_text(tiers, form, duration), encoding="utf-8")


def _read_textgrids(root):
    return [
        (
            {
                name: [(one.start, one.stop, one.label) for one in tier]
                for name, tier in read_tiers(root / f"{form}.TextGrid", TIERS)[0].items()
            }
        )
        for form in ("long", "short", "chronological")
    ]


def _says_textgrids(root, grids):
    """Texts in quotes and numbers of the file, in its order; intervals that follow each other."""
    for form, grid in zip(("long", "short", "chronological"), grids, strict=True):
        content = (root / f"{form}.TextGrid").read_bytes()
        encodings = ("utf-16" if content[:1] in b"\xff\xfe" else "utf-8", "latin-1")
        text = next(filter(None, (_decoded(content, encoding) for encoding in encodings)))
        texts = [one.replace('""', '"') for one in re.findall(r'"((?:[^"]|"")*)"', text)]
        numbers = {float(one) for one in re.findall(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?", text)}
        for tier in grid.values():
            following = iter(texts)
            edges = [edge for start, stop, _ in tier for edge in (start, stop)]
            if form != "chronological" and not all(
                any(one.strip() == label for one in following) for *_, label in tier
            ):
                return False
            if edges != sorted(edges) or not numbers.issuperset(edges) or not tier:
                return False
    return True


def _decoded(content, encoding):
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _write_sound(root):
    _write_tables(root)
    (root / "stimuli").mkdir()
    sound = np.random.default_rng(0).normal(scale=0.1, size=(44_100 * 15, 2))
    soundfile.write(root / WAV, sound, 44_100, subtype="PCM_16")


def _says_sound(root, sound):
    """By Python's own module."""
    with wave.open(str(root / WAV)) as file:
        form = file.getframerate(), file.getnchannels(), file.getsampwidth()
        frames = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    expected = frames.astype(np.float32).mean(axis=1) / 2**15
    return form == (44_100, 2, 2) and np.allclose(expected, sound[0]) and frames.any()


def _write_responses(root):
    _write_tables(root)
    rng = np.random.default_rng(0)
    (root / RESPONSES).parent.mkdir(parents=True)
    repeats = rng.normal(size=(N_REPEATS, N_RESPDICT - 20, N_VOXELS))
    with h5py.File(root / RESPONSES, "w") as file:
        file["data"] = repeats.mean(axis=0)
        file.create_dataset("individual_repeats", data=repeats, compression="gzip")


def _read_responses(root):
    dataset = Dataset(root)
    return {
        "data": dataset.responses(PARTICIPANT, STORY),
        "individual_repeats": dataset.repeats(PARTICIPANT, STORY),
    }


def _says_responses(root, responses):
    """NaN stands for itself: what reads responses leaves such voxels out, and counts them."""
    shapes = {
        "data": (N_RESPDICT - 20, N_VOXELS),
        "individual_repeats": (N_REPEATS, N_RESPDICT - 20, N_VOXELS),
    }
    with h5py.File(root / RESPONSES) as file:
        return all(
            array.shape[:-1][-1:] == shapes[name][-2:-1]
            and np.array_equal(array, file[name][()].astype(np.float32), equal_nan=True)
            for name, array in responses.items()
        )


def _write_ceilings(root):
    np.save(root / "UTS01.npy", np.random.default_rng(0).uniform(size=N_VOXELS))


def _says_ceilings(root, ceilings):
    said = np.load(root / "UTS01.npy", allow_pickle=False)
    return np.array_equal(said, ceilings) and ((said >= 0) & (said <= 1)).all()


DATASETS = (
    Reader(
        "tables",
        _write_tables,
        _read_tables,
        dict.fromkeys(
            (
                "derivative/respdict.json",
                "derivative/subject_xfms.json",
                "dataset_description.json",
            ),
            (*JSON, *TEXT),
        ),
        _says_tables,
        cases=60,
    ),
    Reader(
        "TextGrid",
        _write_stories,
        _read_textgrids,
        dict.fromkeys((f"{form}.TextGrid" for form in ("long", "short", "chronological")), TEXT),
        _says_textgrids,
        cases=60,
    ),
    Reader(
        "sound",
        _write_sound,
        lambda root: [Dataset(root).audio(STORY)[0]],
        {WAV: ()},
        _says_sound,
        cases=120,
    ),
    Reader(
        "responses",
        _write_responses,
        _read_responses,
        {RESPONSES: HDF5},
        _says_responses,
        cases=160,
    ),
    Reader(
        "ceilings",
        _write_ceilings,
        lambda root: load_published(root / "UTS01.npy", N_VOXELS),
        {"UTS01.npy": ()},
        _says_ceilings,
        cases=100,
    ),
)

"""A small folder in the layout of BIDS-EEG, written table by table, for tests to break."""

from pathlib import Path

import numpy as np
import soundfile
from pybv import write_brainvision

from bthelpers.core.files import write_json

NAMES = ["Fz", "Cz", "VEOG", "Pz"]  # VEOG is no electrode of EEG
EEG = ["Fz", "Cz", "Pz"]
RATE = 64
SECONDS = {"one": 2.5, "two": 3.25}  # of sound
ONSET = 1.5  # s
POSITIONS = {"Fz": (0, 60, 70), "Cz": (0, 0, 95), "Pz": (0, -60, 70)}  # mm


def write_table(path, columns, rows):
    lines = ["\t".join(map(str, row)) for row in [columns, *rows]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_recording(header, samples, channels, rate):
    """A recording in µV (sample, channel), by a writer of others; `header` is a ``.vhdr`` file."""
    write_brainvision(
        data=1e-6 * samples.T.astype(float),
        sfreq=rate,
        ch_names=channels,
        fname_base=header.stem,
        folder_out=header.parent,
        overwrite=True,
        resolution=1.0,
    )


def write_presentation(folder, run, story, samples, rate=RATE, onset=ONSET, status="good"):
    """A recording (sample, channel) in which a story is heard from `onset` on."""
    stem = f"sub-A1_task-listening_run-{run}"
    write_recording(folder / f"{stem}_eeg.vhdr", samples, NAMES, rate)
    write_json(folder / f"{stem}_eeg.json", {"SamplingFrequency": rate, "TaskName": "listening"})
    write_table(
        folder / f"{stem}_events.tsv",
        ["onset", "duration", "trial_type", "stim_file"],
        [[0.2, 0, "button", "n/a"], [onset, SECONDS[story], "story", f"{story}.wav"]],
    )
    write_table(
        folder / f"{stem}_channels.tsv",
        ["name", "type", "units", "status"],
        [[name, "EOG" if name == "VEOG" else "EEG", "µV", status] for name in NAMES],
    )


def recorded(story, seed, rate=RATE):
    """White noise as long as the story and a second more, after `ONSET`."""
    n_samples = round((ONSET + SECONDS[story] + 1) * rate)
    return np.random.default_rng(seed).normal(size=(n_samples, len(NAMES))).astype(np.float32)


def write_folder(root: Path) -> Path:
    """Story one is heard once, story two twice; returns the participant's folder of recordings."""
    folder = root / "sub-A1" / "eeg"
    folder.mkdir(parents=True)
    (root / "stimuli").mkdir()
    write_json(root / "dataset_description.json", {"Name": "Made by hand", "BIDSVersion": "1.9.0"})
    write_table(root / "participants.tsv", ["participant_id"], [["sub-A1"]])
    rng = np.random.default_rng(0)
    for story, seconds in SECONDS.items():
        sound = rng.normal(scale=0.1, size=round(seconds * 16_000))
        soundfile.write(root / "stimuli" / f"{story}.wav", sound, 16_000, subtype="PCM_16")
    rows = [[name, *place] for name, place in POSITIONS.items()] + [["REF", "n/a", "n/a", "n/a"]]
    write_table(folder / "sub-A1_electrodes.tsv", ["name", "x", "y", "z"], rows)
    system = {"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "mm"}
    write_json(folder / "sub-A1_coordsystem.json", system)
    for run, story in enumerate(["one", "two", "two"]):
        write_presentation(folder, run, story, recorded(story, run))
    return folder

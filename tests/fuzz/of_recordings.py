"""Trials of recordings of electrodes: BrainVision's header and samples, tables of BIDS-EEG."""

from __future__ import annotations

import numpy as np
from fuzz.damages import JSON, TEXT
from fuzz.trial import Reader
from recorded_folder import EEG, RATE, SECONDS, write_folder

from bthelpers.data.recordings.bids import EEGDataset

FOLDER = "sub-A1/eeg"
RUN = f"{FOLDER}/sub-A1_task-listening_run-0"  # in which story one is heard
RESPONSES = [(story, int(seconds * RATE)) for story, seconds in SECONDS.items()]


def _read_recordings(root):
    dataset = EEGDataset(root, RATE)
    return {
        "electrodes": dataset.electrodes("A1"),
        "positions": dataset.positions("A1").values,
        "responses": [dataset.responses("A1", story) for story, _ in RESPONSES],
    }


def _says_recordings(root, found):
    """Electrodes that there are, with places; whole responses, of each electrode or of none."""
    names, responses = found["electrodes"], found["responses"]
    lost = [np.isnan(array) for array in responses]
    return (
        bool(names)
        and set(names) <= {*EEG, "VEOG"}
        and found["positions"].shape == (len(names), 3)
        and np.isfinite(found["positions"]).all()
        and [len(array) for array in responses] == [n_samples for _, n_samples in RESPONSES]
        and all((nan.all(axis=0) == nan.any(axis=0)).all() for nan in lost)
    )


RECORDINGS = (
    Reader(
        "recordings",
        write_folder,
        _read_recordings,
        {
            "participants.tsv": TEXT,
            f"{FOLDER}/sub-A1_electrodes.tsv": TEXT,
            f"{FOLDER}/sub-A1_coordsystem.json": (*JSON, *TEXT),
            f"{RUN}_channels.tsv": TEXT,
            f"{RUN}_events.tsv": TEXT,
            f"{RUN}_eeg.json": (*JSON, *TEXT),
            f"{RUN}_eeg.vhdr": TEXT,
            f"{RUN}_eeg.eeg": (),
        },
        _says_recordings,
        cases=40,
    ),
)

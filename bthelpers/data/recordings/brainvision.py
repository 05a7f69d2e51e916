"""BrainVision recordings, which BIDS-EEG recommends, as MNE reads them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bthelpers.core.errors import DatasetError, MissingError, parsing
from bthelpers.data.files import existing_file

if TYPE_CHECKING:
    from mne.io import BaseRaw

REMEDY = "export the recording again, as BrainVision with binary samples"
BYTES = {"short": 2, "int": 4, "single": 4}  # of a sample, by MNE's names of formats


def open_recording(path: Path) -> BaseRaw:
    """Open a recording by its header; its samples stay on disk.

    Parameters
    ----------
    path : Path
        A ``.vhdr`` file; the file of samples that it names lies beside it.

    Raises
    ------
    DatasetError
        If a file is missing, MNE cannot read the header, two channels have one name, or the samples
        are cut off.
    """
    import mne  # slow

    existing_file(path)
    missing = None
    with parsing(path, "BrainVision header", REMEDY), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", "Channel names are not unique")  # MNE would rename them
        try:
            recording = mne.io.read_raw_brainvision(path, preload=False, verbose="warning")
        except FileNotFoundError as error:
            missing = error.filename
    if missing is not None:
        raise MissingError(f"{missing} is missing: {REMEDY}")
    samples, n_channels = recording.filenames[0], len(recording.ch_names)
    size, frame = samples.stat().st_size, BYTES[recording.orig_format] * n_channels
    if not size or size != frame * recording.n_times:  # MNE would read what is there
        raise DatasetError(
            f"{samples} is truncated: {size} bytes are no whole number of samples of {n_channels}"
            f" channels, {frame} bytes each: {REMEDY}"
        )
    return recording


def read_microvolts(
    recording: BaseRaw, start: int, stop: int, columns: Sequence[int]
) -> NDArray[np.float32]:
    """Read samples of some channels in µV, shape (sample, channel)."""
    volts, _ = recording[columns, start:stop]
    return (1e6 * volts.T).astype(np.float32)

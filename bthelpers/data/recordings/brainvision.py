"""BrainVision files, which BIDS-EEG recommends: a header in text, and samples in binary."""

from __future__ import annotations

import configparser
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bthelpers.core.errors import DatasetError, look_up, parsing
from bthelpers.data.files import existing_file

REMEDY = "export the recording again, as BrainVision"
FORMATS = {"IEEE_FLOAT_32": np.dtype("<f4"), "INT_16": np.dtype("<i2")}
UNITS = {"µV": 1.0, "μV": 1.0, "uV": 1.0, "": 1.0, "mV": 1e3, "V": 1e6}  # µV in each; two signs µ


@dataclass(frozen=True)
class BrainVision:
    """A recording: what its header says, and where its samples are.

    Attributes
    ----------
    path : Path
        Of the samples.
    channels : tuple of str
    resolution : array of shape (channel,)
        µV of a unit of the samples.
    rate : float
        Samples per second.
    dtype : numpy.dtype
        Of a sample, in the file.
    n_samples : int
    """

    path: Path
    channels: tuple[str, ...]
    resolution: NDArray[np.float64]
    rate: float
    dtype: np.dtype
    n_samples: int

    def read(self, start: int, stop: int, columns: Sequence[int]) -> NDArray[np.float32]:
        """Read samples of some channels in µV, shape (sample, channel)."""
        shape = self.n_samples, len(self.channels)
        samples = np.memmap(self.path, self.dtype, "r", shape=shape)[start:stop, columns]
        return (samples * self.resolution[columns]).astype(np.float32)


def read_header(path: Path) -> BrainVision:
    """Read the header of a recording.

    Parameters
    ----------
    path : Path
        A ``.vhdr`` file; the file of samples that it names lies beside it.

    Raises
    ------
    DatasetError
        If a file is missing, no header, of another form than samples of all channels one after
        another in 16-bit integers or 32-bit numbers, or the samples are cut off.
    """
    existing_file(path)
    with parsing(path, "BrainVision header", REMEDY):
        text = path.read_text("utf-8-sig")
        if not text.startswith(("Brain Vision Data Exchange", "BrainVision Data Exchange")):
            raise ValueError("it begins otherwise")
        parser = configparser.ConfigParser(interpolation=None, comment_prefixes=(";",))
        parser.optionxform = str
        # What follows [Comment] is free text.
        parser.read_string(text.split("\n", 1)[1].split("[Comment]")[0])
        common, binary = parser["Common Infos"], parser["Binary Infos"]
        form = common["DataFormat"], common["DataOrientation"]
        n_channels, interval = int(common["NumberOfChannels"]), float(common["SamplingInterval"])
        lines = [parser["Channel Infos"][f"Ch{k + 1}"] for k in range(n_channels)]
        described = [next(csv.reader([line])) for line in lines]
        names = tuple(one[0].replace("\\1", ",") for one in described)
        scales = [float(one[2] or 1) for one in described]
        units = [one[3] if len(one) > 3 else "" for one in described]
        samples = path.with_name(common["DataFile"].replace("$b", path.stem))
        coding = binary["BinaryFormat"]
        if n_channels < 1 or not 0 < interval < np.inf:
            raise ValueError(f"{n_channels} channels, {interval} µs from sample to sample")
    if form != ("BINARY", "MULTIPLEXED"):
        raise DatasetError(
            f"{path}: the samples are {', '.join(form)}, not BINARY, MULTIPLEXED: {REMEDY}"
        )
    if repeated := {name for name in names if names.count(name) > 1}:
        raise DatasetError(f"{path}: two channels are named {', '.join(sorted(repeated))}")
    dtype = look_up(coding, FORMATS, f"binary format of samples in {path}")
    microvolts = [look_up(unit, UNITS, f"unit of a channel in {path}") for unit in units]
    size, frame = existing_file(samples).stat().st_size, dtype.itemsize * n_channels
    if not size or size % frame:
        raise DatasetError(
            f"{samples} is truncated: {size} bytes are no whole number of samples of {n_channels}"
            f" channels, {frame} bytes each: {REMEDY}"
        )
    resolution = np.multiply(scales, microvolts)
    return BrainVision(samples, names, resolution, 1e6 / interval, dtype, size // frame)


HEADER = """Brain Vision Data Exchange Header File Version 1.0

[Common Infos]
Codepage=UTF-8
DataFile={data}
MarkerFile={markers}
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels={n_channels}
; microseconds from one sample to the next
SamplingInterval={interval!r}

[Binary Infos]
BinaryFormat=IEEE_FLOAT_32

[Channel Infos]
; Ch<number>=<name>,<reference>,<resolution>,<unit>
{channels}
"""
MARKERS = """Brain Vision Data Exchange Marker File, Version 1.0

[Common Infos]
Codepage=UTF-8
DataFile={data}

[Marker Infos]
; Mk<number>=<type>,<description>,<position>,<length>,<channel>
Mk1=New Segment,,1,1,0
"""


def write_recording(
    path: Path, samples: NDArray[np.float32], channels: Sequence[str], rate: float
) -> None:
    """Write a recording in µV (sample, channel); `path` is that of the header, a ``.vhdr`` file."""
    data, markers = path.with_suffix(".eeg"), path.with_suffix(".vmrk")
    lines = [f"Ch{k}={name},,1,µV" for k, name in enumerate(channels, start=1)]
    header = HEADER.format(
        data=data.name,
        markers=markers.name,
        n_channels=len(channels),
        interval=1e6 / rate,
        channels="\n".join(lines),
    )
    path.write_text(header, encoding="utf-8")
    markers.write_text(MARKERS.format(data=data.name), encoding="utf-8")
    data.write_bytes(np.ascontiguousarray(samples, dtype="<f4").tobytes())

"""A folder in the layout of BIDS-EEG, read as `bthelpers.data.dataset.Dataset` reads ds003020.

Stories are ``stimuli/<story>.wav`` with a TextGrid beside each, and participants ``sub-<name>``. An
event whose ``stim_file`` is a story is a presentation of it, and what was recorded from there on,
brought to one rate, the response. Electrodes stand for voxels, and samples for TRs. Filters against
drifts, blinks and mains belong before this: recordings are taken as they are, by MNE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr
import xarray as xr

from bthelpers.core.errors import DatasetError, MissingError, did_you_mean, listed, look_up
from bthelpers.core.sampling import sample_times
from bthelpers.core.timing import Interval, trim
from bthelpers.data.dataset import TIERS, Dataset
from bthelpers.data.files import existing, read_table, read_transcription, wav_header
from bthelpers.data.recordings.brainvision import open_recording, read_microvolts
from bthelpers.data.recordings.electrodes import (
    REMEDY,
    read_channels,
    read_numbers,
    read_positions,
    read_tsv,
)

if TYPE_CHECKING:
    from mne.io import BaseRaw

LATEST = 0.05  # s that an event may be longer or shorter than its sound


@dataclass(frozen=True)
class Presentation:
    """One time that a participant heard a story.

    Attributes
    ----------
    events : Path
        The table that says so.
    recording : mne.io.BaseRaw
    channels : dict of str to int
        Of the recording, those that are EEG: their numbers by electrode.
    bad : frozenset of str
        Electrodes whose status is bad.
    onset : float
        Seconds from the recording's beginning to that of the sound.
    """

    events: Path
    recording: BaseRaw
    channels: dict[str, int]
    bad: frozenset[str]
    onset: float

    def read(self, electrodes: list[str], first: float, n_samples: int, rate: float) -> np.ndarray:
        """Samples in µV at a rate, from `first` seconds of sound on, float32 (sample, electrode).

        All NaN where an electrode is bad or, in this presentation, one of its samples not finite.
        """
        own, columns = self.recording.info["sfreq"], [self.channels[one] for one in electrodes]
        start = round((self.onset + first) * own)
        stop = min(start + math.ceil((n_samples + 1) * own / rate), self.recording.n_times)
        samples = read_microvolts(self.recording, start, stop, columns)
        lost = ~np.isfinite(samples).all(axis=0) | [one in self.bad for one in electrodes]
        if own != rate:
            # A mean other than zero would be a step at the beginning, and ring.
            samples = soxr.resample(samples - samples.mean(axis=0), own, rate)
        samples[:, lost] = np.nan
        return samples[:n_samples]


class EEGDataset(Dataset):
    """A dataset folder of recordings by electrodes.

    Parameters
    ----------
    root : path
        Folder that holds ``participants.tsv``, ``stimuli`` and ``sub-<participant>``.
    rate : float
        Samples per second of the responses. Recordings of a higher rate are resampled, without
        what is above half of it; those of a lower one are an error.
    skip : float
        Seconds at the beginning of each story that responses leave out.
    """

    def __init__(self, root: Path | str, rate: float, skip: float = 0.0):
        super().__init__(root)
        self.rate, self.skip = rate, skip
        self._presentations: dict[str, dict[str, list[Presentation]]] = {}

    @cached_property
    def stories(self) -> list[str]:
        """Stories that there are sounds of."""
        return sorted(path.stem for path in existing(self.root / "stimuli").glob("*.wav"))

    @cached_property
    def participants(self) -> list[str]:
        """Participants named in ``participants.tsv``, without ``sub-``."""
        table = read_tsv(self.root / "participants.tsv", ["participant_id"])
        return [name.removeprefix("sub-") for name in table["participant_id"]]

    def n_samples(self, story: str) -> int:
        """Samples of the responses to a story: those within its sound, without its beginning."""
        return math.floor((self.duration(story) - self.skip) * self.rate + 1e-6)

    def n_respdict(self, story: str) -> int:
        """Return 20 more than the story's samples, as ``respdict.json`` would count them."""
        return self.n_samples(story) + 20

    def tr_times(self, story: str) -> np.ndarray:
        """Return the times at which features are computed, in seconds from the sound's start."""
        return sample_times(self.n_samples(story), self.rate, self.skip)

    def response_times(self, story: str) -> np.ndarray:
        """Return the times of the responses' samples (tr,), in seconds."""
        return trim(self.tr_times(story))

    def require_audio(self, story: str) -> Path:
        """Return the story's wav file, of any form, checked by its header.

        Raises
        ------
        DatasetError
            If it is missing, truncated or, without what is skipped, shorter than a second.
        """
        if story not in self.stories:
            wanted = self.root / "stimuli" / f"{story}.wav"
            raise MissingError(f"{wanted} is missing{did_you_mean(story, self.stories)}")
        path = self.root / "stimuli" / f"{story}.wav"
        if (duration := wav_header(path)[1]) < self.skip + 1:
            raise DatasetError(
                f"{path} lasts {duration:g} s, too short for a story of which the first"
                f" {self.skip:g} s are left out (dataset.recording.skip)"
            )
        return path

    def electrodes(self, participant: str) -> list[str]:
        """Names of a participant's electrodes, which are the columns of responses.

        Raises
        ------
        DatasetError
            If there is none, or recordings have others.
        """
        heard = self._heard(participant)
        first, *others = [one for of_story in heard.values() for one in of_story]
        for other in others:
            if differ := first.channels.keys() ^ other.channels.keys():
                raise DatasetError(
                    f"{first.events} and {other.events}: channels of EEG are in one recording only:"
                    f" {listed(sorted(differ))}; mark those to be left out in every channels.tsv,"
                    " by another type than EEG"
                )
        if not first.channels:
            raise DatasetError(f"{first.events}: no channel of channels.tsv has the type EEG")
        return list(first.channels)

    def positions(self, participant: str) -> xr.DataArray:
        """Where each electrode is: metres (voxel, axis) to the right, front and top.

        Raises
        ------
        DatasetError
            If the table is missing or malformed, or an electrode has no position.
        """
        names, path = self.electrodes(participant), self.mask(participant)
        positions = read_positions(path)
        known = positions["voxel"].values[np.isfinite(positions).all("axis").values]
        if missing := [name for name in names if name not in known]:
            raise DatasetError(f"{path} has no position of {listed(missing)}: {REMEDY}")
        return positions.sel(voxel=names)

    def responses(
        self, participant: str, story: str, voxels: np.ndarray | None = None
    ) -> np.ndarray:
        """Read the responses to a story, the mean over its presentations.

        Parameters and errors are those of `bthelpers.data.dataset.Dataset.responses`.

        Returns
        -------
        float32 array of shape (tr, voxel)
            Samples of electrodes, in µV; of bad electrodes NaN.
        """
        return self._read(participant, story, voxels).mean(axis=0)

    def repeats(self, participant: str, story: str, voxels: np.ndarray | None = None) -> np.ndarray:
        """Read the responses to every presentation, float32 (repeat, tr, voxel)."""
        self.repeats_shape(participant, story)
        return self._read(participant, story, voxels)

    def response_shape(self, participant: str, story: str) -> tuple[int, int]:
        """Return the shape (tr, voxel) of a story's responses, from headers."""
        self._of_story(participant, story)
        return self.n_samples(story), self.n_voxels(participant)

    def repeats_shape(self, participant: str, story: str) -> tuple[int, int, int]:
        """Return the shape (repeat, tr, voxel) of a test story's repeats, from headers."""
        if (n_repeats := len(self._of_story(participant, story))) < 2:
            raise DatasetError(
                f"{self.response_folder(participant)}: {story!r} was presented once, a noise"
                " ceiling needs two or more presentations: choose a test story that was heard"
                " several times (dataset.splits.test)"
            )
        return n_repeats, *self.response_shape(participant, story)

    def response_folder(self, participant: str) -> Path:
        """Folder of a participant's recordings."""
        return self.root / self.transform(participant)

    def transform(self, participant: str) -> str:
        """Return the name of the participant's folder."""
        names = {name: f"sub-{name}" for name in self.participants}
        return look_up(participant, names, f"participant in {self.root / 'participants.tsv'}")

    def mask(self, participant: str) -> Path:
        """File of the electrodes' positions."""
        found = sorted(self.response_folder(participant).rglob("*_electrodes.tsv"))
        if len(found) != 1:
            raise MissingError(
                f"{self.response_folder(participant)} has {len(found)} files *_electrodes.tsv, one"
                f" is needed, since positions are those of all recordings: {REMEDY}"
            )
        return found[0]

    def n_voxels(self, participant: str) -> int:
        """Return the number of electrodes, the columns of responses."""
        return len(self.electrodes(participant))

    def require_anatomy(self, participant: str) -> None:
        """Raise a DatasetError if an electrode has no position."""
        self.positions(participant)

    def vertex_parcels(self, participant: str) -> np.ndarray:
        """Names of electrodes, which regions are made of: str array (voxel,)."""
        return np.array(self.electrodes(participant))

    def _tiers(self, story: str) -> tuple[dict[str, list[Interval]], int]:
        path = self.require_audio(story).with_suffix(".TextGrid")
        return read_transcription(path, TIERS, self.response_times(story)[-1])

    def _read(self, participant: str, story: str, voxels: np.ndarray | None) -> np.ndarray:
        """Responses to each presentation of a story, float32 (repeat, tr, voxel)."""
        names = np.array(self.electrodes(participant))
        try:
            chosen = names[slice(None) if voxels is None else voxels].tolist()
        except IndexError as error:
            raise ValueError(
                f"{participant} has {len(names)} electrodes, and the selection does not fit"
                f" ({error}): it was made for other responses; make it again"
            ) from error
        presented = self._of_story(participant, story)
        cut = self.skip, self.n_samples(story), self.rate
        return np.stack([one.read(chosen, *cut) for one in presented])

    def _of_story(self, participant: str, story: str) -> list[Presentation]:
        self.require_audio(story)
        if story not in (heard := self._heard(participant)):
            raise MissingError(
                f"{self.response_folder(participant)}: no *_events.tsv has {story}.wav as its"
                f" stim_file; where the dataset has no responses of {participant} to {story!r}, say"
                " so under dataset.absent"
            )
        return heard[story]

    def _heard(self, participant: str) -> dict[str, list[Presentation]]:
        """Presentations by story, in the order of files and times."""
        if participant not in self._presentations:
            heard: dict[str, list[Presentation]] = {}
            for events in sorted(self.response_folder(participant).rglob("*_events.tsv")):
                for story, presentation in self._presented(events):
                    heard.setdefault(story, []).append(presentation)
            if not heard:
                raise MissingError(
                    f"{self.response_folder(participant)} has no *_events.tsv that names a story"
                    f" as stim_file: {REMEDY}"
                )
            self._presentations[participant] = heard
        return self._presentations[participant]

    def _presented(self, events: Path) -> list[tuple[str, Presentation]]:
        """What a table of events says was heard; other events than sounds are none of these."""
        table = read_tsv(events, ("onset", "duration", "stim_file"))
        onsets, durations = (read_numbers(events, table, name) for name in ("onset", "duration"))
        sounds = [Path(file).suffix == ".wav" for file in table["stim_file"]]
        if not any(sounds):
            return []
        recording, channels, bad = self._recorded(events)
        found = []
        for row in np.flatnonzero(sounds):
            story = Path(table["stim_file"][row]).stem
            heard = Presentation(events, recording, channels, bad, onsets[row])
            self._require_recorded(story, heard, durations[row])
            found.append((story, heard))
        return found

    def _recorded(self, events: Path) -> tuple[BaseRaw, dict[str, int], frozenset[str]]:
        """The recording of a table of events, its channels of EEG, and which are bad."""
        beside = {
            end: events.with_name(events.name.replace("_events.tsv", f"_{end}"))
            for end in ("eeg.vhdr", "eeg.json", "channels.tsv")
        }
        recording = open_recording(beside["eeg.vhdr"])
        rate = recording.info["sfreq"]
        said = read_table(beside["eeg.json"]).get("SamplingFrequency")
        if not isinstance(said, int | float) or not np.isclose(said, rate, rtol=1e-4):
            raise DatasetError(
                f"{beside['eeg.json']}: SamplingFrequency is {said!r:.50}, {beside['eeg.vhdr']} has"
                f" {rate:g} Hz: {REMEDY}"
            )
        if rate < self.rate * (1 - 1e-9):
            raise DatasetError(
                f"{beside['eeg.vhdr']} has {rate:g} Hz, less than the {self.rate:g} Hz of"
                " dataset.recording.rate: name a rate that no recording is below"
            )
        table = read_channels(beside["channels.tsv"], recording)
        of_eeg = table[table["type"] == "EEG"]
        channels = dict(zip(of_eeg["name"], of_eeg.index.tolist(), strict=True))
        return recording, channels, frozenset(of_eeg.loc[of_eeg["bad"], "name"])

    def _require_recorded(self, story: str, heard: Presentation, said: float) -> None:
        """Raise a DatasetError if an event is not that of its sound, or not all was recorded."""
        duration = self.duration(story)
        if abs(said - duration) > LATEST:
            raise DatasetError(
                f"{heard.events}: {story} is said to last {said:g} s, and {story}.wav lasts"
                f" {duration:.2f} s: {REMEDY}"
            )
        recording = heard.recording
        recorded = recording.n_times / recording.info["sfreq"]
        latest = recorded - self.skip - self.n_samples(story) / self.rate
        if not 0 <= heard.onset <= latest + 1e-6:
            raise DatasetError(
                f"{heard.events}: {story} is heard from {heard.onset:g} s on for {duration:.2f} s,"
                f" beyond the recording, {recording.filenames[0]}, which lasts {recorded:.2f} s:"
                f" {REMEDY}"
            )

"""The dataset folder: stories, transcriptions and responses, in the layout of OpenNeuro ds003020.

Everything is checked when it is read, and `bthelpers.data.inventory` finds what would fail later
in seconds, from the headers of large files.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import soundfile
import soxr

from bthelpers.core import timing
from bthelpers.core.errors import DatasetError, MissingError, look_up, parsing
from bthelpers.core.timing import Interval
from bthelpers.data.atlas import count_vertices, require_surfaces, vertex_parcels
from bthelpers.data.files import (
    RESTORE,
    Sound,
    existing,
    open_responses,
    read_table,
    read_transcription,
    read_volume,
    wav_header,
)
from bthelpers.data.response_cache import cached, column_numbers, read_columns

TIERS = ("phone", "word")
HEMISPHERES = ("lh", "rh")
SURFACES = ("wm", "pia", "inflated", "flat")
MOST_TRS = 10_000  # of a story: more than five hours
STEREO = Sound(rate=44_100, coding="PCM_16", channels=2)
# Stimuli of ds003020 that must be in one channel, by the sizes of their files. None is among the
# papers' 27.
MONO = (
    "beneaththemushroomcloud", "birthofanation", "cautioneating", "food", "jugglingandjesus",
    "listo", "mayorofthefreaks", "metsmagic", "theinterview", "theshower", "threemonths",
)  # fmt: skip


class Dataset:
    """A dataset folder.

    Parameters
    ----------
    root : Path
        Folder that holds ``stimuli`` and ``derivative``.
    cache : Path, optional
        Folder for selected responses as float32, for readers that come back (see
        `bthelpers.data.response_cache`); none is kept by default.
    """

    def __init__(self, root: Path | str, cache: Path | str | None = None):
        self.root = Path(root)
        self.cache = None if cache is None else Path(cache)

    @cached_property
    def _respdict(self) -> dict[str, int]:
        return read_table(self.root / "derivative/respdict.json")

    @cached_property
    def _transforms(self) -> dict[str, str]:
        return read_table(self.root / "derivative/subject_xfms.json")

    @property
    def name(self) -> str:
        """What the dataset calls itself in ``dataset_description.json``: captions say it."""
        path = self.root / "dataset_description.json"
        name = read_table(path).get("Name")
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise DatasetError(f"{path} has no 'Name' that is a line of text: {RESTORE}")
        return name

    @property
    def stories(self) -> list[str]:
        """Stories named in ``respdict.json``."""
        return list(self._respdict)

    @property
    def participants(self) -> list[str]:
        """Participants named in ``subject_xfms.json``."""
        return list(self._transforms)

    @property
    def pycortex_store(self) -> Path:
        """Folder of the pycortex subjects."""
        return self.root / "derivative/pycortex-db"

    @property
    def freesurfer_subjects(self) -> Path:
        """Folder of the FreeSurfer subjects: participants, and fsaverage with the atlas."""
        return self.root / "derivative/freesurfer_subjdir"

    def n_respdict(self, story: str) -> int:
        """Return the story's number in ``respdict.json``, 20 more than its response rows."""
        path = self.root / "derivative/respdict.json"
        number = look_up(story, self._respdict, f"story in {path}")
        if not isinstance(number, int) or not 20 < number <= MOST_TRS:
            raise DatasetError(
                f"{path}: {story!r} has {number!r:.50}, expected a whole number from 21 to"
                f" {MOST_TRS}: {RESTORE}"
            )
        return number

    def tr_times(self, story: str) -> np.ndarray:
        """Return the times of all TRs (n_respdict − 5,), in seconds from the sound's start."""
        return timing.tr_times(self.n_respdict(story))

    def response_times(self, story: str) -> np.ndarray:
        """Return the times of the response rows (n_respdict − 20,), in seconds."""
        return timing.response_times(self.n_respdict(story))

    def require_audio(self, story: str) -> Path:
        """Return the story's wav file, checked by its header.

        Raises
        ------
        DatasetError
            If it is missing, truncated, in another form than the published stimuli, or shorter
            than the responses.
        """
        path = self.root / "stimuli" / f"{story}.wav"
        sound, duration = wav_header(path)
        expected = STEREO._replace(channels=1) if story in MONO else STEREO
        if sound != expected:
            raise DatasetError(
                f"{path} is {sound}; the published stimulus is {expected}: {RESTORE}; or convert "
                f"it: ffmpeg -i IN.wav -ar {expected.rate} -ac {expected.channels} -c:a pcm_s16le "
                f"{story}.wav"
            )
        if duration < (last := self.response_times(story)[-1]):
            raise DatasetError(
                f"{path} lasts {duration:.1f} s, but the responses to it last until {last:.1f} s: "
                f"{RESTORE}"
            )
        return path

    def audio(self, story: str) -> tuple[np.ndarray, int]:
        """Read a story's sound.

        Returns
        -------
        waveform : float32 array of shape (n_samples,)
            Mean of the channels.
        rate : int
            Samples per second.

        Raises
        ------
        DatasetError
            As `require_audio`.
        """
        path = self.require_audio(story)
        with parsing(path, "wav file", RESTORE):
            waveform, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if not waveform.any():
            raise DatasetError(f"{path} is silent throughout: {RESTORE}")
        # Channel by channel: a mean along so short an axis is slow.
        return sum(waveform.T) / waveform.shape[1], rate

    def duration(self, story: str) -> float:
        """Seconds of a story's sound, by the header of its file."""
        return wav_header(self.require_audio(story))[1]

    def waveform(self, story: str, rate: int = timing.SAMPLE_RATE) -> np.ndarray:
        """Read a story's sound as float32 (n_samples,) at `rate` samples per second."""
        return soxr.resample(*self.audio(story), rate)

    def phones(self, story: str) -> list[Interval]:
        """Phones in ARPAbet with stress, silences ``sp`` among them; times in seconds."""
        return self._tiers(story)[0]["phone"]

    def words(self, story: str) -> list[Interval]:
        """Words, silences ``sp`` among them; times in seconds."""
        return self._tiers(story)[0]["word"]

    def n_overlaps(self, story: str) -> int:
        """Count overlaps below 1 ms of neighbouring phones, and words, which are clipped."""
        return self._tiers(story)[1]

    def responses(
        self, participant: str, story: str, voxels: np.ndarray | None = None
    ) -> np.ndarray:
        """Read the preprocessed responses to a story.

        Parameters
        ----------
        participant, story : str
        voxels : bool array of shape (voxel,) or int array, optional
            Columns to read; all by default.

        Returns
        -------
        float32 array of shape (tr, voxel)
            Row k at ``response_times(story)[k]``. Where the dataset has a cache, it is mapped from
            there and cannot be written.

        Raises
        ------
        DatasetError
            If the file is missing, truncated or of another shape.
        ValueError
            If the selection is of another number of voxels.
        """
        with self._open_responses(participant, story) as (data, _):
            columns = column_numbers(data, voxels)
            if self.cache is None:
                return read_columns(data, columns)
            return cached(self.cache, data, columns)

    def repeats(self, participant: str, story: str, voxels: np.ndarray | None = None) -> np.ndarray:
        """Read the responses to every repeat of a test story.

        Parameters and errors are those of `responses`.

        Returns
        -------
        float32 array of shape (repeat, tr, voxel)
            Not cached: noise ceilings are estimated once. Blocks of neighbouring voxels are read
            without the others.
        """
        with self._open_responses(participant, story, repeated=True) as (_, repeats):
            return read_columns(repeats, column_numbers(repeats, voxels))

    def response_shape(self, participant: str, story: str) -> tuple[int, int]:
        """Return the shape (tr, voxel) of a story's responses, from the file's header."""
        with self._open_responses(participant, story) as (data, _):
            return data.shape

    def repeats_shape(self, participant: str, story: str) -> tuple[int, int, int]:
        """Return the shape (repeat, tr, voxel) of a test story's repeats, from the header."""
        with self._open_responses(participant, story, repeated=True) as (_, repeats):
            return repeats.shape

    def response_folder(self, participant: str) -> Path:
        """Folder of a participant's response files."""
        return self.root / "derivative/preprocessed_data" / participant

    def mask(self, participant: str) -> Path:
        """File of the thick cortical mask, whose voxels are the columns of responses."""
        return self._transform_folder(participant) / "mask_thick.nii.gz"

    def n_voxels(self, participant: str) -> int:
        """Return the number of voxels in the thick cortical mask, the columns of responses."""
        mask = read_volume(path := self.mask(participant))
        if mask.ndim != 3 or not np.isin(mask, (0, 1)).all() or not mask.any():
            raise DatasetError(f"{path} is no mask, a volume of zeros and ones: {RESTORE}")
        return int(np.count_nonzero(mask))

    def transform(self, participant: str) -> str:
        """Return the name of the participant's pycortex transform."""
        where = f"participant in {self.root / 'derivative/subject_xfms.json'}"
        name = look_up(participant, self._transforms, where)
        if not isinstance(name, str) or not name.strip(" .") or Path(name).name != name:
            raise DatasetError(f"{where} {participant!r}: {name!r:.50} names no folder: {RESTORE}")
        return name

    def require_anatomy(self, participant: str) -> None:
        """Raise a DatasetError if the pycortex subject lacks surfaces, transform or mask."""
        folder = self._transform_folder(participant)
        for hemisphere in HEMISPHERES:
            require_surfaces([self._surface(participant, f"{n}_{hemisphere}") for n in SURFACES])
        path = folder / "matrices.xfm"
        table = read_table(path)
        with parsing(path, "transform", RESTORE):
            matrix = np.array(table["coord"], float)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise DatasetError(f"{path} has no matrix 'coord' of 4 rows and columns: {RESTORE}")
        reference, mask = (
            read_volume(folder / name).shape for name in ("reference.nii.gz", "mask_thick.nii.gz")
        )
        if reference[:3] != mask:
            raise DatasetError(
                f"{folder / 'mask_thick.nii.gz'} has shape {mask}, reference.nii.gz "
                f"{reference}: {RESTORE}"
            )

    def vertex_parcels(self, participant: str) -> np.ndarray:
        """Read the Glasser parcel of every surface vertex, those of the left hemisphere first.

        Returns
        -------
        str array of shape (vertex,)
            Names such as ``L_A1``; '' outside the atlas.

        Raises
        ------
        DatasetError
            If FreeSurfer's files are missing, malformed or do not fit the pycortex surfaces; of
            the atlas, the message says how to get it.
        """
        parcels = []
        for hemisphere in HEMISPHERES:
            surface = self._surface(participant, f"wm_{hemisphere}")
            n_vertices = count_vertices(surface)
            parcels.append(vertex_parcels(self.freesurfer_subjects, participant, hemisphere))
            if len(parcels[-1]) != n_vertices:
                raise DatasetError(
                    f"{surface} has {n_vertices} vertices, but FreeSurfer's files of the "
                    f"{hemisphere} in {self.freesurfer_subjects / participant} have "
                    f"{len(parcels[-1])}: both must come from one reconstruction: {RESTORE}"
                )
        return np.concatenate(parcels)

    def _tiers(self, story: str) -> tuple[dict[str, list[Interval]], int]:
        last = self.response_times(story)[-1]
        path = self.root / "derivative/TextGrids" / f"{story}.TextGrid"
        return read_transcription(path, TIERS, last)

    def _open_responses(
        self, participant: str, story: str, repeated: bool = False
    ) -> AbstractContextManager[tuple[h5py.Dataset, h5py.Dataset | None]]:
        self.transform(participant)  # a participant of that name
        path = existing(self.response_folder(participant)) / f"{story}.hf5"
        if not path.exists():
            raise MissingError(
                f"{path} is missing: {RESTORE}; where the dataset has no responses of "
                f"{participant} to {story!r}, say so under dataset.absent"
            )
        return open_responses(path, len(self.response_times(story)), repeated)

    def _surface(self, participant: str, name: str) -> Path:
        """File of a pycortex surface: GIfTI, or an archive of NumPy as older versions wrote it."""
        path = existing(self.pycortex_store / participant) / f"surfaces/{name}.gii"
        archive = path.with_suffix(".npz")
        return archive if archive.exists() and not path.exists() else existing(path)

    def _transform_folder(self, participant: str) -> Path:
        subject = existing(self.pycortex_store / participant)
        return existing(subject / "transforms" / self.transform(participant))

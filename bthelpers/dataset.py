"""The dataset folder: stories, transcriptions and responses, in the layout of OpenNeuro ds003020.

Everything is checked when it is read, and `Dataset.check` finds what would fail later in
seconds, from file headers.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from itertools import combinations, product
from pathlib import Path

import h5py
import numpy as np
import soundfile
import soxr

from bthelpers import timing
from bthelpers.formats import (
    RESTORE,
    DatasetError,
    existing,
    listed,
    look_up,
    open_responses,
    read_columns,
    read_table,
    read_tiers,
    read_volume,
    wav_duration,
)
from bthelpers.synthesis import Interval

TIERS = ("phone", "word")
HEMISPHERES = ("lh", "rh")
SURFACES = ("wm", "pia", "inflated", "flat")


@dataclass(frozen=True)
class Splits:
    """Names of the stories of each split.

    Raises
    ------
    DatasetError
        If a split is empty or a story occurs twice.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self):
        for field in fields(self):
            stories = getattr(self, field.name)
            if isinstance(stories, str) or not stories:
                raise DatasetError(f"split {field.name!r}: list its stories, not {stories!r}")
            if repeated := {story for story in stories if list(stories).count(story) > 1}:
                raise DatasetError(f"split {field.name!r} names twice: {listed(repeated)}")
            object.__setattr__(self, field.name, tuple(stories))
        for one, other in combinations(fields(self), 2):
            if shared := set(getattr(self, one.name)) & set(getattr(self, other.name)):
                raise DatasetError(
                    f"in both splits {one.name!r} and {other.name!r}: {listed(shared)}; "
                    "keep each story in one"
                )

    @property
    def stories(self) -> tuple[str, ...]:
        """All stories, training first."""
        return sum(astuple(self), ())


class Dataset:
    """A dataset folder.

    Parameters
    ----------
    root : Path
        Folder that holds ``stimuli`` and ``derivative``.
    """

    def __init__(self, root: Path | str):
        self.root = Path(root)

    @cached_property
    def _respdict(self) -> dict[str, int]:
        return read_table(self.root / "derivative/respdict.json")

    @cached_property
    def _transforms(self) -> dict[str, str]:
        return read_table(self.root / "derivative/subject_xfms.json")

    @property
    def name(self) -> str:
        """What the dataset calls itself in ``dataset_description.json``: captions say it."""
        return read_table(self.root / "dataset_description.json")["Name"]

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

    def n_respdict(self, story: str) -> int:
        """Return the story's number in ``respdict.json``, 20 more than its response rows."""
        path = self.root / "derivative/respdict.json"
        number = look_up(story, self._respdict, f"story in {path}")
        if not isinstance(number, int) or number <= 20:
            raise DatasetError(
                f"{path}: {story!r} has {number!r}, expected more than 20: {RESTORE}"
            )
        return number

    def tr_times(self, story: str) -> np.ndarray:
        """Return the times of all TRs (n_respdict − 5,), in seconds from the sound's start."""
        return timing.tr_times(self.n_respdict(story))

    def response_times(self, story: str) -> np.ndarray:
        """Return the times of the response rows (n_respdict − 20,), in seconds."""
        return timing.response_times(self.n_respdict(story))

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
            If the file is missing, truncated or shorter than the story's responses.
        """
        path = self._check_audio(story)
        waveform, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return waveform.mean(axis=1), rate

    def waveform(self, story: str, rate: int = 16_000) -> np.ndarray:
        """Read a story's sound as float32 (n_samples,) at `rate` samples per second."""
        waveform, recorded_rate = self.audio(story)
        return soxr.resample(waveform, recorded_rate, rate)

    def phones(self, story: str) -> list[Interval]:
        """Phones in ARPAbet with stress, silences ``sp`` among them; times in seconds."""
        return self._tiers(story)["phone"]

    def words(self, story: str) -> list[Interval]:
        """Words, silences ``sp`` among them; times in seconds."""
        return self._tiers(story)["word"]

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
            Row k at ``response_times(story)[k]``.

        Raises
        ------
        DatasetError
            If the file is missing, truncated or of another shape.
        """
        with self._open_responses(participant, story) as (data, _):
            return read_columns(data, voxels)

    def repeats(self, participant: str, story: str, voxels: np.ndarray | None = None) -> np.ndarray:
        """Read the responses to every repeat of a test story.

        Parameters and errors are those of `responses`.

        Returns
        -------
        float32 array of shape (repeat, tr, voxel)
        """
        with self._open_responses(participant, story, repeated=True) as (_, repeats):
            return read_columns(repeats, voxels)

    def n_voxels(self, participant: str) -> int:
        """Return the number of voxels in the thick cortical mask, the columns of responses."""
        path = self._transform_folder(participant) / "mask_thick.nii.gz"
        return int(np.count_nonzero(read_volume(path)))

    def transform(self, participant: str) -> str:
        """Return the name of the participant's pycortex transform."""
        where = f"participant in {self.root / 'derivative/subject_xfms.json'}"
        return look_up(participant, self._transforms, where)

    def require_anatomy(self, participant: str) -> None:
        """Raise a DatasetError if the pycortex subject lacks surfaces, transform or mask."""
        folder = self._transform_folder(participant)
        for surface, hemisphere in product(SURFACES, HEMISPHERES):
            existing(self.pycortex_store / participant / f"surfaces/{surface}_{hemisphere}.gii")
        if "coord" not in read_table(folder / "matrices.xfm"):
            raise DatasetError(f"{folder / 'matrices.xfm'} has no matrix 'coord': {RESTORE}")
        reference, mask = (
            read_volume(folder / name).shape for name in ("reference.nii.gz", "mask_thick.nii.gz")
        )
        if reference[:3] != mask:
            raise DatasetError(
                f"{folder / 'mask_thick.nii.gz'} has shape {mask}, reference.nii.gz "
                f"{reference}: {RESTORE}"
            )

    def freesurfer(self, participant: str) -> Path:
        """Return the participant's FreeSurfer folder."""
        return self.root / "derivative/freesurfer_subjdir" / participant

    def annotation(self, participant: str, hemisphere: str) -> Path:
        """Return the file of Glasser labels per vertex of hemisphere ``lh`` or ``rh``.

        Where there is none, the DatasetError says how to get it.
        """
        path = self.freesurfer(participant) / f"label/{hemisphere}.HCP-MMP1.annot"
        if not path.exists():
            raise DatasetError(
                f"{path} is missing. Download the atlas on fsaverage with "
                "mne.datasets.fetch_hcp_mmp_parcellation(), then bring it to the participant with "
                f"FreeSurfer: mri_surf2surf --hemi {hemisphere} --srcsubject fsaverage "
                f"--trgsubject {participant} --sval-annot {hemisphere}.HCPMMP1.annot --tval {path}"
            )
        return path

    def check(
        self, participants: Iterable[str], stories: Iterable[str], test_stories: Iterable[str] = ()
    ) -> list[str]:
        """Find what is missing or malformed, from file headers, before any long work.

        Parameters
        ----------
        participants, stories : iterable of str
        test_stories : iterable of str
            Stories that need the responses to every repeat.

        Returns
        -------
        list of str
            One line per problem with its remedy.
        """
        problems: list[str] = []

        def attempt(read, *args):
            try:
                return read(*args)
            except DatasetError as error:
                problems.append(str(error))

        test_stories = tuple(test_stories)
        stories = dict.fromkeys([*stories, *test_stories])
        stories = [story for story in stories if attempt(self.n_respdict, story)]
        for story in stories:
            attempt(self._check_audio, story)
            attempt(self._tiers, story)
        for participant in dict.fromkeys(participants):
            if attempt(self.transform, participant) is None:
                continue
            for hemisphere in HEMISPHERES:
                attempt(self.annotation, participant, hemisphere)
            attempt(self.require_anatomy, participant)
            counts = {
                story: attempt(self._count_columns, participant, story, story in test_stories)
                for story in stories
            }
            attempt(self._check_columns, participant, counts)
        return list(dict.fromkeys(problems))

    def require(
        self, participants: Iterable[str], stories: Iterable[str], test_stories: Iterable[str] = ()
    ) -> None:
        """Raise a DatasetError that lists every problem `check` finds, if any."""
        if problems := self.check(participants, stories, test_stories):
            raise DatasetError("\n- ".join([f"{self.root} has problems:", *problems]))

    def _check_audio(self, story: str) -> Path:
        path = self.root / "stimuli" / f"{story}.wav"
        duration, last = wav_duration(path), self.response_times(story)[-1]
        if duration < last:
            raise DatasetError(
                f"{path} lasts {duration:.1f} s, but the responses to it last until {last:.1f} s: "
                f"{RESTORE}"
            )
        return path

    def _tiers(self, story: str) -> dict[str, list[Interval]]:
        self.n_respdict(story)
        return read_tiers(self.root / "derivative/TextGrids" / f"{story}.TextGrid", TIERS)

    def _open_responses(
        self, participant: str, story: str, repeated: bool = False
    ) -> AbstractContextManager[tuple[h5py.Dataset, h5py.Dataset | None]]:
        self.transform(participant)  # a participant of that name
        folder = existing(self.root / "derivative/preprocessed_data" / participant)
        return open_responses(folder / f"{story}.hf5", len(self.response_times(story)), repeated)

    def _count_columns(self, participant: str, story: str, repeated: bool) -> int:
        with self._open_responses(participant, story, repeated) as (data, _):
            return data.shape[1]

    def _check_columns(self, participant: str, counts: dict[str, int | None]) -> None:
        n_voxels = self.n_voxels(participant)
        mask = self._transform_folder(participant) / "mask_thick.nii.gz"
        odd = [f"{story}.hf5 ({n})" for story, n in counts.items() if n not in (None, n_voxels)]
        if odd:
            raise DatasetError(
                f"{mask} has {n_voxels} voxels, but in "
                f"{self.root / 'derivative/preprocessed_data' / participant} other numbers of "
                f"columns are found: {listed(odd)}: {RESTORE}"
            )

    def _transform_folder(self, participant: str) -> Path:
        subject = existing(self.pycortex_store / participant)
        return existing(subject / "transforms" / self.transform(participant))

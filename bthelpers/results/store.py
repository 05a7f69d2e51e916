"""Results on disk: written whole or not at all, read as labelled arrays, with their provenance.

A results folder belongs to one profile::

    profile.json                                        the parameters
    <participant>/voxels.nc                             noise ceilings and regions
    <model>/<participant>/<condition>/<step>.nc         a run
    <model>/<condition>/<step>.nc                       a run that is one for all participants
    <step>.json                                         beside these: the run's receipt

A receipt holds digests of the files that a run has read and written, from the repository's root:
reading notices a result of other parameters than the profile's, as an interrupted run leaves them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import xarray as xr

from bthelpers.core.checksums import checked_path, digest_if_there, is_intact, sums_beside
from bthelpers.core.errors import ResultsError, parsing, shortened
from bthelpers.core.files import file_bytes, parse_json
from bthelpers.core.provenance import digest, file_digest
from bthelpers.params.loading import from_dict
from bthelpers.params.settings import OF_RESPONSES, PER_PARTICIPANT, Profile

ENVIRONMENT = "BRAIN_TUNING_RESULTS"  # the results folder that chapters show
SERVED = "BRAIN_TUNING_SERVED"  # folder whose files the pages of a book find under _static
ENGLISH = "recorded/english"  # as seen from a chapter's folder; it is always there
RECORDED = (
    *("recorded/simulation", ENGLISH, "recorded/stages_simulation"),
    *("recorded/brainwavlm_simulation", "recorded/many_simulation"),
)
MAKE = "`bthelpers run NAME` makes it (`make book` for the demo)"
# Datasets that were read, by path and digest, since decoding a small file takes a hundred times as
# long as its digest. They are kept up to so many bytes; that which was read least lately is first.
KEPT_BYTES = 2**27
_kept: dict[tuple[Path, str], xr.Dataset] = {}


def write_dataset(dataset: xr.Dataset, path: str | Path, provenance: Mapping[str, str]) -> None:
    """Write a netCDF file, whole or not at all, with its provenance as attributes.

    Its checksum is kept beside it.

    Raises
    ------
    ResultsError
        If it cannot be written, as on a full disk.
    """
    # Composed in memory: HDF5 that runs into a full disk leaves the process to crash later on.
    content = dataset.assign_attrs(provenance).copy()
    for variable in content.variables.values():
        if variable.ndim and variable.dtype.kind in "biuf":
            variable.encoding["fletcher32"] = True  # HDF5 then notices a damaged number
    with checked_path(path) as temporary:
        temporary.write_bytes(content.to_netcdf(engine="h5netcdf"))


def read_dataset(path: str | Path) -> xr.Dataset:
    """Read a netCDF file into memory.

    What is read again, and holds the same bytes, is not decoded again.

    Raises
    ------
    ResultsError
        If the file is missing or damaged.
    """
    if not Path(path).is_file():
        raise ResultsError(f"{path} is not there; {MAKE}")
    # Records of earlier versions have no checksum.
    if sums_beside(Path(path)).exists() and not is_intact(Path(path)):
        raise ResultsError(f"{path} is not as it was written: delete it, then {MAKE}")
    with parsing(path, "netCDF file", f"delete it, then {MAKE}", ResultsError):
        return _decoded(Path(path))


def _decoded(path: Path) -> xr.Dataset:
    """The dataset of a netCDF file, as the caller's own; what is kept, unless large, is a copy."""
    key = path.absolute(), file_digest(path)
    if key in _kept:
        _kept[key] = _kept.pop(key)  # so that it is the last to go
        return _kept[key].copy(deep=True)
    dataset = xr.load_dataset(path, engine="h5netcdf")
    if dataset.nbytes <= KEPT_BYTES // 8:
        _kept[key] = dataset.copy(deep=True)
        while sum(kept.nbytes for kept in _kept.values()) > KEPT_BYTES:
            del _kept[next(iter(_kept))]
    return dataset


class Run(NamedTuple):
    """One step for one model, participant ('' where it is one for all) and condition."""

    model: str
    participant: str
    condition: str
    step: str


def result_folder(model: str, participant: str, condition: str, step: str) -> str:
    """Folder of a run's data file, from the folder of a profile's results.

    A model that no participant's responses have tuned is one for all participants; so is what is
    computed of it alone.
    """
    shared = condition not in PER_PARTICIPANT and step not in OF_RESPONSES
    return "/".join([model, *([] if shared else [participant]), condition])


class Results:
    """The results folder of one profile.

    Parameters
    ----------
    root : path
        ``results/<profile>``.
    recorded : bool
        Whether these are compact copies that came with the repository.
    """

    def __init__(self, root: str | Path, recorded: bool = False):
        self.root = Path(root)
        self.recorded = recorded

    @classmethod
    def current(cls) -> Results:
        """Return the results that the book shows.

        Their folder is in the environment variable ``BRAIN_TUNING_RESULTS``, which the book sets;
        without it, the demo's is taken, as seen from a chapter's folder.

        Raises
        ------
        ResultsError
            If there is no such folder.
        """
        root = Path(os.environ.get(ENVIRONMENT, "../results/demo"))
        if not root.is_dir():
            raise ResultsError(
                f"no results in {root.absolute()}; {MAKE}. Results elsewhere are found through the"
                f" environment variable {ENVIRONMENT}."
            )
        return cls(root)

    @classmethod
    def holding(
        cls,
        evaluation: str,
        condition: str | None = None,
        models: Callable[[Profile, str], list[str]] = Profile.models_with,
    ) -> Results:
        """Return what a chapter shows of an evaluation, as seen from the book's folder.

        These are the current results or, where their profile leaves the evaluation out, or makes it
        of some models in other conditions only, the first of the recorded ones that do not; if
        there are none, those of `english`, whose profile then says so.

        Parameters
        ----------
        evaluation : str
        condition : str, optional
            In which each of the models must be evaluated.
        models : callable
            Of a profile and the evaluation: the models that the chapter shows.

        Raises
        ------
        ResultsError
            If there are no current results.
        """
        recorded = (cls(root, recorded=True) for root in RECORDED)
        for results in (cls.current(), *(held for held in recorded if held.root.is_dir())):
            profile = results.profile()
            shown = models(profile, evaluation)
            if shown and all(condition in (None, *profile.conditions_of(model)) for model in shown):
                return results
        return cls(ENGLISH, recorded=True)

    def list(self) -> list[Run]:
        """All runs that are there, sorted."""
        files = (file.relative_to(self.root) for file in self.root.glob("*/**/*.nc"))
        runs = [(file.parts[:-1], file.stem) for file in files if len(file.parts) > 2]
        return sorted(
            Run(model, participant[0] if participant else "", condition, step)
            for (model, *participant, condition), step in runs
        )

    def open(self, model: str, participant: str, condition: str, step: str) -> xr.Dataset:
        """Read a run.

        Raises
        ------
        ResultsError
            If it is not there (the message names the nearest one that is), damaged, or was made
            under other parameters than the profile's.
        """
        wanted = f"{result_folder(model, participant, condition, step)}/{step}"
        if not (file := self.root / f"{wanted}.nc").is_file():
            there = ["/".join(filter(None, run)) for run in self.list()]
            nearest = get_close_matches(wanted, there, n=1, cutoff=0.0) or ["none"]
            raise ResultsError(f"{file} is not there; {MAKE}. The nearest there is: {nearest[0]}")
        return self._read(f"{wanted}.nc")

    def voxels(self, participant: str) -> xr.Dataset:
        """Noise ceilings, selected voxels and regions of a participant."""
        return self._read(f"{participant}/voxels.nc")

    def _read(self, file: str) -> xr.Dataset:
        if changed := self._changed_since(file):
            raise ResultsError(
                f"{self.root / file} was made with another {changed} than is in {self.root} now:"
                f" `bthelpers run {self.root.name}` makes it again; delete it if the profile has no"
                " such run any more"
            )
        return read_dataset(self.root / file)

    def _changed_since(self, file: str, *above: str) -> str | None:
        """Parameters, or a result, that went into a file and are others by now, by receipts.

        Followed are no names of those above, to which damaged receipts may lead back.
        """
        for name, then in self._receipt(file, "inputs").items():
            if name.startswith("parameters/"):
                now, before = digest_if_there(self.root / name), None
            else:
                now, before = self._receipt(name, "outputs").get(name), None
                if name not in (file, *above):
                    before = self._changed_since(name, file, *above)
            if now not in (None, then):
                return name
            if before is not None:
                return before
        return None

    def _receipt(self, file: str, kind: str) -> dict[str, str | None]:
        """Digests of the files of this folder that the run has read or written which wrote one.

        Empty where there is no receipt, or none that can be read.
        """
        folder, written = f"results/{self.root.name}/", self.root / file
        receipts: list[Path] = []
        with suppress(OSError):  # a name that a damaged receipt holds may be too long
            for place in (written.parent, written.parent.parent):
                receipts += place.glob("*.json")
        for path in receipts:
            with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
                receipt = parse_json(file_bytes(path))
                if folder + file in receipt["outputs"]:
                    return {
                        name.removeprefix(folder): found
                        for name, found in receipt[kind].items()
                        if name.startswith(folder)
                    }
        return {}

    def profile(self) -> Profile:
        """Return the parameters that the results were made with.

        Raises
        ------
        ResultsError
            If they are not recorded.
        """
        file = self.root / "profile.json"
        if self.recorded and not file.is_file():
            raise ResultsError(f"{file.absolute()} is not there; `make record` makes it")
        if not file.is_file():
            raise ResultsError(f"{file} is not there; {MAKE}")
        try:
            parameters = parse_json(file.read_bytes())
            if not isinstance(parameters, dict):
                raise ValueError("it holds no parameters")
            return from_dict(parameters, file.name)
        except (OSError, ValueError) as error:
            problems = shortened("; ".join(str(error).splitlines()))
            raise ResultsError(
                f"{file} does not fit this version ({problems}); delete it, then {MAKE}"
            ) from error

    def fingerprint(self) -> str:
        """SHA-256 of all result files and of the parameters: names and contents, not dates."""
        files = [*self.root.rglob("*.nc"), *self.root.rglob("profile.json")]
        return digest({file.relative_to(self.root).as_posix(): file_digest(file) for file in files})

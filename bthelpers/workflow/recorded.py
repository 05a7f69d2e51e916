"""Recorded results: compact copies of a profile's results, kept in the repository with the book.

``bthelpers record PROFILE`` copies what chapters show of ``results/PROFILE`` to
``book/recorded/PROFILE``, in the same layout; of single voxels, their correlations in every layer,
to four digits. ``bthelpers verify`` makes one recorded run again, chosen at random, and compares
the two.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from bthelpers.core.errors import ResultsError
from bthelpers.core.files import atomic_folder
from bthelpers.core.provenance import digest
from bthelpers.params.loading import load, to_dict
from bthelpers.params.settings import Profile
from bthelpers.results.store import Results, Run, read_dataset, write_dataset
from bthelpers.workflow.run import run_workflow
from bthelpers.workflow.steps import evaluation_runs

RECORDED = Path("book/recorded")
PROFILE = "english"  # that `verify` makes a run of again, under the parameters of VERIFY
VERIFY = "verify"
NOT_RECORDED = ("representations",)
RECORDED_DRAWS = 500  # of a bootstrap
STEP = np.float32(1e-4)  # of recorded correlations; 50,000 voxels of five layers take 0.5 MB
# By the CF conventions: xarray undoes it when it reads.
CODING = {"dtype": "int16", "scale_factor": STEP, "_FillValue": np.int16(-32768)}
# Another processor rounds otherwise, and tuning carries that on. By what every kind of result is
# judged, and how much it may differ.
TOLERANCES = {
    "alignment": 0.02,
    "r": 0.1,  # of single voxels
    "validation_loss": 0.02,
    "preference": 0.02,
    "f1_macro": 0.05,
    "r2": 0.02,
    "accuracy": 0.05,
}


def compact(dataset: xr.Dataset) -> xr.Dataset:
    """What is recorded of a run: not all draws, which are alike; of single voxels, correlations.

    These are coded when they are written: whole multiples of `STEP`, which their attribute
    ``coding`` says, read as float32.
    """
    kept = dataset.drop_dims("voxel", errors="ignore")
    kept = kept.isel(draw=slice(RECORDED_DRAWS), missing_dims="ignore")
    if "r" not in dataset or "voxel" not in dataset["r"].dims:
        return kept
    coding = f"rounded to multiples of {STEP:g}, in 16 bit"
    return kept.assign(r=dataset["r"].astype(np.float32).assign_attrs(coding=coding))


def write_record(dataset: xr.Dataset, path: Path) -> None:
    """Write what `compact` kept of a run, compressed, with its provenance.

    Raises
    ------
    ResultsError
        If correlations are beyond -1 and 1, which their coding does not hold.
    """
    for name, variable in dataset.variables.items():
        compressed = dict.fromkeys(("zlib", "shuffle"), variable.ndim > 0)
        of_voxels = name == "r" and "voxel" in variable.dims
        variable.encoding = compressed | (CODING if of_voxels else {})
    if "r" in dataset and (beyond := int((np.abs(dataset["r"]) > 1 + STEP).sum())):
        raise ResultsError(
            f"{path.name}: {beyond} correlations are beyond -1 and 1: make this run again"
        )
    write_dataset(dataset, path, dataset.attrs)


def record(repository: Path, profile: str) -> Path:
    """Copy a profile's results into the book, in place of what was recorded before.

    Returns
    -------
    Path
        The folder of the records.

    Raises
    ------
    ResultsError
        If a result is missing, is of other parameters, or was not made by a committed version of
        this repository.
    """
    results = Results(repository / "results" / profile)
    runs = [run for run in results.list() if run.step not in NOT_RECORDED]
    wanted = {file for run in evaluation_runs(results.profile()) for file in run.files}
    missing = wanted - {_file(run) for run in runs}
    if missing:
        raise ResultsError(
            f"{results.root} lacks {', '.join(sorted(missing))}: `make results PROFILE={profile}`"
        )
    parameters = digest(to_dict(results.profile()))
    folder = repository / RECORDED / profile
    with atomic_folder(folder) as temporary:
        for file, dataset in _recorded(results, runs):
            commit = dataset.attrs["commit"]
            if "dirty" in commit or commit == "unknown":
                raise ResultsError(
                    f"{file} was made by commit {commit}: results are recorded when"
                    " committed code has made them; commit, `make clean`, and make them again"
                )
            if dataset.attrs["parameters_digest"] != parameters:
                raise ResultsError(
                    f"{file} was made with other parameters than {results.root}/profile.json;"
                    f" `make clean PROFILE={profile}`, and make the results again"
                )
            write_record(dataset, temporary / file)
        shutil.copy(results.root / "profile.json", temporary)
    return folder


def _recorded(results: Results, runs: list[Run]) -> Iterator[tuple[str, xr.Dataset]]:
    """Files of the record, from its folder, and what they hold."""
    for participant in results.profile().dataset.participants:
        yield f"{participant}/voxels.nc", results.voxels(participant)
    for run in runs:
        yield _file(run), compact(results.open(*run))


def _file(run: Run) -> str:
    return "/".join(filter(None, run)) + ".nc"


def essential(profile: Profile) -> Profile:
    """Parameters without names of the profile and its folders, which change no result."""
    return replace(
        profile,
        name="",
        dataset=replace(profile.dataset, root=""),
        corpora=replace(profile.corpora, root=""),
    )


def differences(recorded: xr.Dataset, again: xr.Dataset) -> dict[str, float]:
    """Largest absolute difference of every recorded variable of numbers.

    Raises
    ------
    ResultsError
        If a variable is missing, or has other labels; or if it is text, and another one.
    """
    found = {}
    for name, variable in recorded.data_vars.items():
        try:
            pair = xr.align(variable, again[name], join="exact")
        except (KeyError, ValueError) as error:
            raise ResultsError(
                f"{name}: recorded with other labels or dimensions: {error}"
            ) from error
        if variable.dtype.kind not in "biuf":
            if not pair[0].equals(pair[1]):
                raise ResultsError(f"{name}: recorded with another text")
            continue
        old, new = (np.asarray(values, float) for values in pair)
        if not np.array_equal(np.isnan(old), np.isnan(new)):
            raise ResultsError(f"{name}: NaN in other places than recorded")
        found[str(name)] = float(np.nanmax(np.abs(new - old), initial=0))
    return found


def verify(repository: Path, run: Run) -> dict[str, float]:
    """Make a recorded run again, apart from all other results, and compare.

    Returns
    -------
    dict of float
        As `differences`.

    Raises
    ------
    ResultsError
        If the parameters have changed since, or the results do not compare.
    """
    recorded = Results(repository / RECORDED / PROFILE)
    if essential(recorded.profile()) != essential(load(repository / f"params/{VERIFY}.yaml")):
        raise ResultsError(
            f"{recorded.root}: params/{PROFILE}.yaml has changed since; make its results again and"
            f" `make record PROFILE={PROFILE}`"
        )
    target = f"results/{VERIFY}/{_file(run)}"
    run_workflow(repository, VERIFY, None, None, [target], anew=True)
    return differences(recorded.open(*run), compact(read_dataset(repository / target)))


def verify_any(repository: Path, seed: int | None = None) -> bool:
    """Make a recorded run again, chosen at random, and print how much it differs.

    Returns
    -------
    bool
        Whether everything differs by less than `TOLERANCES` allow; where not, standard error says
        what differs.

    Raises
    ------
    ResultsError
        If there are no records, or as `verify`.
    """
    runs = Results(repository / RECORDED / PROFILE, recorded=True).list()
    if not runs:
        raise ResultsError(
            f"{RECORDED / PROFILE} holds no records: `make results PROFILE={PROFILE}`, and"
            f" `make record PROFILE={PROFILE}`"
        )
    run = random.Random(seed).choice(runs)
    print(f"verifying {_file(run)}", file=sys.stderr, flush=True)
    found = verify(repository, run)
    for name, difference in found.items():
        print(f"{name}: largest difference {difference:.2g}")
    beyond = [name for name in found.keys() & TOLERANCES if found[name] > TOLERANCES[name]]
    for name in beyond:
        print(f"{_file(run)}: {name} differs by more than {TOLERANCES[name]}", file=sys.stderr)
    return not beyond

"""Trials of what is kept of runs: records in the book, receipts, and records of benchmarks."""

from __future__ import annotations

import json
from contextlib import chdir
from dataclasses import asdict
from pathlib import Path

import numpy as np
import xarray as xr
from benchmark_records import RECORD as BENCHMARKS
from fuzz.damages import JSON, TEXT, on_bytes
from fuzz.hdf5_damages import HDF5
from fuzz.of_parameters import PARAMS
from fuzz.of_results import says_profile
from fuzz.trial import Reader

from bthelpers.core.checksums import write_sums
from bthelpers.core.files import write_json
from bthelpers.params.loading import load, to_dict
from bthelpers.results.benchmarks.record import largest, read_record, speeds, summary
from bthelpers.results.benchmarks.record import write_record as write_benchmarks
from bthelpers.results.benchmarks.strides import stride_table
from bthelpers.results.store import Results, write_dataset
from bthelpers.results.trials.record import FUZZ, Code, content
from bthelpers.results.trials.record import read_record as read_trials
from bthelpers.workflow.recorded import compact, differences, write_record
from bthelpers.workflow.runs.receipts import changed_since, digests, write_receipt

RUN = ("hubert-mini", "SIM01", "pretrained", "alignment")
RECORD = "/".join(RUN) + ".nc"
R = np.random.default_rng(0).uniform(-1, 1, size=(2, 30))
KEPT = xr.Dataset(
    {"alignment": ("layer", R.mean(axis=1)), "r": (("layer", "voxel"), R)}, {"layer": [0, 1]}
)
HERE = "results/demo"
FOLDER = f"{HERE}/hubert-mini/SIM01/pretrained"
RECEIPT, EARLIER = f"{FOLDER}/alignment.json", f"{FOLDER}/representations.json"
OUTPUT, SUMS = f"{FOLDER}/alignment.nc", f"{FOLDER}/alignment.nc.sha256"
PARAMETERS, DATA = f"{HERE}/parameters/alignment.json", "data/SHA256SUMS"
INPUTS = (PARAMETERS, f"{FOLDER}/representations.nc", "data/sound.wav", "run.md")


def _write_records(root):
    write_json(root / "profile.json", to_dict(load(PARAMS / "smoke.yaml")))
    voxels = xr.Dataset({"ceiling": ("voxel", R[0])})
    for file, dataset in ((RECORD, KEPT), ("SIM01/voxels.nc", voxels)):
        write_record(compact(dataset.assign_attrs(commit="0123456789")), root / file)


def _read_records(root):
    results = Results(root, recorded=True)
    run = results.open(*RUN)
    return {
        "profile": to_dict(results.profile()),
        "runs": [list(one) for one in results.list()],
        "run": run.to_dict(),
        "ceilings": results.voxels("SIM01").to_dict(),
        "differences": differences(run, compact(KEPT)),
    }


def _says_records(root, found):
    """Numbers are whole; another profile is what the file says."""
    alignment = found["run"]["data_vars"]["alignment"]["data"]
    return (
        says_profile(root, found["profile"])
        and found["runs"] == [list(RUN)]
        and alignment == KEPT["alignment"].values.tolist()
        and max(found["differences"].values()) < 1e-4
    )


def _write_benchmarks(root):
    write_benchmarks(BENCHMARKS, root / "benchmarks.json")


def _read_benchmarks(root):
    """As a chapter does."""
    record = read_record(root / "benchmarks.json")
    if record is None:
        return None
    shown = [summary(largest(speeds(record))), stride_table(record.strides)]
    return asdict(record), record.source, [table.to_dict("tight") for table in shown]


def _says_benchmarks(root, found):
    """Nothing where there is no file; otherwise, what the file says."""
    path = root / "benchmarks.json"
    if found is None:
        return not path.is_file()
    said, record = (
        json.loads(text, parse_int=float) for text in (path.read_bytes(), json.dumps(found[0]))
    )
    said["measurements"] = [{"same": None} | one for one in said["measurements"]]
    return record == said and record["provenance"]["machine"] in found[1]


def _write_trials(root):
    outcomes = {kind: {"cases": 3, "own error": 3, "wrong": 0} for kind in ("GloVe", "all")}
    write_json(root / FUZZ.name, content(Code.of(["requirements.txt"]), [0, 2], outcomes))


def _read_trials(root):
    """As a chapter does."""
    if (record := read_trials(root / FUZZ.name)) is None:
        return None
    return asdict(record), record.source, record.table.to_dict("index")


def _says_trials(root, found):
    """Nothing where there is no file; otherwise, what the file says."""
    path = root / FUZZ.name
    if found is None:
        return not path.is_file()
    record, source, table = found
    said = json.loads(path.read_bytes())
    shown = {name: said.get(name) for name in record} | {"seeds": tuple(said["seeds"])}
    return record == shown and table == said["outcomes"] and said["date"][:10] in source


def _write_receipts(root):
    """Of a run that read a dataset and what an earlier one had written."""
    with chdir(root):
        for name in (PARAMETERS, *INPUTS[2:]):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(f'"content of {name}"')
        write_sums(Path("data"))
        for step, inputs in (("representations", INPUTS[2:]), ("alignment", INPUTS)):
            output = f"{FOLDER}/{step}.nc"
            write_dataset(KEPT, output, {"date": "today"})
            write_receipt(Path(f"{FOLDER}/{step}.json"), digests(inputs), [output])


def _read_receipts(root):
    """What has changed since; where nothing is said to have, what is there."""
    with chdir(root):
        if changed := changed_since(Path(RECEIPT), digests(INPUTS), [OUTPUT]):
            return {"changed": changed}
        sums = Path(SUMS).read_text("utf-8").splitlines() if Path(SUMS).exists() else None
        contents = [Path(name).read_bytes() for name in (OUTPUT, *INPUTS)]
        return {"receipt": json.loads(Path(RECEIPT).read_bytes()), "in": contents, "sums": sums}


def _says_receipts(root, found):
    """A file of the run, or that its receipt or checksum names; that one may be lost."""
    if "changed" not in found:
        return found["sums"] is None
    known = {RECEIPT, OUTPUT, SUMS, *INPUTS}
    return found["changed"] in known or any(
        _mentions((root / file).read_bytes(), Path(found["changed"]).name)
        for file in (RECEIPT, SUMS)
    )


def _mentions(content, name):
    """Whether a file holds a name, as text or in the notation of JSON."""
    return bool(name) and any(form.encode() in content for form in (name, json.dumps(name)[1:-1]))


ODD_FILES = ("", "..", "../../outside", "/etc/passwd", "\0", "x" * 5000, "é\n", OUTPUT, FOLDER)


@on_bytes
def file_renamed(content, rng):
    """Another name of a file that was read or written, here or in the folder of results."""
    receipt = json.loads(content)
    files = receipt[("inputs", "outputs")[rng.integers(2)]]
    digest = files.pop(list(files)[rng.integers(len(files))])
    name = ODD_FILES[rng.integers(len(ODD_FILES))]
    files[f"{HERE}/{name}" if rng.integers(2) else name] = digest
    return json.dumps(receipt).encode()


OF_RECEIPTS = (*JSON, *TEXT, *(file_renamed,) * 6)

RECORDS = (
    Reader(
        "records",
        _write_records,
        _read_records,
        {RECORD: HDF5, f"{RECORD}.sha256": TEXT, "profile.json": (*JSON, *TEXT)},
        _says_records,
        cases=50,
    ),
    Reader(
        "benchmarks",
        _write_benchmarks,
        _read_benchmarks,
        {"benchmarks.json": (*JSON, *TEXT)},
        _says_benchmarks,
        cases=100,
    ),
    Reader(
        "trials",
        _write_trials,
        _read_trials,
        {FUZZ.name: (*JSON, *TEXT)},
        _says_trials,
        cases=100,
    ),
    Reader(
        "receipts",
        _write_receipts,
        _read_receipts,
        {RECEIPT: OF_RECEIPTS, OUTPUT: HDF5, SUMS: TEXT, DATA: TEXT, "run.md": TEXT},
        _says_receipts,
        cases=40,
    ),
    Reader(
        "results by receipts",
        _write_receipts,
        lambda root: Results(root / HERE).open(*RUN).to_dict(),
        {RECEIPT: OF_RECEIPTS, EARLIER: OF_RECEIPTS, PARAMETERS: TEXT},
        cases=50,
    ),
)

"""Measure reading responses at full size: time against a plain read, memory against the matrix.

    python benchmarks/read_responses.py [--folder DIR] [--stories 24] [--rounds 7]

Writes one story of UTS02's size (344 TRs, 94,251 voxels, float64) and hard links to it under other
names, in a folder that is removed afterwards. Prints ratios measured in one run:

- the time to read 50,732 voxels, and the same from the memory-mapped cache, against one plain
  sequential read of the file: into one small buffer, and into an array that holds all of it. Both
  are measured with the file dropped from the page cache before each read, and with the file in it,
  where a plain read is no more than a copy in memory;
- the peak memory of a process that joins all stories as the evaluation does, against the matrix.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from side_by_side.machine import described

from bthelpers.data.dataset import Dataset

PARTICIPANT = "UTS02"
N_TRS, N_VOXELS, N_SELECTED = 344, 94_251, 50_732
STORY_BYTES = N_TRS * N_VOXELS * 8
MATRIX_BYTES = N_TRS * N_SELECTED * 4  # of one story
SPARE_BYTES = 10**9


def selection() -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(N_VOXELS)[:N_SELECTED])


def write_stories(root: Path, n_stories: int) -> list[str]:
    """Write one story and link it under the names of the others."""
    stories = [f"story{k:02d}" for k in range(n_stories)]
    folder = root / "derivative/preprocessed_data" / PARTICIPANT
    folder.mkdir(parents=True)
    respdict = dict.fromkeys(stories, N_TRS + 20)
    (root / "derivative/respdict.json").write_text(json.dumps(respdict))
    (root / "derivative/subject_xfms.json").write_text(json.dumps({PARTICIPANT: "auto"}))
    rng = np.random.default_rng(1)
    first = folder / f"{stories[0]}.hf5"
    with h5py.File(first, "w") as file:
        data = file.create_dataset("data", (N_TRS, N_VOXELS), "f8")
        for row in range(N_TRS):
            data[row] = rng.standard_normal(N_VOXELS)
    with first.open("rb") as file:
        os.fsync(file.fileno())  # what is not on the disk yet cannot be dropped from memory
    for story in stories[1:]:
        os.link(first, folder / f"{story}.hf5")
    return stories


def read_plainly(path: Path) -> None:
    """Sequentially, into one small buffer: what the disk and the page cache give."""
    buffer = bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def drop_from_memory(path: Path) -> None:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(readers: dict[str, Callable], files: dict[str, Path], rounds: int, cold: bool) -> dict:
    """Median seconds of each reader; they take turns, so that noise meets all of them."""
    seconds = {name: [] for name in readers}
    for _ in range(rounds + 1):
        for name, read in readers.items():
            if cold:
                drop_from_memory(files[name])
            started = time.perf_counter()
            read()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(measured[1:]) for name, measured in seconds.items()}


def print_times(root: Path, cache: Path, story: str, rounds: int) -> None:
    path = root / f"derivative/preprocessed_data/{PARTICIPANT}/{story}.hf5"
    voxels, plain, caching = selection(), Dataset(root), Dataset(root, cache)
    caching.responses(PARTICIPANT, story, voxels)
    (entry,) = cache.glob("*.npy")
    readers = {
        "plain read of the file": lambda: read_plainly(path),
        "plain read into an array": lambda: np.fromfile(path, np.uint8),
        "selected voxels": lambda: plain.responses(PARTICIPANT, story, voxels),
        "selected voxels, cached": lambda: np.array(caching.responses(PARTICIPANT, story, voxels)),
    }
    files = dict.fromkeys(readers, path) | {"selected voxels, cached": entry}
    for cold in (True, False):
        print(f"\nFiles {'dropped from' if cold else 'in'} the page cache: median of {rounds}")
        print(f"{'':40}{'read':>10}{'into array':>13}")
        seconds = measure(readers, files, rounds, cold)
        for name, value in seconds.items():
            ratios = (value / seconds[other] for other in list(readers)[:2])
            print(f"  {name:<28}{value:>8.3f} s" + "".join(f"{r:>10.2f} x" for r in ratios))


def assemble(root: Path, cache: Path | None) -> None:
    """Join all stories in this process and print its peak memory before and after, in bytes."""
    from bthelpers.encoding.inputs import read_responses

    dataset = Dataset(root, cache)
    before = peak_memory()
    read = read_responses(dataset, PARTICIPANT, dataset.stories, selection())
    print(json.dumps([read.responses.nbytes, before, peak_memory()]))


def peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


def print_memory(root: Path, cache: Path) -> None:
    print("\nPeak memory of a process that joins all stories")
    for name, options in {
        "without a cache": [],
        "filling the cache": ["--cache", str(cache)],
        "from the cache": ["--cache", str(cache)],
    }.items():
        command = [sys.executable, __file__, "--assemble", str(root), *options]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        matrix, before, peak = json.loads(output.splitlines()[-1])
        print(
            f"  {name:<18} matrix {matrix / 1e9:.2f} GB, peak {peak / 1e9:.2f} GB:"
            f" {peak / matrix:.2f} x; without the {before / 1e9:.2f} GB of a process that has"
            f" only imported: {(peak - before) / matrix:.2f} x"
        )


def print_machine() -> None:
    print(
        f"{platform.platform()}, {described()}; load {os.getloadavg()[0]:.1f};"
        f" h5py {h5py.__version__}, NumPy {np.__version__}"
    )
    print(
        f"One story: {N_TRS} TRs, {N_VOXELS:,} voxels, {STORY_BYTES / 1e6:.0f} MB; {N_SELECTED:,}"
        " voxels selected"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=None, help="of a disk (default: temporary)")
    parser.add_argument("--stories", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--assemble", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.assemble:
        return assemble(arguments.assemble, arguments.cache)
    needed = STORY_BYTES + (arguments.stories + 1) * MATRIX_BYTES + SPARE_BYTES
    folder = Path(arguments.folder or tempfile.gettempdir())
    if (free := shutil.disk_usage(folder).free) < needed:
        raise SystemExit(
            f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed: name a"
            " folder on another disk with --folder"
        )
    print_machine()
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        root = Path(temporary, "data")
        stories = write_stories(root, arguments.stories)
        print_times(root, Path(temporary, "one"), stories[0], arguments.rounds)
        print_memory(root, Path(temporary, "all"))


if __name__ == "__main__":
    main()

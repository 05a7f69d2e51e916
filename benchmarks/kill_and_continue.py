"""Kill the workflow at random moments, continue it, and compare with an undisturbed run.

    python benchmarks/kill_and_continue.py [--kills 10] [--seed 0]

Uses the smoke profile and removes its data and results first. Prints one line per kill, and exits
with an error if any array of any result file differs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr
from safetensors.numpy import load_file

COMMAND = [sys.executable, "-m", "bthelpers", "run", "smoke"]
FOLDERS = (Path("results/smoke"), Path("data/smoke"))


def arrays() -> dict[str, np.ndarray]:
    """Every array of every result file, by file and name."""
    found = {}
    for path in sorted(FOLDERS[0].rglob("*.nc")):
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            found |= {f"{path}: {name}": variable.values for name, variable in dataset.items()}
    for path in sorted(FOLDERS[0].rglob("*.safetensors")):
        found |= {f"{path}: {name}": values for name, values in load_file(path).items()}
    return found


def start() -> subprocess.Popen:
    return subprocess.Popen(
        COMMAND, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def clear() -> None:
    for folder in FOLDERS:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)

    clear()
    started = time.monotonic()
    if start().wait() != 0:
        raise SystemExit("the undisturbed run failed")
    duration = time.monotonic() - started
    undisturbed = arrays()
    print(f"undisturbed: {duration:.0f} s, {len(undisturbed)} arrays", flush=True)

    clear()
    kills = 0
    while kills < arguments.kills:
        process = start()
        delay = rng.uniform(0, duration / 2)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            print(f"kill {kills} after {delay:.1f} s: {len(arrays())} arrays", flush=True)
            continue
        clear()  # it was done before its turn to be killed: begin again
    if start().wait() != 0:
        raise SystemExit("the run that was continued failed")
    continued = arrays()
    if continued.keys() != undisturbed.keys():
        raise SystemExit(f"other arrays: {sorted(continued.keys() ^ undisturbed.keys())}")
    differing = [
        name
        for name, values in undisturbed.items()
        if not np.array_equal(values, continued[name], equal_nan=values.dtype.kind == "f")
    ]
    if differing:
        raise SystemExit("\n".join(["these arrays differ:", *differing]))
    print(f"all {len(continued)} arrays are equal, bit by bit")


if __name__ == "__main__":
    main()

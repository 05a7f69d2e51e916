"""A small repository with a profile of five runs, in which faults happen.

Its finished state is kept, so that every fault meets the same files at the same place.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import xarray as xr
import yaml
from safetensors.numpy import load_file

from bthelpers.params.loading import load, to_dict

REPOSITORY = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "bthelpers", "run", "faults", "--cores", "1"]
PATIENCE = 900  # seconds that a start may take on a busy machine
TUNED = "results/faults/mini/SIM01/brain-tuned"
TUNING, ALIGNMENT = (f"{step} mini/SIM01/brain-tuned" for step in ("tuning", "alignment"))
# Runs in their order, and what they leave.
RUNS = {
    "dataset": ("data", "cache", "results/faults/dataset.*"),
    "voxels SIM01": ("results/faults/SIM01/*",),
    TUNING: tuple(f"{TUNED}/{name}" for name in ("model", "training.*", "tuning.*")),
    "representations mini/SIM01/brain-tuned": (f"{TUNED}/representations.*",),
    ALIGNMENT: (f"{TUNED}/alignment.*",),
}


def small_profile() -> dict:
    """The smoke profile of one model under one condition, with as little sound as can be."""
    profile = to_dict(load(REPOSITORY / "params/smoke.yaml"))
    del profile["name"]
    splits = {"train": ["story01", "story02"], "validation": ["story03"], "test": ["story04"]}
    profile["dataset"] |= {"root": "data", "cache": "cache", "splits": splits}
    minutes = dict.fromkeys(("minutes_train", "minutes_validation", "minutes_test"), 1.0)
    profile["dataset"]["simulate"] |= {**minutes, "training_stories": 2, "voxel_size_mm": 10.0}
    profile["tuning"]["epochs"] = 3
    profile["encoding"]["folds"] = 2
    models = {"mini": {"path": "model", "revision": None}}
    return profile | {
        "models": models,
        "conditions": ["brain-tuned"],
        "evaluations": ["alignment"],
    }


class Site:
    """The repository, and what an undisturbed run makes in it.

    Parameters
    ----------
    folder : Path
        An empty one.

    Attributes
    ----------
    root : Path
        Of the repository.
    undisturbed : dict of array
        Every array of the results.
    seconds : dict of int
        What each run took.
    """

    def __init__(self, folder: Path):
        self.root, self.kept = folder / "repository", folder / "kept"
        self.folder = folder
        self.starts: list[Path] = []
        self.root.mkdir()
        for name in ("Snakefile", "snakemake_logger_plugin_runs", "bthelpers"):
            (self.root / name).symlink_to(REPOSITORY / name)
        for name in ("book/runs", "params/lexicons"):
            shutil.copytree(REPOSITORY / name, self.root / name)
        model = REPOSITORY / "bthelpers/checkpoints/hubert-mini-square"
        shutil.copytree(model, self.root / "model")
        (self.root / "params/faults.yaml").write_text(yaml.safe_dump(small_profile()))
        if self.finish() != 0:
            raise RuntimeError(f"the undisturbed run failed:\n{self.said.read_text()}")
        taken = re.findall(r"^(.+): done in (\d+) s", self.said.read_text(), re.M)
        self.seconds = {name: int(seconds) for name, seconds in taken}
        self.undisturbed = self.arrays()
        shutil.copytree(self.root, self.kept, symlinks=True)

    def restore(self) -> None:
        """Put the finished state back; what was said before is no longer asked for."""
        self.starts.clear()
        shutil.rmtree(self.root)
        shutil.copytree(self.kept, self.root, symlinks=True)

    def set_back(self, runs: Sequence[str]) -> None:
        """Remove what runs have made."""
        for run in runs:
            for pattern in RUNS[run]:
                for path in self.root.glob(pattern):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def start(
        self, prepare: Callable[[], object] = lambda: None, **environment: str
    ) -> psutil.Popen:
        """Start the command; `prepare` is called in its process before."""

        def heed_signals() -> None:  # which a background job ignores
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            prepare()

        descriptor, name = tempfile.mkstemp(".said", dir=self.folder)
        self.starts.append(Path(name))
        with open(descriptor) as said:
            return psutil.Popen(
                COMMAND,
                cwd=self.root,
                env=os.environ | environment,
                stdout=said,
                stderr=subprocess.STDOUT,
                preexec_fn=heed_signals,
            )

    @property
    def said(self) -> Path:
        """What the last start has said; `starts` has those of all since the state was put back."""
        return self.starts[-1]

    def finish(self) -> int:
        """Start the command and wait for its end; returns its exit status."""
        return self.start().wait(PATIENCE)

    def start_within(self, runs: Sequence[str], rng: np.random.Generator) -> psutil.Popen:
        """Start the command, which finds runs to be done, until amid the first of them."""
        share, first = rng.uniform(0, 0.9), runs[0]
        while True:
            self.set_back(runs)
            process = self.start()
            try:
                self.eventually(lambda: f"{first}: begins" in self.said.read_text(), process)
                time.sleep(share * self.seconds[first])
            except ChildProcessError:
                pass
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                return process
            process.wait()
            share /= 2  # it was done before

    def eventually(self, condition: Callable[[], object], process: psutil.Popen) -> object:
        """Wait until something holds; a ChildProcessError if the command ends before."""
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ChildProcessError(self.said.read_text()[-2000:])
            time.sleep(0.05)
        return found

    def processes(self) -> list[psutil.Process]:
        """What is at work in the repository."""
        return [one for one in psutil.process_iter() if self._at_work(one)]

    def _at_work(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            alive = process.status() != psutil.STATUS_ZOMBIE
            return alive and Path(process.cwd()).is_relative_to(self.root)
        return False

    def kernel(self) -> psutil.Process | None:
        """A notebook's kernel, if there is one now."""
        at_work = self.processes()
        with suppress(psutil.Error):
            return next((one for one in at_work if "ipykernel_launcher" in one.cmdline()), None)
        return None

    def files(self, *patterns: str) -> list[Path]:
        """Files of the repository, sorted."""
        found = {path for pattern in patterns for path in self.root.glob(pattern)}
        return sorted(path for path in found if path.is_file())

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array of every result file, by file and name; read without the library's reader."""
        found = {}
        for path in self.files("results/**/*.nc"):
            with xr.open_dataset(path, engine="h5netcdf") as dataset:
                of_file = {name: variable.values for name, variable in dataset.variables.items()}
            found |= {f"{path.relative_to(self.root)}: {key}": v for key, v in of_file.items()}
        for path in self.files("results/**/*.safetensors"):
            of_file = load_file(path)
            found |= {f"{path.relative_to(self.root)}: {key}": v for key, v in of_file.items()}
        return found

    def differing(self) -> list[str]:
        """Arrays that are not those of the undisturbed run."""
        found = self.arrays()
        same = partial(np.testing.assert_array_equal, strict=True)
        differing = sorted(found.keys() ^ self.undisturbed.keys())
        for name in found.keys() & self.undisturbed.keys():
            try:
                same(found[name], self.undisturbed[name])
            except AssertionError:
                differing.append(name)
        return differing

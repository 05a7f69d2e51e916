"""Kinds of faults: each disturbs a repository, and may return what mends it.

What is returned puts right what only a user can: an input that is damaged, a folder in the way.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from faults.site import PATIENCE, RUNS, TUNED, Site
from fuzz.damages import bits_flipped, emptied, truncated

Mend = Callable[[], object]
TUNING = "tuning mini/SIM01/brain-tuned"
DAY = 86_400 * 10**9  # ns


def any_run(rng: np.random.Generator) -> str:
    return list(RUNS)[rng.integers(len(RUNS))]


def chosen(files: list[Path], rng: np.random.Generator) -> Path:
    return files[rng.integers(len(files))]


# Signals


def signalled(number: signal.Signals, whole_family: bool = False) -> Callable[[Site, ...], None]:
    """Make a signal to the command, or to all that it has started as well, a fault."""

    def fault(site, rng):
        process = site.start_within(any_run(rng), rng)
        family = [process, *(process.children(recursive=True) if whole_family else [])]
        for one in family:
            one.send_signal(number)
        process.wait(PATIENCE)

    return fault


def killed_alone(site, rng):
    """What it had started goes on, keeps others out, and comes to its end."""
    signalled(signal.SIGKILL)(site, rng)
    if site.processes():
        assert site.finish() != 0, "two at work"
        assert "another workflow is at work" in site.said.read_text()
    deadline = time.monotonic() + PATIENCE
    while site.processes() and time.monotonic() < deadline:
        time.sleep(0.5)


def kernel_dies(site, rng):
    process = site.start_within(any_run(rng), rng)
    if kernel := site.kernel():
        kernel.kill()
    process.wait(PATIENCE)


def notebook_hangs(site, rng):
    process = site.start_within(any_run(rng), rng)
    if kernel := site.kernel():
        kernel.suspend()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)


# Disks and folders


def full_disk(site, rng):
    site.set_back(any_run(rng))
    largest = int(10 ** rng.uniform(3, 6.5))

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    site.start(limit).wait(PATIENCE)


def unwritable_folder(site, rng):
    """A file in its place, which keeps out the superuser too."""
    site.set_back(any_run(rng))
    folders = [site.root / name for name in ("results/faults/mini", "results/faults/SIM01", TUNED)]
    folder = chosen([*folders, site.root / "cache", site.root / "results"], rng)
    aside = site.root / "aside"
    if folder.exists():
        folder.rename(aside)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.touch()
    site.finish()

    def mend():
        folder.unlink()
        if aside.exists():
            aside.rename(folder)

    return mend


def results_deleted(site, rng):
    process = site.start_within(any_run(rng), rng)
    shutil.rmtree(site.root / str(rng.choice(["results", TUNED, "data"])), ignore_errors=True)
    process.wait(PATIENCE)


# Damage, which leaves the date as it was, and where it can the size


def in_place(path: Path, change: Callable[[], object]) -> Mend:
    """Change a file and set its times back; returns what puts it back in the same manner."""
    content, times = path.read_bytes(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    change()
    os.utime(path, ns=times)

    def mend():
        path.write_bytes(content)
        os.utime(path, ns=times)

    return mend


def damaged(*patterns: str) -> Callable[[Site, np.random.Generator], Mend]:
    """Make damage to a file of a pattern a fault."""

    def fault(site, rng):
        path = chosen(site.files(*patterns), rng)
        damage = (truncated, emptied, bits_flipped)[rng.integers(3)]
        return in_place(path, lambda: damage(path, rng))

    return fault


def killed_once(condition: Callable[[Site], object], pattern: str) -> Callable[[Site, ...], Mend]:
    """Make damage to a file a fault, of a tuning or what follows it that was killed amid it."""

    def fault(site, rng):
        site.set_back(TUNING)
        process = site.start()
        site.eventually(lambda: condition(site), process)
        for one in (*process.children(recursive=True), process):
            one.kill()
        process.wait(PATIENCE)
        return damaged(pattern)(site, rng)

    return fault


def has_checkpoint(site: Site) -> bool:
    return (site.root / TUNED / "checkpoint.pt").exists()


def has_cached(site: Site) -> bool:
    return f"{TUNING}: done" in site.said.read_text()


# Inputs and dates


def changed_parameter(site: Site) -> Mend:
    profile = site.root / "params/faults.yaml"
    text = profile.read_text()
    return in_place(profile, lambda: profile.write_text(text.replace("epochs: 3", "epochs: 2")))


def changed_notebook(site: Site) -> Mend:
    notebook = site.root / "book/runs/tuning.md"
    text = notebook.read_text()
    change = text.replace("parameters.seed\n", "parameters.seed+1\n", 1)
    return in_place(notebook, lambda: notebook.write_text(change))


def changed_model(site: Site) -> Mend:
    weights = site.root / "model/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2_000:] = content[-4_000:-2_000]
    return in_place(weights, lambda: weights.write_bytes(content))


def input_changed(site, rng):
    """And changed back later: both are noticed."""
    change = (changed_parameter, changed_notebook, changed_model)[rng.integers(3)]
    mend = change(site)
    assert site.finish() == 0, f"{change.__name__}: it does not finish"
    assert site.differing(), f"{change.__name__} is not noticed"
    mend()


def clock_jumps(site, rng):
    """Results of days ahead, or long ago, of which a parameter is another one meanwhile."""
    jump = int(rng.choice([-1, 1]) * rng.integers(1, 400)) * DAY
    for path in site.files("results/**/*", "data/**/*", "cache/*"):
        if rng.random() < 0.5:
            times = path.stat()
            os.utime(path, ns=(times.st_atime_ns + jump, times.st_mtime_ns + jump))
    mend = changed_parameter(site)
    assert site.finish() == 0, "it does not finish"
    assert site.differing(), "the parameter is not noticed"
    mend()


# Others at work


def two_starts(site, rng):
    process = site.start_within(any_run(rng), rng)
    first = site.said.read_text()
    assert site.finish() != 0, "two at work"
    assert "another workflow is at work" in site.said.read_text(), first
    process.wait(PATIENCE)


def lock_of_another_machine(site, rng):
    """Left there by what does not run here."""
    site.set_back(any_run(rng))
    for name in (
        "results/.faults.lock",
        ".data.lock",
        "cache/.lock",
        ".snakemake/locks/0.input.lock",
    ):
        lock = site.root / name
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text("4194303\nanother-machine\n")


KINDS = {
    "killed, with all that it started": signalled(signal.SIGKILL, whole_family=True),
    "killed alone": killed_alone,
    "SIGTERM": signalled(signal.SIGTERM),
    "Ctrl-C": signalled(signal.SIGINT),
    "kernel dies": kernel_dies,
    "notebook hangs, Ctrl-C": notebook_hangs,
    "full disk": full_disk,
    "unwritable folder": unwritable_folder,
    "results deleted meanwhile": results_deleted,
    "damaged result": damaged("results/faults/**/*.nc*"),
    "damaged weights": damaged(f"{TUNED}/model/*"),
    "damaged record": damaged("results/faults/**/*.json"),
    "damaged cache": killed_once(has_cached, "cache/*.npy*"),
    "damaged checkpoint": killed_once(has_checkpoint, f"{TUNED}/checkpoint.pt*"),
    "damaged notebook": damaged("results/faults/**/*.ipynb"),
    "damaged input": damaged("data/**/*", "model/*"),
    "input changed in place": input_changed,
    "clock jumps": clock_jumps,
    "two starts at once": two_starts,
    "lock of another machine": lock_of_another_machine,
}

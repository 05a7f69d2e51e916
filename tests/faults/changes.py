"""Faults of disks and files: what is damaged, changed, in the way or gone."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from faults.interruptions import some_runs
from faults.site import PATIENCE, TUNED, TUNING, Site
from fuzz.damages import bits_flipped, emptied, truncated

from bthelpers.core.checksums import SUMS, write_sums
from bthelpers.workflow.book import collect_pages

Mend = Callable[[], object]
DAY = 86_400 * 10**9  # ns


def chosen(files: list[Path], rng: np.random.Generator) -> Path:
    return files[rng.integers(len(files))]


# Disks and folders


def full_disk(site, rng):
    site.set_back(some_runs(rng))
    largest = int(10 ** rng.uniform(3, 6.5))

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    site.start(limit).wait(PATIENCE)


def unwritable_folder(site, rng):
    """A file in its place, which keeps out the superuser too."""
    site.set_back(some_runs(rng))
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
    process = site.start_within(some_runs(rng), rng)
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


def damaged(
    *patterns: str, read_by: Sequence[str] = ()
) -> Callable[[Site, np.random.Generator], Mend]:
    """Make damage to a file of a pattern a fault, which runs that are to be made then read."""

    def fault(site, rng):
        site.set_back(read_by)
        path = chosen(site.files(*patterns), rng)
        damage = (truncated, emptied, bits_flipped)[rng.integers(3)]
        return in_place(path, lambda: damage(path, rng))

    return fault


def damaged_record(site, rng):
    """Or one that is gone."""
    if rng.random() < 0.75:
        return damaged("results/faults/**/*.json")(site, rng)
    chosen(site.files("results/faults/**/*.json"), rng).unlink()
    return None


def damaged_notebook(site, rng):
    """An executed one, because of which nothing is computed again: the book names it."""
    mend = damaged("results/faults/**/*.ipynb")(site, rng)
    told = ""
    try:
        collect_pages(site.root / "results/faults", site.folder / "pages")
    except SystemExit as error:
        told = str(error)
    assert f"{site.root}/results" in told, "the book shows it"
    return mend


def damaged_checkpoint(site, rng):
    """Of a tuning that was killed."""
    site.set_back([TUNING])
    process = site.start()
    site.eventually((site.root / TUNED / "checkpoint.pt").exists, process)
    for one in (*process.children(recursive=True), process):
        one.kill()
    process.wait(PATIENCE)
    return damaged(f"{TUNED}/checkpoint.pt*")(site, rng)


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
    """As one that was saved anew, with its checksums."""
    weights, sums = site.root / "model/model.safetensors", site.root / "model" / SUMS
    content = bytearray(weights.read_bytes())
    content[-2_000:] = content[-4_000:-2_000]
    mends = [
        in_place(weights, lambda: weights.write_bytes(content)),
        in_place(sums, lambda: write_sums(sums.parent)),
    ]
    return lambda: [mend() for mend in mends]


INPUTS = (changed_parameter, changed_notebook, changed_model)


def input_changed(site, rng):
    """And changed back later: both are noticed."""
    change = INPUTS[rng.integers(len(INPUTS))]
    mend = change(site)
    assert site.finish() == 0, f"{change.__name__}: it does not finish"
    assert site.differing(), f"{change.__name__} is not noticed"
    mend()


def input_changed_meanwhile(site, rng):
    """And changed back before the run ends that may have read it."""
    change = INPUTS[rng.integers(len(INPUTS))]
    process = site.start_within([TUNING], rng)
    mend = change(site)
    process.wait(PATIENCE)
    mend()


def shift_dates(site: Site, rng: np.random.Generator) -> None:
    """Have half of the files dated days ahead, or long ago."""
    jump = int(rng.choice([-1, 1]) * rng.integers(1, 400)) * DAY
    for path in site.files("results/**/*", "data/**/*", "cache/*"):
        if rng.random() < 0.5:
            times = path.stat()
            os.utime(path, ns=(times.st_atime_ns + jump, times.st_mtime_ns + jump))


def clock_jumps(site, rng):
    """Of the results, a parameter is another one meanwhile."""
    shift_dates(site, rng)
    mend = changed_parameter(site)
    assert site.finish() == 0, "it does not finish"
    assert site.differing(), "the parameter is not noticed"
    mend()


def clock_jumps_meanwhile(site, rng):
    process = site.start_within(some_runs(rng), rng)
    shift_dates(site, rng)
    process.wait(PATIENCE)

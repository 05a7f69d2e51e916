"""Faults that end or hold up what is at work, and others who come to work there."""

from __future__ import annotations

import platform
import signal
import time
from collections.abc import Callable

import numpy as np
from faults.site import PATIENCE, RUNS, Site

REFUSED = "another workflow"
# What a notebook's kernel begins with: PyTorch runs out of memory once, some seconds later.
OUT_OF_MEMORY = """
import os
import time
from pathlib import Path

flag, due = Path(os.environ["FLAG"]), time.monotonic() + float(os.environ["SECONDS"])
if flag.exists():
    import torch
    from torch.overrides import TorchFunctionMode

    class Full(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if flag.exists() and time.monotonic() > due:
                flag.unlink()
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return function(*args, **(kwargs or {}))

    Full().__enter__()
"""


def some_runs(rng: np.random.Generator) -> list[str]:
    """Any run; in one case of four with all that come after it, as of a first start."""
    runs = list(RUNS)[rng.integers(len(RUNS)) :]
    return runs if rng.random() < 0.25 else runs[:1]


def signalled(number: signal.Signals, whole_family: bool = False) -> Callable[[Site, ...], None]:
    """Make a signal to the command, or to all that it has started as well, a fault."""

    def fault(site, rng):
        process = site.start_within(some_runs(rng), rng)
        family = [process, *(process.children(recursive=True) if whole_family else [])]
        for one in family:
            one.send_signal(number)
        process.wait(PATIENCE)

    return fault


def killed_alone(site, rng):
    """What it had started goes on, keeps others out, and comes to its end."""
    signalled(signal.SIGKILL)(site, rng)
    if others := site.processes():
        refused = site.finish() != 0
        assert refused or not {*others} & {*site.processes()}, "two at work"
        assert not refused or REFUSED in site.said.read_text()
    deadline = time.monotonic() + PATIENCE
    while site.processes() and time.monotonic() < deadline:
        time.sleep(0.5)


def snakemake_killed(site, rng):
    """It alone, as by a kernel that lacks memory: the command ends what it had started."""
    process = site.start_within(some_runs(rng), rng)
    for child in process.children():
        child.kill()
    process.wait(PATIENCE)


def kernel_dies(site, rng):
    process = site.start_within(some_runs(rng), rng)
    if kernel := site.kernel():
        kernel.kill()
    process.wait(PATIENCE)


def notebook_hangs(site, rng):
    process = site.start_within(some_runs(rng), rng)
    if kernel := site.kernel():
        kernel.suspend()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)


def out_of_memory(site, rng):
    """In a run that computes by PyTorch, which is mended by repeating it."""
    run, share = list(RUNS)[rng.integers(2, len(RUNS))], rng.uniform(0, 0.9)
    startup, flag = site.folder / "ipython/profile_default/startup", site.folder / "flag"
    startup.mkdir(parents=True, exist_ok=True)
    (startup / "full.py").write_text(OUT_OF_MEMORY)
    told = {"IPYTHONDIR": str(site.folder / "ipython"), "FLAG": str(flag)}
    flag.touch()
    while flag.exists():
        site.set_back([run])
        site.start(SECONDS=str(share * site.seconds[run]), **told).wait(PATIENCE)
        share /= 2  # it was done before
    return lambda: site.set_back([run])


def two_starts(site, rng):
    """At once, or the second amid a run of the first: one of them is refused."""
    if rng.random() < 0.5:
        first = site.start_within(some_runs(rng), rng)
    else:
        site.set_back(some_runs(rng))
        first = site.start()
        time.sleep(rng.uniform(0, 2))
    said = [site.said]
    second = site.start()
    said.append(site.said)
    for process, told in zip((first, second), said, strict=True):
        if process.wait(PATIENCE) != 0:
            assert REFUSED in told.read_text(), f"refused for another reason: {told.read_text()}"


def lock_of_another_machine(site, rng):
    """Of a workflow that was killed, or is at work there: who knows removes it."""
    signalled(signal.SIGKILL, whole_family=True)(site, rng)
    here = platform.node()
    left = [lock for lock in site.files("**/.*.lock") if here in lock.read_text()]
    assert left, "no lock is left"
    for lock in left:
        lock.write_text(lock.read_text().replace(here, "another-machine"))

    def mend():
        for lock in left:
            lock.unlink()

    return mend

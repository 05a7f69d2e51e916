"""Trials: a fault happens in a repository, and the same command is started again."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from faults.kinds import KINDS
from faults.site import Site

from bthelpers.core.progress import WARNING

# `recovered`: all arrays equal those of an undisturbed run. `named`: one line names the file that
# is to be mended, or warns of the run that is to be repeated, and once that is done, all are equal
# as well. Anything else is `lost`.
OUTCOMES = ("recovered", "named", "lost")
END = 60  # seconds that processes may take to end with what has started them


@dataclass(frozen=True)
class Fault:
    """One fault, by its seed, and what came of it."""

    kind: str
    seed: int
    outcome: str
    detail: str
    seconds: int

    def __str__(self):
        return f"{self.outcome}: {self.kind}, seed {self.seed}, {self.seconds} s: {self.detail}"


def kind_of(seed: int) -> str:
    """The kind of a seed's fault: that at its remainder, so that a stretch has all kinds evenly."""
    return list(KINDS)[seed % len(KINDS)]


def trial(site: Site, seed: int) -> Fault:
    """Have a fault happen, start the command again, and judge what it leaves."""
    began, kind = time.monotonic(), kind_of(seed)
    site.restore()
    try:
        mend = KINDS[kind](site, np.random.default_rng(seed))
        none_at_work(site)
        outcome, detail = "recovered", ""
        finished = site.finish() == 0
        if not finished or (mend is not None and site.differing()):
            outcome, detail = "named", warned(site) if finished else named(site)
            assert mend is not None, f"it does not finish: {detail}"
            mend()
            assert site.finish() == 0, "once mended, it does not finish"
        none_at_work(site)
        assert not (differing := site.differing()), f"other arrays: {differing[:5]}"
    except Exception as error:
        outcome, detail = "lost", f"{type(error).__name__}: {error}\n{said(site)}"
        end(site)
    return Fault(kind, seed, outcome, detail, round(time.monotonic() - began))


def said(site: Site) -> str:
    return site.said.read_text()[-3000:]


def named(site: Site) -> str:
    """The line by which the command names a file of the repository; an error where none does."""
    lines = site.said.read_text().splitlines()
    assert not any("Traceback" in line for line in lines), "a traceback"
    naming = [line for line in lines if str(site.root) in line or "results/" in line]
    assert naming, "no file is named"
    return naming[0]


def warned(site: Site) -> str:
    """The warning by which a start since the fault names a run; an error where none does."""
    lines = [line for said in site.starts for line in said.read_text().splitlines()]
    warnings = [line for line in lines if WARNING in line and "(results/" in line]
    assert warnings, f"other arrays, without a warning: {site.differing()[:5]}"
    return warnings[0]


def none_at_work(site: Site) -> None:
    deadline = time.monotonic() + END
    while at_work := site.processes():
        assert time.monotonic() < deadline, f"still at work: {at_work}"
        time.sleep(0.2)


def end(site: Site) -> None:
    """Have nothing of a lost trial disturb the next."""
    for process in site.processes():
        process.kill()
    none_at_work(site)

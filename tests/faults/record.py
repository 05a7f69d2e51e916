"""The record of what came of faults, for the book: parts with other seeds add to it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from faults.site import REPOSITORY
from faults.trial import OUTCOMES, Fault
from filelock import FileLock

from bthelpers.core.files import atomic_write_text
from bthelpers.results.trials.record import Code, content

RECORD = REPOSITORY / "book/recorded/faults.json"
# What a trial runs, and what disturbs it.
CODE = (
    *("Snakefile", "snakemake_logger_plugin_runs/*.py", "bthelpers/**/*.py", "book/runs/*.md"),
    *("params/demo.yaml", "params/smoke.yaml", "params/lexicons/*", "requirements.txt"),
    *("tests/faults/*.py", "tests/fuzz/damages.py"),
)


def code_digest() -> str:
    """One of all that the outcome of a fault depends on but its seed."""
    return Code.of(CODE).digest


def table(faults: list[Fault]) -> pd.DataFrame:
    """Numbers of faults by kind and outcome."""
    listed = pd.DataFrame(faults)
    counted = pd.crosstab(listed["kind"], listed["outcome"], margins=True, margins_name="all")
    columns = counted.reindex(columns=["all", *OUTCOMES], fill_value=0)
    return columns.rename(columns={"all": "injected"})


class Record:
    """A file of faults; several processes may add to it.

    Parameters
    ----------
    path : Path
    code : str
        As `code_digest` returns: what is there of other code is dropped, and that is said.
    """

    def __init__(self, path: Path, code: str):
        self.path, self.code = path, Code(CODE, code)
        if path.is_file() and (other := len(self._content()["faults"])) and not self.faults:
            print(f"{path}: {other} faults of other code are dropped", flush=True)

    @property
    def faults(self) -> list[Fault]:
        """Those of this code, by their seeds."""
        if not self.path.is_file():
            return []
        found = self._content()
        # Earlier versions kept the digest alone.
        if found["code"] != {"files": list(self.code.files), "digest": self.code.digest}:
            return []
        return [Fault(**fault) for fault in found["faults"]]

    def _content(self) -> dict:
        return json.loads(self.path.read_bytes())

    def add(self, fault: Fault) -> None:
        """Add a fault, in place of what came of the same seed before."""
        with FileLock(self.path.with_name(f".{self.path.name}.lock")):
            known = self.faults
            # The record itself is a change to the repository, which the next commit would tell.
            kept = {"commit": self._content()["commit"]} if known else {}
            by_seed = {one.seed: one for one in (*known, fault)}
            faults = [by_seed[seed] for seed in sorted(by_seed)]
            # Details name folders of this machine.
            entries = [{**asdict(one), "detail": ""} for one in faults]
            outcomes = table(faults).to_dict("index")
            held = content(self.code, by_seed, outcomes) | kept | {"faults": entries}
            atomic_write_text(self.path, json.dumps(held, indent=1) + "\n")

"""``python -m faults [KIND ...] [--faults N] [--seed N]``: many faults, and a table of outcomes."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd
from faults.kinds import KINDS
from faults.site import REPOSITORY, Site
from faults.trial import OUTCOMES, Fault, trial

RECORDED = REPOSITORY / "book/recorded/faults.json"


def table(done: list[Fault]) -> pd.DataFrame:
    """Numbers of faults by kind and outcome."""
    counts = Counter((fault.kind, fault.outcome) for fault in done)
    kinds = list(dict.fromkeys(fault.kind for fault in done))
    rows = [[counts[kind, outcome] for outcome in OUTCOMES] for kind in kinds]
    found = pd.DataFrame(rows, pd.Index(kinds, name="kind"), list(OUTCOMES))
    found.loc["all"] = found.sum()
    found.insert(0, "injected", found.sum(axis=1))
    return found


def main() -> int:
    """Print each fault, and the table; 1 if a fault lost something."""
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--faults", type=int, default=200, metavar="N", help="in all")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first")
    parser.add_argument("--record", action="store_true", help="for the book")
    arguments = parser.parse_args()
    kinds = arguments.kinds or list(KINDS)
    done = []
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        for number in range(arguments.faults):
            done.append(trial(site, kinds[number % len(kinds)], arguments.seed + number))
            print(done[-1], flush=True)
    print(table(done).to_string())
    if arguments.record:
        seeds = {"first seed": arguments.seed, "faults": arguments.faults}
        counts = table(done).to_dict("index")
        RECORDED.write_text(json.dumps({**seeds, "outcomes": counts}, indent=1) + "\n")
    return 1 if any(fault.outcome == "lost" for fault in done) else 0


if __name__ == "__main__":
    sys.exit(main())

"""``python -m faults [KIND ...] [--faults N] [--seed N]``: many faults, and a table of outcomes.

A seed has one kind of fault, and any stretch of seeds has all kinds evenly. With ``--record``, a
seed of which the record holds the outcome is not tried again: parts, also such as run at the same
time, and what was interrupted, come to one record.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import count, islice
from pathlib import Path

from faults.kinds import KINDS
from faults.record import RECORD, Record, code_digest, table
from faults.site import Site
from faults.trial import kind_of, trial


def main() -> int:
    """Print each fault, and the table; 1 if a fault lost something."""
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--faults", type=int, default=200, metavar="N", help="in all")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first")
    parser.add_argument("--record", action="store_true", help="for the book")
    arguments = parser.parse_args()
    kinds = arguments.kinds or KINDS
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"no such kind: {', '.join(sorted(unknown))}")
    seeds = (seed for seed in count(arguments.seed) if kind_of(seed) in kinds)
    record = Record(RECORD, code_digest()) if arguments.record else None
    known = {fault.seed for fault in record.faults} if record else set()
    done = []
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        for seed in islice(seeds, arguments.faults):
            if seed not in known:
                done.append(trial(site, seed))
                print(done[-1], flush=True)
                if record:
                    record.add(done[-1])
    counted = record.faults if record else done
    print(table(counted).to_string())
    return 1 if any(fault.outcome == "lost" for fault in counted) else 0


if __name__ == "__main__":
    sys.exit(main())

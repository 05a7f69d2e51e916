"""``python -m fuzz [READER ...] [--cases N] [--seed N]``: all cases, and a table of outcomes."""

from __future__ import annotations

import argparse
import faulthandler
import sys
import tempfile
from collections import Counter
from pathlib import Path

from fuzz.readers import READERS
from fuzz.trial import FAILED, FINE, SECONDS, Case, Trial


def run(names: list[str], seed: int, cases: int | None) -> list[Case]:
    """Run so many cases of each file of each reader."""
    done = []
    for name in names:
        reader = READERS[name]
        with tempfile.TemporaryDirectory() as folder:
            trial = Trial(reader, Path(folder) / "files")
            for file in reader.damages:
                for number in range(cases or reader.cases):
                    # A hang in a library of C does not see the alarm.
                    faulthandler.dump_traceback_later(3 * SECONDS, exit=True)
                    done.append(trial.case(file, seed + number))
                    if done[-1].outcome in FAILED:
                        print(str(done[-1])[:500].replace("\n", "\\n"), flush=True)
        faulthandler.cancel_dump_traceback_later()
    return done


def table(done: list[Case]) -> str:
    """Numbers of cases by reader and outcome."""
    counts = Counter((case.reader, case.outcome) for case in done)
    counts.update(("all", case.outcome) for case in done)
    columns = (*FINE, *FAILED)
    lines = [f"{'reader':<20}" + "".join(f"{column:>15}" for column in ("cases", *columns))]
    for name in dict.fromkeys([case.reader for case in done] + ["all"]):
        numbers = [counts[name, column] for column in columns]
        lines.append(f"{name:<20}" + "".join(f"{n:>15}" for n in (sum(numbers), *numbers)))
    return "\n".join(lines)


def main() -> int:
    """Print what failed, and the table; 1 if a case failed."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"of {', '.join(READERS)}")
    parser.add_argument("--cases", type=int, metavar="N", help="of each file")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    done = run(arguments.readers or list(READERS), arguments.seed, arguments.cases)
    print(table(done))
    return 1 if any(case.outcome in FAILED for case in done) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Progress of long work in plain text, for terminals and logs."""

from __future__ import annotations

import sys
import time


class Progress:
    """Counts steps and estimates the time that is left.

    Parameters
    ----------
    name : str
        What is going on.
    total : int
        Number of steps.
    """

    def __init__(self, name: str, total: int):
        self.name = name
        self.total = total
        self.done = 0
        self._started = time.monotonic()

    def advance(self, text: str = "") -> None:
        """Print that one more step is done, to standard error: results go to standard output."""
        self.done += 1
        elapsed = time.monotonic() - self._started
        left = elapsed / self.done * (self.total - self.done)
        print(
            f"{self.name}: {self.done} of {self.total} {text}"
            f" ({elapsed:.0f} s, about {left:.0f} s left)",
            file=sys.stderr,
            flush=True,
        )

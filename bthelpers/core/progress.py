"""Progress of long work in plain text, for terminals and logs.

Whole lines, and no bar that is drawn over (tqdm): in a log and in a notebook the carriage returns
of a bar stay, and other messages are put on its line.
"""

from __future__ import annotations

import sys
import threading
import time
from datetime import timedelta

REPORT_EVERY = 10  # seconds
GB = 10**9
WARNING = "WARNING: "  # begins a line that the terminal shows of a log


def say(text: str) -> None:
    """Print a line to standard error at once: results go to standard output."""
    print(text, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Say what the terminal of a workflow shows at once, of one of its runs too."""
    say(WARNING + text)


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
        """Say that one more step is done."""
        self.done += 1
        elapsed = time.monotonic() - self._started
        left = elapsed / self.done * (self.total - self.done)
        say(
            f"{self.name}: {self.done} of {self.total} {text}"
            f" ({elapsed:.0f} s, about {left:.0f} s left)"
        )


class ByteProgress:
    """Says every few seconds how much is done, how fast, and how long the rest will take."""

    def __init__(self, name: str, total: int, n_total_files: int):
        self.name, self.total, self.n_total_files = name, total, n_total_files
        self.n_bytes = self.n_files = 0
        self._lock = threading.Lock()
        self._started = self._reported = time.monotonic()

    def expect(self, n_bytes: int) -> None:
        """Count on more bytes, of what has to be received again."""
        with self._lock:
            self.total += n_bytes

    def received(self, n_bytes: int) -> None:
        """Count bytes."""
        with self._lock:
            self.n_bytes += n_bytes
            if time.monotonic() > self._reported + REPORT_EVERY:
                self._report()

    def end_file(self) -> None:
        """Count a file."""
        with self._lock:
            self.n_files += 1
            if self.n_files == self.n_total_files:
                self._report()

    def _report(self) -> None:
        self._reported = time.monotonic()
        rate = self.n_bytes / max(self._reported - self._started, 1e-3)
        left = timedelta(seconds=round((self.total - self.n_bytes) / max(rate, 1)))
        say(
            f"{self.name}: {self.n_bytes / GB:.3f} of {self.total / GB:.3f} GB, {self.n_files} of"
            f" {self.n_total_files} files ({rate / 1e6:.1f} MB/s, about {left} left)"
        )

"""What a terminal shows of work that runs side by side: a line and a bar each, and one for all.

Each piece of work writes what it says, warnings of libraries among it, to a log file of its own;
its bar follows the last line of a `bthelpers.core.progress.Progress` there, and what it warns of by
`bthelpers.core.progress.warn` is shown at once. Where no terminal is, as in a log, whole lines say
what has begun and ended and, every minute, how far the rest is.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bthelpers.core.progress import WARNING

LOOK_EVERY = 0.5  # seconds
SAY_EVERY = 60  # seconds, where there is no terminal
# As `Progress.advance` says it, with what it counts, and without what it says of a step.
ADVANCED = re.compile(r"^(.+): (\d+) of (\d+) .*\(\d+ s, about (\d+) s left\)$")
TAIL = 4096  # bytes at the end of a log in which progress is looked for
LAST_LINES = 20  # shown of a log where work has failed


def last_progress(log: Path) -> tuple[str, int, int, int] | None:
    """What the last line of progress in a log counts, how many are done, of how many; seconds left.

    None where there is no such line, or no log yet.

    Examples
    --------
    >>> log = Path(getfixture("tmp_path")) / "tuning.log"
    >>> log.write_text("epochs: 3 of 16 loss 0.99 (75 s, about 325 s left)\\nA warning\\n") and None
    >>> last_progress(log)
    ('epochs', 3, 16, 325)
    """
    if not log.exists():
        return None
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - TAIL, 0))
        lines = file.read().decode(errors="replace").splitlines()
    found = [match for match in map(ADVANCED.match, lines) if match]
    if not found:
        return None
    name, *numbers = found[-1].groups()
    return name, *map(int, numbers)


@dataclass
class Work:
    """A piece of work that goes on.

    Attributes
    ----------
    task : rich.progress.TaskID
    name : str
    log : Path
    n_read : int
        Bytes of the log in which warnings have been looked for.
    """

    task: TaskID
    name: str
    log: Path
    n_read: int = 0

    def new_warnings(self) -> list[str]:
        """Lines of warning that the log has got since it was looked at."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(self.n_read)
            whole = file.read().rpartition(b"\n")[0]
        self.n_read += len(whole)
        lines = whole.decode(errors="replace").splitlines()
        return [line for line in lines if line.startswith(WARNING)]


class WorkShown:
    """Shows pieces of work as they begin, go on and end, until it is closed.

    Parameters
    ----------
    console : rich.console.Console, optional
        By default, standard error.
    """

    def __init__(self, console: Console | None = None):
        self.console = console or Console(stderr=True, soft_wrap=True)
        self.total = self.done = 0
        self._running: dict[int, Work] = {}
        self._lock = threading.Lock()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._whole = self._progress.add_task("all", total=None, said="")
        self._progress.start()
        self._started = self._said = time.monotonic()
        self._closed = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()

    def __contains__(self, number: int) -> bool:
        """Whether the piece of work of this number has begun, and not ended."""
        return number in self._running

    def expect(self, total: int, done: int = 0) -> None:
        """So many pieces there are, of which so many are done."""
        self.total, self.done = total, done
        left = ""
        if done:
            seconds = (time.monotonic() - self._started) / done * (total - done)
            left = f", about {seconds / 60:.0f} min left"
        said = f"{done} of {total}{left}"
        self._progress.update(self._whole, total=total, completed=done, said=said)

    def begin(self, number: int, name: str, log: Path) -> None:
        """A piece of work begins, which writes to a log."""
        with self._lock:
            task = self._progress.add_task(name, total=None, said="")
            self._running[number] = Work(task, name, log)
        if not self.console.is_terminal:
            self.say(f"{name}: begins")

    def end(self, number: int) -> None:
        """A piece of work has ended well."""
        name, seconds = self._removed(number)
        self.say(f"{name}: done in {seconds:.0f} s, {self.done + 1} of {self.total}")

    def fail(self, number: int) -> None:
        """A piece of work has failed: show the end of its log."""
        log = self._running[number].log
        name, seconds = self._removed(number)
        self.say(f"{name}: failed after {seconds:.0f} s; the end of {log}:")
        if log.exists():
            with log.open(errors="replace") as file:
                for line in deque(file, LAST_LINES):
                    self.say(f"  {line.rstrip()}")

    def say(self, text: str) -> None:
        """Print a line above those that change."""
        self.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Stop, and leave the terminal as it was."""
        self._closed.set()
        self._looking.join()
        self._progress.stop()

    def _removed(self, number: int) -> tuple[str, float]:
        with self._lock:
            work = self._running.pop(number)
            self._warn(work)
            index = self._progress.task_ids.index(work.task)
            seconds = self._progress.tasks[index].elapsed or 0
            self._progress.remove_task(work.task)
        return work.name, seconds

    def _warn(self, work: Work) -> None:
        for line in work.new_warnings():
            self.say(f"{work.name}: {line} ({work.log})")

    def _look(self) -> None:
        while not self._closed.wait(LOOK_EVERY):
            due = time.monotonic() > self._said + SAY_EVERY and not self.console.is_terminal
            with self._lock:
                for work in self._running.values():
                    self._warn(work)
                    if progress := last_progress(work.log):
                        what, done, total, left = progress
                        said = f"{what}: {done} of {total}, about {left} s left"
                        self._progress.update(work.task, completed=done, total=total, said=said)
                        if due:
                            self.say(f"{work.name}: {said}")
            if due:
                self._said = time.monotonic()

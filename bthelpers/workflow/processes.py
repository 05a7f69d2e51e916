"""Commands that end with this process, and folders in which one workflow is at work at a time."""

from __future__ import annotations

import fcntl
import os
import platform
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TextIO

import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 15.0  # seconds to end by itself, before it is killed
POLL = 0.1  # seconds


class _Signalled(BaseException):
    """A signal that ends this process, on its way out of what it is amid."""


@contextmanager
def alone_in(folders: Iterable[Path]) -> Iterator[list[int]]:
    """Be the only workflow at work in folders, by locks that lie beside them.

    Not by filelock's: who is handed the open files holds the locks as well, and may outlive this
    process where that is killed outright. A lock names its machine and process until they end,
    also by a signal: not every network file system tells one machine what another one holds.

    Yields
    ------
    list of int
        Descriptors of the open files.

    Raises
    ------
    SystemExit
        If another one is at work in one of them, or may be on another machine; or if its file
        system locks no files.
    """
    with _unwinding(), ExitStack() as stack:
        yield [
            stack.enter_context(_locked(folder))
            for folder in sorted({folder.resolve() for folder in folders})
        ]


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    here, path = platform.node(), folder.with_name(f".{folder.name}.lock")
    with path.open("a+", encoding="utf-8", errors="replace") as lock:
        lock.seek(0)
        machine, _, process = lock.read().strip().partition(" ")
        holder = f" (process {process} on {machine})" if process else ""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if machine in ("", here):
                _write(lock, f"{here} {os.getpid()}\n")
        except BlockingIOError:
            raise SystemExit(
                f"another workflow{holder} is at work in {folder}: wait for it, or end it first"
            ) from None
        except OSError as error:
            raise SystemExit(
                f"{path} cannot be locked ({error.strerror}): make room if its disk is full; if it"
                f" locks no files, put {folder} on another one, and a link in its place"
            ) from error
        if machine not in ("", here):
            raise SystemExit(
                f"{path}: another workflow{holder} has not said that it ended. If it is not at work"
                " there, delete this file; then run the same command again"
            )
        try:
            yield lock.fileno()
        finally:
            _write(lock, "")


def _write(lock: TextIO, text: str) -> None:
    """Replace what a lock holds, for other machines to see."""
    lock.truncate(0)
    lock.write(text)
    lock.flush()
    os.fsync(lock.fileno())


@contextmanager
def _unwinding() -> Iterator[None]:
    """Have signals that end this process outright leave contexts first, and take effect then."""

    def leave(number: int, _: object) -> None:
        raise _Signalled(number)

    outright = [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in outright:
        signal.signal(number, leave)
    received = None
    try:
        yield
    except _Signalled as signalled:
        (received,) = signalled.args
    finally:
        for number in outright:
            signal.signal(number, signal.SIG_DFL)
    if received is not None:
        signal.raise_signal(received)


def run_to_end(command: Sequence[str], ending: signal.Signals = signal.SIGTERM, **options) -> int:
    """Run a command; when it ends, or a signal ends this process, nothing that it started stays.

    At Ctrl-C, SIGTERM and SIGHUP, the command's processes get the signal that ends them. What is
    still there after `GRACE` seconds, or at a second signal, is killed, also where it has left the
    command's process group, as kernels of notebooks do. Then the signal takes its usual effect on
    this process. What outlives a command that ends by itself, or is killed alone, as by a kernel
    that lacks memory, is ended in the same manner, by SIGTERM.
    Signals that are ignored, as under ``nohup``, stay ignored.

    Parameters
    ----------
    command : sequence of str
    ending : Signals
    **options
        Of `subprocess.Popen`.

    Returns
    -------
    int
        Exit status.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, unless Python was told to handle it otherwise.
    """
    received: list[int] = []
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    usual = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in heeded
    }
    status = None
    try:
        # A session of its own: Ctrl-C reaches this process alone, which ends the others.
        # It heeds Ctrl-C also where this process was told not to, as a job in the background is.
        process = psutil.Popen(
            command,
            start_new_session=True,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
            **options,
        )
        while status is None and not received:
            with suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
                status = process.wait(POLL)
        _end(process, ending if received else signal.SIGTERM, received)
        status = process.wait()
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])
    return status


def _end(process: psutil.Popen, ending: signal.Signals, received: list[int]) -> None:
    """End what there still is of a process's session, and its descendants in other ones."""
    family = _with_descendants(_session(process))
    if family:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, ending)
    deadline, heard = time.monotonic() + GRACE, len(received)
    while family and len(received) == heard and time.monotonic() < deadline:
        time.sleep(POLL)
        family = _with_descendants(family)  # a kernel may have been about to start
    while family and time.monotonic() < deadline + GRACE:
        for survivor in family:
            with suppress(psutil.NoSuchProcess):
                survivor.kill()
        time.sleep(POLL)
        family = _with_descendants(family)


def _session(leader: psutil.Popen) -> set[psutil.Process]:
    """Processes of a session: those whose leader has ended are no longer its children."""
    found = set()
    for number in psutil.pids():
        with suppress(OSError, psutil.NoSuchProcess):  # it ends meanwhile, or is another user's
            if os.getsid(number) == leader.pid:
                found.add(psutil.Process(number))
    return found


def _with_descendants(processes: set[psutil.Process]) -> set[psutil.Process]:
    """Processes that are still alive, and all that they have started."""
    alive = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                alive |= {process, *process.children(recursive=True)}
    return alive

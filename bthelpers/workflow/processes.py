"""Commands that end with this process, and folders in which one workflow is at work at a time."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 15.0  # seconds to end by itself, before it is killed
POLL = 0.1  # seconds


@contextmanager
def alone_in(folders: Iterable[Path]) -> Iterator[list[int]]:
    """Be the only workflow at work in folders, by locks that lie beside them.

    Not by filelock's: who is handed the open files holds the locks as well, and may outlive this
    process where that is killed outright.

    Yields
    ------
    list of int
        Descriptors of the open files.

    Raises
    ------
    SystemExit
        If another one is at work in one of them.
    """
    with ExitStack() as stack:
        locks = []
        for folder in sorted({folder.resolve() for folder in folders}):
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(folder.with_name(f".{folder.name}.lock").open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SystemExit(
                    f"another workflow is at work in {folder}: wait for it, or end it first"
                ) from None
            locks.append(lock.fileno())
        yield locks


def run_to_end(command: Sequence[str], ending: signal.Signals = signal.SIGTERM, **options) -> int:
    """Run a command; where a signal ends this process, nothing that it has started stays.

    At Ctrl-C, SIGTERM and SIGHUP, the command's processes get the signal that ends them. What is
    still there after `GRACE` seconds, or at a second signal, is killed, also where it has left the
    command's process group, as kernels of notebooks do. Then the signal takes its usual effect on
    this process.
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
        if received:
            _end(process, ending, received)
            status = process.wait()
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])
    return status


def _end(process: psutil.Popen, ending: signal.Signals, received: list[int]) -> None:
    """End a process, the leader of its group, and its descendants in this and other groups."""
    family = _with_descendants({process})
    with suppress(ProcessLookupError):
        os.killpg(process.pid, ending)
    deadline = time.monotonic() + GRACE
    while family and len(received) == 1 and time.monotonic() < deadline:
        time.sleep(POLL)
        family = _with_descendants(family)  # a kernel may have been about to start
    while family and time.monotonic() < deadline + GRACE:
        for survivor in family:
            with suppress(psutil.NoSuchProcess):
                survivor.kill()
        time.sleep(POLL)
        family = _with_descendants(family)


def _with_descendants(processes: set[psutil.Process]) -> set[psutil.Process]:
    """Processes that are still alive, and all that they have started."""
    alive = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                alive |= {process, *process.children(recursive=True)}
    return alive

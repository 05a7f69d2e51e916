"""What a run computes on: a device of its own, or several, its arithmetic and its memory.

A run whose notebook is executed by several processes at once (torchrun) has a device in each. They
share the work, and average what follows from it.
"""

from __future__ import annotations

import fcntl
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from torch import distributed

from bthelpers.core.progress import warn

T = TypeVar("T")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PATIENCE = timedelta(days=1)  # with a process that is at work alone; one that fails ends the others

_held = []  # open lock files: a lock lasts as long as the process


def claim_device() -> torch.device:
    """A GPU that no other run of this user's holds, or the CPU where there is no GPU.

    The workflow starts no more runs at a time than it was given GPUs (``--resources gpu=N``), and
    ``CUDA_VISIBLE_DEVICES`` limits which ones are seen.

    Raises
    ------
    RuntimeError
        If all GPUs are held.
    """
    n_gpus = torch.cuda.device_count()
    for index in range(n_gpus):
        uuid = torch.cuda.get_device_properties(index).uuid
        name = f"bthelpers-{os.getuid()}-{uuid}.lock"
        file = (Path(tempfile.gettempdir()) / name).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        _held.append(file)
        torch.cuda.set_device(index)  # also for libraries that take the current one
        return torch.device("cuda", index)
    if n_gpus:
        raise RuntimeError(
            f"all {n_gpus} GPUs are in use by other runs: start fewer at a time"
            f" (`make results GPUS={n_gpus}`)"
        )
    return torch.device("cpu")


def arithmetic(precision: str, device: torch.device) -> torch.dtype:
    """What "float32" or "bfloat16" is computed in on a device.

    Products in bfloat16 take 60 times as long as in float32 on a processor that has no instructions
    for them: there, it is float32.
    """
    if device.type == "cpu" and not _cpu_has_bfloat16():
        return torch.float32
    return DTYPES[precision]


def _cpu_has_bfloat16() -> bool:
    onednn = torch.backends.mkldnn.is_available()  # PyTorch without it is slow in any case
    return onednn and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Context in which modules compute as `arithmetic` says, in bfloat16 only where it is safe."""
    dtype = arithmetic(precision, device)
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def join_processes(device: torch.device) -> None:
    """Meet the other processes of a run, if torchrun has started several; each has its device."""
    if not distributed.is_torchelastic_launched() or distributed.is_initialized():
        return
    # Numbers in main memory go by gloo in any case.
    backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
    distributed.init_process_group(backend, timeout=PATIENCE)
    torch.set_num_threads(max(1, torch.get_num_threads() // n_processes()))


def n_processes() -> int:
    """Processes that share this run."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def process_index() -> int:
    """Which of them this is, counted from 0: the first one is the one that writes files."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def average_over_processes(values: Iterable[torch.Tensor]) -> None:
    """Replace values by their means over the processes of a run, in place; each waits for all."""
    if n_processes() > 1:
        for value in values:
            distributed.all_reduce(value)
            value /= n_processes()


def of_first(compute: Callable[[], float]) -> float:
    """What the first process of a run computes, in all of them."""
    value = torch.tensor(math.nan if process_index() else compute(), dtype=torch.float64)
    if n_processes() > 1:
        distributed.broadcast(value, src=0)
    return value.item()


def _lacking(what: str, remedy: str) -> str:
    return (
        f"the GPU has no memory for {what}: {remedy}, or see whether others use it too (nvidia-smi)"
    )


@contextmanager
def memory_for(what: str, remedy: str) -> Iterator[None]:
    """Have work that does not fit the device's memory say which parameter to lower.

    For what cannot go through in smaller parts and come to the same; of what can, a `BatchSize`
    takes care.

    Parameters
    ----------
    what : str
        Needs the memory.
    remedy : str

    Raises
    ------
    torch.OutOfMemoryError
        In place of PyTorch's own, which names no parameter.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise torch.OutOfMemoryError(_lacking(what, remedy)) from error


@dataclass
class BatchSize:
    """How many go through a model at once: half as many from where its device lacks memory, once.

    Attributes
    ----------
    number : int
    what : str
        Goes through, in the plural.
    remedy : str
        Where half as many do not fit either.
    """

    number: int
    what: str
    remedy: str
    halved: bool = field(default=False, init=False)

    def run(self, work: Callable[[int], T], undo: Callable[[], object] = lambda: None) -> T:
        """Do work that is told how many go through at once, again with half as many where it fails.

        It comes to the same but for rounding and the random numbers of dropout: where a model has
        any in training, it draws new ones.

        Parameters
        ----------
        work : callable
        undo : callable
            What an attempt that ran out of memory may have left.

        Raises
        ------
        torch.OutOfMemoryError
            If half as many do not fit, or one does not.
        """
        try:
            return work(self.number)
        except torch.OutOfMemoryError as error:
            if self.halved or self.number == 1:
                what = f"{self.what} ({self.number} at once)"
                raise torch.OutOfMemoryError(_lacking(what, self.remedy)) from error
        # Not above, where the error still holds what was computed.
        undo()
        torch.cuda.empty_cache()
        before, self.number, self.halved = self.number, self.number // 2, True
        warn(
            f"the GPU has no memory for {self.what} ({before} at once): going on with {self.number}"
            " at once, whose sums are rounded differently, and whose dropout, in training, draws"
            " other random numbers; to repeat it with memory for all, remove its results"
        )
        return self.run(work, undo)

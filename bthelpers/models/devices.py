"""One device per run, also when several runs share a machine."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

import torch

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

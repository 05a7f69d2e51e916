"""One device per run, also when several runs share a machine, and the arithmetic it has."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

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

"""What this machine is, and how fast it multiplies matrices."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import torch

from bthelpers.models.devices import DTYPES, arithmetic

CPU = torch.device("cpu")
PRODUCTS = 9  # of which the fastest counts


def processor() -> str:
    """Name of the processor, as well as the system knows it."""
    if (cpuinfo := Path("/proc/cpuinfo")).is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if names:
            return names[0].split(":")[1].strip()
    return platform.processor() or platform.machine()


def described() -> str:
    """The machine in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (
        f"{processor()}, {os.cpu_count()} cores of which {torch.get_num_threads()} are used,"
        f" {memory / 2**30:.0f} GiB of memory"
    )


def precisions() -> list[str]:
    """Those that this processor computes in."""
    return [name for name, dtype in DTYPES.items() if arithmetic(name, CPU) == dtype]


def peaks(size: int) -> dict[str, float]:
    """Operations per second of products of two square matrices, by precision."""
    found = {}
    for precision in precisions():
        one, other = torch.randn(2, size, size).to(DTYPES[precision])
        seconds = []
        for _ in range(PRODUCTS):
            started = time.perf_counter()
            one @ other
            seconds.append(time.perf_counter() - started)
        found[precision] = 2 * size**3 / min(seconds)
    return found

"""How fast this machine multiplies matrices."""

from __future__ import annotations

import time

import torch

from bthelpers.models.devices import DTYPES, arithmetic

CPU = torch.device("cpu")
PRODUCTS = 9  # of which the fastest counts


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

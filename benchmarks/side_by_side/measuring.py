"""Contenders run by turns: seconds, operations and agreement of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import (
    FlopCounterMode,
    conv_flop_count,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from bthelpers.results.benchmarks.record import Measurement

ROUNDS = 3
# PyTorch's counter knows fused attention on GPUs alone, and gradients of convolutions of one group.
COUNTED = {
    torch.ops.aten.convolution_backward: (
        lambda gradient, inputs, weight, *others, **__: (
            sum(others[-1][:2]) * conv_flop_count(inputs, weight, gradient)
        )
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: (
        lambda query, key, value, *_, **__: sdpa_flop_count(query, key, value)
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda output, query, key, value, *_, **__: sdpa_backward_flop_count(
            output, query, key, value
        )
    ),
}


def scaled(amounts: Sequence[int], scale: float, least: int = 1) -> list[int]:
    """Amounts of work times a factor, so that each is still more than the one before.

    Examples
    --------
    >>> scaled([3, 30, 300], 0.02)
    [1, 2, 6]
    """
    found = [least - 1]
    for amount in amounts:
        found.append(max(round(scale * amount), found[-1] + 1))
    return found[1:]


@dataclass(frozen=True)
class Contender:
    """One way to compute something.

    Attributes
    ----------
    name : str
    run : callable
        Computes it; timed.
    ours : bool
        Whether it is this library's.
    precision : str
        Of its products.
    """

    name: str
    run: Callable[[], Any]
    ours: bool = False
    precision: str = "float32"


@dataclass(frozen=True)
class Comparison:
    """Contenders that compute the same.

    Attributes
    ----------
    study : str
    size : float
        Amount of work, in `unit`.
    unit : str
    contenders : list of Contender
    agreement : callable
        Of what a contender returns with what is right: values by name, as a `Measurement` has them.
    exact : callable, optional
        What is right; without it, what the last contender returns.
    """

    study: str
    size: float
    unit: str
    contenders: list[Contender]
    agreement: Callable[[Any, Any], dict[str, float]]
    exact: Callable[[], Any] | None = None


def measure(comparison: Comparison) -> Iterator[Measurement]:
    """Let each contender run once for its result and operations, and then all by turns, timed.

    Turns, and another first one in each round: what drifts in the machine meets all of them.
    """
    contenders = comparison.contenders
    operations, results = zip(*(_counted(contender.run) for contender in contenders), strict=True)
    exact = results[-1] if comparison.exact is None else comparison.exact()
    seconds = [[] for _ in contenders]
    for number in range(ROUNDS):
        for turn in range(len(contenders)):
            k = (turn + number) % len(contenders)
            started = time.perf_counter()
            contenders[k].run()
            seconds[k].append(time.perf_counter() - started)
    for contender, counted, result, measured in zip(
        contenders, operations, results, seconds, strict=True
    ):
        yield Measurement(
            study=comparison.study,
            size=comparison.size,
            unit=comparison.unit,
            contender=contender.name,
            ours=contender.ours,
            precision=contender.precision,
            seconds=measured,
            operations=counted,
            **comparison.agreement(result, exact),
        )


def _counted(run: Callable[[], Any]) -> tuple[int | None, Any]:
    """Operations of matrix products and convolutions, where PyTorch computes them; the result."""
    with FlopCounterMode(display=False, custom_mapping=COUNTED) as counter:
        result = run()
    return counter.get_total_flops() or None, result

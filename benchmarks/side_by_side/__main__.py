"""``python -m side_by_side [--scale S] [--output FILE]``: measure, print, write the record."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import torch

from bthelpers.core.provenance import provenance
from bthelpers.results.benchmarks.record import Measurement, Record, code_digests, write_record
from bthelpers.results.benchmarks.strides import stride_table
from side_by_side import reading, ridges, sliding, strides, tuning
from side_by_side.machine import described
from side_by_side.measuring import Comparison, measure
from side_by_side.peak import peaks
from side_by_side.speech_models import LEAST_SCALE, ROOT, speech_models

PEAK_SIZE, LEAST_PEAK_SIZE = 4096, 256  # rows and columns of the matrices
OTHERS = ("himalaya", "scikit-learn", "h5py")


def comparisons(scale: float) -> Iterator[tuple[Comparison, tuple[str, ...]]]:
    """All comparisons, each with the files of the library that it measures."""
    for study in (ridges, reading):
        for comparison in study.comparisons(scale):
            yield comparison, study.CODE
    for speech in speech_models(scale):
        for study in (sliding, tuning):
            for comparison in study.comparisons(speech, scale):
                yield comparison, study.CODE


def measured(scale: float) -> tuple[list[Measurement], dict[str, dict[str, str]]]:
    """Measurements, and digests of the files that each study measures."""
    measurements, code = [], {}
    for comparison, files in comparisons(scale):
        code[comparison.study] = code_digests(files)
        print(f"{comparison.study}: {comparison.size:,.6g} {comparison.unit}", flush=True)
        for one in measure(comparison):
            measurements.append(one)
            seconds = statistics.median(one.seconds)
            print(f"  {one.contender:<34}{seconds:10.4f} s", flush=True)
    return measurements, code


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(prog="side_by_side", description=__doc__)
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="factor on the amounts of work; 0.02 takes seconds, and below"
        f" {LEAST_SCALE} no model of base size is measured (default: 1)",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "book/recorded/benchmarks.json")
    arguments = parser.parse_args(words)
    if not arguments.scale > 0:
        parser.error(f"--scale {arguments.scale:g}: it has to be above 0")
    made = provenance(
        {"scale": arguments.scale, "threads": torch.get_num_threads()},
        machine=described(),
        **{f"version_{package}": metadata.version(package) for package in OTHERS},
    )
    size = max(round(PEAK_SIZE * min(arguments.scale, 1)), LEAST_PEAK_SIZE)
    highest = peaks(size)
    measurements, code = measured(arguments.scale)
    code[strides.STUDY] = code_digests(strides.CODE)
    costs = list(strides.stride_costs(arguments.scale))
    print(stride_table(costs).to_string())
    write_record(Record(made, highest, code, measurements, costs), arguments.output)
    print(f"written to {arguments.output}")


if __name__ == "__main__":
    main()

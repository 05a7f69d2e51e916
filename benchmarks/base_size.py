"""One step of brain-tuning at base size, for every family: memory, time, and exact resumption.

    python benchmarks/base_size.py [--voxels 50732] [--windows 4] [--window 16]

Models have random weights and the published architectures; sound and responses are noise. Each
family runs in a process of its own, whose peak memory is printed. The run is interrupted after its
first epoch, of one step, and must end in the same weights as an undisturbed one.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from base_models import BASE  # noqa: E402

from bthelpers.core.timing import TR  # noqa: E402
from bthelpers.models.speech import SpeechEncoder  # noqa: E402
from bthelpers.params.loading import load  # noqa: E402
from bthelpers.tuning.brain_tuning import BrainTuning, brain_tune  # noqa: E402
from bthelpers.workflow.plan import noise_story  # noqa: E402


def gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def one_family(family: str, n_voxels: int, n_windows: int, window: float) -> None:
    settings = replace(
        load(ROOT / "params/paper.yaml").tuning,
        window=window,
        batch_trs=n_windows,
        stretches_at_once=n_windows,
        epochs=2,
        patience=2,
    )
    torch.manual_seed(0)
    encoder = SpeechEncoder(BASE[family]().eval())
    story = noise_story(math.ceil(window / TR) + n_windows, n_voxels)
    rows = slice(-n_windows, None)
    story = replace(story, times=story.times[rows], responses=story.responses[rows])
    arguments, of_noise = ([story], [story], settings), {"noise": [story]}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, "checkpoint.pt")
        trainer = BrainTuning(encoder, of_noise, of_noise, settings, seed=0).trainer
        started = time.perf_counter()
        trainer.train_epoch()
        seconds = time.perf_counter() - started
        trainer.save(checkpoint)
        size = checkpoint.stat().st_size / 1e9
        del trainer
        step = gigabytes()
        resumed = brain_tune(encoder, *arguments, 0, checkpoint).encoder.model.state_dict()
    undisturbed = brain_tune(encoder, *arguments, 0).encoder.model.state_dict()
    equal = all(torch.equal(resumed[name], undisturbed[name]) for name in resumed)
    print(
        f"{family:9s} {sum(p.numel() for p in encoder.model.parameters()) / 1e6:6.1f} M weights;"
        f" a step of {n_windows} windows and its validation: {seconds:6.1f} s, peak {step:5.2f} GB;"
        f" checkpoint {size:.2f} GB; resumed bit-equal: {equal}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--voxels", type=int, default=50_732)  # UTS03's above a ceiling of 0.4
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--window", type=float, default=16.0)
    parser.add_argument("--family", choices=BASE)
    arguments = parser.parse_args()
    if arguments.family:
        one_family(arguments.family, arguments.voxels, arguments.windows, arguments.window)
        return
    threads = torch.get_num_threads()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {threads} threads"
    )
    for family in BASE:
        subprocess.run([sys.executable, *sys.argv, "--family", family], check=True)


if __name__ == "__main__":
    main()

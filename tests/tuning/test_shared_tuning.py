"""Two processes that share each step of a tuning come to what one comes to alone."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tuned_in_processes import begun, outcome

ROOT = Path(__file__).parents[2]
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What each of two processes comes to, by tuning."""
    folder = tmp_path_factory.mktemp("processes")
    begun(folder / "begun.pt")
    script = [str(ROOT / "tests/tuned_in_processes.py"), str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *LAUNCHER, "2", *script], env=environment, check=True)
    return [torch.load(folder / f"{index}.pt", weights_only=True) for index in range(2)]


# What is begun by one process is gone on with by two.
@pytest.mark.parametrize(
    ("name", "alone"), [("windows", "windows"), ("chunks", "chunks"), ("begun", "windows")]
)
def test_losses_and_weights_are_those_of_one_process(both, name, alone):
    losses, kept, weights = outcome(alone)
    assert kept < len(losses[0]) - 1  # it stops early
    for found in both:
        their_losses, their_epoch, their_weights = found[name]
        np.testing.assert_allclose(their_losses, losses, rtol=1e-4)
        assert their_epoch == kept
        for key, value in weights.items():
            torch.testing.assert_close(their_weights[key], value, rtol=1e-4, atol=1e-5)


def test_all_processes_end_in_the_same_weights(both):
    (first, *_, one), (second, *_, other) = (found["chunks"] for found in both)
    assert first == second
    assert all(torch.equal(one[name], other[name]) for name in one)

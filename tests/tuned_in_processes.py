"""A tiny model, tuned by as many processes as torchrun starts of this: what comes of it in each."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tiny_models import tiny_model

from bthelpers.core.timing import SAMPLE_RATE, response_times
from bthelpers.models.devices import join_processes, process_index
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.loading import load
from bthelpers.tuning.brain_tuning import BrainTuning, jointly_tune
from bthelpers.tuning.examples import TuningStory

SMOKE = load(Path(__file__).parents[1] / "params/smoke.yaml").tuning
# Of 5 windows a step, one process has 3 and the other 2; the last of 11 is for both.
WINDOWS = replace(
    SMOKE,
    window=2.0,
    sharing="window",
    batch_trs=5,
    stretches_at_once=2,
    epochs=4,
    transformer_lr=1e-3,
    head_lr=1e-2,
    patience=1,
    precision="float32",
)
CHUNKS = replace(WINDOWS, sharing="chunk", chunk_trs=2, batch_trs=6, heads="separate")
NO_DROPOUT = dict.fromkeys(
    ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.0
)


def noise(n_rows, n_voxels):
    """A story whose responses have nothing to do with its sound."""
    rng, times = np.random.default_rng(n_rows), response_times(n_rows + 20)
    waveform = rng.normal(size=int(SAMPLE_RATE * (times[-1] + 1))).astype(np.float32)
    responses = rng.normal(size=(n_rows, n_voxels)).astype(np.float32)
    return TuningStory(f"noise{n_rows}", waveform, times, responses)


def tunings():
    """By name, what is tuned to what, and how."""
    encoder = SpeechEncoder(tiny_model(**NO_DROPOUT))
    stories = {"A": [noise(11, 3)]}, {"A": [noise(7, 3)]}
    joint = (
        {"A": [noise(11, 3), noise(4, 3)], "B": [noise(11, 2)]},
        {"A": [noise(7, 3)], "B": [noise(7, 2)]},
    )
    return {"windows": (encoder, *stories, WINDOWS, 0), "chunks": (encoder, *joint, CHUNKS, 0)}


def outcome(name, checkpoint=None):
    """Losses, the epoch that is kept, and its weights."""
    result = jointly_tune(*tunings()[name], checkpoint)
    losses = [result.training_loss, result.validation_loss]
    return losses, result.kept_epoch, result.encoder.model.state_dict()


def begun(checkpoint):
    """Write the checkpoint of a tuning by windows after its first epoch."""
    trainer = BrainTuning(*tunings()["windows"]).trainer
    trainer.train_epoch()
    trainer.save(checkpoint)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    join_processes(torch.device("cpu"))
    found = {name: outcome(name) for name in tunings()}
    found["begun"] = outcome("windows", folder / "begun.pt")
    torch.save(found, folder / f"{process_index()}.pt")

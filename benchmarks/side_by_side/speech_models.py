"""Speech models that are measured: each as this library has it, and plainly."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from base_models import BASE, large_hubert
from transformers import AutoModel, PreTrainedModel

from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.loading import load
from bthelpers.params.settings import Profile

ROOT = Path(__file__).parents[2]
LEAST_SCALE = 0.5  # from which models of published sizes are measured as well


@dataclass(frozen=True)
class Speech:
    """A model twice, with the same weights.

    Attributes
    ----------
    name : str
    encoder : SpeechEncoder
    plain : PreTrainedModel
        As transformers gives it.
    """

    name: str
    encoder: SpeechEncoder
    plain: PreTrainedModel


def speech_models(scale: float) -> Iterator[Speech]:
    """The demo's miniature, and HuBERT in base and large size with random weights."""
    yield _loaded("miniature", ROOT / "bthelpers/checkpoints/hubert-mini-square")
    if scale < LEAST_SCALE:
        return
    for name, make in (("base size", BASE["hubert"]), ("large size", large_hubert)):
        with torch.random.fork_rng(), tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(0)
            SpeechEncoder(make()).save(folder, {"data": "none: random weights"})
            yield _loaded(name, Path(folder))


def _loaded(name: str, folder: Path) -> Speech:
    plain = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    return Speech(name, SpeechEncoder.load(folder), plain)


@functools.cache
def paper() -> Profile:
    """The published experiment: its windows, strides and batches."""
    return load(ROOT / "params/paper.yaml")

"""What windows that slide by more save, and what that takes from alignment.

A simulated participant of the demo, drawn with another seed than any that the book reports: of the
demo's model as it was pretrained, representations at each stride, pooled in two ways, and alignment
from them, all else as in the demo.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace

import xarray as xr

from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.data.dataset import Dataset
from bthelpers.encoding.alignment import evaluate_layers
from bthelpers.encoding.ceiling import participant_voxels, voxels_to_model
from bthelpers.encoding.inputs import read_inputs
from bthelpers.encoding.representations import extract
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.loading import load
from bthelpers.params.settings import Profile
from bthelpers.results.benchmarks.strides import StrideCost
from bthelpers.results.runs import over_layers
from bthelpers.simulation.participants import make_dataset
from bthelpers.statistics.intervals import interval
from side_by_side.speech_models import LEAST_SCALE, ROOT

STUDY = "strides"
MODEL = "checkpoints/hubert-mini-square"
# All that the alignment of a simulated participant follows from, its parameters and its model too.
FILES = {
    "core": "signals timing",
    "data": "cortex regions",
    "encoding": "acoustics alignment ceiling inputs representations ridge",
    "models": "attention convolutions devices front_ends speech",
    "results": "runs",
    "simulation": "anatomy espeak lexicon participants pronunciation stories voxels",
    "statistics": "bootstrap correlation intervals permutation",
    "tasks": "word_pairs",
}
CODE = (
    *(f"{package}/{name}.py" for package, names in FILES.items() for name in names.split()),
    *("data/regions.yaml", f"{MODEL}/config.json", f"{MODEL}/model.safetensors"),
    *("../params/demo.yaml", "../params/lexicons/square.yaml"),
)
STRIDES = (0.1, 0.5, 1.0, 2.0)  # s; the first: the papers'
POOLINGS = ("last", "stride")
SEED = 7


def stride_costs(scale: float) -> Iterator[StrideCost]:
    """Of the demo; below `LEAST_SCALE`, of the smoke profile, whose alignment means nothing."""
    profile = load(ROOT / f"params/{'demo' if scale >= LEAST_SCALE else 'smoke'}.yaml")
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(profile.dataset, root=folder)
        make_dataset(folder, settings.simulate, SEED)
        yield from _costs(replace(profile, dataset=settings, seed=SEED), Dataset(folder))


def _costs(profile: Profile, dataset: Dataset) -> Iterator[StrideCost]:
    participant = profile.dataset.participants[0]
    voxels = voxels_to_model(participant_voxels(dataset, participant, profile))
    inputs = read_inputs(dataset, participant, voxels, profile)
    stories = profile.dataset.splits.stories
    minutes = sum(len(dataset.waveform(story)) for story in stories) / SAMPLE_RATE / 60
    encoder = SpeechEncoder.load(ROOT / "bthelpers" / MODEL)
    for pooling in POOLINGS:
        finest = None
        for stride in STRIDES:
            settings = replace(profile.representation, stride=stride, pooling=pooling)
            started = time.process_time()
            represented = extract(encoder, dataset, stories, settings)
            seconds = (time.process_time() - started) / minutes
            aligned = evaluate_layers(represented, inputs, tested=False)
            aligned = over_layers(aligned[["alignment", "draws"]])
            aligned = aligned.sel(region=list(profile.voxels.regions))
            finest = aligned if finest is None else finest
            for region, change in _changes(aligned, finest).items():
                alignment = aligned["alignment"].sel(region=region).item()
                yield StrideCost(pooling, stride, region, seconds, alignment, *change)


def _changes(aligned: xr.Dataset, finest: xr.Dataset) -> dict[str, tuple[float, float, float]]:
    """By region: change from the finest stride, and the ends of its interval."""
    change = (aligned - finest).rename(alignment="value")
    bounds = interval(change).transpose("bound", ...)
    return {
        region: tuple(
            found.sel(region=region).item() for found in (change["value"], bounds[0], bounds[1])
        )
        for region in change["region"].values
    }

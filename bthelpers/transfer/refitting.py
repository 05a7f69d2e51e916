"""The score that chooses an epoch of tuning: r on validation stories, after ridges are refitted.

So does the released code of BrainWavLM (Vattikonda et al., 2025); the pretrained model is a
candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
import xarray as xr

from bthelpers.data.dataset import Dataset
from bthelpers.encoding.alignment import predicted_r
from bthelpers.encoding.inputs import EncodingInputs, read_responses
from bthelpers.encoding.representations import extract
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.settings import Profile, RepresentationSettings
from bthelpers.tuning.trainer import run_digest


@dataclass(frozen=True)
class RefitScore:
    """Of a model: mean r over voxels and participants, as of `bthelpers.tuning.brain_tuning`.

    Attributes
    ----------
    dataset : Dataset
    inputs : mapping of str to EncodingInputs
        By participant: what ridges are fitted to, and validation stories as what they are tested
        on.
    representation : RepresentationSettings
    layer : int, optional
        Whose features ridges are fitted to; by default the last.
    """

    dataset: Dataset
    inputs: Mapping[str, EncodingInputs]
    representation: RepresentationSettings
    layer: int | None = None

    def __call__(self, encoder: SpeechEncoder) -> float:
        """Score a model."""
        layers = extract(encoder, self.dataset, self._stories, self.representation)
        features = layers.isel(layer=-1 if self.layer is None else self.layer)
        means = [predicted_r(features, inputs).mean() for inputs in self.inputs.values()]
        return float(np.mean(means))

    @property
    def digest(self) -> str:
        """SHA-256 of all that a score depends on but the model."""
        everyone = self.inputs.items()
        heard = [(who, of.encoding, of.training.stories, of.test.stories) for who, of in everyone]
        sounds = (
            values
            for story in self._stories
            for values in (self.dataset.waveform(story), self.dataset.tr_times(story))
        )
        responses = (split.responses for _, of in everyone for split in (of.training, of.test))
        plain = [self.representation, self.layer, *heard]
        return run_digest(plain, [], chain(sounds, responses))

    @property
    def _stories(self) -> list[str]:
        """Those that anyone's ridges are fitted to and tested on."""
        splits = (split for of in self.inputs.values() for split in (of.training, of.test))
        return list(dict.fromkeys(story for split in splits for story in split.stories))


def validation_inputs(
    dataset: Dataset, participant: str, voxels: np.ndarray, parameters: Profile, model: str
) -> EncodingInputs:
    """What chooses an epoch: fitted to the stories that tune, tested on validation stories.

    Parameters
    ----------
    dataset : Dataset
    participant : str
    voxels : int array of shape (voxel,)
        Numbers of those that are tuned towards.
    parameters : Profile
    model : str
        Whose tuning stories are taken.

    Returns
    -------
    EncodingInputs
        With no more folds than there are stories to fit to: these may be fewer than those of the
        encoding model.

    Raises
    ------
    ValueError
        If there is one story to fit to, of which none can be left out.
    """
    splits = parameters.tuning_splits(model, participant)
    if len(splits.train) < 2:
        raise ValueError(
            f"models.{model}: {participant} has {len(splits.train)} story to tune on, and"
            " tuning.keep: refit needs two or more, of which some are left out to choose penalties;"
            " raise its tuning_stories, or set tuning.keep to loss"
        )
    inputs = EncodingInputs(
        read_responses(dataset, participant, list(splits.train), voxels),
        read_responses(dataset, participant, list(splits.validation), voxels),
        np.ones(len(voxels)),  # no noise ceiling: r is not divided by it
        xr.DataArray(np.ones((1, len(voxels)), bool), {"region": ["tuned"]}, ("region", "voxel")),
        parameters.encoding.sampled(parameters.dataset.interval),
        parameters.statistics,
        parameters.seed,
    )
    return inputs.fitted_to(splits.train)

"""The score that chooses an epoch of tuning: r on validation stories, after ridges are refitted.

So does the released code of BrainWavLM (Vattikonda et al., 2025); the pretrained model is a
candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from bthelpers.data.dataset import Dataset
from bthelpers.encoding.alignment import predicted_r
from bthelpers.encoding.inputs import EncodingInputs, read_responses
from bthelpers.encoding.representations import extract
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.settings import Profile, RepresentationSettings


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
        stories = dict.fromkeys(
            story
            for inputs in self.inputs.values()
            for story in (*inputs.training.stories, *inputs.test.stories)
        )
        layers = extract(encoder, self.dataset, list(stories), self.representation)
        features = layers.isel(layer=-1 if self.layer is None else self.layer)
        means = [predicted_r(features, inputs).mean() for inputs in self.inputs.values()]
        return float(np.mean(means))


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

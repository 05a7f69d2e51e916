"""A random Wav2vec2 with its quantizer, and models in folders as they were pretrained."""

import torch
from tiny_models import CONVOLUTIONAL_SIZE
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForPreTraining

from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.settings import ModelSettings

CODES = {
    "num_negatives": 6,
    "num_codevectors_per_group": 5,
    "codevector_dim": 8,
    "proj_codevector_dim": 12,
    "diversity_loss_weight": 0.3,
}
NO_DROPOUT = {f"{name}_dropout": 0.0 for name in ("hidden", "attention", "activation", "feat_proj")}


def tiny_pretraining(**changes):
    """A random Wav2vec2 with its quantizer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = Wav2Vec2Config(**(CONVOLUTIONAL_SIZE | CODES | NO_DROPOUT | changes))
        return Wav2Vec2ForPreTraining(config).eval()


def saved(model, folder):
    """Where a model was saved, and what is loaded from there."""
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    source = ModelSettings(str(folder), None)
    return SpeechEncoder.load(source.path), source

"""Random models of two layers of every family, and what their preprocessors do to sound."""

import numpy as np
import torch
from transformers import (
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

CONVOLUTIONAL = {
    "hubert": (HubertModel, HubertConfig),
    "wav2vec2": (Wav2Vec2Model, Wav2Vec2Config),
    "wavlm": (WavLMModel, WavLMConfig),
}
CONVOLUTIONAL_SIZE = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "conv_dim": (16,) * 5,
    "conv_stride": (10, 4, 4, 2, 2),
    "conv_kernel": (20, 8, 8, 4, 4),
    "num_conv_pos_embeddings": 24,
    "num_conv_pos_embedding_groups": 8,
    "feat_extract_norm": "layer",
    "conv_bias": True,
}
WHISPER_SIZE = {
    "encoder_layers": 2,
    "decoder_layers": 1,
    "d_model": 32,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "num_mel_bins": 16,
    "max_source_positions": 250,
    "vocab_size": 20,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "decoder_start_token_id": 0,
}
WHISPER_SECONDS = 10  # that the tiny Whisper takes, at 25 tokens a second
FAMILIES = (*CONVOLUTIONAL, "whisper")


def tiny_model(family="hubert", **changes):
    """A random model in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if family == "whisper":
            return WhisperModel(WhisperConfig(**(WHISPER_SIZE | changes))).eval()
        model_class, config_class = CONVOLUTIONAL[family]
        return model_class(config_class(**(CONVOLUTIONAL_SIZE | changes))).eval()


def tiny_extractor(family="hubert"):
    """The preprocessor that a tiny Whisper needs; None for the others: their family's own."""
    if family != "whisper":
        return None
    return WhisperFeatureExtractor(feature_size=16, hop_length=320, chunk_length=WHISPER_SECONDS)


def standardized(waveform):
    """What `Wav2Vec2FeatureExtractor` does, in float64."""
    waveform = np.asarray(waveform, np.float64)
    return ((waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)).astype(np.float32)


def weights(model):
    """A copy of a model's weights, by name."""
    return {name: array.clone() for name, array in model.state_dict().items()}


def same(one, other):
    """Whether two such copies are equal bit by bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)

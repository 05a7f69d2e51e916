"""The published base architectures, at full size and with random weights."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from tiny_models import CONVOLUTIONAL
from transformers import (
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.models.speech import SpeechEncoder

# facebook/wav2vec2-base, facebook/hubert-base-ls960, microsoft/wavlm-base-plus and
# openai/whisper-small, whose decoder is cut to one layer: brain-tuning never runs it.
BASE = {
    **{
        family: partial(lambda model, config: model(config()), *classes)
        for family, classes in CONVOLUTIONAL.items()
    },
    "whisper": lambda: WhisperModel(
        WhisperConfig(
            d_model=768,
            encoder_layers=12,
            encoder_attention_heads=12,
            encoder_ffn_dim=3072,
            decoder_layers=1,
            decoder_attention_heads=12,
            decoder_ffn_dim=3072,
            vocab_size=100,
            pad_token_id=0,
            bos_token_id=0,
            eos_token_id=0,
            decoder_start_token_id=0,
        )
    ),
}
EXTRACTORS = {"whisper": WhisperFeatureExtractor(80)}


@pytest.mark.parametrize("family", BASE)
def test_base_models_are_saved_loaded_and_give_what_transformers_gives(family, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = SpeechEncoder(BASE[family]().eval())
    assert (encoder.n_layers, encoder.hidden_size) == (12, 768)
    assert encoder.hop == 320
    encoder.save(tmp_path / "model", {})
    direct = copy.deepcopy(encoder._whole)
    encoder.front_end.complete(direct)
    loaded = SpeechEncoder.load(tmp_path / "model")
    rng = np.random.default_rng(0)
    sounds = [rng.normal(0, 0.1, n).astype(np.float32) for n in (SAMPLE_RATE, 7_000)]
    layers, lengths = loaded.hidden_states(sounds)
    extractor = EXTRACTORS.get(family, Wav2Vec2FeatureExtractor(do_normalize=True))
    inputs = extractor(sounds[0], sampling_rate=SAMPLE_RATE, return_tensors="pt")
    with torch.no_grad():
        model = direct.encoder if family == "whisper" else direct
        expected = model(*inputs.values(), output_hidden_states=True).hidden_states
    alone = loaded.hidden_states(sounds[1:]).layers
    for ours, theirs, single in zip(layers, expected, alone, strict=True):
        length = lengths[0]
        torch.testing.assert_close(ours[0, :length], theirs[0, :length], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours[1, : lengths[1]], single[0], atol=1e-5, rtol=1e-5)

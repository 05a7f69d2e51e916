"""Published architectures, at full size and with random weights."""

from functools import partial

from tiny_models import CONVOLUTIONAL
from transformers import HubertConfig, HubertModel, WhisperConfig, WhisperModel

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


def large_hubert() -> HubertModel:
    """facebook/hubert-large-ll60k, which normalises each frame by itself."""
    return HubertModel(
        HubertConfig(
            hidden_size=1024,
            num_hidden_layers=24,
            num_attention_heads=16,
            intermediate_size=4096,
            feat_extract_norm="layer",
            conv_bias=True,
            do_stable_layer_norm=True,
        )
    )

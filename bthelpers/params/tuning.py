"""What a profile sets of tuning: towards responses or other models, and on the sound alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import StrictBool, StrictInt

from bthelpers.params.schema import (
    Chance,
    Count,
    Line,
    Names,
    NonNegative,
    Positive,
    Precision,
    Share,
    at_least,
)

Loss = Literal["squared_error", "across_voxels", "over_time"]
Adaptation = Literal["full", "lora"]
Kept = Literal["loss", "refit"]


@dataclass(frozen=True)
class TuningSettings:
    """Brain-tuning (ICLR paper, section 3.3).

    What has a default, which is the ICLR paper's, is from BrainWavLM (Vattikonda et al., 2025) or
    from Moussa and Toneva (NeurIPS 2025), "many". Rank, alpha and dropout of adapters are those of
    BrainWavLM's released code; its paper gives none.
    """

    window: Positive  # seconds of sound before a TR that its response is predicted from
    pooling: Literal["mean", "hrf", "delays"]  # of tokens: plain, weighted by the HRF, or per delay
    standardize: StrictBool  # pooled features, by the pretrained model's mean and deviation
    sharing: Literal["window", "chunk"]  # one example a TR, or one chunk of sound for many TRs
    chunk_trs: Count  # TRs that a chunk serves; only where sharing is by chunk
    batch_trs: Count  # TRs per optimiser step
    stretches_at_once: Count  # windows or chunks per forward pass: bounds memory
    epochs: Count  # at most
    transformer_lr: Positive  # peak learning rate of the transformer layers
    head_lr: Positive  # peak learning rate of the linear head
    warmup: Share  # share of the steps in which both rates rise; they fall linearly after it
    patience: Count  # epochs without a lower validation loss after which tuning stops
    precision: Precision  # of the transformer's arithmetic
    permutation_block: Count  # TRs that stay together in the block-permuted control (D.2)
    loss: Loss = "squared_error"  # or minus a correlation: of each TR across voxels, or over time
    head: Literal["linear", "bottleneck"] = "linear"  # one linear map to voxels, or two
    bottleneck: Count = 100  # units between the two maps; released code of BrainWavLM
    layer: Count | None = None  # whose tokens are read out; null: the last
    adaptation: Adaptation = "full"  # all weights of the transformer, or low-rank changes by LoRA
    rank: Annotated[StrictInt, *at_least(0)] = 4  # of adapters; 0: the head alone is tuned; many: 8
    alpha: NonNegative = 4.0  # adapters' outputs are multiplied by alpha / rank; code of many: 32
    adapter_lr: Positive | None = None  # peak learning rate of adapters; null: the transformer's
    adapter_dropout: Share = 0.1  # of what goes into adapters; the same in the code of many
    jointly: Names | None = None  # participants whom one model is tuned to at once; null: all
    heads: Literal["shared", "separate"] = "shared"  # of participants that are tuned to at once
    adapted: Names = ("q_proj", "k_proj", "v_proj")  # linear layers with an adapter: W^Q, W^K, W^V
    unheard: Names | None = None  # training stories that no model is tuned on, for `minutes`
    keep: Kept = "loss"  # epoch of least loss; or of highest r of a refitted ridge, or none of them

    @property
    def model_lr(self) -> float:
        """Peak learning rate of that which is tuned of the model."""
        return (self.adaptation == "lora" and self.adapter_lr) or self.transformer_lr

    @property
    def trs_per_segment(self) -> int:
        """TRs that one window, or one chunk of sound, serves."""
        return self.chunk_trs if self.sharing == "chunk" else 1

    @property
    def segments_per_step(self) -> int:
        """Windows or chunks that an optimiser step learns from."""
        return max(1, self.batch_trs // self.trs_per_segment)


@dataclass(frozen=True)
class BigSpeechModel:
    """A bigger Whisper, all of whose decoder layers are targets."""

    path: Line  # folder, or name on the hub
    revision: Line | None  # commit on the hub; null for a folder


@dataclass(frozen=True)
class TextModel:
    """A text model whose layers are targets."""

    path: Line  # folder, or name on the hub
    revision: Line | None  # commit on the hub; null for a folder
    layer_step: Count  # 1: all layers; 3: the third, the sixth, …
    epochs: Count  # all are trained, in place of those of `tuning`


@dataclass(frozen=True)
class TargetSettings:
    """Other models that a model is tuned towards (ICLR paper, appendix D.2)."""

    big_slm: BigSpeechModel
    text_lm: TextModel
    big_text_lm: TextModel | None = None  # null: no model is tuned towards a second one

    @property
    def text_models(self) -> dict[str, TextModel | None]:
        """Text models by the condition that tunes towards them."""
        return {"text-lm": self.text_lm, "big-text-lm": self.big_text_lm}


@dataclass(frozen=True)
class StimulusSettings:
    """Self-supervised training on the sound of the stories (ICLR paper, appendix D.2)."""

    window: Positive  # seconds of sound that are taken together
    batch: Count  # windows per optimiser step
    epochs: Count  # at most
    learning_rate: Positive  # peak, of the transformer
    quantizer_lr: Positive  # peak, of the quantizer and of the projections to its codes
    warmup: Share  # share of the steps in which both rates rise; they fall linearly after it
    mask_probability: Chance  # that a mask starts at a token
    mask_length: Count  # tokens
    precision: Precision  # of the transformer's arithmetic
    patience: Count | None = None  # epochs without a lower validation loss, then it stops; or null

"""What a profile sets of evaluations: the encoding model, impact, stages, transfer, tasks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import StrictInt

from bthelpers.core.sampling import whole_samples
from bthelpers.params.schema import (
    Count,
    Distinct,
    Grid,
    Line,
    Names,
    Number,
    Positive,
    Precision,
    Share,
    at_least,
)

Chooser = Literal["training", "validation"]
Split = Literal["train", "validation", "test"]
STAGE_REGIONS = (
    *("primary_auditory", "early_auditory", "lateral_temporal", "angular_gyrus"),
    *("inferior_frontal", "middle_frontal", "late_language"),
)
LowLevelFeature = Literal[
    "power_spectrum",
    "diphones",
    "triphones",
    "articulation",
    "fbank",
    "mfcc",
    "joint",
    "joint_as_published",
]


@dataclass(frozen=True)
class EncodingSettings:
    """The voxelwise encoding model (ICLR paper, section 3.4.1).

    A penalty, which is added to the diagonal of X'X, is one of `alphas` times the number of columns
    of X: features times delays, standardised. So a grid reaches as far for wide models as for small
    ones.
    """

    fir_delays: Distinct[StrictInt]  # TRs
    alphas: Grid  # ridge penalties per column: log10 of the lowest, log10 of the highest, how many
    penalties: Chooser  # stories that choose each voxel's penalty; of training, some are left out
    folds: Annotated[StrictInt, *at_least(2)]  # of training stories, where they choose the penalty
    skip_test_rows: Annotated[StrictInt, *at_least(0)]  # rows left out at the start of a test story
    delays: Distinct[Number] | None = None  # s, whole numbers of samples; in place of fir_delays

    def sampled(self, interval: float) -> EncodingSettings:
        """The same, with delays as whole numbers of samples that are `interval` seconds apart."""
        if self.delays is None:
            return self
        return replace(self, fir_delays=whole_samples(self.delays, interval))


@dataclass(frozen=True)
class StatisticsSettings:
    """Intervals by block bootstrap over TRs, and p-values by block permutation."""

    bootstrap_draws: Count  # resamplings that an interval is made of
    block: Count  # TRs that are drawn together
    permutations: Count  # draws of the null hypothesis
    permutation_block: Count  # TRs that stay together


@dataclass(frozen=True)
class ImpactSettings:
    """The impact of low-level features on brain alignment (ICLR paper, section 3.4.2)."""

    features: Distinct[LowLevelFeature]  # each removed by itself; joint: four of them at once
    regions: Names  # region sets whose voxels are evaluated
    alphas: Grid  # ridge penalties: log10 of the lowest, log10 of the highest, how many
    delays: Distinct[StrictInt]  # TRs: neighbours that predict a TR's representation


@dataclass(frozen=True)
class StagesSettings:
    """Stages of speech processing, layer by layer (after Moussa and Toneva, 2025)."""

    regions: Names = STAGE_REGIONS  # region sets, from early to late
    low_level: Distinct[LowLevelFeature] = ("fbank", "articulation")  # models of the stimulus


@dataclass(frozen=True)
class TransferSettings:
    """How far tuned models carry (BrainWavLM, and Moussa and Toneva, NeurIPS 2025, "many")."""

    regions: Names = ("late_language", "primary_auditory")  # region sets that are predicted
    layers: Distinct[Count] | None = None  # means over them; null: the one that tuning reads out
    n_stories: Distinct[Count] = (2, 4, 8, 16)  # that each point of a curve is fitted to
    orders: Count = 5  # of these stories: so many curves are averaged


@dataclass(frozen=True)
class ProbeSettings:
    """Linear probes (ICLR paper, section 3.4.3)."""

    inverse_penalties: Grid  # C: log10 of the lowest, log10 of the highest, how many
    tokens_per_clip: Count  # at most, that low-level probes are fitted to and tested on
    precision: Precision  # of the transformer's arithmetic
    word_vectors: Line | None = None  # text file of GloVe; null: meanings, where they are simulated


@dataclass(frozen=True)
class RecognitionSettings:
    """Fine-tuning for speech recognition (ICLR paper, appendix B)."""

    epochs: Count  # all are trained
    batch_clips: Count  # per optimiser step
    learning_rate: Positive  # peak, of transformer and linear layer
    warmup: Share  # share of the steps in which the rate rises; it falls linearly after it
    precision: Precision  # of the transformer's arithmetic


@dataclass(frozen=True)
class PreferenceSettings:
    """Semantic–phonetic preference (ICLR paper, appendix C)."""

    wordnet: Line | None  # as the package wn stores it; null: the simulated lexicon's categories
    splits: Distinct[Split]  # of the dataset; words are of their stories
    words: Count | None  # that are paired, the most often spoken; null: all that can be

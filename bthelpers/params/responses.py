"""What a profile sets of responses: recordings, the encoding model, and statistics of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import StrictInt

from bthelpers.core.sampling import whole_samples
from bthelpers.params.schema import (
    Band,
    Count,
    Distinct,
    Grid,
    NonNegative,
    Number,
    Positive,
    Problem,
    at_least,
)

Chooser = Literal["training", "validation"]
# Evaluations and conditions that need fMRI: their time is in TRs, or their place on a cortex.
OF_VOLUMES = ("impact", "similarity", "controls", "jointly-tuned")


@dataclass(frozen=True)
class PlantedLags:
    """When electrodes of simulated participants follow what is heard (beyond the papers).

    That of the response to sound is as of the N1 and P2, that of meaning as of the N400.
    """

    sound: Band = (0.1, 0.2)  # s, from a sound to the peak of an electrode's response
    meaning: Band = (0.3, 0.4)  # s, from the middle of a word
    width: Positive = 0.04  # s, standard deviation of a response, which is a Gaussian


@dataclass(frozen=True)
class RecordingSettings:
    """Recordings of sensors in the layout of BIDS-EEG: electrodes are voxels, and samples TRs."""

    rate: Positive  # samples per second to which recordings of a higher rate are brought
    skip: NonNegative = 1.0  # s of a story left out: its onset has a response of its own
    planted: PlantedLags = PlantedLags()  # what simulated electrodes follow

    def problems(
        self, asked: Collection[str], others: Mapping[tuple[str, str], Any]
    ) -> Iterator[Problem]:
        """What of the profile does not go with recordings of sensors.

        Parameters
        ----------
        asked : collection of str
            Conditions and evaluations.
        others : mapping
            Values of the profile by the keys that lead to them, those of `FITTING`.
        """
        if wrong := sorted({*asked} & {*OF_VOLUMES}):
            yield Problem(f"must do without {', '.join(wrong)}, which need fMRI", ("models",))
        for place, (fits, text) in FITTING.items():
            if not fits(others[place], self.rate):
                yield Problem(text.format(interval=1 / self.rate), place)


FITTING: dict[tuple[str, str], tuple[Callable[[Any, float], bool], str]] = {
    ("dataset", "regions"): (
        lambda table, _: table is not None,
        "must name a table of electrodes: the package's own is of a cortex",
    ),
    ("dataset", "cache"): (lambda cache, _: cache is None, "must be null: recordings are small"),
    ("encoding", "delays"): (
        lambda delays, _: delays is not None,
        "must be given, in seconds: fir_delays are of TRs",
    ),
    ("representation", "stride"): (
        lambda stride, rate: stride * rate <= 1,
        "must be at most {interval:g} s: windows are as dense as samples, or denser",
    ),
    ("tuning", "pooling"): (
        lambda pooling, _: pooling == "mean",
        "must be mean: the others are for haemodynamic responses",
    ),
}


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

"""What a profile sets of recordings of sensors, and what of it does not go with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bthelpers.params.schema import Band, NonNegative, Positive, Problem

# Evaluations and conditions that need fMRI: their time is in TRs, or their place on a cortex.
OF_VOLUMES = ("impact", "similarity", "controls", "transfer", "minutes", "jointly-tuned")


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
    ("tuning", "pooling"): (
        lambda pooling, _: pooling == "mean",
        "must be mean: the others are for haemodynamic responses",
    ),
}

"""What a claim of a paper says, as intervals in which quantities are claimed to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bthelpers.claims.margins import Margin
from bthelpers.claims.quantities import Measure

Claimed = Literal["above", "below", "equal to", "not above", "not below"]
FAMILIES = ("Wav2vec2", "HuBERT", "Whisper")  # of the ICLR paper
ALL_FAMILIES = (*FAMILIES, "WavLM")


@dataclass(frozen=True)
class Statement:
    """Where a quantity is claimed to be, in each of some models and tasks.

    Parameters
    ----------
    measure : Measure
        The quantity.
    compared : tuple of str
        One condition, whose value is meant; or two: the first one's value minus the second one's.
    claimed : str
        Where that is said to be …
    bound : float
        … of what.
    families : tuple of str
        Model families of which it is said; none where it is not about models.
    tasks : tuple of str, optional
        Tasks of which it is said, where a quantity has tasks; by default all.
    margin : Margin, optional
        Of equivalence; by default the measure's.
    """

    measure: Measure
    compared: tuple[str, ...]
    claimed: Claimed
    bound: float = 0
    families: tuple[str, ...] = FAMILIES
    tasks: tuple[str, ...] | None = None
    margin: Margin | None = None

    @property
    def limits(self) -> tuple[float, float]:
        """Ends of the interval that the quantity is claimed to be in, infinite on an open side.

        Those of equality, and of not being above or below, are a margin from the bound.
        """
        if self.claimed in ("above", "below"):
            ends = {"above": (self.bound, np.inf), "below": (-np.inf, self.bound)}
            return ends[self.claimed]
        size = (self.margin or self.measure.margin).size
        low = -np.inf if self.claimed == "not above" else self.bound - size
        high = np.inf if self.claimed == "not below" else self.bound + size
        return low, high

    @property
    def null(self) -> float:
        """The quantity if nothing were true: no difference, or a single value at its bound."""
        return 0 if len(self.compared) > 1 else self.bound

    @property
    def edge(self) -> float:
        """The quantity if the statement were only just not true."""
        low, high = self.limits
        return low if np.isfinite(low) else high

    def __str__(self) -> str:
        margin = ""
        if self.claimed not in ("above", "below"):
            margin = f" ± {(self.margin or self.measure.margin).size:g}"
        return f"{self.claimed} {self.bound:g}{margin}"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper: it holds if all of its statements do.

    Parameters
    ----------
    text : str
        What is claimed.
    source : str
        Where in the paper.
    statements : tuple of Statement
        How it is tested here.
    of_published : bool
        Whether it is about published models or real brains as such: data with a planted truth
        then have no bearing on it.
    """

    text: str
    source: str
    statements: tuple[Statement, ...]
    of_published: bool = False

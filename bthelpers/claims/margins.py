"""Margins of equivalence: how much two values may differ and still count as equal.

They were argued from the paper and from the size of its corpora, before any result was compared
with them, but for that of R². The paper calls changes "slight" and values "very close", and gives
no number.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Margin:
    """A margin of equivalence.

    Parameters
    ----------
    of : str
        The values that it is for.
    size : float
    unit : str
    why : str
        The argument for this size.
    """

    of: str
    size: float
    unit: str
    why: str


ALIGNMENT = Margin(
    "change of alignment",
    10,
    "% of the other model's",
    "a third of the published rise of 30 %: half the effect or more would not be called none",
)
RISE = Margin(
    "about 30 %", 10, "points", "20 to 40 %, as of any change of alignment: a third of the rise"
)
IMPACT = Margin(
    "change of low-level impact",
    5,
    "points",
    "what a change of the alignment by its own margin does to an impact of 50 %, if what is left"
    " without low-level features stays the same",
)
SCORE = Margin(
    "change of F1, of 1 − WER and of R²",
    0.03,
    "of 1",
    "what a corpus can tell: a share of 0.6 of the 1,500 test clips of CREMA-D has a 95 % interval"
    " of ± 0.025. It also replaces an earlier margin of 0.05 for R², which was set after its"
    " values had been seen; the paper calls those of Fig. 9 very close",
)
NAIVE = Margin(
    "F1 near that of the naive classifier",
    0.1,
    "of 1",
    "the paper says close to random, often: a tenth of the scale",
)
PREFERENCE = Margin(
    "change of the preference d",
    0.01,
    "cosine distance",
    "a hundredth of the distance of vectors that have nothing in common",
)
VOXELS = Margin("voxels that remain", 10_000, "voxels", "the paper's own range, 30,000 to 50,000")
GAIN = Margin(
    "a published gain of r in percent", 5, "points", "half of the change of alignment that counts"
)
SHARE = Margin(
    "about a fifth of the data, and about twice that",
    10,
    "% of the minutes",
    "half of a fifth: from a tenth to three tenths",
)
OUTSIDE = Margin(
    "transfer outside auditory cortex", 3.5, "points", "the paper's own range, 7 to 14 %"
)
INSIDE = Margin("transfer inside auditory cortex", 2.5, "points", "the paper's own, 1 to 6 %")
MARGINS = (
    *(ALIGNMENT, RISE, IMPACT, SCORE, NAIVE, PREFERENCE, VOXELS, GAIN, OUTSIDE, INSIDE, SHARE),
)


def margin_table() -> pd.DataFrame:
    """All margins, and why they are what they are."""
    rows = [(one.of, f"± {one.size:g} {one.unit}", one.why) for one in MARGINS]
    return pd.DataFrame(rows, columns=["of", "margin", "why"]).set_index("of")

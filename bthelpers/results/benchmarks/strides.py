"""What a longer stride of sliding windows saves, and what it costs, as ``make bench`` measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from bthelpers.params.schema import Number, Positive


@dataclass(frozen=True)
class StrideCost:
    """Representations at one stride, and what they are worth in one region.

    Attributes
    ----------
    pooling : str
        What stands for a window: a parameter of representations.
    stride : float
        Seconds from a window to the next.
    region : str
    seconds : float
        Of a processor's time, for a minute of sound.
    alignment : float
        Mean over layers and voxels.
    change, low, high : float
        Change from the alignment at the shortest stride with the same pooling, and the ends of its
        95 % interval over blocks of the test story.
    """

    pooling: str
    stride: Positive
    region: str
    seconds: Positive
    alignment: Number
    change: Number
    low: Number
    high: Number


def stride_table(costs: Sequence[StrideCost]) -> pd.DataFrame:
    """Table by pooling, stride and region, for readers."""
    rows = pd.DataFrame(map(asdict, costs)).set_index(["pooling", "stride", "region"])
    change = rows[["change", "low", "high"]].apply(
        lambda row: "{:+.4f} [{:+.4f}, {:+.4f}]".format(*row), axis=1
    )
    return pd.DataFrame(
        {
            "s a minute of sound": rows["seconds"].map("{:.3g}".format),
            "alignment": rows["alignment"].map("{:.3f}".format),
            "change": change,
        }
    )

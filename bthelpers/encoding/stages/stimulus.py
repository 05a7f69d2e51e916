"""What is heard at a TR, told without any speech model: words, their categories, and the time.

Each is of the sound between a TR and the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from bthelpers.core.timing import TR
from bthelpers.data.dataset import Dataset
from bthelpers.data.files import spoken
from bthelpers.encoding.inputs import at_trs
from bthelpers.encoding.low_level import shares

BASELINE_FEATURES = ("word rate", "position", "position²")


def rate_and_position(dataset: Dataset, stories: Sequence[str]) -> xr.DataArray:
    """How many words begin at a TR, and how far the story is: what any alignment must beat.

    Simple features such as these reach much of what language models do (Feghhi et al., 2024).

    Parameters
    ----------
    dataset : Dataset
    stories : sequence of str

    Returns
    -------
    DataArray (tr, feature)
        At all TRs, before trimming; ``feature`` is `BASELINE_FEATURES`. Position is -1 at the
        story's first TR and 1 at the last one.

    Raises
    ------
    DatasetError
        If a transcription is missing or malformed.
    """
    rows = []
    for story in stories:
        times = dataset.tr_times(story)
        onsets = np.sort([word.start for word in spoken(dataset.words(story))])
        # In (t - TR, t], so that each word counts at one TR.
        begun = np.searchsorted(onsets, [times - TR, times], side="right")
        position = np.linspace(-1, 1, len(times))
        rows.append(np.column_stack([begun[1] - begun[0], position, position**2]))
    return at_trs(dataset, stories, np.concatenate(rows)).assign_coords(
        feature=list(BASELINE_FEATURES)
    )


def category_shares(
    dataset: Dataset, stories: Sequence[str], categories: Mapping[str, str]
) -> xr.DataArray:
    """Share of each TR in which words of each semantic category are heard.

    Parameters
    ----------
    dataset : Dataset
    stories : sequence of str
    categories : mapping of str to str
        The category of each word that has one, as transcribed in lower case.

    Returns
    -------
    DataArray (tr, feature)
        At all TRs, before trimming; ``feature`` is a category, in alphabetical order. The
        attribute ``words`` says how many spoken words have one, and of how many.

    Raises
    ------
    ValueError
        If no spoken word has a category.
    DatasetError
        If a transcription is missing or malformed.
    """
    labels, rows, n_spoken, n_known = sorted(set(categories.values())), [], 0, 0
    for story in stories:
        words = spoken(dataset.words(story))
        known = [replace(w, label=categories[w.label]) for w in words if w.label in categories]
        times = dataset.tr_times(story)
        rows.append(shares(known, labels, times - TR, times).toarray())
        n_spoken, n_known = n_spoken + len(words), n_known + len(known)
    if not n_known:
        raise ValueError(f"none of {n_spoken} spoken words has a category: give others")
    values = at_trs(dataset, stories, np.concatenate(rows)).assign_coords(feature=labels)
    return values.assign_attrs(words=f"{n_known} of {n_spoken}")

"""How many minutes of a participant's responses an encoding model of a tuned model needs.

Moussa and Toneva (NeurIPS 2025) fit to subsets of the stories that their models were tuned on.
Beside these curves, there are such of stories that no model has heard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from bthelpers.core.progress import Progress
from bthelpers.core.timing import TR
from bthelpers.encoding.inputs import EncodingInputs
from bthelpers.params.evaluations import TransferSettings
from bthelpers.transfer.participants import ReadInputs
from bthelpers.transfer.regions import mean_over_layers, resampled_alignment

N_DRAWS = 200  # of the bootstrap, at each of many points


def learning_curve(
    layers: xr.DataArray,
    inputs: EncodingInputs,
    n_stories: Sequence[int],
    orders: int,
    seed: int,
    tr: float = TR,
) -> xr.Dataset:
    """Prediction of held-out stories, fitted to more and more of the training stories.

    Of each order of the training stories, the first ones are taken. Orders depend on the stories
    and on the seed alone: curves of several models are paired.

    Parameters
    ----------
    layers : DataArray (layer, tr, feature)
        Of a model; the mean over them is taken.
    inputs : EncodingInputs
    n_stories : sequence of int
        How many training stories are fitted to.
    orders : int
        How many, at random.
    seed : int
    tr : float
        Seconds of a row.

    Returns
    -------
    Dataset (order, n_stories)
        ``minutes`` of responses, and ``r`` and ``alignment`` (order, n_stories, region) with
        ``draws``, as of `bthelpers.transfer.regions.resampled_alignment`.

    Raises
    ------
    ValueError
        If there are not so many training stories, or too few to choose penalties by.
    """
    stories, rng = inputs.training.stories, np.random.default_rng(seed)
    if not 1 <= min(n_stories) <= max(n_stories) <= len(stories):
        raise ValueError(f"{[*n_stories]} stories cannot be taken of {len(stories)}")
    inputs = replace(inputs, statistics=replace(inputs.statistics, bootstrap_draws=N_DRAWS))
    progress, curves = Progress("fits", orders * len(n_stories)), []
    for _ in range(orders):
        order, points = rng.permutation(stories).tolist(), []
        for number in n_stories:
            fitted = inputs.fitted_to(order[:number])
            minutes = len(fitted.training.responses) * tr / 60
            point = mean_over_layers(layers, fitted, resampled_alignment)
            points.append(point.assign(minutes=minutes))
            progress.advance()
        curves.append(xr.concat(points, dim="n_stories"))
    return xr.concat(curves, dim="order").assign_coords(n_stories=list(n_stories))


def learning_curves(
    layers: xr.DataArray,
    participants: Sequence[str],
    read: ReadInputs,
    stories: Mapping[str, Sequence[str]],
    settings: TransferSettings,
    seed: int,
) -> xr.Dataset:
    """`learning_curve` of several participants and sets of stories.

    Parameters
    ----------
    layers : DataArray (layer, tr, feature)
        Of a model; the mean over them is taken.
    participants : sequence of str
    read : callable
        Of a participant: what ridges are fitted to and tested on.
    stories : mapping of sequence of str
        Training stories by the name of their set; of these, a participant's are taken.
    settings : TransferSettings
        Whose ``n_stories`` are taken as far as there are so many.
    seed : int

    Returns
    -------
    Dataset (participant, stories, order, n_stories)
        Without a set of which no participant heard enough; NaN where one heard fewer stories.

    Raises
    ------
    ValueError
        If no set has enough stories.
    """
    curves = {}
    for participant in participants:
        inputs = read(participant)
        for name, some in stories.items():
            heard = [story for story in inputs.training.stories if story in some]
            if numbers := [number for number in settings.n_stories if number <= len(heard)]:
                of_set = inputs.fitted_to(heard)
                curves[participant, name] = learning_curve(
                    layers, of_set, numbers, settings.orders, seed
                )
    if not curves:
        raise ValueError(
            f"{', '.join(participants)}: fewer than {min(settings.n_stories)} stories in each of"
            f" {', '.join(stories)}: lower transfer.n_stories"
        )
    labels = pd.MultiIndex.from_tuples(curves, names=["participant", "stories"])
    return (
        xr.concat(list(curves.values()), dim="curve", join="outer")
        .assign_coords(xr.Coordinates.from_pandas_multiindex(labels, "curve"))
        .unstack("curve")
        .transpose("participant", "stories", "order", "n_stories", ...)
    )

"""Low-level impact: how much of a model's brain alignment rests on low-level features of speech.

Section 3.4.2 of the ICLR paper. A ridge predicts a model's representation from a low-level feature;
what it does not predict, the residual, is aligned with the brain as the representation itself is.
Equation 2, `low_level_impact`, is the share of the alignment that is lost. Some of it is lost to
chance: the floor of an impact is what the same feature of *another* story takes away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, islice

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bthelpers.core.errors import listed
from bthelpers.core.progress import Progress
from bthelpers.core.timing import TR, TRIM, trim
from bthelpers.encoding.alignment import evaluate_layers
from bthelpers.encoding.inputs import EncodingInputs, require_stories
from bthelpers.encoding.ridge import fit_ridge, story_folds
from bthelpers.statistics.bootstrap import percent_change

# A dimension of which less than this share of the variance is left counts as removed. An encoding
# model standardises its features: it would blow up the remainder, which the penalty leaves.
NOTHING_LEFT = 1e-3
ONSET = 3 * TR  # s of a story; until then, silence is within the three lobes of the filter to TRs
FLOOR = {"floor_alignment": "alignment", "floor_draws": "draws"}
SMALLEST_R = 0.05  # original correlation below which a voxel's impact is not computed


def residualize(
    low_level: xr.DataArray,
    representations: xr.DataArray,
    training: Sequence[str],
    n_folds: int,
    alphas: ArrayLike,
) -> xr.Dataset:
    """Take out of a model's representations what a low-level feature predicts of them.

    One ridge predicts the dimensions of all layers, each with a penalty of its own. It is fitted to
    the response rows of the training stories. Its prediction is subtracted at all TRs but those at
    the start that have less sound before them than the filter to TRs reaches back. Everything is
    centred within each story, as responses are.

    Parameters
    ----------
    low_level : DataArray (tr, feature)
        With coordinates ``story``, ``time`` and ``feature_set``, as of
        `bthelpers.encoding.low_level.low_level_features`.
    representations : DataArray (layer, tr, feature)
        At the same TRs, with the coordinate ``story``.
    training : sequence of str
        Training stories.
    n_folds : int
        Folds of training stories, left out in turn to choose penalties.
    alphas : array of shape (n_alphas,)
        Penalties to choose from, where each feature set has a total variance of one.

    Returns
    -------
    Dataset
        ``residual`` (layer, tr, feature), float32: in standard deviations of the representation; 0
        where nothing is left, or nothing was. ``left`` (layer): share of the variance that is not
        predicted in left-out training stories, mean over dimensions. ``removed`` and ``constant``
        (layer): numbers of dimensions of which less than 0.1 % is left, and of those that do not
        vary in training stories. ``columns`` and ``constant_columns``: numbers of columns of the
        low-level feature that were used, and of those that do not vary there and were not.

    Raises
    ------
    ValueError
        If the TRs differ, a training story is missing, a value is not finite, or the low-level
        feature or a layer does not vary in the training stories.
    """
    layers = representations.transpose("tr", "layer", "feature")
    stories = layers["story"].values
    _check(low_level, layers, training)
    X, used = _centred(low_level.transpose("tr", "feature").values, stories, training)
    Y, varying = _centred(layers.values.reshape(len(stories), -1), stories, training)
    of_layer = layers.isel(tr=0, drop=True)
    constant = of_layer.copy(data=~varying.reshape(of_layer.shape))
    _require_variation(used, constant)
    rows = np.concatenate([trim(np.flatnonzero(stories == story)) for story in training])
    X /= _set_deviation(X[rows], low_level["feature_set"].values[used])
    Y /= Y[rows].std(axis=0)
    # In float64: in float32, eigenvalues near the least penalty are lost beside the largest ones,
    # and the share that is left of a linear dimension is wrong by as much as `NOTHING_LEFT`.
    model = fit_ridge(X[rows], Y[rows], story_folds(stories[rows], n_folds), alphas)
    # The silence before a story is far from all that the ridge was fitted to.
    predicted = np.where(low_level["time"].values[:, None] < ONSET, 0, model.predict(X))
    left = -model.cv_scores_  # of squared errors, and Y has a variance of one
    residual = np.zeros((len(stories), len(varying)), np.float32)
    residual[:, varying] = np.where(left < NOTHING_LEFT, 0, Y - predicted)
    share = of_layer.copy(data=np.full(of_layer.shape, np.nan))
    share.values[~constant.values] = left
    return xr.Dataset(
        {
            "residual": layers.copy(data=residual.reshape(layers.shape)).transpose("layer", ...),
            "left": share.mean("feature"),
            "removed": (share < NOTHING_LEFT).sum("feature"),
            "constant": constant.sum("feature"),
            "columns": int(used.sum()),
            "constant_columns": int((~used).sum()),
        }
    )


def _check(low_level: xr.DataArray, layers: xr.DataArray, training: Sequence[str]) -> None:
    if not np.array_equal(low_level["story"].values, layers["story"].values):
        raise ValueError(
            "the low-level feature is of other stories or TRs than the representation: compute it"
            " for the stories of the representation, in their order"
        )
    require_stories(layers, training)
    for name, values in (("low-level feature", low_level), ("representation", layers)):
        bad = ~np.isfinite(values).all("tr")
        if bad.any():
            raise ValueError(
                f"{int(bad.sum())} of {bad.size} columns of the {name} are NaN or infinite"
                " somewhere: compute it again"
            )


def _require_variation(used: NDArray[np.bool_], constant: xr.DataArray) -> None:
    dead = constant["layer"].values[constant.all("feature")]
    if len(dead) or not used.any():
        layers = f"layer(s) {listed(map(str, dead))} of the representation"
        what = layers if len(dead) else "the low-level feature"
        raise ValueError(f"nothing varies within the training stories in {what}")


def _centred(
    values: NDArray, stories: NDArray, training: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Columns that vary within a training story, around each story's mean; and which these are.

    Mean and variation are over the response rows.
    """
    varying = np.zeros(values.shape[1], bool)
    means = {}
    for story in dict.fromkeys(stories):
        rows = trim(values[stories == story])
        means[story] = rows.mean(axis=0, dtype=np.float64)
        if story in training:
            varying |= np.ptp(rows, axis=0) > 0
    centred = values[:, varying].astype(np.float64)
    for story, mean in means.items():
        centred[stories == story] -= mean[varying]
    return centred, varying


def _set_deviation(X: NDArray, feature_set: NDArray) -> NDArray[np.float64]:
    """For each column, the square root of the total variance of its feature set.

    Divided by it, no set outweighs another in a joint model by its size or number of columns.
    """
    _, of_set = np.unique(feature_set, return_inverse=True)
    return np.sqrt(np.bincount(of_set, X.var(axis=0))[of_set])


def exchanged(low_level: xr.DataArray, training: Sequence[str]) -> xr.DataArray:
    """Give each story the low-level feature of another one.

    A training story gets that of the next training story, the last one that of the first; other
    stories get those of training stories. Only rows that have responses are taken; where the
    other story is shorter, it begins again. ``low_level`` (tr, feature) has the coordinate
    ``story``; what is returned is labelled like it.
    """
    stories = low_level["story"].values
    others = [story for story in dict.fromkeys(stories) if story not in training]
    donors = [*training[1:], training[0], *islice(cycle(training), len(others))]
    values = low_level.transpose("tr", "feature").copy()
    for story, donor in zip([*training, *others], donors, strict=True):
        rows, given = np.flatnonzero(stories == story), trim(np.flatnonzero(stories == donor))
        places = np.arange(len(rows)) - TRIM[0]  # so that both begin with their first response
        values[rows] = low_level[given[places % len(given)]].values
    return values


def residual_alignment(
    representations: xr.DataArray,
    low_level: Mapping[str, xr.DataArray],
    inputs: EncodingInputs,
    alphas: ArrayLike,
) -> xr.Dataset:
    """Brain alignment of what low-level features leave of a model's representations.

    Parameters
    ----------
    representations : DataArray (layer, tr, feature)
        At all TRs, with the coordinate ``story``.
    low_level : mapping of str to DataArray (tr, feature)
        As of `bthelpers.encoding.low_level.low_level_features`; each is removed by itself.
    inputs : EncodingInputs
        With those of the original alignment, the draws of both are paired.
    alphas : array of shape (n_alphas,)
        Penalties of `residualize`; its folds are those of the encoding model.

    Returns
    -------
    Dataset
        ``r`` (feature, layer, voxel), ``alignment`` (feature, layer, region) and ``draws``
        (feature, layer, region, draw) of the residuals, where ``feature`` is the low-level one; 0
        in layers of which nothing is left. ``floor_alignment`` and ``floor_draws`` are the same
        where another story's feature is removed (`exchanged`). What `residualize` counts, per
        feature and layer. What the features' attributes count, as attributes.
    """
    aligned = []
    progress = Progress("low-level features", len(low_level))
    for name, values in low_level.items():
        found, removal = _without(values, representations, inputs, alphas)
        other = exchanged(values, inputs.training.stories)
        floor, _ = _without(other, representations, inputs, alphas)
        found = found.assign({new: floor[old] for new, old in FLOOR.items()})
        counts = removal.drop_dims(("tr", "feature"))
        aligned.append(found.assign(counts).assign_attrs(values.attrs))
        progress.advance(name)
    names = pd.Index(list(low_level), name="feature")
    return xr.concat(aligned, names, combine_attrs="no_conflicts")


def _without(
    low_level: xr.DataArray,
    representations: xr.DataArray,
    inputs: EncodingInputs,
    alphas: ArrayLike,
) -> tuple[xr.Dataset, xr.Dataset]:
    """Alignment of what one low-level feature leaves, and what `residualize` returns."""
    folds = inputs.encoding.folds
    removal = residualize(low_level, representations, inputs.training.stories, folds, alphas)
    residual = removal["residual"]
    found = _without_alignment(residual["layer"], inputs)
    left = residual.any(("tr", "feature")).values
    if left.any():
        evaluated = evaluate_layers(residual.isel(layer=left), inputs, tested=False)
        for variable in found:
            found[variable].loc[{"layer": evaluated["layer"]}] = evaluated[variable]
    return found, removal


def _without_alignment(layers: xr.DataArray, inputs: EncodingInputs) -> xr.Dataset:
    """Zeros in the form of `evaluate_layers`: what predicts nothing is correlated with nothing."""
    coords = {
        "layer": layers.values,
        "voxel": inputs.regions["voxel"].values,
        "region": inputs.regions["region"].values,
        "draw": np.arange(inputs.statistics.bootstrap_draws),
    }

    def zeros(dtype: type, *dims: str) -> tuple[tuple[str, ...], np.ndarray]:
        return dims, np.zeros([len(coords[dim]) for dim in dims], dtype)

    return xr.Dataset(
        {
            "r": zeros(np.float32, "layer", "voxel"),
            "alignment": zeros(np.float64, "layer", "region"),
            "draws": zeros(np.float32, "layer", "region", "draw"),
        },
        coords,
    )


def low_level_impact(original: xr.Dataset, residual: xr.Dataset) -> xr.Dataset:
    """Low-level impact R = 100 (B_o - B_r) / B_o, in percent (equation 2).

    A ratio to an alignment that may be zero means nothing. There is none where the original
    alignment is not above zero in every draw: ``positive`` says in how many it is.

    Parameters
    ----------
    original : Dataset
        ``alignment`` (..., region) and ``draws`` (..., region, draw) of the representations, as of
        `bthelpers.encoding.alignment.evaluate_layers`: of layers, or means over some.
    residual : Dataset
        The same of the residuals, with paired draws, and their ``floor_alignment`` and
        ``floor_draws`` where there are any; more dimensions (such as feature) and fewer regions are
        right.

    Returns
    -------
    Dataset
        ``impact`` (..., region) and its ``draws`` (..., region, draw), NaN where there is no ratio;
        ``floor`` and ``floor_draws``, the same of another story's features, NaN where these were
        not removed; ``positive`` (..., region), the number of draws with a positive original
        alignment.

    Raises
    ------
    ValueError
        If draws, layers or other labels differ: the two were not evaluated alike.

    Examples
    --------
    >>> def aligned(alignment, draws):
    ...     values = {"alignment": ("region", [alignment]), "draws": (("region", "draw"), [draws])}
    ...     return xr.Dataset(values, {"region": ["auditory"]})
    >>> found = low_level_impact(aligned(0.4, [0.3, 0.5]), aligned(0.1, [0.15, 0.1]))
    >>> found["impact"].values.round(1), found["draws"].values.round(1)
    (array([75.]), array([[50., 80.]]))
    """
    variables = ["alignment", "draws"]
    original = original[variables].sel(region=residual["region"])
    floor = residual[[*FLOOR]].rename(FLOOR) if set(FLOOR) <= set(residual) else None
    try:
        original, residual = xr.align(original, residual[variables], join="exact")
    except ValueError as error:
        raise ValueError(
            f"the original and the residual alignment were not evaluated alike: {error}"
        ) from error
    positive = (original["draws"] > 0).sum("draw")
    original = original.where(positive == original.sizes["draw"])
    impact = -percent_change(residual, original)
    floor = -percent_change(floor, original) if floor is not None else impact * np.nan
    found = impact.rename(alignment="impact").assign(positive=positive)
    return found.assign(floor=floor["alignment"], floor_draws=floor["draws"])


def voxel_impact(
    original: xr.DataArray, residual: xr.DataArray, regions: xr.DataArray
) -> xr.Dataset:
    """Low-level impact of single voxels, in percent, for maps.

    Parameters
    ----------
    original : DataArray (voxel)
        Correlations of the representation, of a layer or a mean over some.
    residual : DataArray (..., voxel)
        Correlations of the residuals, of some or all of these voxels.
    regions : bool DataArray (region, voxel)
        Of the same voxels or more.

    Returns
    -------
    Dataset
        ``impact`` (..., voxel), NaN in voxels whose original correlation is below 0.05: a ratio to
        it means nothing. ``masked`` and ``voxels`` (region): how many those are, and of how many.
    """
    original, regions = (array.sel(voxel=residual["voxel"]) for array in (original, regions))
    masked = original < SMALLEST_R
    return xr.Dataset(
        {
            "impact": -percent_change(residual, original.where(~masked)),
            "masked": (regions & masked).sum("voxel"),
            "voxels": regions.sum("voxel"),
        }
    )

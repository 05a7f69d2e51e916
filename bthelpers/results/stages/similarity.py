"""Representational similarity of many runs.

What was compared and how is in `bthelpers.encoding.stages.similarity`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from bthelpers.results.runs import over_runs
from bthelpers.results.store import Results
from bthelpers.statistics.multiple import holm
from bthelpers.statistics.permutation import LEVEL


def load_similarity(results: Results, model: str) -> xr.Dataset:
    """Similarity of a model's layers for all participants and conditions of the profile.

    Returns
    -------
    Dataset
        ``similarity``, ``chance`` and ``p`` (participant, condition, object, other), and
        ``ceiling`` (participant, condition, region, bound).

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    return over_runs(results, model, lambda *run: results.open(*run, "similarity"))


def of_layers(run: xr.Dataset) -> xr.Dataset:
    """Rows of the layers alone, with ``layer`` in place of ``object``: numbers from 0 on."""
    layers = run.isel(object=(run["kind"] == "layer").values)
    numbers = np.arange(layers.sizes["object"])
    return layers.rename(object="layer").assign_coords(layer=numbers).drop_vars("kind")


def others_of(run: xr.Dataset, kind: str) -> list[str]:
    """Names of the layers, models or regions that layers are compared with."""
    return run["other"].values[run["other_kind"].values == kind].tolist()


def region_table(run: xr.Dataset) -> pd.DataFrame:
    """Similarity of the most similar layer with each region, means over participants.

    Parameters
    ----------
    run : Dataset
        As of `load_similarity`.

    Returns
    -------
    DataFrame
        A row per region and condition: its ``layer``, of the transformer, ``similarity``,
        ``chance``, the noise ``ceiling`` (low, high); and how many of the layers of the
        participants are ``significant (%)``, with p-values adjusted by Holm over the layers of a
        participant.
    """
    layers = of_layers(run).isel(layer=slice(1, None))
    adjusted = xr.apply_ufunc(
        lambda p: np.moveaxis(holm(np.moveaxis(p, -1, 0)), 0, -1),
        layers["p"],
        input_core_dims=[["layer"]],
        output_core_dims=[["layer"]],
    )
    significant = 100 * (adjusted <= LEVEL).mean(("layer", "participant"))
    means = layers[["similarity", "chance"]].mean("participant")
    rows = {}
    for region in others_of(run, "region"):
        ceiling = run["ceiling"].sel(region=region).mean("participant")
        of_region = means.sel(other=region)
        best = of_region["similarity"].idxmax("layer")
        for condition in run["condition"].values.tolist():
            layer = best.sel(condition=condition).item()
            at = of_region.sel(condition=condition, layer=layer)
            low, high = ceiling.sel(condition=condition).values.tolist()
            rows[region, condition] = {
                "layer": layer,
                "similarity": at["similarity"].item(),
                "chance": at["chance"].item(),
                "ceiling, low": low,
                "ceiling, high": high,
                "significant (%)": significant.sel(other=region, condition=condition).item(),
            }
    return pd.DataFrame(rows).T.rename_axis(["region", "condition"])


def partial_similarity(run: xr.Dataset, model: str, given: Sequence[str]) -> xr.DataArray:
    """Similarity of layers with a model of the stimulus, given other models.

    Spearman's partial correlation: what the layer and the model share beyond that which the others
    tell of both. In English, the sound of a word can tell its category; what is left does not come
    from there, as far as those others describe the sound.

    Parameters
    ----------
    run : Dataset
        As of `load_similarity`.
    model : str
        An ``object`` that is a model.
    given : sequence of str
        Others.

    Returns
    -------
    DataArray (participant, condition, layer)
    """
    pairs = run["similarity"].transpose(..., "object", "other")
    layers = run["object"].values[(run["kind"] == "layer").values]
    found = []
    for layer in layers:
        names = [layer, model, *given]
        inverse = np.linalg.inv(pairs.sel(object=names, other=names).values)
        scale = np.sqrt(inverse[..., 0, 0] * inverse[..., 1, 1])
        found.append(-inverse[..., 0, 1] / scale)
    labels = {name: run[name].values for name in ("participant", "condition")}
    labels["layer"] = np.arange(len(layers))
    return xr.DataArray(np.stack(found, axis=-1), labels, tuple(labels))

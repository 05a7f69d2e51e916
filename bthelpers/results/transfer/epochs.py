"""Validation curves over epochs, and how steady they are (BrainWavLM, figures 1 and 5)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from bthelpers.results.runs import TUNED
from bthelpers.results.store import Results
from bthelpers.results.transfer.tunings import tunings
from bthelpers.statistics.curves import successive_variance


def load_epochs(results: Results, model: str) -> dict[str, xr.Dataset]:
    """Validation scores after each epoch, by tuning, of those with a model per participant.

    Returns
    -------
    dict of Dataset
        ``score`` (participant, epoch): the validation r of refitted ridges with
        ``tuning.keep: refit``, minus the validation loss otherwise; epoch 0 is the pretrained
        model, NaN where that is no candidate, and NaN after a training has stopped. ``kept``
        (participant), the epoch that was kept, and ``undefined``, how many correlations of the loss
        training left out because prediction or response was constant; NaN with another loss.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    profile = results.profile()
    curves = {}
    for name, (variant, condition) in tunings(profile, model, "transfer").items():
        if name == condition and condition != TUNED:
            continue  # it is one for all participants, or no tuning
        people = profile.participants_of(variant)
        runs = [_scores(results.open(variant, one, condition, "training")) for one in people]
        curves[name] = xr.concat(runs, pd.Index(people, name="participant"), join="outer")
    return curves


def _scores(training: xr.Dataset) -> xr.Dataset:
    before = training.get("pretrained_loss", xr.DataArray(np.nan)).item()
    scores = -np.append(before, training["validation_loss"].values)
    return xr.Dataset(
        {
            "score": ("epoch", scores),
            "kept": training["kept_epoch"].item() + 1,
            "undefined": training.get("undefined", xr.DataArray(np.nan)).item(),
        },
        {"epoch": np.arange(len(scores))},
    )


def epoch_table(curves: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """How high validation curves get, when, and how unsteady they are.

    Parameters
    ----------
    curves : mapping of Dataset
        As of `load_epochs`.

    Returns
    -------
    DataFrame
        A row per tuning and participant: ``epochs`` that were trained, the epoch ``kept``, the
        scores of the ``pretrained`` model, ``kept`` and ``last`` epoch, ``variance (1e-6)``, half
        the mean squared difference of successive epochs from the first on: unlike the plain
        variance, it does not grow because a curve rises; and what was ``undefined``.
    """
    rows = {}
    for name, curve in curves.items():
        for participant, one in curve.groupby("participant"):
            scores = one["score"].squeeze("participant", drop=True)
            trained = scores.sel(epoch=slice(1, None)).dropna("epoch")
            kept = int(one["kept"].item())
            rows[name, participant] = {
                "epochs": trained.sizes["epoch"],
                "kept": kept,
                "pretrained": scores.sel(epoch=0).item(),
                "score, kept": scores.sel(epoch=kept).item(),
                "score, last": trained[-1].item(),
                "variance (1e-6)": 1e6 * successive_variance(trained),
                "undefined": one["undefined"].item(),
            }
    return pd.DataFrame(rows).T.rename_axis(["tuning", "participant"])

"""Transfer: a participant's responses predicted by what was tuned to another one."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from bthelpers.results.comparison import estimate
from bthelpers.results.runs import BASELINE
from bthelpers.results.store import Results
from bthelpers.results.transfer.tunings import tunings
from bthelpers.statistics.bootstrap import percent_change
from bthelpers.statistics.intervals import interval

SELF, OTHERS = "same participant", "other participants"


def load_transfer(results: Results, model: str, name: str) -> xr.Dataset:
    """Gain of r over pretrained, of every participant by what was tuned to each (figure 3).

    Parameters
    ----------
    results : Results
    model : str
    name : str
        Of `bthelpers.results.transfer.tunings.tunings`, in which there is a model per participant.

    Returns
    -------
    Dataset
        An estimate (tuned_to, participant, region), in percent: ``value`` and ``draws``. NaN where
        a participant heard stories that the model is not represented on, or where the pretrained
        model predicts a region no better than chance.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    profile = results.profile()
    variant, condition = tunings(profile, model, "transfer")[name]
    tuned_to = profile.participants_of(variant)
    runs = [results.open(variant, one, condition, "transfer") for one in tuned_to]
    after = xr.concat(runs, pd.Index(tuned_to, name="tuned_to"), join="exact")
    before = results.open(model, "", BASELINE, "transfer")
    return percent_change(estimate(after, "r", "r_draws"), estimate(before, "r", "r_draws"))


def self_and_others(gain: xr.Dataset) -> xr.Dataset:
    """Means over models: of those tuned to the participant, and of those tuned to others.

    Parameters
    ----------
    gain : Dataset
        As of `load_transfer`.

    Returns
    -------
    Dataset
        An estimate (participant, condition, region), of which a condition is `SELF` or `OTHERS`;
        of participants to whom one model was tuned.
    """
    own = gain["tuned_to"] == gain["participant"]
    gain = gain.sel(participant=gain["tuned_to"].values)
    own = own.sel(participant=gain["participant"])
    means = [gain.where(which).mean("tuned_to") for which in (own, ~own)]
    return xr.concat(means, pd.Index([SELF, OTHERS], name="condition"))


def pair_table(gain: xr.Dataset, region: str) -> pd.DataFrame:
    """`load_transfer` in a region, of each participant by each model, with its 95 % interval.

    Returns
    -------
    DataFrame
        A row per participant whose model it is, ``tuned_to``, and participant: ``gain (%)``,
        ``low``, ``high``. Intervals are of the block bootstrap: one model, one participant.
    """
    of_region = gain.sel(region=region, drop=True)
    table = interval(of_region).to_dataset("bound").assign({"gain (%)": of_region["value"]})
    return table.to_dataframe(["tuned_to", "participant"])[["gain (%)", "low", "high"]]


def transfer_table(gain: xr.Dataset) -> pd.DataFrame:
    """`self_and_others` per region, mean over participants, with the 95 % interval.

    Returns
    -------
    DataFrame
        A row per region and of `SELF` and `OTHERS`: ``gain (%)``, ``low``, ``high``.
    """
    both = self_and_others(gain)
    ends = interval(both, "participant").to_dataset("bound")
    mean = both["value"].mean("participant", skipna=False)
    table = ends.assign({"gain (%)": mean}).to_dataframe(["region", "condition"])
    return table[["gain (%)", "low", "high"]]

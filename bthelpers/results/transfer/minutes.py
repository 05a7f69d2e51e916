"""Curves of alignment against minutes of encoding data (Moussa and Toneva, NeurIPS 2025)."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from bthelpers.params.settings import PER_PARTICIPANT, Profile
from bthelpers.results.runs import BASELINE, TUNED
from bthelpers.results.store import Results
from bthelpers.statistics.bootstrap import percent_change
from bthelpers.statistics.curves import first_reaching

JOINT = "jointly-tuned"
OWN, OTHER = "tuned to this participant", "tuned to another participant"
TUNED_TO, NEW = "tuned to", "new"  # roles of participants for the jointly tuned model


def load_minutes(results: Results, model: str) -> xr.Dataset:
    """Alignment from more and more stories of encoding data, by what the model was tuned to.

    Returns
    -------
    Dataset
        ``alignment`` and ``r`` (participant, condition, stories, order, n_stories, region), with
        ``draws`` of the former, and ``minutes`` (participant, condition, stories, order,
        n_stories). Of the conditions, a
        brain-tuned model is told as `OWN` or, as the mean over those tuned to each of the others of
        ``tuning.jointly``, `OTHER`. NaN where there are not so many stories, or no such model.
        ``role`` (participant): `TUNED_TO` for the jointly tuned model, or `NEW`.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    profile = results.profile()
    shared = [name for name in profile.conditions_of(model) if name not in PER_PARTICIPANT]
    found = {name: results.open(model, "", name, "minutes") for name in shared}
    if TUNED in profile.conditions_of(model):
        people = profile.participants_of(model)
        runs = [results.open(model, one, TUNED, "minutes") for one in people]
        tuned = xr.concat(runs, pd.Index(people, name="tuned_to"), join="outer")
        own = tuned["tuned_to"] == tuned["participant"]
        others = ~own & tuned["tuned_to"].isin(list(profile.jointly))
        found[OWN] = tuned.where(own).mean("tuned_to")
        if others.any():
            found[OTHER] = tuned.where(others).mean("tuned_to")
    joined = xr.concat(
        found.values(),
        pd.Index(found, name="condition"),
        join="outer",
        combine_attrs="drop_conflicts",
    )
    return joined.assign_coords(role=("participant", _roles(profile, joined)))


def _roles(profile: Profile, curves: xr.Dataset) -> list[str]:
    people = curves["participant"].values.tolist()
    return [TUNED_TO if name in profile.jointly else NEW for name in people]


def mean_curves(curves: xr.Dataset, region: str, role: str) -> xr.Dataset:
    """Curves of a region, means over orders of the stories, of the participants of one role.

    Returns
    -------
    Dataset
        ``alignment`` and ``minutes`` (participant, condition, stories, n_stories).
    """
    some = curves.sel(region=region, drop=True).isel(participant=(curves["role"] == role).values)
    return some[["alignment", "minutes"]].mean("order", skipna=False)


def minutes_needed(curves: xr.Dataset, region: str) -> pd.DataFrame:
    """Minutes of encoding data by which the pretrained model's best is reached.

    Parameters
    ----------
    curves : Dataset
        As of `load_minutes`.
    region : str

    Returns
    -------
    DataFrame
        A row per set of stories, participant and condition: the participant's ``role``; the highest
        alignment of the pretrained model is the ``target``; ``minutes`` until a curve reaches it,
        by straight lines between its points, infinite where it does not; their ``share`` of those
        that the pretrained model takes; and the ``gain (%)`` of the highest alignment over the
        target. A minute is one of responses, without what is trimmed.
    """
    rows = {}
    for role in (TUNED_TO, NEW):
        means = mean_curves(curves, region, role)
        for stories in means["stories"].values.tolist():
            for participant in means["participant"].values.tolist():
                of_one = means.sel(stories=stories, participant=participant)
                for condition, row in _needed(of_one).items():
                    rows[stories, participant, condition] = {"role": role} | row
    names = ["stories", "participant", "condition"]
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(names)


def _needed(curves: xr.Dataset) -> dict[str, dict[str, float]]:
    """Of one participant's curves (condition, n_stories), those that there are."""
    there = {
        name: curves.sel(condition=name).dropna("n_stories")
        for name in curves["condition"].values.tolist()
    }
    there = {name: curve for name, curve in there.items() if curve.sizes["n_stories"]}
    if BASELINE not in there:
        return {}
    target = there[BASELINE]["alignment"].max().item()
    minutes = {
        name: first_reaching(curve["minutes"], curve["alignment"], target)
        for name, curve in there.items()
    }
    return {
        name: {
            "target": target,
            "minutes": minutes[name],
            "share": minutes[name] / minutes[BASELINE],
            "gain (%)": float(percent_change(curve["alignment"].max().item(), target)),
        }
        for name, curve in there.items()
    }

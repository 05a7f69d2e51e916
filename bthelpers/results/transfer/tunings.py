"""A model and its variants that are tuned in other ways, each to its own participants.

BrainWavLM (Vattikonda et al., 2025) tunes towards the whole cortex and parts of it, with LoRA and
without. A *tuning* is a condition of the model, or what a variant of it differs in.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import xarray as xr

from bthelpers.params.settings import Profile
from bthelpers.results.comparison import change, compare, estimate, tuned_and_pretrained
from bthelpers.results.runs import BASELINE, TUNED, in_all
from bthelpers.results.store import Results
from bthelpers.statistics.bootstrap import percent_change
from bthelpers.statistics.intervals import corrected_error

ADAPTATIONS = {"full": "without LoRA", "lora": "with LoRA"}


def tunings(profile: Profile, model: str, evaluation: str) -> dict[str, tuple[str, str]]:
    """What a model is tuned in, of which an evaluation is made.

    Returns
    -------
    dict
        Model and condition by name: a condition of the model, or what a brain-tuned variant
        differs in, as "auditory cortex" or "without LoRA".
    """
    found = {}
    if evaluation in profile.evaluations_of(model):
        found = {name: (model, name) for name in profile.conditions_of(model)}
    for variant in profile.variants_of(model):
        there = evaluation in profile.evaluations_of(variant)
        if there and TUNED in profile.conditions_of(variant):
            found[_difference(profile, variant, model)] = variant, TUNED
    return found


def _difference(profile: Profile, variant: str, model: str) -> str:
    """What a variant differs in from the model, or its name where that is something else."""
    words = []
    if (regions := profile.tuned_regions_of(variant)) != profile.tuned_regions_of(model):
        words += [region.replace("_", " ") for region in regions]
    adaptation = profile.tuning_of(variant).adaptation
    if adaptation != profile.tuning_of(model).adaptation:
        words.append(ADAPTATIONS[adaptation])
    return ", ".join(words) or variant


def load_own(results: Results, model: str, names: Sequence[str] | None = None) -> xr.Dataset:
    """How well each participant's responses are predicted by what was tuned to that participant.

    Parameters
    ----------
    results : Results
    model : str
    names : sequence of str, optional
        Of `tunings`; by default all. Participants are those who have all of them.

    Returns
    -------
    Dataset
        ``r``, ``alignment`` (participant, condition, region) and ``r_draws`` (…, draw), as of
        `bthelpers.transfer.participants.transfer`; a ``condition`` is a tuning.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    profile, rows = results.profile(), []
    chosen = tunings(profile, model, "transfer")
    names = list(chosen) if names is None else list(names)
    for participant in in_all(profile.participants_of(chosen[name][0]) for name in names):
        cells = [
            results.open(chosen[name][0], participant, chosen[name][1], "transfer").sel(
                participant=participant
            )
            for name in names
        ]
        rows.append(xr.concat(cells, pd.Index(names, name="condition"), join="exact"))
    return xr.concat(rows, "participant", join="exact", combine_attrs="drop_conflicts")


def gain_table(own: xr.Dataset) -> pd.DataFrame:
    """Mean r before and after, and the change in percent with its 95 % interval.

    Parameters
    ----------
    own : Dataset
        As of `load_own`.

    Returns
    -------
    DataFrame
        A row per region and tuning, means over participants: ``pretrained`` and ``tuned``, the
        mean r over voxels; their ``change (%)`` with its interval, ``low`` and ``high``; and the
        change of the ``alignment (%)``, which is normalised by noise ceilings.
    """
    after, before = tuned_and_pretrained(estimate(own, "r", "r_draws"))
    compared = compare(after, before, "percent", over="participant")
    normalised = percent_change(*tuned_and_pretrained(own["alignment"])).mean("participant")
    renamed = compared.rename(baseline=BASELINE, value="tuned", change="change (%)")
    table = renamed.assign({"alignment (%)": normalised}).to_dataframe(["region", "condition"])
    return table[[BASELINE, "tuned", "change (%)", "low", "high", "alignment (%)"]]


def with_error(own: xr.Dataset) -> xr.Dataset:
    """Mean r over participants, and its standard error corrected for each participant's mean.

    Returns
    -------
    Dataset (condition, region)
        ``mean`` and ``error``, as of `bthelpers.statistics.intervals.corrected_error`.
    """
    r = own["r"]
    error = corrected_error(r, "participant", "condition")
    return xr.Dataset({"mean": r.mean("participant", skipna=False), "error": error})


def voxel_gain(results: Results, model: str, participant: str, least: float = 0) -> xr.DataArray:
    """Change of single voxels' r by brain-tuning, at the layer that tuning reads out (figure 1).

    Parameters
    ----------
    results : Results
    model, participant : str
    least : float
        Voxels that the pretrained model predicts less well are NaN (published: 0.15).

    Returns
    -------
    DataArray (voxel)
        With the number of each voxel among the participant's as its coordinate.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    layer = results.profile().tuning.layer
    runs = [results.open(model, participant, name, "alignment")["r"] for name in (BASELINE, TUNED)]
    read = [r.isel(layer=-1) if layer is None else r.sel(layer=layer) for r in runs]
    both = xr.concat(read, pd.Index([BASELINE, TUNED], name="condition"), join="exact")
    gain = change(both).squeeze("condition", drop=True)
    return gain.where(both.sel(condition=BASELINE, drop=True) > least)

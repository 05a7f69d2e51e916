"""Published: what Moussa and Toneva (NeurIPS 2025) claim of models tuned to many participants.

Of the minutes of encoding data, blocks of the test story's TRs are resampled together with the
orders in which stories are taken: what is uncertain is what was measured, and which stories were
heard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bthelpers.claims import margins
from bthelpers.claims.claim import Claim, Statement
from bthelpers.claims.papers.iclr2025 import SELF_SUPERVISED
from bthelpers.claims.quantities import PROBES, SEMANTIC, Measure
from bthelpers.params.settings import Profile
from bthelpers.results.runs import BASELINE, TUNED
from bthelpers.results.store import Results
from bthelpers.results.transfer.minutes import (
    JOINT,
    NEW,
    OTHER,
    TUNED_TO,
    load_minutes,
)
from bthelpers.statistics.bootstrap import percent_change, resampling_counts
from bthelpers.statistics.curves import first_reaching

HEARD, UNHEARD = "heard", "unheard"  # sets of stories
LANGUAGE, AUDITORY = "late_language", "primary_auditory"


def share_of_minutes(results: Results, model: str, role: str, stories: str) -> xr.Dataset:
    """Minutes until the pretrained model's best is reached, in percent of those that it takes.

    A curve that does not get there counts with all of its minutes, of which it needs more.
    """
    return _of_curves(results, model, LANGUAGE, role, stories, _share)


def highest_gain(results: Results, model: str, region: str, role: str, stories: str) -> xr.Dataset:
    """Highest alignment over that of the pretrained model, in percent."""
    return _of_curves(results, model, region, role, stories, _gain)


def _of_curves(
    results: Results,
    model: str,
    region: str,
    role: str,
    stories: str,
    number: Callable[[NDArray, NDArray, NDArray], float],
) -> xr.Dataset:
    """A number of each curve, the mean over orders, and of those drawn, against pretrained."""
    curves = load_minutes(results, model).sel(region=region, stories=stories, drop=True)
    curves = curves.isel(participant=(curves["role"] == role).values)
    n, n_draws = curves.sizes["order"], curves.sizes["draw"]
    counts = resampling_counts(n, n_draws, results.profile().seed)
    weights = xr.DataArray(counts / n, dims=("draw", "order"))
    minutes = curves["minutes"].mean("order")
    value, draws = (
        xr.apply_ufunc(
            number,
            minutes,
            means,
            means.sel(condition=BASELINE, drop=True),
            input_core_dims=[["n_stories"]] * 3,
            vectorize=True,
        )
        for means in (
            curves["alignment"].mean("order", skipna=False),
            xr.dot(curves["draws"], weights, dim="order"),
        )
    )
    n_drawn = np.minimum(curves["n_drawn"].values, n)  # of blocks, or of orders
    return xr.Dataset({"value": value, "draws": draws.assign_coords(n_drawn=("draw", n_drawn))})


def _share(minutes: NDArray, curve: NDArray, pretrained: NDArray) -> float:
    known = np.isfinite(curve)
    if not known.any():
        return np.nan
    minutes, curve, pretrained = minutes[known], curve[known], pretrained[known]
    target = pretrained.max()
    taken = min(first_reaching(minutes, curve, target), minutes[-1])
    return 100 * taken / first_reaching(minutes, pretrained, target)


def _gain(minutes: NDArray, curve: NDArray, pretrained: NDArray) -> float:
    known = np.isfinite(curve)
    return percent_change(curve[known].max(), pretrained[known].max()) if known.any() else np.nan


def _there(
    needed: tuple[str, ...], role: str, stories: str, region: str
) -> Callable[[Profile, str], Sequence[str]]:
    """Conditions of the curves, if a model has those needed, and there are such participants."""

    def conditions(profile: Profile, model: str) -> Sequence[str]:
        new = set(profile.dataset.participants) - set(profile.jointly)
        there = (
            set(needed) <= set(profile.conditions_of(model))
            and (role == TUNED_TO or bool(new))
            # Of fewer stories than the shortest curve takes, there is none.
            and (stories == HEARD or len(profile.unheard) >= min(profile.transfer.n_stories))
            and region in profile.transfer.regions
        )
        return (BASELINE, JOINT, OTHER) if there else ()

    return conditions


def _share_for(role: str, stories: str, *needed: str) -> Measure:
    words = f"minutes of {stories} stories until the pretrained model's best, {ROLES[role]}"
    load = partial(share_of_minutes, role=role, stories=stories)
    there = _there((BASELINE, *needed), role, stories, LANGUAGE)
    unit = "% of the pretrained model's"
    return Measure(words, unit, "minutes", load, there, margin=margins.SHARE)


def _gain_for(region: str, role: str, stories: str = HEARD) -> Measure:
    named = region.replace("_", " ")
    words = f"highest alignment with {named} regions, {stories} stories, {ROLES[role]}"
    load = partial(highest_gain, region=region, role=role, stories=stories)
    there = _there((BASELINE, JOINT), role, stories, region)
    unit = "% over pretrained"
    return Measure(words, unit, "minutes", load, there, margin=margins.ALIGNMENT)


ROLES = {TUNED_TO: "participants tuned to", NEW: "new participants"}
BOTH = (TUNED_TO, NEW)
_of = partial(Statement, families=SELF_SUPERVISED)
CLAIMS = {
    "Many participants": (
        Claim(
            "A jointly tuned model needs about a fifth of the data, also for new participants",
            "abstract",
            tuple(_of(_share_for(role, HEARD, JOINT), (JOINT,), "equal to", 20) for role in BOTH),
        ),
        Claim(
            "It needs less than the pretrained model",
            "abstract",
            tuple(_of(_share_for(role, HEARD, JOINT), (JOINT,), "below", 100) for role in BOTH),
        ),
        Claim(
            "So it does on stories that no model has heard",
            "not in the paper: its curves are of stories that models were tuned on",
            tuple(_of(_share_for(role, UNHEARD, JOINT), (JOINT,), "below", 100) for role in BOTH),
        ),
        Claim(
            "Models tuned to another participant need about twice the data that it does",
            "the paper",
            (
                _of(_share_for(NEW, HEARD, JOINT, TUNED), (OTHER,), "equal to", 40),
                _of(_share_for(NEW, HEARD, JOINT, TUNED), (JOINT, OTHER), "below"),
            ),
        ),
        Claim(
            "Its best alignment with late language regions is above the pretrained model's",
            "abstract",
            tuple(_of(_gain_for(LANGUAGE, role), (JOINT,), "above") for role in BOTH),
        ),
        Claim(
            "By up to 50 %",
            "abstract",
            tuple(_of(_gain_for(LANGUAGE, role), (JOINT,), "not above", 50) for role in BOTH),
            of_published=True,
        ),
        Claim(
            "Alignment with auditory cortex is slightly lower",
            "the paper",
            tuple(_of(_gain_for(AUDITORY, role), (JOINT,), "below") for role in BOTH),
        ),
        Claim(
            "On phonemes and the type of sentences, it is never below the pretrained model",
            "the paper",
            (_of(PROBES, (JOINT, BASELINE), "not below", tasks=SEMANTIC),),
        ),
    )
}

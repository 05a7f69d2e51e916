"""The quantities that the claims of the ICLR paper are about, in the conditions of a model.

Draws of a bootstrap are paired: the same blocks of TRs, speakers or words are drawn for all
conditions and participants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr

from bthelpers.claims import margins
from bthelpers.claims.margins import Margin
from bthelpers.params.settings import Profile
from bthelpers.results import scale
from bthelpers.results.alignment import load_alignment
from bthelpers.results.comparison import change, estimate
from bthelpers.results.impact import SINGLE, load_impacts
from bthelpers.results.runs import BASELINE, TUNED, over_layers
from bthelpers.results.store import Results
from bthelpers.results.tasks import (
    by_task,
    load_downstream,
    load_low_level,
    load_preferences,
    load_recognition,
    n_late_layers,
)
from bthelpers.statistics.bootstrap import percent_change

NAIVE = "naive classifier"  # a condition of probes
VOXELS = "above the threshold"  # a condition of voxels
SEMANTIC = ("phones", "sentence type")  # tasks that text models help with (D.2)
TUNED_SMALL, LARGE = scale.COMPARED[1:]  # conditions of models in two sizes
BY_STORIES, BY_SIZE = "gain per doubling of the stories", "gain per doubling of the model"


@dataclass(frozen=True)
class Measure:
    """A quantity in which conditions of a model are compared.

    Parameters
    ----------
    words : str
        What it is.
    unit : str
    evaluation : str
        Whose runs it is computed from.
    load : callable
        Of results and a model: a Dataset with ``value`` (participant, condition) and its ``draws``
        (participant, condition, draw), both along ``task`` too where there are several. NaN where
        there is no value.
    conditions : callable
        Of a profile and a model: the conditions in which it is there.
    needs : tuple of str
        Low-level features and regions that must be among those of the profile's `impact`.
    margin : Margin, optional
        By how much values may differ and count as equal; none where nothing says so of them.
    """

    words: str
    unit: str
    evaluation: str
    load: Callable[[Results, str], xr.Dataset]
    conditions: Callable[[Profile, str], Sequence[str]] = Profile.conditions_of
    needs: tuple[str, ...] = ()
    margin: Margin | None = None


def relative_alignment(results: Results, model: str, region: str) -> xr.Dataset:
    """Change of normalised alignment from pretrained, in percent; mean over layers (Fig. 2)."""
    means = over_layers(load_alignment(results, model).sel(region=region, drop=True))
    changes = percent_change(means, means.sel(condition=BASELINE, drop=True))
    return estimate(changes, "alignment")


def mean_impact(results: Results, model: str, region: str, features: Sequence[str]) -> xr.Dataset:
    """Low-level impact in percent, mean over features that are removed one by one (Fig. 3)."""
    impacts = load_impacts(results, model).sel(region=region, feature=list(features), drop=True)
    return estimate(impacts, "impact").mean("feature", skipna=False)


def probe_scores(results: Results, model: str) -> xr.Dataset:
    """F1 (macro) of probes, mean over layers, and that of the naive classifier (Fig. 4).

    The naive classifier has no uncertainty: all of its draws are its score.
    """
    run = over_layers(load_downstream(results, model))
    scores = estimate(run, "f1_macro", "f1_macro_draws")
    naive = xr.zeros_like(scores.isel(condition=[0])) + run["naive_f1_macro"]
    return xr.concat([scores, naive.assign_coords(condition=[NAIVE])], "condition", join="exact")


def task_contrasts(results: Results, model: str) -> xr.Dataset:
    """F1 of phones and sentence type less that of each other task (D.2, Fig. 10).

    A difference of conditions is then one of their gains. Draws of different corpora are of other
    clips: the smaller number of units counts.
    """
    scores = by_task(probe_scores(results, model))
    contrasts = {
        f"{one} less {other}": _contrast(scores[one], scores[other])
        for one in SEMANTIC
        for other in scores
        if other not in SEMANTIC
    }
    tasks = pd.Index(contrasts, name="task")
    return xr.concat(list(contrasts.values()), tasks, coords="different", compat="equals")


def _contrast(one: xr.Dataset, other: xr.Dataset) -> xr.Dataset:
    difference = one.drop_vars("n_drawn", errors="ignore") - other
    if all("n_drawn" in scores.coords for scores in (one, other)):
        fewest = np.minimum(one["n_drawn"].values, other["n_drawn"].values)
        difference = difference.assign_coords(n_drawn=("draw", fewest))
    return difference


def low_level_scores(results: Results, model: str) -> xr.Dataset:
    """R² of MFCC and FBANK, mean over layers (Fig. 9)."""
    return estimate(over_layers(load_low_level(results, model)), "r2", "r2_draws")


def low_level_third(results: Results, model: str, late: bool) -> xr.Dataset:
    """R² of MFCC and FBANK, mean over the first or last third of transformer layers (Fig. 9)."""
    layers = estimate(load_low_level(results, model), "r2", "r2_draws")
    n = n_late_layers(layers)
    return layers.isel(layer=slice(-n, None) if late else slice(1, 1 + n)).mean("layer")


def recognition_accuracy(results: Results, model: str) -> xr.Dataset:
    """1 - WER (Fig. 4a)."""
    return estimate(load_recognition(results, model), "accuracy", "accuracy_draws")


def neighbour_distances(results: Results, model: str) -> xr.Dataset:
    """Distance to neighbours of both kinds, of that to random words; mean over layers (C)."""
    layers = estimate(load_preferences(results, model), "relative", "relative_draws")
    return over_layers(layers).rename(kind="task")


def late_preference(results: Results, model: str) -> xr.Dataset:
    """Semantic–phonetic preference d, mean over the late layers (Fig. 8)."""
    return _late_and_earlier(results, model)[0]


def late_preference_gain(results: Results, model: str) -> xr.Dataset:
    """Preference d of the late layers minus that of the transformer layers before them (Fig. 8)."""
    late, earlier = _late_and_earlier(results, model)
    return late - earlier


def _late_and_earlier(results: Results, model: str) -> tuple[xr.Dataset, xr.Dataset]:
    """Means over the last third of the transformer layers, and over those before it."""
    layers = estimate(load_preferences(results, model), "preference")
    n_late = n_late_layers(layers)
    late, earlier = slice(-n_late, None), slice(1, -n_late)
    return layers.isel(layer=late).mean("layer"), layers.isel(layer=earlier).mean("layer")


def two_sizes(results: Results, model: str, evaluation: str) -> xr.Dataset:
    """What a smaller and a larger model are compared by (A.2, E.1; Fig. 5 and 11).

    Alignments are changes from the larger model's, in percent.
    """
    sizes = scale.load_against_large(results, model, evaluation).rename(compared="condition")
    if evaluation == "alignment":
        sizes = percent_change(sizes, sizes.sel(condition=LARGE, drop=True))
    return sizes


def story_slope(results: Results, model: str) -> xr.Dataset:
    """F1 that brain-tuning gains more with each doubling of the stories (E.2, Fig. 12b)."""
    models = scale.amounts(results.profile(), model, "probes")
    return _slope(scale.load_gains(results, models, "probes"), "stories", BY_STORIES)


def size_slope(results: Results, model: str) -> xr.Dataset:
    """F1 that brain-tuning gains more with each doubling of the parameters (E.2, Fig. 12a)."""
    models = scale.sizes(results.profile(), model, "probes", TUNED)
    return _slope(scale.load_gains(results, models, "probes"), "parameters", BY_SIZE)


def _slope(gains: xr.Dataset, by: str, condition: str) -> xr.Dataset:
    """Least squares over the models, per doubling of one of their coordinates."""
    doublings = np.log2(gains[by]) - np.log2(gains[by]).mean()
    lines = change(gains) * (doublings / (doublings**2).sum())
    return lines.sum("model", skipna=False).assign_coords(condition=[condition])


def voxels_above(results: Results, model: str) -> xr.Dataset:
    """Voxels of each participant above the noise ceiling's threshold (section 3.2): a count.

    It is exact: all draws are the count. Each participant is a task.
    """
    profile = results.profile()
    participants = list(profile.participants_of(model))
    counts = [int(results.voxels(name)["above"].sum()) for name in participants]
    values = xr.DataArray(
        [[counts]],
        {"condition": [VOXELS], "task": participants},
        ("participant", "condition", "task"),
    )
    draws = values.expand_dims(draw=profile.statistics.bootstrap_draws)
    return xr.Dataset({"value": values, "draws": draws})


def _with_naive(profile: Profile, model: str) -> list[str]:
    return [*profile.conditions_of(model), NAIVE]


def _if_among(
    models: Callable[[Profile, str], Sequence[str]], evaluation: str, *conditions: str
) -> Callable[[Profile, str], Sequence[str]]:
    """Conditions that are there for the models that a function of `scale` finds."""
    return lambda profile, model: conditions if model in models(profile, evaluation) else ()


def alignment_with(region: str, words: str) -> Measure:
    """Change of alignment with a region, which is called by some words, as `relative_alignment`."""
    load = partial(relative_alignment, region=region)
    named = f"alignment with {words}"
    return Measure(named, "% of pretrained", "alignment", load, margin=margins.ALIGNMENT)


def impact_on(region: str, words: str, features: tuple[str, ...] = SINGLE) -> Measure:
    """Low-level impact on a region, which is called by some words, as `mean_impact`."""
    how = "four features at once" if features == ("joint",) else "mean over four features"
    load = partial(mean_impact, region=region, features=features)
    named, needs = f"low-level impact on {words}, {how}", (region, *features)
    return Measure(named, "% of alignment", "impact", load, needs=needs, margin=margins.IMPACT)


def in_two_sizes(words: str, unit: str, evaluation: str, margin: Margin) -> Measure:
    """A comparison of `two_sizes`."""
    conditions = _if_among(scale.with_sizes, evaluation, TUNED_SMALL, LARGE)
    load = partial(two_sizes, evaluation=evaluation)
    return Measure(words, unit, evaluation, load, conditions, margin=margin)


PROBES = Measure("F1", "F1", "probes", probe_scores, _with_naive, margin=margins.SCORE)
CONTRASTS = Measure("F1", "F1", "probes", task_contrasts)
RECOGNITION = Measure(
    "recognised words", "1 − WER", "recognition", recognition_accuracy, margin=margins.SCORE
)
LOW_LEVEL = Measure("R²", "R²", "probes", low_level_scores, margin=margins.SCORE)
EARLY_LOW_LEVEL, LATE_LOW_LEVEL = (
    Measure(
        f"R² of the {which} third of layers",
        "R²",
        "probes",
        partial(low_level_third, late=which == "last"),
        margin=margins.SCORE,
    )
    for which in ("first", "last")
)
NEIGHBOURS = Measure(
    "distance to neighbours", "of that to random words", "preference", neighbour_distances
)
LATE_PREFERENCE = Measure("d in late layers", "distance", "preference", late_preference)
LATE_PREFERENCE_GAIN = Measure(
    "d in late layers less d in earlier ones",
    "distance",
    "preference",
    late_preference_gain,
    margin=margins.PREFERENCE,
)
STORY_SLOPE = Measure(
    "F1", "F1", "probes", story_slope, _if_among(scale.with_amounts, "probes", BY_STORIES)
)
SIZE_SLOPE = Measure(
    "F1", "F1", "probes", size_slope, _if_among(scale.with_tuned_sizes, "probes", BY_SIZE)
)
VOXEL_COUNT = Measure(
    "voxels",
    "voxels",
    "alignment",
    voxels_above,
    lambda profile, model: (VOXELS,),
    margin=margins.VOXELS,
)

"""The quantities that the claims of the ICLR paper are about, in the conditions of a model.

Draws of a bootstrap are paired: the same TRs, clips or words are drawn for all conditions and
participants. Values and draws are means over participants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr

from bthelpers.encoding.low_level import JOINT
from bthelpers.params.settings import Profile
from bthelpers.results import scale
from bthelpers.results.alignment import load_alignment
from bthelpers.results.comparison import change, estimate
from bthelpers.results.impact import load_impacts
from bthelpers.results.runs import BASELINE, TUNED, over_layers
from bthelpers.results.store import Results
from bthelpers.results.tasks import (
    load_downstream,
    load_low_level,
    load_preferences,
    load_recognition,
    n_late_layers,
)
from bthelpers.statistics.bootstrap import percent_change

NAIVE = "naive classifier"  # a condition of probes
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
        Of results and a model: a Dataset with ``value`` (condition) and its ``draws`` (condition,
        draw), both along ``task`` too where there are several. NaN where there is no value.
    conditions : callable
        Of a profile and a model: the conditions in which it is there.
    needs : tuple of str
        Low-level features and regions that must be among those of the profile's `impact`.
    """

    words: str
    unit: str
    evaluation: str
    load: Callable[[Results, str], xr.Dataset]
    conditions: Callable[[Profile, str], Sequence[str]] = Profile.conditions_of
    needs: tuple[str, ...] = ()


def _means(run: xr.Dataset, value: str, draws: str = "draws") -> xr.Dataset:
    """Mean over participants; NaN where one of them has no value."""
    return estimate(run, value, draws).mean("participant", skipna=False)


def relative_alignment(results: Results, model: str, region: str) -> xr.Dataset:
    """Change of normalised alignment from pretrained, in percent; mean over layers (Fig. 2)."""
    means = over_layers(load_alignment(results, model).sel(region=region, drop=True))
    return _means(percent_change(means, means.sel(condition=BASELINE, drop=True)), "alignment")


def mean_impact(results: Results, model: str, region: str, features: Sequence[str]) -> xr.Dataset:
    """Low-level impact in percent, mean over features that are removed one by one (Fig. 3)."""
    impacts = load_impacts(results, model).sel(region=region, feature=list(features), drop=True)
    return _means(impacts, "impact").mean("feature", skipna=False)


def probe_scores(results: Results, model: str) -> xr.Dataset:
    """F1 (macro) of probes, mean over layers, and that of the naive classifier (Fig. 4).

    The naive classifier has no uncertainty: all of its draws are its score.
    """
    run = over_layers(load_downstream(results, model))
    scores = _means(run, "f1_macro", "f1_macro_draws")
    naive = xr.zeros_like(scores.isel(condition=[0])) + run["naive_f1_macro"]
    return xr.concat([scores, naive.assign_coords(condition=[NAIVE])], "condition", join="exact")


def low_level_scores(results: Results, model: str) -> xr.Dataset:
    """R² of MFCC and FBANK, mean over layers (Fig. 9)."""
    return _means(over_layers(load_low_level(results, model)), "r2", "r2_draws")


def recognition_accuracy(results: Results, model: str) -> xr.Dataset:
    """1 - WER (Fig. 4a)."""
    return _means(load_recognition(results, model), "accuracy", "accuracy_draws")


def late_preference(results: Results, model: str) -> xr.Dataset:
    """Semantic–phonetic preference d, mean over the late layers (Fig. 8)."""
    return _late_and_earlier(results, model)[0]


def late_preference_gain(results: Results, model: str) -> xr.Dataset:
    """Preference d of the late layers minus that of the transformer layers before them (Fig. 8)."""
    late, earlier = _late_and_earlier(results, model)
    return late - earlier


def _late_and_earlier(results: Results, model: str) -> tuple[xr.Dataset, xr.Dataset]:
    """Means over the last third of the transformer layers, and over those before it."""
    layers = _means(load_preferences(results, model), "preference")
    n_late = n_late_layers(layers)
    late, earlier = slice(-n_late, None), slice(1, -n_late)
    return layers.isel(layer=late).mean("layer"), layers.isel(layer=earlier).mean("layer")


def two_sizes(results: Results, model: str, evaluation: str) -> xr.Dataset:
    """What a smaller and a larger model are compared by (A.2, E.1; Fig. 5 and 11)."""
    return scale.load_against_large(results, model, evaluation).rename(compared="condition")


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
    lines = change(gains).assign_coords(model=np.log2(gains[by].values), condition=[condition])
    slopes = lines.polyfit("model", deg=1).sel(degree=1, drop=True)
    return estimate(slopes, "value_polyfit_coefficients", "draws_polyfit_coefficients")


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
    return Measure(f"alignment with {words}", "% of pretrained", "alignment", load)


def impact_on(region: str, words: str, features: tuple[str, ...] = JOINT) -> Measure:
    """Low-level impact on a region, which is called by some words, as `mean_impact`."""
    how = "four features at once" if features == ("joint",) else "mean over four features"
    load = partial(mean_impact, region=region, features=features)
    named = f"low-level impact on {words}, {how}"
    return Measure(named, "% of alignment", "impact", load, needs=(region, *features))


def in_two_sizes(words: str, unit: str, evaluation: str) -> Measure:
    """A comparison of `two_sizes`."""
    conditions = _if_among(scale.with_sizes, evaluation, TUNED_SMALL, LARGE)
    return Measure(words, unit, evaluation, partial(two_sizes, evaluation=evaluation), conditions)


PROBES = Measure("F1", "F1", "probes", probe_scores, _with_naive)
RECOGNITION = Measure("recognised words", "1 − WER", "recognition", recognition_accuracy)
LOW_LEVEL = Measure("R²", "R²", "probes", low_level_scores)
LATE_PREFERENCE = Measure("d in late layers", "distance", "preference", late_preference)
LATE_PREFERENCE_GAIN = Measure(
    "d in late layers less d in earlier ones", "distance", "preference", late_preference_gain
)
STORY_SLOPE = Measure(
    "F1", "F1", "probes", story_slope, _if_among(scale.with_amounts, "probes", BY_STORIES)
)
SIZE_SLOPE = Measure(
    "F1", "F1", "probes", size_slope, _if_among(scale.with_tuned_sizes, "probes", BY_SIZE)
)

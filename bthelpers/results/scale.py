"""Studies of scale: model size, and the amount of data that a model is tuned on.

ICLR paper, appendices A.2, E.1 and E.2. Values are means over transformer layers, of the
participants that all compared models share. Draws of a bootstrap are paired over models and
conditions, so that intervals of differences are those of the differences.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import xarray as xr

from bthelpers.core.errors import ResultsError
from bthelpers.params.settings import Profile
from bthelpers.results.alignment import load_alignment
from bthelpers.results.comparison import compare, estimate
from bthelpers.results.impact import load_impacts
from bthelpers.results.runs import BASELINE, TUNED, over_layers
from bthelpers.results.store import MAKE, Results
from bthelpers.results.tasks import load_downstream, load_recognition
from bthelpers.statistics.intervals import interval

REGION = "late_language"
COMPARED = ("smaller, pretrained", "smaller, brain-tuned", "larger, pretrained")
DIFFERENCE = "smaller, brain-tuned − larger, pretrained"


def _alignment(results: Results, model: str) -> xr.Dataset:
    layers = load_alignment(results, model).sel(region=REGION, drop=True)
    return estimate(over_layers(layers), "alignment")


def _impact(results: Results, model: str) -> xr.Dataset:
    impacts = load_impacts(results, model).sel(region=REGION, feature="joint", drop=True)
    return estimate(impacts, "impact")


def _f1(results: Results, model: str) -> xr.Dataset:
    means = over_layers(load_downstream(results, model))
    return estimate(means, "f1_macro", "f1_macro_draws").assign(n_clips=means["n_clips"])


def _accuracy(results: Results, model: str) -> xr.Dataset:
    run = load_recognition(results, model)
    return estimate(run, "accuracy", "accuracy_draws").assign(n_clips=run["n_clips"])


# What models are compared by, of each evaluation: alignment with late language regions; impact of
# all low-level features on it, in percent; macro F1 of each task; 1 - word error rate.
MEASURES = {
    "alignment": _alignment,
    "impact": _impact,
    "probes": _f1,
    "recognition": _accuracy,
}


def sizes(profile: Profile, model: str, evaluation: str, condition: str) -> list[str]:
    """A model and its variants of other checkpoints, where they are evaluated in a condition."""
    others = [name for name in profile.variants_of(model) if not _same(profile, name, model)]
    return _evaluated(profile, [model, *others], evaluation, condition)


def amounts(profile: Profile, model: str, evaluation: str) -> list[str]:
    """A model and its variants that are tuned on other numbers of stories, where evaluated."""
    others = [
        name
        for name in profile.variants_of(model)
        if _same(profile, name, model)
        and profile.tuning_of(name) == profile.tuning_of(model)
        and profile.tuned_regions_of(name) == profile.tuned_regions_of(model)
    ]
    return _evaluated(profile, [model, *others], evaluation, TUNED)


def _same(profile: Profile, *models: str) -> bool:
    """Whether models are tuned from one checkpoint."""
    return len({(profile.models[name].path, profile.models[name].revision) for name in models}) == 1


def _evaluated(
    profile: Profile, models: Sequence[str], evaluation: str, condition: str
) -> list[str]:
    return [
        name
        for name in models
        if evaluation in profile.evaluations_of(name) and condition in profile.conditions_of(name)
    ]


def with_sizes(profile: Profile, evaluation: str) -> list[str]:
    """Models that are compared, as pretrained, with others of their family in size."""
    models = profile.models_with(evaluation)
    return [name for name in models if len(sizes(profile, name, evaluation, BASELINE)) > 1]


def with_tuned_sizes(profile: Profile, evaluation: str) -> list[str]:
    """Models that are brain-tuned in several sizes."""
    models = profile.models_with(evaluation)
    return [name for name in models if len(sizes(profile, name, evaluation, TUNED)) > 1]


def with_amounts(profile: Profile, evaluation: str) -> list[str]:
    """Models that are brain-tuned on several amounts of data."""
    models = profile.models_with(evaluation)
    return [name for name in models if len(amounts(profile, name, evaluation)) > 1]


def n_parameters(results: Results, model: str) -> int:
    """Parameters of a model's transformer; its front end, which stays frozen, does not count.

    Raises
    ------
    ResultsError
        If the model's alignment is missing, or was made by an earlier version.
    """
    profile = results.profile()
    run = model, profile.participants_of(model)[0], profile.conditions_of(model)[0]
    alignment = results.open(*run, "alignment")
    if "n_parameters" not in alignment:
        raise ResultsError(
            f"{results.root.joinpath(*run)}/alignment.nc does not say how many parameters the model"
            f" has, as an earlier version made it; delete it, then {MAKE}"
        )
    return alignment["n_parameters"].item()


def load_against_large(results: Results, model: str, evaluation: str) -> xr.Dataset:
    """The smallest of some sizes, pretrained and brain-tuned, and the largest, pretrained.

    Parameters
    ----------
    results : Results
    model : str
        Of `with_sizes`.
    evaluation : str
        Of `MEASURES`.

    Returns
    -------
    Dataset
        ``value`` (compared, participant) and ``draws`` (…, draw) of `COMPARED`; of probes, both
        have the dim task too. NaN where a low-level impact has no ratio.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    ValueError
        If the smallest is not brain-tuned, the models share no participant, or they were not
        evaluated alike.
    """
    profile = results.profile()
    found = sizes(profile, model, evaluation, BASELINE)
    smallest, *_, largest = sorted(found, key=lambda name: n_parameters(results, name))
    if TUNED not in profile.conditions_of(smallest):
        raise ValueError(
            f"profile {profile.name}: {smallest}, the smallest of {', '.join(found)}, is not"
            f" {TUNED}: add this to models.{smallest}.conditions"
        )
    runs = [(smallest, BASELINE), (smallest, TUNED), (largest, BASELINE)]
    return (
        _joined(results, runs, evaluation)
        .rename(run="compared")
        .assign_coords(compared=list(COMPARED))
    )


def load_gains(results: Results, models: Sequence[str], evaluation: str) -> xr.Dataset:
    """What brain-tuning gains over the pretrained model, for several sizes or amounts of data.

    Parameters
    ----------
    results : Results
    models : sequence of str
        Of `sizes`, brain-tuned, or of `amounts`.
    evaluation : str
        Of `MEASURES`.

    Returns
    -------
    Dataset
        ``value`` (condition, model, participant), pretrained and brain-tuned, and ``draws`` (…,
        draw); of probes, both have the dim task too. Coordinates of a model: ``stories`` that it
        was tuned on, and ``parameters`` of its transformer.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    ValueError
        If the models share no participant, or were not evaluated alike.
    """
    profile, n = results.profile(), len(models)
    runs = [(_untuned(profile, name), BASELINE) for name in models]
    runs += [(name, TUNED) for name in models]
    joined = _joined(results, runs, evaluation).rename(run="model")
    by_condition = [joined.isel(model=slice(n)), joined.isel(model=slice(n, None))]
    gains = xr.concat(by_condition, "condition")
    return gains.assign_coords(
        condition=[BASELINE, TUNED],
        model=list(models),
        stories=("model", [len(profile.tuning_splits(name).train) for name in models]),
        parameters=("model", [n_parameters(results, name) for name in models]),
    )


def _untuned(profile: Profile, model: str) -> str:
    """Model of whose checkpoint another is an amount: its pretrained results are those of both."""
    base = profile.models[model].variant_of
    return base if base is not None and _same(profile, model, base) else model


def _joined(results: Results, runs: Sequence[tuple[str, str]], evaluation: str) -> xr.Dataset:
    """Measure of some models, each in a condition, and its draws, of the participants they share.

    Returns
    -------
    Dataset
        ``value`` (run, participant, ...) and ``draws`` (run, participant, ..., draw).
    """
    profile, models = results.profile(), dict(runs)
    shared = set.intersection(*(set(profile.participants_of(name)) for name in models))
    if not shared:
        raise ValueError(
            f"profile {profile.name}: {', '.join(models)} share no participant; change"
            " `participants` under `models`"
        )
    loaded = {name: MEASURES[evaluation](results, name) for name in models}
    joined = xr.concat(
        [
            loaded[name].sel(participant=sorted(shared), condition=condition).drop_vars("condition")
            for name, condition in runs
        ],
        "run",
        data_vars=["value", "draws"],
        coords="minimal",
        compat="equals",
        join="exact",
    )
    return joined[["value", "draws"]]


def against_large_table(compared: xr.Dataset) -> pd.DataFrame:
    """Values of `load_against_large` and their difference, means over participants, with intervals.

    These are of 95 %.
    """
    _, tuned, large = (compared.sel(compared=which, drop=True) for which in COMPARED)
    difference = (tuned - large).expand_dims(compared=[DIFFERENCE])
    rows = xr.concat([compared, difference], "compared", join="exact")
    bounds = interval(rows, "participant").to_dataset("bound")
    named = {f"value, {bound}": ends for bound, ends in bounds.items()}
    return _tasks_first(rows[["value"]].mean("participant", skipna=False).assign(named))


def compare_gains(gains: xr.Dataset, kind: str) -> xr.Dataset:
    """Compare the brain-tuned models of `load_gains` with the pretrained ones: mean changes."""
    tuned, pretrained = (gains.sel(condition=name, drop=True) for name in (TUNED, BASELINE))
    return compare(tuned, pretrained, kind, over="participant")


def gain_table(gains: xr.Dataset, *kinds: str) -> pd.DataFrame:
    """Gains of `load_gains` by ``difference`` or ``percent``, or both, with 95 % intervals."""
    columns = {}
    for kind in kinds:
        compared = compare_gains(gains, kind)
        columns |= {"pretrained": compared["baseline"], "tuned": compared["value"]}
        columns |= {kind: compared["change"]}
        columns |= {f"{kind}, {bound}": compared[bound] for bound in ("low", "high")}
    return _tasks_first(xr.Dataset(columns)).set_index(["stories", "parameters"], append=True)


def _tasks_first(columns: xr.Dataset) -> pd.DataFrame:
    return columns.to_dataframe(dim_order=sorted(columns.dims, key="task".__ne__))

"""Downstream and low-level tasks of many runs: labelled arrays and the changes that tuning makes.

ICLR paper, sections 3.4.3 and 4.3, appendices B, D.1 and D.2. What was tested and how is in
`bthelpers.tasks.probes` and `bthelpers.tasks.recognition`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
import xarray as xr

from bthelpers.core.errors import ResultsError
from bthelpers.results.comparison import change, compare, estimate, tuned_and_pretrained
from bthelpers.results.runs import BASELINE, in_all, over_runs
from bthelpers.results.store import Results
from bthelpers.statistics.intervals import spread
from bthelpers.statistics.power import smallest_difference, units_needed

SCORES = {
    "f1_macro": "F1 (macro)",
    "f1_weighted": "F1 (weighted)",
    "r2": "R² (mean over coefficients)",
    "accuracy": "Accuracy (1 − word error rate)",
}
COUNTS = ("n_clips", "n_outputs", "n_constant", "n_untested")  # of probes


def load_downstream(results: Results, model: str) -> xr.Dataset:
    """Linear probes of a model for all of its participants and conditions.

    What is one for all participants is repeated for each: their mean is then its value, in the
    draws too, which stay paired.

    Returns
    -------
    Dataset
        ``f1_macro`` and ``f1_weighted`` (participant, condition, task, layer), their draws
        ``f1_macro_draws`` and ``f1_weighted_draws`` (…, draw), and ``n_constant_features`` (…), as
        `bthelpers.tasks.probes.probe_layers` gives them; once for all runs, ``naive_f1_macro`` and
        ``naive_f1_weighted`` (task), ``n_clips`` (task, split), ``n_outputs``, ``n_constant`` and
        ``n_untested`` (task). Of attributes, those that all runs share: ``dataset`` names the
        corpora.

    Raises
    ------
    ResultsError
        If a run of the profile is missing, or runs are not of the same tasks, clips and draws.
    """
    scores = ("f1_macro", "f1_weighted")
    varying = [*scores, *(f"{score}_draws" for score in scores), "n_constant_features"]
    shared = [*(f"naive_{score}" for score in scores), *COUNTS]
    return _load(results, model, "probes", varying, shared)


def load_low_level(results: Results, model: str) -> xr.Dataset:
    """Low-level probes of a model, as `load_downstream`: ``r2`` and ``r2_draws``."""
    varying = ["r2", "r2_draws", "n_constant_features"]
    return _load(results, model, "low_level_probes", varying, COUNTS)


def load_recognition(results: Results, model: str) -> xr.Dataset:
    """Speech recognition of a model, as `load_downstream`, without tasks and layers.

    Returns
    -------
    Dataset
        ``accuracy`` (participant, condition), 1 - WER, and ``accuracy_draws`` (…, draw); once for
        all runs ``n_clips`` (split), ``n_words`` of the test clips, and the clips whose text CTC
        cannot spell, ``n_infeasible`` of the test and ``n_infeasible_training``.

    Raises
    ------
    ResultsError
        As `load_downstream`.
    """
    counts = ["n_clips", "n_words", "n_infeasible", "n_infeasible_training"]
    loaded = _load(results, model, "recognition", ["accuracy", "wer_draws"], counts)
    return loaded.assign(accuracy_draws=1 - loaded["wer_draws"]).drop_vars("wer_draws")


def _load(
    results: Results, model: str, step: str, varying: Sequence[str], shared: Sequence[str]
) -> xr.Dataset:
    """Runs of a step with some of their variables; the shared ones must be equal in all runs."""
    variables = [*varying, *shared]
    try:
        return over_runs(results, model, lambda *run: results.open(*run, step)[variables], shared)
    except ValueError as error:
        raise ResultsError(
            f"{results.root / model}: its files {step}.nc are not all of the same tasks, clips and"
            f" draws ({error}); delete them and make them again"
        ) from error


def by_task(run: xr.Dataset, recognition: xr.Dataset | None = None) -> dict[str, xr.Dataset]:
    """One Dataset for each task of probes, by its name, and that of speech recognition if any."""
    tasks = {str(task): run.sel(task=task, drop=True) for task in run["task"].values}
    return tasks if recognition is None else tasks | {"speech recognition": recognition}


def in_families(runs: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Join models along ``model``, in the participants and conditions that they share (Fig. 4).

    Parameters
    ----------
    runs : mapping of Dataset
        By model: as `load_recognition` returns it, or `over_layers`.

    Raises
    ------
    ResultsError
        If models were not tested on the same clips and draws.
    """
    shared = {
        dim: in_all(list(run[dim].values) for run in runs.values())
        for dim in ("participant", "condition")
    }
    tested = next(iter(runs.values()))
    try:
        return xr.concat(
            [run.sel(shared) for run in runs.values()],
            pd.Index(runs, name="model"),
            data_vars=[name for name, values in tested.items() if "condition" in values.dims],
            coords="minimal",
            compat="equals",
            join="exact",
        )
    except ValueError as error:
        raise ResultsError(
            f"{', '.join(runs)}: not tested on the same tasks, clips and draws ({error}); make"
            " their probes and recognition again"
        ) from error


def change_table(run: xr.Dataset, *scores: str) -> pd.DataFrame:
    """Change from pretrained of some scores, mean over participants.

    Parameters
    ----------
    run : Dataset
        As `load_recognition` gives it, or `over_layers`.
    *scores : str
        Of `SCORES`.

    Returns
    -------
    DataFrame
        A row per task, if there are any, and condition. For each score ``pretrained``, ``tuned``,
        their difference ``change``, and its 95 % interval ``low`` to ``high`` of the bootstrap over
        the speakers of test clips, for which the same ones were drawn in both conditions and for
        all participants, and over participants.
    """
    rows = "task", "condition"
    tables = {
        SCORES[score]: _changes(estimate(run, score, f"{score}_draws"), rows, "participant")
        for score in scores
    }
    return pd.concat(tables, axis=1)


def _changes(run: xr.Dataset, rows: Sequence[str], over: str | None = None) -> pd.DataFrame:
    """Changes of an estimate from pretrained, with a level of rows for each of its dimensions."""
    compared = compare(*tuned_and_pretrained(run), over=over)
    compared = compared.rename(baseline=BASELINE, value="tuned")
    return compared.to_dataframe([dim for dim in rows if dim in run.dims])


def power_table(runs: Mapping[str, xr.Dataset], difference: float) -> pd.DataFrame:
    """Smallest change of macro F1 that each task's test clips would show, in 80 of 100 cases.

    Parameters
    ----------
    runs : mapping of Dataset
        By model, as `over_layers` of `load_downstream` gives it.
    difference : float
        Of F1, that should be seen.

    Returns
    -------
    DataFrame
        A row per task, means over models and tuned conditions of what the paired draws of speakers
        say of their change from pretrained. ``speakers`` and ``clips`` of the test (where a corpus
        names no speakers, these are its clips); ``half width`` of the 95 % interval and the
        ``smallest`` change found, both without the spread over participants; and the ``speakers
        needed`` for the difference.

    Raises
    ------
    ResultsError
        If no model was tested in a tuned condition, which changes could be measured of.
    """
    tuned = {name: run for name, run in runs.items() if run.sizes["condition"] > 1}
    if not tuned:
        raise ResultsError(
            f"{', '.join(runs)}: probed in one condition only, so that no change can be measured;"
            " add conditions"
        )
    rows = []
    for run in tuned.values():
        changed = change(estimate(run, "f1_macro", "f1_macro_draws"))
        uncertain = spread(changed, "participant")
        rows.append(
            xr.Dataset(
                {
                    "speakers": uncertain.drawn_df + 1,
                    "clips": run["n_clips"].sel(split="test", drop=True),
                    "half width": replace(
                        uncertain, participants=xr.zeros_like(uncertain.participants)
                    ).half_width(0.025),
                    "smallest": smallest_difference(uncertain),
                    "speakers needed": units_needed(uncertain, difference),
                }
            ).mean("condition")
        )
    return xr.concat(rows, "model").mean("model").to_dataframe()


def load_linguistic_probes(results: Results, model: str) -> xr.Dataset:
    """Probes of what is spoken in stories, as `load_downstream`.

    Returns
    -------
    Dataset
        ``accuracy`` (participant, condition, probe, layer) and ``accuracy_draws`` (…, draw); once
        for all runs ``naive_accuracy``, ``n_outputs`` (probe) and ``n_clips`` (probe, split). NaN
        for categories, where words have none.
    """
    varying = ["accuracy", "accuracy_draws"]
    shared = ["naive_accuracy", "n_outputs", "n_clips"]
    return _load(results, model, "linguistic_probes", varying, shared)


def accuracy_table(run: xr.Dataset, condition: str = BASELINE) -> pd.DataFrame:
    """Accuracy (%) of each linguistic probe at each layer, mean over participants.

    Returns
    -------
    DataFrame
        A row per probe: how many ``classes``, what ``chance`` gives, which is the commonest class
        of training among those of the test, and the layers, of which 0 is the transformer's input.
    """
    accuracy = 100 * run["accuracy"].sel(condition=condition).mean("participant", skipna=False)
    table = accuracy.transpose("probe", "layer").to_pandas()
    table.insert(0, "chance", 100 * run["naive_accuracy"].to_series())
    table.insert(0, "classes", run["n_outputs"].to_series())
    return table


def load_preferences(results: Results, model: str) -> xr.Dataset:
    """Preference of a model for all of its participants and conditions.

    Returns
    -------
    Dataset
        ``preference`` (participant, condition, layer) and its ``draws`` (…, draw); mean distances
        to semantic and phonetic neighbours, divided by that to random words, ``relative`` (…, kind)
        and ``relative_draws`` (…, kind, draw); and ``n_spoken`` (…, word).

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    ValueError
        If not all runs are of the same words.
    """
    return over_runs(results, model, lambda *run: _with_relative(results.open(*run, "preference")))


def _with_relative(run: xr.Dataset) -> xr.Dataset:
    # n_spoken keeps the words: paired draws are of the same ones.
    return run[["preference", "draws", "n_spoken"]].assign(
        relative=_relative(run["distance"].mean("word")),
        relative_draws=_relative(run["distance_draws"]),
    )


def _relative(distances: xr.DataArray) -> xr.DataArray:
    return distances.sel(kind=["semantic", "phonetic"]) / distances.sel(kind="random", drop=True)


def n_late_layers(values: xr.DataArray | xr.Dataset) -> int:
    """How many layers are late: the last third of those after the input of the transformer."""
    return math.ceil((values.sizes["layer"] - 1) / 3)


def outer_thirds(run: xr.Dataset) -> dict[str, slice]:
    """Where the first and the last third of the transformer layers are along ``layer``."""
    n = n_late_layers(run)
    return {"first third": slice(1, 1 + n), "last third": slice(-n, None)}


def late_change_table(values: xr.DataArray, draws: xr.DataArray) -> pd.DataFrame:
    """Change from pretrained, mean over the last third of the transformer layers.

    Parameters
    ----------
    values, draws : DataArray (participant, condition, layer) and (…, draw)

    Returns
    -------
    DataFrame
        A row per condition and participant, with 95 % intervals of the bootstrap over words, for
        which the same words were drawn in both conditions.
    """
    late = slice(-n_late_layers(values), None)
    means = xr.Dataset({"value": values, "draws": draws}).isel(layer=late).mean("layer")
    return _changes(means, ("condition", "participant"))

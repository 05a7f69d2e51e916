import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from drawn_figures import bars_and_errors, drawn

from bthelpers.core.errors import ResultsError
from bthelpers.figures.tasks import score_bars, score_by_layer
from bthelpers.params.loading import load, to_dict
from bthelpers.results.runs import over_layers
from bthelpers.results.store import Results, read_dataset, result_folder, write_dataset
from bthelpers.results.tasks import (
    by_task,
    change_table,
    load_downstream,
    load_low_level,
    load_recognition,
)

SMOKE = Path(__file__).parents[2] / "params" / "smoke.yaml"
PARTICIPANTS = ["SIM02", "SIM01"]
CONDITIONS = ["pretrained", "brain-tuned", "big-slm"]
TASKS, N_LAYERS, N_DRAWS = ["action", "emotion"], 3, 100
SPLITS = ["train", "validation", "test"]


def invented_probes(rng, *scores):
    """Scores of probes; draws lie about them, so that they hold each other's labels."""
    shape = len(TASKS), N_LAYERS + 1
    run = xr.Dataset(coords={"task": TASKS, "layer": np.arange(N_LAYERS + 1), "split": SPLITS})
    for score in scores:
        values = rng.uniform(0.2, 0.8, shape)
        draws = values[..., None] + rng.normal(0, 0.05, (*shape, N_DRAWS))
        run[score] = ("task", "layer"), values
        run[f"{score}_draws"] = ("task", "layer", "draw"), draws.astype(np.float32)
        run[f"naive_{score}"] = "task", np.array([0.03, 0.11])
    return run.assign(
        C=(("task", "layer"), 10.0 ** rng.integers(-3, 2, shape)),
        n_constant_features=(("task", "layer"), rng.integers(0, 3, shape)),
        n_clips=(("task", "split"), [[90, 30, 30], [60, 20, 25]]),
        n_outputs=("task", [46, 6]),
        n_constant=("task", [0, 0]),
        n_untested=("task", [1, 0]),
    )


def invented_recognition(rng):
    wer = rng.uniform(0.3, 1.2)
    return xr.Dataset(
        {
            "wer": wer,
            "accuracy": 1 - wer,
            "wer_draws": ("draw", (wer + rng.normal(0, 0.05, N_DRAWS)).astype(np.float32)),
            "n_clips": ("split", [90, 30, 30]),
            "n_words": 210,
            "n_infeasible": 1,
            "n_infeasible_training": 2,
            "validation_wer": ("epoch", rng.uniform(0.3, 1.2, 4)),
        },
        {"split": SPLITS},
    )


STEPS = {
    "probes": lambda rng: invented_probes(rng, "f1_macro", "f1_weighted"),
    "low_level_probes": lambda rng: invented_probes(rng, "r2"),
    "recognition": invented_recognition,
}
LOADERS = {
    "probes": load_downstream,
    "low_level_probes": load_low_level,
    "recognition": load_recognition,
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Results of one model, and the runs that were written there, by file. To be read only."""
    root = tmp_path_factory.mktemp("results")
    profile = load(SMOKE, {"dataset.participants": PARTICIPANTS, "conditions": CONDITIONS})
    model = next(iter(profile.models))
    (root / "profile.json").write_text(json.dumps(to_dict(profile)))
    rng, runs = np.random.default_rng(0), {}
    for step, participant, condition in product(STEPS, PARTICIPANTS, CONDITIONS):
        file = root / result_folder(model, participant, condition, step) / f"{step}.nc"
        if file not in runs:
            runs[file] = STEPS[step](rng)
            write_dataset(runs[file], file, {"dataset": "invented corpora"})
    return Results(root), model, runs


@pytest.fixture
def copied(written, tmp_path):
    """The same results, to be broken."""
    results, model, _ = written
    return Results(shutil.copytree(results.root, tmp_path / "results")), model


def run_of(written, participant, condition, step):
    results, model, runs = written
    of_each = condition == "brain-tuned"
    folder = [model, participant, condition] if of_each else [model, condition]
    return runs[results.root.joinpath(*folder, f"{step}.nc")]


def test_runs_of_probes_become_one_labelled_array(written):
    results, model, runs = written
    assert sum(file.stem == "probes" for file in runs) == 2 + 2
    loaded = load_downstream(results, model)
    assert loaded["f1_macro"].dims == ("participant", "condition", "task", "layer")
    assert loaded["f1_macro_draws"].dims == (*loaded["f1_macro"].dims, "draw")
    assert list(loaded["participant"].values) == PARTICIPANTS
    assert list(loaded["condition"].values) == CONDITIONS
    assert loaded.attrs["dataset"] == "invented corpora"
    varying = ["f1_macro", "f1_weighted", "f1_macro_draws", "f1_weighted_draws"]
    for participant, condition in product(PARTICIPANTS, CONDITIONS):
        chosen = loaded.sel(participant=participant, condition=condition, drop=True)
        run = run_of(written, participant, condition, "probes")
        for name in [*varying, "n_constant_features", "naive_f1_macro", "n_clips", "n_untested"]:
            xr.testing.assert_equal(chosen[name], run[name])
    assert loaded["naive_f1_weighted"].dims == ("task",)
    assert loaded["n_clips"].dims == ("task", "split")


def test_low_level_probes_have_r2_and_no_naive_model(written):
    results, model, _ = written
    loaded = load_low_level(results, model)
    assert "naive_r2" not in loaded
    for participant, condition in product(PARTICIPANTS, CONDITIONS):
        chosen = loaded.sel(participant=participant, condition=condition, drop=True)
        run = run_of(written, participant, condition, "low_level_probes")
        xr.testing.assert_equal(chosen[["r2", "r2_draws"]], run[["r2", "r2_draws"]])


def test_accuracy_of_recognition_is_one_minus_the_error_rate(written):
    results, model, _ = written
    loaded = load_recognition(results, model)
    assert loaded["accuracy"].dims == ("participant", "condition")
    assert (int(loaded["n_words"]), int(loaded["n_infeasible"])) == (210, 1)
    assert loaded["n_clips"].sel(split="test") == 30
    for participant, condition in product(PARTICIPANTS, CONDITIONS):
        chosen = loaded.sel(participant=participant, condition=condition)
        run = run_of(written, participant, condition, "recognition")
        assert chosen["accuracy"] == 1 - run["wer"]
        np.testing.assert_allclose(chosen["accuracy_draws"], 1 - run["wer_draws"], atol=1e-7)


@pytest.mark.parametrize("step", LOADERS)
def test_a_missing_run_is_an_error_that_names_it(copied, step):
    results, model = copied
    (results.root / model / "SIM01" / "brain-tuned" / f"{step}.nc").unlink()
    with pytest.raises(ResultsError, match=rf"SIM01/brain-tuned/{step}\.nc is not there"):
        LOADERS[step](results, model)


def other_clips(run):
    return run.assign(n_clips=run["n_clips"] + 1)


def other_naive(run):
    return run.assign(naive_f1_macro=run["naive_f1_macro"] + 0.01)


def other_draws(run):
    return run.isel(draw=slice(1, None))


def fewer_tasks(run):
    return run.isel(task=[0])


@pytest.mark.parametrize(
    ("step", "condition", "altered"),
    [
        ("probes", "pretrained", other_clips),
        ("probes", "SIM01/brain-tuned", other_clips),
        ("probes", "big-slm", other_naive),
        ("probes", "SIM02/brain-tuned", other_draws),
        ("low_level_probes", "pretrained", other_draws),
        ("low_level_probes", "SIM01/brain-tuned", fewer_tasks),
        ("recognition", "SIM01/brain-tuned", other_clips),
        ("recognition", "big-slm", other_draws),
    ],
)
def test_runs_of_other_clips_are_no_pair(copied, step, condition, altered):
    results, model = copied
    file = results.root / model / condition / f"{step}.nc"
    write_dataset(altered(read_dataset(file)), file, {})
    with pytest.raises(ResultsError, match=rf"{step}\.nc are not all of the same.*make them again"):
        LOADERS[step](results, model)


@pytest.mark.parametrize("step", ["probes", "low_level_probes"])
def test_the_input_of_the_transformer_is_no_layer(written, step):
    results, model, _ = written
    score = {"probes": "f1_weighted", "low_level_probes": "r2"}[step]
    means = over_layers(LOADERS[step](results, model))
    for participant, condition in product(PARTICIPANTS, CONDITIONS):
        run = run_of(written, participant, condition, step)
        chosen = means.sel(participant=participant, condition=condition)
        for name in (score, f"{score}_draws"):
            np.testing.assert_allclose(
                chosen[name], run[name].values[:, 1:].mean(axis=1), rtol=1e-6
            )


def expected_change(written, step, condition, reduced):
    """Pretrained, tuned, change and interval by plain NumPy, of arrays (…) and (…, draw)."""
    tuned = [reduced(run_of(written, participant, condition, step)) for participant in PARTICIPANTS]
    value, draws = (np.mean(pair, axis=0) for pair in zip(*tuned, strict=True))
    baseline, baseline_draws = reduced(run_of(written, "SIM01", "pretrained", step))
    bounds = np.percentile(draws - baseline_draws, [2.5, 97.5])
    return [baseline, value, value - baseline, *bounds]


def test_changes_are_paired_means_over_layers_and_participants(written):
    results, model, _ = written
    scores = {"f1_macro": "F1 (macro)", "f1_weighted": "F1 (weighted)"}
    table = change_table(over_layers(load_downstream(results, model)), *scores)
    assert list(table.index) == list(product(TASKS, CONDITIONS[1:]))
    assert list(table["F1 (macro)"].columns) == ["pretrained", "tuned", "change", "low", "high"]
    for (number, task), condition, score in product(enumerate(TASKS), CONDITIONS[1:], scores):

        def reduced(run, score=score, number=number):
            return [run[n].values[number, 1:].mean(axis=0) for n in (score, f"{score}_draws")]

        np.testing.assert_allclose(
            table.loc[(task, condition), scores[score]].astype(float),
            expected_change(written, "probes", condition, reduced),
            rtol=1e-5,
        )


def test_changes_of_recognition_have_no_task(written):
    results, model, _ = written
    table = change_table(load_recognition(results, model), "accuracy")
    assert list(table.index) == CONDITIONS[1:]

    def reduced(run):
        return run["accuracy"].values, 1 - run["wer_draws"].values

    for condition in CONDITIONS[1:]:
        np.testing.assert_allclose(
            table.loc[condition].astype(float),
            expected_change(written, "recognition", condition, reduced),
            rtol=1e-5,
        )


def test_what_clips_do_to_all_conditions_alike_is_no_uncertainty_of_the_change(written):
    results, model, _ = written
    run = over_layers(load_downstream(results, model))
    shift = xr.DataArray([0.0, 0.3, -0.1], {"condition": CONDITIONS}, dims="condition")
    for name in ("f1_macro", "f1_macro_draws"):
        run[name] = run[name].sel(condition="pretrained") + shift
    table = change_table(run, "f1_macro")["F1 (macro)"].loc["emotion"]
    for column in ("change", "low", "high"):
        np.testing.assert_allclose(table[column].astype(float), [0.3, -0.1], atol=1e-6)


def naive_interval(run, score, condition):
    draws = run[f"{score}_draws"].sel(condition=condition).mean("participant")
    return np.percentile(draws, [2.5, 97.5], axis=draws.get_axis_num("draw"))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("step", LOADERS)
def test_bars_show_conditions_intervals_participants_and_the_naive_model(written, step):
    results, model, _ = written
    run = LOADERS[step](results, model)
    score = {"probes": "f1_macro", "low_level_probes": "r2", "recognition": "accuracy"}[step]
    few = run.sel(participant=["SIM01"], condition=["pretrained", "brain-tuned"])
    panels = {"large": run, "small": few} if step == "recognition" else by_task(over_layers(run))
    figure = drawn(score_bars(panels, score, model))
    assert figure.axes[0].get_ylabel()
    assert figure.legends[0].get_title().get_text() == model
    named = {text.get_text() for text in figure.legends[0].get_texts()}
    assert named == {*CONDITIONS, *(["naive"] if step == "probes" else [])}
    for axes, (title, panel) in zip(figure.axes, panels.items(), strict=True):
        assert axes.get_title() == title
        conditions = list(panel["condition"].values)
        bars, errors = bars_and_errors(axes)
        assert [bar.get_label() for bar in bars] == conditions
        dots = iter(line.get_ydata() for line in axes.lines if line.get_marker() == ".")
        for bar, condition, error in zip(bars, conditions, errors, strict=True):
            [segment] = error[2][0].get_segments()
            values = panel[score].sel(condition=condition)
            assert bar[0].get_height() == pytest.approx(values.mean().item())
            assert segment[:, 1] == pytest.approx(naive_interval(panel, score, condition), rel=1e-5)
            if condition == "brain-tuned":
                np.testing.assert_allclose([next(dots)[0] for _ in values], values)
        assert next(dots, None) is None
        dashed = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"]
        assert dashed == ([panel["naive_f1_macro"].item()] if step == "probes" else [])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n_participants", [1, 2])
def test_layer_curves_show_scores_and_changes(written, n_participants):
    results, model, _ = written
    run = load_downstream(results, model).isel(participant=slice(n_participants))
    panels = by_task(run)
    figure = drawn(score_by_layer(panels, "f1_weighted", model))
    assert all(axes.get_ylabel() for axes in figure.axes[:: len(TASKS)])
    assert "Layer" in figure.get_supxlabel()
    changes = run[["f1_weighted", "f1_weighted_draws"]]
    changes = changes - changes.sel(condition="pretrained")
    rows = [(run, CONDITIONS), (changes, CONDITIONS[1:])]
    for axes, ((shown, conditions), task) in zip(figure.axes, product(rows, TASKS), strict=True):
        assert axes.get_title() == (task if shown is run else "")
        panel = shown.sel(task=task)
        for line, band, condition in zip(axes.lines, axes.collections, conditions, strict=False):
            assert line.get_label() == condition
            assert list(line.get_xdata()) == list(range(N_LAYERS + 1))
            expected = panel["f1_weighted"].sel(condition=condition).mean("participant")
            np.testing.assert_allclose(line.get_ydata(), expected)
            bounds = naive_interval(panel, "f1_weighted", condition)
            heights = band.get_paths()[0].vertices[:, 1]
            assert (heights.min(), heights.max()) == pytest.approx(
                (bounds[0].min(), bounds[1].max()), rel=1e-4
            )
        assert len(axes.collections) == len(conditions)

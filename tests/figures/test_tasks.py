from itertools import product

import numpy as np
import preference_results
import pytest
from drawn_figures import bars_and_errors, drawn
from intervals_by_hand import by_hand
from task_results import CONDITIONS, LOADERS, N_LAYERS, TASKS, write_results

from bthelpers.figures.tasks import (
    family_scores,
    preference_by_layer,
    relative_by_layer,
    score_bars,
    score_by_layer,
)
from bthelpers.results.runs import over_layers
from bthelpers.results.tasks import by_task, in_families, load_downstream, load_preferences


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Results of one model, and the runs that were written there, by file. To be read only."""
    return write_results(tmp_path_factory.mktemp("results"))


def naive_interval(run, score, condition):
    one = run.sel(condition=condition).transpose("participant", ..., "draw")
    return by_hand(one[score], one[f"{score}_draws"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("step", ["probes", "low_level_probes", "recognition"])
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
@pytest.mark.parametrize("step", ["probes", "recognition"])
def test_families_stand_beside_each_other_in_every_task(written, step):
    results, model, _ = written
    score = {"probes": "f1_macro", "recognition": "accuracy"}[step]
    run = LOADERS[step](results, model)
    large = over_layers(run) if step == "probes" else run
    varying = [score, f"{score}_draws"]
    few = large.sel(condition=["brain-tuned", "pretrained"]).assign(large[varying] / 2)
    models = {"large": large, "small": few}
    families = in_families(models)
    panels = by_task(families) if step == "probes" else {"recognition": families}
    figure = drawn(family_scores(panels, score))
    shown = [axes for axes in figure.axes if axes.axison]
    for axes, (title, panel) in zip(shown, panels.items(), strict=True):
        assert axes.get_title() == title
        assert [tick.get_text() for tick in axes.get_xticklabels()] == list(models)
        bars, errors = bars_and_errors(axes)
        assert [bar.get_label() for bar in bars] == ["pretrained", "brain-tuned"]
        for bar, error in zip(bars, errors, strict=True):
            for patch, segment, name in zip(bar, error[2][0].get_segments(), models, strict=True):
                own = models[name] if step == "recognition" else by_task(models[name])[title]
                expected = own[score].sel(condition=bar.get_label()).mean().item()
                assert patch.get_height() == pytest.approx(expected)
                interval = naive_interval(own, score, bar.get_label())
                assert segment[:, 1] == pytest.approx(interval, rel=1e-5)
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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n_models", [1, 2])
def test_figures_of_preference_show_every_condition_of_every_model(tmp_path, n_models):
    results, model, _ = preference_results.write_preferences(tmp_path)
    loaded = load_preferences(results, model)
    models = {"large": loaded, "small": loaded.isel(layer=slice(0, 4), participant=[1])}
    models = dict(list(models.items())[:n_models])
    own, relative = drawn(preference_by_layer(models)), drawn(relative_by_layer(models))
    for figure in (own, relative):
        assert [axes.get_title() for axes in figure.axes[:n_models]] == list(models)
        assert all(axes.get_ylabel() for axes in figure.axes[::n_models])
    top, bottom = own.axes[0], own.axes[n_models]
    lines = {line.get_label(): line.get_ydata() for line in top.lines[:-1]}
    d = loaded["preference"].mean("participant")
    for condition in preference_results.CONDITIONS:
        np.testing.assert_allclose(lines[condition], d.sel(condition=condition))
    change = d.sel(condition="brain-tuned") - d.sel(condition="pretrained")
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), change)
    changes = loaded[["preference", "draws"]]
    changes = changes.sel(condition="brain-tuned") - changes.sel(condition="pretrained")
    low, high = by_hand(changes["preference"], changes["draws"])
    heights = bottom.collections[0].get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(low.min())
    assert heights.max() == pytest.approx(high.max())
    semantic = relative.axes[0].lines[0].get_ydata()
    expected = loaded["relative"].sel(kind="semantic", condition="pretrained").mean("participant")
    np.testing.assert_allclose(semantic, expected)

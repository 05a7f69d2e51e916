import numpy as np
import pytest
import xarray as xr
from drawn_figures import drawn
from intervals_by_hand import by_hand
from matplotlib.container import ErrorbarContainer

from bthelpers.figures.scale import ALONG, BESIDE, GAINS, against_large_bars, gain_curves
from bthelpers.results.scale import COMPARED

N_DRAWS = 80


def compared(seed):
    rng = np.random.default_rng(seed)
    return xr.Dataset(
        {
            "value": (("compared", "participant"), rng.uniform(0, 1, (3, 2))),
            "draws": (("compared", "participant", "draw"), rng.uniform(0, 1, (3, 2, N_DRAWS))),
        },
        {"compared": list(COMPARED)},
    )


def gains(stories, parameters, seed=0):
    rng, n = np.random.default_rng(seed), len(stories)
    return xr.Dataset(
        {
            "value": (("condition", "participant", "model"), rng.uniform(0.1, 1, (2, 2, n))),
            "draws": (
                ("condition", "participant", "model", "draw"),
                rng.uniform(0.1, 1, (2, 2, n, N_DRAWS)),
            ),
        },
        {
            "condition": ["pretrained", "brain-tuned"],
            "stories": ("model", stories),
            "parameters": ("model", parameters),
        },
    )


def changed(values, kind):
    old, new = values.transpose("condition", ...).values
    return new - old if kind == "difference" else 100 * (new - old) / old


def error_bars(axes):
    """Ends of the error bars, by place."""
    return {
        round(float(segment[0, 0]), 6): np.sort(segment[:, 1])
        for container in axes.containers
        if isinstance(container, ErrorbarContainer)
        for segment in container.lines[2][0].get_segments()
    }


@pytest.mark.filterwarnings("error")
def test_three_models_are_bars_with_intervals():
    panels = {"Alignment (r)": compared(0), "Impact (%)": compared(1)}
    figure = drawn(against_large_bars(panels))
    for axes, (label, run) in zip(figure.axes, panels.items(), strict=True):
        assert axes.get_ylabel() == label
        heights = [bar.get_height() for bar in axes.patches]
        np.testing.assert_allclose(heights, run["value"].mean("participant"))
        for k, (_, ends) in enumerate(sorted(error_bars(axes).items())):
            np.testing.assert_allclose(ends, by_hand(run["value"][k], run["draws"][k]))
        assert len(error_bars(axes)) == 3
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(COMPARED)


def test_a_value_that_is_none_has_no_bar():
    run = compared(0)
    run["value"][1], run["draws"][1] = np.nan, np.nan
    [axes] = drawn(against_large_bars({"Impact (%)": run})).axes
    heights = [bar.get_height() for bar in axes.patches]
    assert np.isnan(heights).tolist() == [False, True, False]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", GAINS)
@pytest.mark.parametrize(("along", "unit"), [("stories", 1), ("parameters", 1e6)])
def test_gains_are_lines_in_the_order_of_size_or_amount(kind, along, unit):
    lines = {
        "wide": gains([16, 2, 8], [3_000_000, 1_000_000, 9_000_000]),
        "narrow": gains([4], [5_000_000], seed=1),
    }
    panels = {task: lines for task in ("action", "emotion", "phones", "word")}
    figure = drawn(gain_curves(panels, kind, along, "F1 (macro)"))
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title() for axes in shown] == list(panels)
    for axes in shown:
        curves = [line for line in axes.lines if line.get_label() in lines]
        for k, (line, (name, run)) in enumerate(zip(curves, lines.items(), strict=True)):
            run = run.sortby(along)
            places = run[along].values / unit * BESIDE**k
            assert line.get_label() == name
            np.testing.assert_allclose(line.get_xdata(), places)
            values, draws = changed(run["value"], kind), changed(run["draws"], kind)
            np.testing.assert_allclose(line.get_ydata(), values.mean(axis=0))
            for x, expected in zip(places, by_hand(values, draws).T, strict=True):
                np.testing.assert_allclose(error_bars(axes)[round(x, 6)], expected)
        ticks = sorted({value / unit for run in lines.values() for value in run[along].values})
        np.testing.assert_allclose(axes.get_xticks(), ticks)
    assert figure.get_supxlabel() == ALONG[along]
    assert figure.get_supylabel() == f"F1 (macro)\n{GAINS[kind]}"

import numpy as np
import pytest
import xarray as xr
from drawn_figures import bars_and_errors, drawn

from bthelpers.figures.stages.controls import controls_figure

CONDITIONS, REGIONS = ["pretrained", "brain-tuned"], ["primary_auditory", "late_language"]
SPLITS = ["whole stories", "stretches", "shuffled rows"]


@pytest.fixture(scope="module")
def figure():
    rng = np.random.default_rng(0)
    compared = xr.Dataset(
        {name: (("condition", "region"), rng.uniform(0.2, 0.4, (2, 2))) for name in ("value",)}
        | {
            "baseline": (("condition", "region"), [[0.1, 0.05]] * 2),
            "low": (("condition", "region"), np.full((2, 2), 0.05)),
            "high": (("condition", "region"), np.full((2, 2), 0.35)),
        },
        {"condition": CONDITIONS, "region": REGIONS},
    )
    dims = ("participant", "condition", "split", "layer", "region")
    controls = xr.Dataset(
        {
            "r": (dims, rng.uniform(0, 0.3, (2, 2, 3, 4, 2))),
            "baseline_r": (dims[:3] + dims[4:], rng.uniform(0, 0.1, (2, 2, 3, 2))),
            "two_nearest_neighbours": (
                ("participant", "condition", "layer"),
                np.full((2, 2, 4), 7.0),
            ),
            "participation_ratio": (("participant", "condition", "layer"), np.full((2, 2, 4), 3.0)),
        },
        {"condition": CONDITIONS, "region": REGIONS, "split": SPLITS, "layer": range(4)},
    )
    return compared, controls, drawn(controls_figure(compared, controls, CONDITIONS))


def test_bars_are_the_models_and_strokes_the_baselines(figure):
    compared, _, shown = figure
    axes = shown.axes[0]
    bars, errors = bars_and_errors(axes)
    heights = [[bar.get_height() for bar in of_condition] for of_condition in bars]
    np.testing.assert_allclose(heights, compared["value"])
    assert len(errors) == 2
    strokes = axes.collections[-1].get_segments()
    np.testing.assert_allclose([segment[0, 1] for segment in strokes], [0.1, 0.05])


def test_splits_are_of_late_language_regions_without_the_input(figure):
    _, controls, shown = figure
    bars, _ = bars_and_errors(shown.axes[1])
    expected = controls["r"].sel(region="late_language").isel(layer=slice(1, None))
    expected = expected.mean(("layer", "participant")).transpose("condition", "split")
    heights = [[bar.get_height() for bar in of_condition] for of_condition in bars]
    np.testing.assert_allclose(heights, expected)


def test_both_dimensions_have_a_line_per_condition(figure):
    *_, shown = figure
    for axes, height in zip(shown.axes[2:], (7, 3), strict=True):
        assert [line.get_label() for line in axes.lines] == CONDITIONS
        assert {*axes.lines[0].get_ydata()} == {height}

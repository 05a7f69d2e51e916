import numpy as np
import pytest
import xarray as xr
from drawn_figures import bars_and_errors, drawn

from bthelpers.figures.transfer.tunings import (
    epoch_curves,
    knowledge_figure,
    tuning_bars,
    tuning_styles,
)

NAMES = ["pretrained", "brain-tuned", "without LoRA", "auditory cortex", "rest of cortex"]
REGIONS = ["auditory_cortex", "rest_of_cortex"]


def test_bars_are_means_with_corrected_errors_and_dots_of_participants():
    rng = np.random.default_rng(0)
    coords = {"condition": NAMES, "region": REGIONS}
    errors = xr.Dataset(
        {
            "mean": (("region", "condition"), rng.uniform(0.1, 0.2, (2, 5))),
            "error": (("region", "condition"), np.full((2, 5), 0.01)),
        },
        coords,
    )
    r = rng.uniform(0.1, 0.2, (3, 5, 2))
    own = xr.Dataset({"r": (("participant", "condition", "region"), r)}, coords)
    figure = drawn(tuning_bars(errors, own))
    [axes] = figure.axes
    bars, found = bars_and_errors(axes)
    heights = [[bar.get_height() for bar in of_name] for of_name in bars]
    np.testing.assert_allclose(heights, errors["mean"].transpose("condition", "region"))
    assert [container.get_label() for container in bars] == NAMES
    ends = found[0].lines[2][0].get_segments()
    np.testing.assert_allclose([end[1, 1] - end[0, 1] for end in ends], 0.02)
    assert axes.get_ylabel() == "Mean r over voxels"


def test_no_two_tunings_look_alike():
    styles = tuning_styles([*NAMES, "left hemisphere", "right hemisphere"])
    looks = [(style["color"], style["hatch"]) for style in styles.values()]
    assert len(set(looks)) == len(looks)
    assert len({hatch for _, hatch in looks[2:]}) == len(looks) - 2  # readable in grey


@pytest.fixture
def curves():
    scores = np.array([[0.1, 0.2, 0.3], [0.1, 0.15, np.nan]])
    steady = xr.Dataset(
        {"score": (("participant", "epoch"), scores), "kept": ("participant", [2, 1])},
        {"participant": ["A", "B"], "epoch": range(3)},
    )
    return {"with LoRA": steady, "without LoRA": steady.sel(participant=["A"])}


def test_epochs_have_a_panel_per_participant_and_a_line_per_tuning(curves):
    figure = drawn(epoch_curves(curves, "Validation r"))
    first, second = figure.axes
    assert [axes.get_title() for axes in (first, second)] == ["A", "B"]
    shown = [line.get_label() for line in first.lines if not line.get_label().startswith("_")]
    assert shown == list(curves)
    shown = [line.get_label() for line in second.lines if not line.get_label().startswith("_")]
    assert shown == ["with LoRA"]
    [kept] = [line for line in second.lines if line.get_fillstyle() == "none"]
    assert [*kept.get_xdata(), *kept.get_ydata()] == [1, 0.15]
    assert figure.get_supylabel() == "Validation r"


def test_knowledge_has_a_line_per_tuning_that_looks_the_same_in_all_panels():
    values = np.random.default_rng(0).uniform(size=(2, 5, 4))
    coords = {"participant": ["A", "B"], "condition": NAMES, "layer": range(4)}
    known = xr.DataArray(values, coords, tuple(coords))
    figure = drawn(
        knowledge_figure({"Filter bank": known, "Words": known.sel(condition=NAMES[3:])})
    )
    first, second = figure.axes
    np.testing.assert_allclose(first.lines[1].get_ydata(), values[:, 1].mean(axis=0))
    assert [line.get_label() for line in second.lines] == NAMES[3:]
    assert first.lines[3].get_color() == second.lines[0].get_color()

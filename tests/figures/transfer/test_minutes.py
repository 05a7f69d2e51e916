import numpy as np
import pytest
import xarray as xr
from drawn_figures import drawn

from bthelpers.figures.transfer.minutes import minute_curves

NAMES = ["pretrained", "jointly-tuned", "tuned to another participant"]


def test_a_line_per_model_that_there_is_as_far_as_there_are_stories():
    alignment = np.random.default_rng(0).uniform(0.2, 0.4, (2, 3, 4))
    alignment[:, 0, 3] = np.nan
    alignment[:, 2] = np.nan
    curves = xr.Dataset(
        {
            "alignment": (("participant", "condition", "n_stories"), alignment),
            "minutes": (("participant", "condition", "n_stories"), alignment * 0 + [8, 16, 32, 64]),
        },
        {"participant": ["A", "B"], "condition": NAMES, "n_stories": [2, 4, 8, 16]},
    )
    figure = drawn(minute_curves({"Heard": curves, "Unheard": curves.isel(participant=[0])}))
    axes = figure.axes[0]
    handles, labels = axes.get_legend_handles_labels()
    assert labels == NAMES[:2]
    line = handles[0].lines[0]
    assert line.get_xdata().tolist() == [8, 16, 32]
    np.testing.assert_allclose(line.get_ydata(), alignment[:, 0, :3].mean(axis=0))
    [best] = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert best.get_ydata()[0] == pytest.approx(alignment[:, 0, :3].mean(axis=0).max())
    assert figure.axes[1].get_title() == "Unheard"
    assert "Minutes" in figure.get_supxlabel()

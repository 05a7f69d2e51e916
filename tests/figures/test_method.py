import numpy as np
import pytest
import xarray as xr
from drawn_figures import drawn
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyBboxPatch

from bthelpers.figures.method import ARROWS, BOXES, method_diagram, training_curves

pytestmark = pytest.mark.filterwarnings("error")


def legend_texts(owner):
    return [text.get_text() for text in owner.get_texts()]


def training_run(n_epochs, kept_epoch):
    losses = np.random.default_rng(n_epochs).random((2, n_epochs))
    return xr.Dataset(
        {
            "training_loss": ("epoch", losses[0]),
            "validation_loss": ("epoch", losses[1]),
            "kept_epoch": kept_epoch,
        },
        coords={"epoch": np.arange(1, n_epochs + 1)},
    )


def test_training_curves_ring_the_kept_epoch():
    runs = {
        ("SIM01", "brain-tuned"): training_run(6, kept_epoch=4),
        ("SIM01", "block-permuted"): training_run(3, kept_epoch=0),
        ("SIM02", "brain-tuned"): training_run(1, kept_epoch=0),
        ("SIM02", "block-permuted"): training_run(2, kept_epoch=1),
    }
    figure = drawn(training_curves(runs))
    assert [axes.get_title() for axes in figure.axes] == ["SIM01", "SIM02"]
    for axes in figure.axes:
        lines = iter(axes.lines)
        for (participant, condition), run in runs.items():
            if participant != axes.get_title():
                continue
            for name in ("training", "validation"):
                line = next(lines)
                assert line.get_label() == f"{condition}, {name}"
                np.testing.assert_array_equal(line.get_xdata(), run["epoch"])
                np.testing.assert_array_equal(line.get_ydata(), run[f"{name}_loss"])
            ring = next(lines)
            best = int(run["kept_epoch"])
            assert list(ring.get_xdata()) == [best + 1]
            assert list(ring.get_ydata()) == [run["validation_loss"].values[best]]
        assert next(lines, None) is None
    assert figure.get_supxlabel() == "Epoch"
    assert "error" in figure.axes[0].get_ylabel()
    assert len(legend_texts(figure.legends[0])) == 4


def test_no_epoch_is_ringed_where_the_pretrained_model_was_kept():
    figure = drawn(training_curves({("SIM01", "brain-tuned"): training_run(2, kept_epoch=-1)}))
    assert len(figure.axes[0].lines) == 2  # training and validation


def test_the_diagram_of_the_method_is_legible():
    figure = drawn(method_diagram())
    [axes] = figure.axes
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    extents = [box.get_window_extent(renderer) for box in boxes]
    texts = [text for text in axes.texts if text.get_text()]
    assert len(boxes) == len(texts) == len(BOXES)
    for extent, text in zip(extents, texts, strict=True):
        inner = text.get_window_extent(renderer)
        assert extent.x0 <= inner.x0 < inner.x1 <= extent.x1, text.get_text()
        assert extent.y0 <= inner.y0 < inner.y1 <= extent.y1, text.get_text()
        assert sum(extent.overlaps(other) for other in extents) == 1  # itself
        assert figure.bbox.x0 <= extent.x0 < extent.x1 <= figure.bbox.x1
    arrows = [text for text in axes.texts if not text.get_text()]
    assert len(arrows) == len(ARROWS)
    for arrow in arrows:  # each begins and ends beside a box, not in it
        for point in (arrow.xy, arrow.xyann):
            x, y = axes.transData.transform(point)
            assert not any(e.x0 < x < e.x1 and e.y0 < y < e.y1 for e in extents)

import matplotlib.pyplot as plt
import numpy as np
import pytest
from planted_curves import in_order

from bthelpers.figures.stages.progression import progression


@pytest.fixture
def figure():
    yield progression(in_order(), ["pretrained", "brain-tuned"])
    plt.close("all")


def test_each_condition_has_a_panel_with_the_maxima_of_all_tasks(figure):
    panels = figure.axes
    assert [axes.get_title() for axes in panels] == ["pretrained", "brain-tuned"]
    for axes, expected in zip(panels, [(3, 2, 4, 1, 5, 2), (1, 1, 2, 3, 4, 5)], strict=True):
        maxima = next(line for line in axes.lines if line.get_label() == "layer of maximum")
        np.testing.assert_array_equal(maxima.get_xdata(), expected)
        np.testing.assert_array_equal(maxima.get_ydata(), range(6))
    labels = [label.get_text() for label in panels[0].get_yticklabels()]
    assert labels == ["MFCC", "Filter bank", "Phones", "Words", "Sentence type", "Action"]


def test_every_row_is_scaled_to_its_range(figure):
    cells = figure.axes[0].collections[0].get_array().reshape(6, -1)
    assert cells.shape == (6, 5)  # without the transformer's input
    np.testing.assert_allclose(cells.max(axis=1), 1)
    np.testing.assert_allclose(cells.min(axis=1), 0, atol=1e-12)

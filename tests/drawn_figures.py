"""What tests of figures share."""

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.container import BarContainer, ErrorbarContainer

mpl.use("Agg")


def drawn(figure):
    """Draw a figure, so that warnings about its layout come, and close it; it can be looked at."""
    figure.canvas.draw()
    plt.close(figure)
    return figure


def bars_and_errors(axes):
    """Containers of the bars and of their error bars, one of each per condition."""
    bars = [each for each in axes.containers if isinstance(each, BarContainer)]
    errors = [each for each in axes.containers if isinstance(each, ErrorbarContainer)]
    return bars, errors


def labelled(figure):
    """A drawn figure, of which every panel has a label at its horizontal axis."""
    for axes in figure.axes:
        assert axes.get_xlabel()
    return drawn(figure)

"""What tests of figures share."""

import matplotlib as mpl
import matplotlib.pyplot as plt

mpl.use("Agg")


def drawn(figure):
    """Draw a figure, so that warnings about its layout come, and close it; it can be looked at."""
    figure.canvas.draw()
    plt.close(figure)
    return figure


def labelled(figure):
    """A drawn figure, of which every panel has a label at its horizontal axis."""
    for axes in figure.axes:
        assert axes.get_xlabel()
    return drawn(figure)

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn_figures import drawn

from bthelpers.figures.verdicts import VERDICTS, forest_plot, verdict_lines

pytestmark = pytest.mark.filterwarnings("error")


def claims(*verdicts):
    words = [f"Claim number {n}" for n in range(len(verdicts))]
    return pd.DataFrame({"claim": words, "verdict": verdicts})


def row(claim, value, statistic="alignment, tuned minus pretrained", **changes):
    usual = {"model": "mini", "low": value - 1, "high": value + 2, "unit": "%"}
    named = {"claim": claim, "value": value, "statistic": statistic}
    return named | usual | {"claimed_low": 0.0, "claimed_high": np.inf} | changes


def marks(axes):
    """Value and marker of each row of a panel."""
    return [
        (float(line.get_xdata()[0]), line.get_marker())
        for line in axes.lines
        if line.get_linestyle() == "None"
    ]


def test_each_row_is_at_its_value_with_its_interval_and_its_claims_verdict():
    rows = pd.DataFrame([row(0, 3.0), row(0, -2.0), row(1, 0.5)])
    [axes] = drawn(forest_plot(claims("holds", "does not"), rows)).axes
    holds, fails = (VERDICTS[name]["marker"] for name in ("holds", "does not"))
    assert marks(axes) == [(3.0, holds), (-2.0, holds), (0.5, fails)]
    intervals = [tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    assert intervals[:3] == [(2.0, 5.0), (-3.0, 0.0), (-0.5, 2.5)]


@pytest.mark.parametrize(
    ("claimed", "shaded"),
    [((0.0, np.inf), (0, 5.4)), ((-np.inf, 0.0), (-3.4, 0)), ((-1.0, 1.0), (-1, 1))],
)
def test_the_claimed_side_is_shaded_up_to_the_edge_of_the_panel(claimed, shaded):
    ends = dict(zip(("claimed_low", "claimed_high"), claimed, strict=True))
    rows = pd.DataFrame([row(0, 3.0, **ends), row(0, -2.0, **ends)])
    [axes] = drawn(forest_plot(claims("not clear"), rows)).axes
    for bar in axes.patches:
        np.testing.assert_allclose((bar.get_x(), bar.get_x() + bar.get_width()), shaded)


def test_rows_are_named_by_what_they_do_not_share():
    of_tasks = [row(0, 1.0, f"{task}: F1, tuned minus pretrained") for task in ("word", "phones")]
    [axes] = drawn(forest_plot(claims("holds"), pd.DataFrame(of_tasks))).axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["mini, word", "mini, phones"]
    assert "F1, tuned minus pretrained" in [text.get_text() for text in axes.texts]


def test_each_unit_has_a_panel_and_each_verdict_its_entry_in_the_legend():
    rows = pd.DataFrame([row(0, 1.0), row(1, 9e4, unit="voxels"), row(7, 0.0)])
    figure = drawn(forest_plot(claims("holds", "cannot be tested", "does not"), rows))
    assert [axes.get_xlabel() for axes in figure.axes] == ["%", "voxels"]
    entries = [text.get_text() for text in figure.legends[0].texts]
    assert entries == ["holds", "cannot be tested"]


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_row_without_interval_or_without_value_is_drawn(value):
    rows = pd.DataFrame([row(0, value, low=np.nan, high=np.nan)])
    drawn(forest_plot(claims("cannot be tested"), rows))


def test_claims_without_rows_are_said_to_have_none():
    [axes] = drawn(forest_plot(claims("cannot be tested"), pd.DataFrame([row(3, 1.0)]))).axes
    assert "No model has the runs" in axes.texts[0].get_text()


def test_verdicts_differ_in_shape():
    assert len({look["marker"] for look in VERDICTS.values()}) == len(VERDICTS)


def test_each_claim_has_a_line_with_its_mark_words_and_verdict():
    shown = claims(*VERDICTS)
    [axes] = drawn(verdict_lines(shown)).axes
    assert [mark for _, mark in marks(axes)] == [look["marker"] for look in VERDICTS.values()]
    words = [text.get_text() for text in axes.texts]
    assert words[::2] == shown["claim"].tolist()
    assert words[1::2] == shown["verdict"].tolist()

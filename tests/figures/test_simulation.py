import numpy as np
import pytest
import xarray as xr
from drawn_figures import bars_and_errors, labelled
from scipy import stats

from bthelpers.claims.null_studies import rejection_rates
from bthelpers.figures.simulation import false_positives, p_value_quantiles, predicted_meaning_bars

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("n_panels", [1, 3])
def test_rates_stand_in_their_intervals_beside_the_nominal_ones(n_panels):
    rng = np.random.default_rng(0)
    panels = {
        f"Null {k}": rejection_rates(
            {f"test {test}": rng.random(40) < 0.2 * (test + k) for test in range(n_panels + 1)}
        ).assign(nominal=[5, 3.125, 5, 5][: n_panels + 1])
        for k in range(n_panels)
    }
    figure = labelled(false_positives(panels))
    assert [axes.get_title() for axes in figure.axes] == list(panels)
    for axes, rates in zip(figure.axes, panels.values(), strict=True):
        assert "%" in axes.get_xlabel()
        nominal, found, *_ = axes.lines
        np.testing.assert_array_equal(nominal.get_xdata(), rates["nominal"])
        np.testing.assert_array_equal(found.get_xdata(), rates["rate"])
        [bars] = axes.collections
        ends = np.array([segment[:, 0] for segment in bars.get_segments()])
        np.testing.assert_allclose(ends, rates[["low", "high"]])
        assert [label.get_text() for label in axes.get_yticklabels()] == list(rates.index)
        left, right = axes.get_xlim()
        assert left == 0
        assert right >= max(rates["high"].max() for rates in panels.values())
        bottom, top = axes.get_ylim()
        assert bottom > top  # the first test on top
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["nominal", "found"]


def test_quantiles_are_ordered_beside_those_expected():
    rng = np.random.default_rng(0)
    panels = {
        "Permutation": {"blocks of 10": rng.random(100) ** 2, "blocks of 50": rng.random(100)},
        "Wilcoxon": {f"{n} participants": rng.random(31) for n in range(4, 12)},
    }
    figure = labelled(p_value_quantiles(panels))
    assert [axes.get_title() for axes in figure.axes] == list(panels)
    for axes, tests in zip(figure.axes, panels.values(), strict=True):
        assert axes.get_xscale() == axes.get_yscale() == "log"
        identity, *lines = axes.lines
        for line, (name, p) in zip(lines, tests.items(), strict=True):
            assert line.get_label() == name
            np.testing.assert_array_equal(line.get_ydata(), np.sort(p))
            np.testing.assert_array_equal(line.get_xdata(), identity.get_ydata())
        assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(lines)
        # the smallest of n uniform numbers is below x with probability 1 - (1 - x) ** n
        n = len(identity.get_xdata())
        heights = axes.collections[0].get_paths()[0].vertices[:, 1]
        assert heights.min() == pytest.approx(1 - 0.975 ** (1 / n))
        assert heights.max() == pytest.approx(stats.beta.ppf(0.975, n, 1))


def test_quantiles_of_unequally_many_trials_do_not_share_a_panel():
    with pytest.raises(ValueError, match="same shape"):
        p_value_quantiles({"Both": {"few": np.ones(3), "many": np.ones(4)}})


@pytest.mark.parametrize("lexicons", [["English words"], ["English words", "Latin square", "own"]])
def test_bars_are_means_over_stories_with_intervals_of_students_t(lexicons):
    predictors = ["di-phones", "tri-phones", "words"]
    values = np.random.default_rng(0).normal(0.4, 0.2, (len(lexicons), 3, 5))
    r = xr.DataArray(
        values, {"lexicon": lexicons, "predictor": predictors}, ("lexicon", "predictor", "story")
    )
    figure = labelled(predicted_meaning_bars(r))
    [axes] = figure.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == lexicons
    bars, errors = bars_and_errors(axes)
    assert [bar.get_label() for bar in bars] == predictors
    for of_bars, of_errors, stories in zip(bars, errors, values.transpose(1, 0, 2), strict=True):
        np.testing.assert_allclose([bar.get_height() for bar in of_bars], stories.mean(axis=1))
        found = [stats.ttest_1samp(each, 0).confidence_interval() for each in stories]
        [segments] = [line.get_segments() for line in of_errors.lines[2]]
        np.testing.assert_allclose([segment[:, 1] for segment in segments], found)
    dots = [line.get_ydata() for line in axes.lines if line.get_marker() == "."]
    np.testing.assert_allclose(sorted(np.concatenate(dots)), sorted(values.ravel()))

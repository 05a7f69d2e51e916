import numpy as np
import pytest
import xarray as xr
from drawn_figures import bars_and_errors, labelled
from scipy import stats

from bthelpers.figures.simulation import predicted_meaning_bars

pytestmark = pytest.mark.filterwarnings("error")


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

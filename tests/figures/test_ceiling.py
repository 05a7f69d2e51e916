from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from drawn_figures import drawn, labelled

from bthelpers.encoding.ceiling import ceiling_counts
from bthelpers.figures.ceiling import ceiling_histograms, ceiling_quantiles, recovery, voxels_left

pytestmark = pytest.mark.filterwarnings("error")


def ceilings_of(n_participants, seed=0):
    rng = np.random.default_rng(seed)
    return {
        f"SIM{k:02d}": rng.random(300 + k) * (rng.random(300 + k) > 0.1 * k)
        for k in range(1, n_participants + 1)
    }


def counted(ceilings):
    rows = [ceiling_counts(values) for values in ceilings.values()]
    return xr.concat(rows, "participant").assign_coords(participant=list(ceilings))


@pytest.mark.parametrize("numbers", [[5], [5, 10], [2, 3, 5, 10]])
def test_recovery_shows_intervals_centres_and_bias_for_each_number_of_repeats(numbers):
    true = np.linspace(0, 1, 6)
    values = np.random.default_rng(0).random((len(numbers), 6, 40))
    estimated = xr.DataArray(
        values, coords={"repeats": numbers, "ceiling": true}, dims=("repeats", "ceiling", "voxel")
    )
    *panels, biases = labelled(recovery(estimated)).axes
    assert [axes.get_title() for axes in panels] == [f"{n} repeats" for n in numbers]
    for axes, of_one in zip(panels, values, strict=True):
        lines = {line.get_label(): line.get_ydata() for line in axes.lines}
        np.testing.assert_allclose(lines["mean"], of_one.mean(axis=1))
        np.testing.assert_allclose(lines["median"], np.median(of_one, axis=1))
        np.testing.assert_array_equal(lines["identity"], [0, 1])
        [band] = axes.collections
        heights = band.get_paths()[0].vertices[:, 1]
        assert heights.max() == pytest.approx(np.quantile(of_one, 0.95, axis=1).max())
        assert heights.min() == pytest.approx(np.quantile(of_one, 0.05, axis=1).min())
    labels = [f"{n} repeats, {kind}" for n in numbers for kind in ("mean", "median")]
    assert [line.get_label() for line in biases.lines] == labels
    np.testing.assert_allclose(biases.lines[-2].get_ydata(), values[-1].mean(axis=1) - true)
    looks = {(line.get_color(), line.get_linestyle()) for line in biases.lines}
    assert len(looks) == len(labels)


@pytest.mark.parametrize("n_participants", [1, 3, 8])
def test_voxels_left_are_those_above_each_threshold(n_participants):
    ceilings = ceilings_of(n_participants)
    figure = labelled(voxels_left(counted(ceilings), threshold=0.4, reported=(100, 200)))
    [axes] = figure.axes
    assert "thousands" in axes.get_ylabel()
    lines = {line.get_label(): line for line in axes.lines}
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    for (name, values), dot in zip(ceilings.items(), dots, strict=True):
        expected = [(values > k / 100).sum() / 1000 for k in range(101)]
        np.testing.assert_allclose(lines[name].get_ydata(), expected)
        assert dot.get_xdata() == [0.4]
        np.testing.assert_allclose(dot.get_ydata(), [(values > 0.4).sum() / 1000])
        assert dot.get_color() == lines[name].get_color()
    assert len({lines[name].get_color() for name in ceilings}) == n_participants
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.1, 0.2))
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["range in the paper", *ceilings]


def test_histograms_of_each_source_have_a_panel_of_their_own():
    sources = {"Published": ceilings_of(3), "Profile demo": ceilings_of(1, seed=1)}
    counts = {title: counted(ceilings) for title, ceilings in sources.items()}
    figure = labelled(ceiling_histograms(counts, threshold=0.4))
    assert [axes.get_title() for axes in figure.axes] == list(sources)
    assert figure.axes[0].get_ylabel() == "Voxels (%) per 0.05 of noise ceiling"
    for axes, ceilings in zip(figure.axes, sources.values(), strict=True):
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        for patch, text, (name, values) in zip(axes.patches, texts, ceilings.items(), strict=True):
            shown, edges, _ = patch.get_data()
            expected = [
                100 * ((values > low / 20) & (values <= (low + 1) / 20)).mean() for low in range(20)
            ]
            np.testing.assert_allclose(shown, expected)
            np.testing.assert_allclose(edges, np.linspace(0, 1, 21))
            assert text == f"{name} ({100 * (values == 0).mean():.0f} % at 0)"


def test_ceilings_of_all_participants_are_shown():
    rng = np.random.default_rng(0)
    ceilings = {f"UTS{k:02d}": rng.random(50 + k) for k in range(1, 9)}
    published = np.linspace(0, 0.9, 21)
    figure = drawn(ceiling_quantiles(ceilings, published))
    [axes] = figure.axes
    first, *others = axes.lines
    np.testing.assert_allclose(first.get_xdata(), np.arange(0, 101, 5))
    np.testing.assert_array_equal(first.get_ydata(), published)
    assert "published" in first.get_label()
    assert [line.get_label() for line in others] == list(ceilings)
    for line, values in zip(others, ceilings.values(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), np.percentile(values, np.arange(0, 101, 5)))
    styles = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(styles) == 9
    assert axes.get_xlabel()
    assert axes.get_ylabel() == "Noise ceiling"

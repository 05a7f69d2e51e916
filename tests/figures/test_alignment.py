from itertools import pairwise

import impact_results
import numpy as np
import pytest
import xarray as xr
from drawn_figures import bars_and_errors, drawn
from intervals_by_hand import by_hand
from matplotlib.colors import to_hex

from bthelpers.data.regions import load_regions
from bthelpers.figures.alignment import (
    FEATURE_TITLES,
    TITLES,
    alignment_bars,
    family_bars,
    family_impact_bars,
    impact_bars,
    layer_curves,
    region_title,
    replication_intervals,
    standard_error,
)
from bthelpers.results.impact import load_impacts

pytestmark = pytest.mark.filterwarnings("error")

CONDITIONS = ["pretrained", "brain-tuned", "block-permuted"]
REGIONS = list(load_regions())


def alignments(n_participants=3, n_layers=5, conditions=CONDITIONS):
    rng = np.random.default_rng(0)
    shape = (n_participants, len(conditions), n_layers + 1, len(REGIONS))
    return xr.DataArray(
        rng.uniform(0.1, 0.5, shape),
        coords={
            "participant": [f"SIM{k:02d}" for k in range(n_participants)],
            "condition": conditions,
            "layer": np.arange(n_layers + 1),
            "region": REGIONS,
        },
        dims=("participant", "condition", "layer", "region"),
    )


def p_values(regions, p, conditions=CONDITIONS[1:]):
    coordinates = {"condition": conditions, "region": list(regions)}
    return xr.DataArray(p, coordinates, dims=tuple(coordinates))


def asterisks(axes):
    """Where asterisks are: (x, y) of each."""
    return [text.xy for text in axes.texts if text.get_text() == "*"]


def test_significant_changes_from_pretrained_have_an_asterisk_above_the_bar():
    regions = REGIONS[:2]
    p = p_values(regions, [[0.05, 0.051], [np.nan, 0.0]])
    [axes] = drawn(alignment_bars(alignments(), p)).axes
    bars, errors = bars_and_errors(axes)
    for condition, region in [(1, 0), (2, 1)]:  # brain-tuned in the first, the control in the other
        patch = bars[condition].patches[region]
        top = errors[condition][2][0].get_segments()[region][:, 1].max()
        [y] = [y for x, y in asterisks(axes) if x == patch.get_x() + patch.get_width() / 2]
        assert y == pytest.approx(top)
    assert len(asterisks(axes)) == 2


def test_every_region_has_its_title():
    assert set(TITLES) == set(REGIONS)
    assert region_title("inferior_frontal") == "Inferior frontal"
    assert region_title("my_own_region") == "My own region"


def legend_texts(owner):
    return [text.get_text() for text in owner.get_texts()]


@pytest.mark.parametrize("n_participants", [1, 2, 5])
def test_standard_error_over_participants(n_participants):
    values = alignments(n_participants)
    error = standard_error(values)
    if n_participants == 1:
        expected = np.zeros(values.shape[1:])
    else:
        expected = values.values.std(axis=0, ddof=1) / np.sqrt(n_participants)
    np.testing.assert_allclose(error, expected)


@pytest.mark.parametrize("n_participants", [1, 3])
@pytest.mark.parametrize("regions", [REGIONS[:1], REGIONS[:3], REGIONS])
def test_bars_stand_for_means_over_layers_and_participants(n_participants, regions):
    alignment = alignments(n_participants)
    figure = drawn(alignment_bars(alignment, p_values(regions, 1.0)))
    [axes] = figure.axes
    bars, errors = bars_and_errors(axes)
    assert [bar.get_label() for bar in bars] == CONDITIONS
    middles = []
    for condition, container, error in zip(CONDITIONS, bars, errors, strict=True):
        chosen = alignment.sel(condition=condition, region=regions).values[:, 1:].mean(axis=1)
        heights = [patch.get_height() for patch in container.patches]
        np.testing.assert_allclose(heights, chosen.mean(axis=0))
        segments = error[2][0].get_segments()
        half = chosen.std(axis=0, ddof=1) / np.sqrt(3) if n_participants > 1 else 0
        np.testing.assert_allclose([np.ptp(s[:, 1]) / 2 for s in segments], half, atol=1e-12)
        middles.append([patch.get_x() + patch.get_width() / 2 for patch in container.patches])
    np.testing.assert_allclose(np.mean(middles, axis=0), axes.get_xticks(), atol=1e-12)
    dots = [line for line in axes.lines if line.get_marker() == "."]
    assert len(dots) == n_participants * len(CONDITIONS)
    np.testing.assert_allclose(
        dots[-1].get_ydata(), alignment.sel(region=regions).values[-1, -1, 1:].mean(axis=0)
    )
    labels = [tick.get_text().replace("\n", " ") for tick in axes.get_xticklabels()]
    assert labels == [TITLES[region] for region in regions]
    assert "alignment" in axes.get_ylabel()
    assert legend_texts(figure.legends[0]) == CONDITIONS


def test_bars_of_two_conditions_stand_beside_each_other():
    alignment = alignments(conditions=["pretrained", "brain-tuned"])
    [axes] = alignment_bars(alignment, p_values(REGIONS[:2], 1.0)).axes
    edges = sorted((p.get_x(), p.get_x() + p.get_width()) for p in axes.patches)
    assert len(edges) == 4
    assert all(stop <= start + 1e-9 for (_, stop), (start, _) in pairwise(edges))


@pytest.mark.parametrize("regions", [REGIONS[:1], REGIONS[:4], REGIONS])
@pytest.mark.parametrize("n_participants", [1, 3])
def test_curves_show_every_layer_of_every_region(n_participants, regions):
    alignment = alignments(n_participants, n_layers=12)
    figure = drawn(layer_curves({TITLES[r]: alignment.sel(region=r) for r in regions}))
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title() for axes in panels] == [TITLES[region] for region in regions]
    for axes, region in zip(panels, regions, strict=True):
        assert [line.get_label() for line in axes.lines] == CONDITIONS
        for line, condition in zip(axes.lines, CONDITIONS, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), np.arange(13))
            mean = alignment.sel(condition=condition, region=region).mean("participant")
            np.testing.assert_allclose(line.get_ydata(), mean)
        assert len(axes.collections) == len(CONDITIONS)  # bands
    assert figure.get_supxlabel().startswith("Layer")
    assert "alignment" in figure.get_supylabel()
    assert legend_texts(figure.legends[0]) == CONDITIONS


def test_panels_may_differ_in_layers_and_conditions():
    small = alignments(1, n_layers=2, conditions=CONDITIONS[:2]).isel(region=0)
    figure = drawn(layer_curves({"small": small, "big": alignments(2).isel(region=0)}))
    few, many = figure.axes
    assert [len(axes.lines) for axes in (few, many)] == [2, 3]
    np.testing.assert_array_equal(few.lines[0].get_xdata(), np.arange(3))
    assert legend_texts(figure.legends[0]) == CONDITIONS


def test_bars_of_families_have_intervals_of_their_draws():
    rng = np.random.default_rng(0)
    coordinates = {"model": ["a", "b"], "condition": CONDITIONS[:2], "region": REGIONS[:2]}
    dims = tuple(coordinates)
    draws = rng.normal(0.4, 0.1, (3, 2, 2, 2, 500))
    values = ("participant", *dims), draws.mean(-1)
    families = xr.Dataset(
        {"alignment": values, "draws": (("participant", *dims, "draw"), draws)}, coordinates
    )
    p = p_values(REGIONS[:2], 0.01, ["brain-tuned"]).expand_dims(model=["b", "a"]).copy()
    p.loc["a"] = 0.2
    figure = drawn(family_bars(families, p, REGIONS[0]))
    [axes] = figure.axes
    assert axes.get_title() == TITLES[REGIONS[0]]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["a", "b"]
    for k, (container, error) in enumerate(zip(*bars_and_errors(axes), strict=True)):
        values = families["alignment"].values[:, :, k, 0]
        means = values.mean(axis=0)
        np.testing.assert_allclose([p.get_height() for p in container.patches], means)
        for n, segment in enumerate(error[2][0].get_segments()):
            expected = by_hand(values[:, n], draws[:, n, k, 0])
            np.testing.assert_allclose(segment[:, 1], expected)
    [(x, _)] = asterisks(axes)
    assert x == pytest.approx(1.2)  # of the second model, brain-tuned
    assert legend_texts(figure.legends[0]) == CONDITIONS[:2]


def impacts_and_p(tmp_path):
    """Invented impacts, and p-values of which that of brain-tuned late language is small."""
    impacts = load_impacts(impact_results.write_results(tmp_path)[0], impact_results.MODEL)
    p = impacts["impact"].drop_sel(condition="pretrained").isel(participant=0, drop=True) * 0 + 0.3
    p.loc[{"condition": "brain-tuned", "region": "late_language"}] = 0.01
    return impacts, p


def assert_bars_of_impact(axes, chosen):
    """Bars, error bars and floors of (condition, group, participant), and one row of asterisks."""
    for condition, container, error in zip(
        impact_results.CONDITIONS, *bars_and_errors(axes), strict=True
    ):
        one = chosen.sel(condition=condition)
        heights = [patch.get_height() for patch in container.patches]
        np.testing.assert_allclose(heights, one["impact"].mean("participant"))
        ends = [segment[:, 1] for segment in error[2][0].get_segments()]
        by_participant = one[["impact", "draws"]].transpose("participant", ..., "draw")
        np.testing.assert_allclose(np.transpose(ends), by_hand(*by_participant.values()))
    strokes = [each for each in axes.collections if to_hex(each.get_edgecolor()[0]) == "#ff0000"]
    for condition, of_condition in zip(impact_results.CONDITIONS, strokes, strict=True):
        floors = [segment[:, 1] for segment in of_condition.get_segments()]
        means = chosen["floor"].sel(condition=condition).mean("participant")
        np.testing.assert_allclose(floors, np.stack([means, means], axis=1))
    marks = [text for text in axes.texts if text.get_text() == "*"]
    tuned = bars_and_errors(axes)[0][impact_results.CONDITIONS.index("brain-tuned")]
    places = [bar.get_x() + bar.get_width() / 2 for bar in tuned]
    np.testing.assert_allclose([mark.xy[0] for mark in marks], places)
    assert axes.get_ylabel() == "Low-level impact (%)"


def test_bars_of_impact_stand_for_means_over_participants(tmp_path):
    impacts, p = impacts_and_p(tmp_path)
    [axes] = drawn(impact_bars(impacts, p, "late_language")).axes
    chosen = impacts.sel(region="late_language").transpose("condition", "feature", ...)
    assert_bars_of_impact(axes, chosen)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [
        FEATURE_TITLES[f] for f in [*impact_results.FEATURES, "mean"]
    ]


def test_bars_of_families_are_one_feature_of_each(tmp_path):
    impacts, p = impacts_and_p(tmp_path)
    models = xr.DataArray([1.0, 2.0], {"model": ["one", "two"]}, "model")
    families, tests = (
        (each.sel(feature="mean", drop=True) + 0 * models).transpose("model", ...)
        for each in (impacts, p)
    )
    [axes] = drawn(family_impact_bars(families, tests, "late_language")).axes
    chosen = families.sel(region="late_language").transpose("condition", "model", ...)
    assert_bars_of_impact(axes, chosen)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["one", "two"]


def test_a_condition_without_a_ratio_has_no_bar(tmp_path):
    written = impact_results.write_results(tmp_path)
    _, p = impacts_and_p(tmp_path)
    impact_results.write_negative_draw(written)
    impacts = load_impacts(written[0], impact_results.MODEL)
    [axes] = drawn(impact_bars(impacts, p, "late_language")).axes
    heights = {
        container.get_label(): [patch.get_height() for patch in container.patches]
        for container in axes.containers
        if hasattr(container, "patches")
    }
    assert np.isnan(heights["block-permuted"]).all()
    assert np.isfinite([heights["pretrained"], heights["brain-tuned"]]).all()


def test_replications_have_a_line_each_in_every_panel():
    change = xr.DataArray(
        [[[1.0, 2.0], [0.0, -1.0], [3.0, np.nan]]] * 2,
        {
            "measure": ["alignment, all layers (%)", "impact (points)"],
            "participant": ["one, SIM01", "two, SIM01", "two, SIM02"],
            "condition": ["brain-tuned", "block-permuted"],
        },
    )
    ends = {"change": change, "low": change - 0.5, "high": change + 1}
    figure = drawn(replication_intervals(xr.Dataset(ends).transpose("condition", ...)))
    for axes, name in zip(figure.axes, ("alignment", "impact"), strict=True):
        assert axes.get_xlabel().startswith(f"Change of {name}")
        (_, errors), points = bars_and_errors(axes), axes.get_lines()
        assert len(errors) == 2
        values = {line.get_label(): line.get_xdata() for line in points}
        for condition in change["condition"].values:
            np.testing.assert_array_equal(values[condition], change[0].sel(condition=condition))
    ticks = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert ticks == list(change["participant"].values)

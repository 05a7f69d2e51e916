import numpy as np
import pytest
import xarray as xr
from drawn_figures import drawn

from bthelpers.figures.stages.similarity import region_similarity, similarity_maps

CONDITIONS = ["pretrained", "brain-tuned"]


@pytest.fixture(scope="module")
def run():
    rng = np.random.default_rng(0)
    layers, models, regions = ["layer 0", "layer 1", "layer 2"], ["fbank"], ["primary_auditory"]
    names, dims = [*layers, *models], ("participant", "condition", "object", "other")
    shape = (2, 2, len(names), len(names) + 1)
    p = np.full(shape, 0.5)
    p[:, 0, 2, 3] = 0.01
    p[0, 1, 0, 0] = 0.01  # in one participant only
    return xr.Dataset(
        {
            "similarity": (dims, rng.uniform(0, 0.5, shape)),
            "chance": (dims, rng.uniform(0, 0.1, shape)),
            "p": (dims, p),
        },
        {
            "participant": ["SIM01", "SIM02"],
            "condition": CONDITIONS,
            "object": names,
            "kind": ("object", ["layer"] * 3 + ["model"]),
            "other": [*names, *regions],
            "other_kind": ("other", ["layer"] * 3 + ["model", "region"]),
        },
    )


def test_maps_show_layers_and_models_less_chance_and_mark_what_is_significant(run):
    figure = drawn(similarity_maps(run, CONDITIONS))
    first, second, _ = figure.axes
    [image] = first.images
    expected = (run["similarity"] - run["chance"]).mean("participant").sel(condition="pretrained")
    np.testing.assert_allclose(image.get_array(), expected[:3, :4])
    marks = [axes.lines[0].get_xydata().tolist() for axes in (first, second)]
    assert marks == [[[3, 2]], []]
    assert [label.get_text() for label in first.get_xticklabels()] == ["0", "1", "2", "fbank"]


def test_regions_have_a_panel_each_with_a_line_per_condition(run):
    figure = drawn(region_similarity(run, CONDITIONS))
    [axes] = figure.axes
    assert axes.get_title() == "Primary auditory"
    line = next(line for line in axes.lines if line.get_label() == "brain-tuned")
    excess = (run["similarity"] - run["chance"]).mean("participant")
    expected = excess.sel(condition="brain-tuned", other="primary_auditory")[:3]
    np.testing.assert_allclose(line.get_ydata(), expected)

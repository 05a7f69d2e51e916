import numpy as np
import pytest
import xarray as xr

from bthelpers.encoding.stages.similarity import unit_ranks
from bthelpers.results.stages.similarity import (
    of_layers,
    others_of,
    partial_similarity,
    region_table,
)

LAYERS, MODELS, REGIONS = ["layer 0", "layer 1", "layer 2"], ["sound", "category"], ["language"]


@pytest.fixture(scope="module")
def ranks():
    """Of dissimilarities: layer 2 shares category with `category`, the others only sound."""
    rng = np.random.default_rng(0)
    sound, meaning, *noise = rng.normal(size=(7, 400))
    category = meaning + sound
    layers = [sound + noise[0], sound + noise[1], meaning + sound + noise[2]]
    return unit_ranks([*layers, sound, category])


@pytest.fixture(scope="module")
def run(ranks):
    names = [*LAYERS, *MODELS]
    square = np.tile(ranks @ ranks.T, (2, 2, 1, 1))
    region = np.broadcast_to(np.array([0.1, 0.2, 0.4, 0.1, 0.3])[:, None], (2, 2, 5, 1)).copy()
    region[:, 1, 1] = 0.5  # when tuned, layer 1 is the most similar one
    p = np.full((2, 2, 5, 6), 0.5)
    p[0, 0, 2, 5], p[1, 0, 2, 5] = 0.01, 0.04  # the second is no longer significant of two layers
    dims = ("participant", "condition", "object", "other")
    return xr.Dataset(
        {
            "similarity": (dims, np.concatenate([square, region], axis=3)),
            "chance": (dims, np.full((2, 2, 5, 6), 0.05)),
            "p": (dims, p),
            "ceiling": (("participant", "condition", "region", "bound"), [[[[0.5, 0.7]]] * 2] * 2),
        },
        {
            "participant": ["SIM01", "SIM02"],
            "condition": ["pretrained", "brain-tuned"],
            "object": names,
            "kind": ("object", ["layer"] * 3 + ["model"] * 2),
            "other": [*names, *REGIONS],
            "other_kind": ("other", ["layer"] * 3 + ["model"] * 2 + ["region"]),
            "region": REGIONS,
            "bound": ["low", "high"],
        },
    )


def test_layers_are_told_from_models_and_regions(run):
    assert of_layers(run)["layer"].values.tolist() == [0, 1, 2]
    assert others_of(run, "model") == MODELS
    assert others_of(run, "region") == REGIONS


def test_the_table_shows_the_most_similar_layer_and_significant_ones_after_holm(run):
    table = region_table(run)
    pretrained = table.loc["language", "pretrained"]
    assert pretrained["layer"] == 2
    assert pretrained["similarity"] == pytest.approx(0.4)
    assert pretrained["significant (%)"] == 25  # of two layers of two participants
    assert pretrained[["ceiling, low", "ceiling, high"]].tolist() == [0.5, 0.7]
    assert table.loc["language", "brain-tuned"]["layer"] == 1


def test_partial_similarity_is_that_of_residuals(run, ranks):
    found = partial_similarity(run, "category", ["sound"])
    assert found.sizes == {"participant": 2, "condition": 2, "layer": 3}
    for k in range(3):
        residuals = [ranks[j] - (ranks[j] @ ranks[3]) * ranks[3] for j in (k, 4)]
        expected = np.corrcoef(residuals)[0, 1]
        np.testing.assert_allclose(found.isel(layer=k), expected)


def test_what_only_sound_explains_is_gone_and_the_planted_category_is_left(run):
    found = partial_similarity(run, "category", ["sound"])[0, 0]
    assert abs(found[:2]).max() < 0.15
    assert found[2] > 0.4
    assert run["similarity"].sel(object="layer 0", other="category").min() > 0.3

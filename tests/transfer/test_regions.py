from dataclasses import replace

import numpy as np
import pytest
from transfer_inputs import inputs_of, meaning, model_of

from bthelpers.encoding.alignment import evaluate_layers
from bthelpers.transfer.regions import region_means


def test_means_are_those_of_all_layers_evaluation():
    latent = meaning(0)
    features, inputs = model_of(latent, 1.0), inputs_of(latent)
    expected = evaluate_layers(features.expand_dims(layer=[0]), inputs).isel(layer=0)
    found = region_means(features, inputs)
    np.testing.assert_allclose(found["alignment"], expected["alignment"], rtol=1e-6)
    r = expected["r"].values
    np.testing.assert_allclose(found["r"], [r[:4].mean(), r.mean()], rtol=1e-6)
    assert found["region"].values.tolist() == ["few", "all"]


def test_a_region_without_voxels_is_an_error():
    inputs = inputs_of(meaning(0))
    empty = inputs.regions.copy()
    empty[0] = False
    with pytest.raises(ValueError, match="the region has no voxel"):
        region_means(model_of(meaning(0), 1.0), replace(inputs, regions=empty))


def test_one_voxel_is_a_region():
    latent = meaning(0)
    inputs = inputs_of(latent)
    one = inputs.regions.copy()
    one[0] = np.arange(len(inputs.ceiling)) == 3
    found = region_means(model_of(latent, 1.0), replace(inputs, regions=one)).sel(region="few")
    assert found["alignment"] == pytest.approx(found["r"].item() / inputs.ceiling[3])

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from transfer_inputs import PROFILE, inputs_of, meaning, model_of

from bthelpers.encoding.alignment import evaluate_layers
from bthelpers.transfer.regions import (
    layers_read,
    mean_over_layers,
    region_means,
    resampled_alignment,
    resampled_means,
)


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


def test_without_a_ceiling_draws_are_those_of_alignment_at_a_ceiling_of_one():
    latent = meaning(0)
    features, inputs = model_of(latent, 1.0), inputs_of(latent)
    found = resampled_means(features, inputs)
    ones = replace(inputs, ceiling=np.ones_like(inputs.ceiling))
    expected = evaluate_layers(features.expand_dims(layer=[0]), ones).isel(layer=0)
    np.testing.assert_allclose(found["r_draws"], expected["draws"], rtol=1e-5)
    xr.testing.assert_allclose(found[["r", "alignment"]], region_means(features, inputs))


def test_draws_are_those_of_alignment():
    latent = meaning(0)
    features, inputs = model_of(latent, 1.0), inputs_of(latent)
    found = resampled_alignment(features, inputs)
    expected = evaluate_layers(features.expand_dims(layer=[0]), inputs).isel(layer=0)
    np.testing.assert_allclose(found["draws"], expected["draws"], rtol=1e-5)
    xr.testing.assert_allclose(found[["r", "alignment"]], region_means(features, inputs))


def test_layers_count_alike():
    latent = meaning(0)
    inputs = inputs_of(latent)
    layers = [model_of(latent, clear).assign_coords(layer=clear) for clear in (0.5, 1.0)]
    found = mean_over_layers(xr.concat(layers, "layer"), inputs)
    expected = [region_means(layer, inputs)["r"].values for layer in layers]
    np.testing.assert_allclose(found["r"], np.mean(expected, axis=0))


def test_layers_are_those_of_the_profile_or_the_one_that_tuning_reads_out():
    layers = xr.DataArray(np.zeros((4, 3)), {"layer": range(4)}, ("layer", "tr"))
    assert layers_read(layers, PROFILE)["layer"].values.tolist() == [3]
    tuned = replace(PROFILE, tuning=replace(PROFILE.tuning, layer=2))
    assert layers_read(layers, tuned)["layer"].values.tolist() == [2]
    named = replace(tuned, transfer=replace(PROFILE.transfer, layers=(1, 2)))
    assert layers_read(layers, named)["layer"].values.tolist() == [1, 2]
    beyond = replace(PROFILE, transfer=replace(PROFILE.transfer, layers=(3, 9)))
    with pytest.raises(ValueError, match="the model has layers 0 to 3, not 9"):
        layers_read(layers, beyond)

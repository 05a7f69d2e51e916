import numpy as np
import pytest
import xarray as xr
from transfer_inputs import inputs_of, meaning, model_of

from bthelpers.transfer.participants import percent_gain, transfer
from bthelpers.transfer.regions import region_means


@pytest.fixture(scope="module")
def planted():
    """A and B share a meaning; C's was drawn anew. Tuning to one makes its meaning clearer."""
    shared, other = meaning(0), meaning(1)
    both = np.concatenate([shared, other], axis=1)

    def tuned_to(clear):
        scale = np.repeat([[1.0 if clear in ("A", "B") else 0.2, 1.0 if clear == "C" else 0.2]], 4)
        return model_of(both * scale, 0.7, n_features=14)

    features = {name: tuned_to(name) for name in ("pretrained", "A", "B", "C")}
    inputs = {"A": inputs_of(shared, seed=1), "B": inputs_of(shared, seed=2), "C": inputs_of(other)}
    return features, inputs, transfer(features, inputs)


def test_every_model_meets_every_participant(planted):
    features, inputs, found = planted
    assert dict(found.sizes) == {"tuned_to": 4, "participant": 3, "region": 2}
    for tuned_to, participant in (("A", "B"), ("C", "A"), ("pretrained", "C")):
        expected = region_means(features[tuned_to], inputs[participant])
        xr.testing.assert_allclose(
            found.sel(tuned_to=tuned_to, participant=participant, drop=True), expected
        )


def test_transfer_is_positive_between_those_who_share_a_meaning_only(planted):
    gain = percent_gain(planted[2])["r"].sel(region="all")
    assert (gain.sel(tuned_to=["A", "B"], participant=["A", "B"]) > 20).all()
    assert (gain.sel(tuned_to=["A", "B"], participant="C") < 5).all()
    assert (gain.sel(tuned_to="C", participant=["A", "B"]) < 5).all()
    assert gain.sel(tuned_to="C", participant="C") > 20


def test_gains_are_percentages_of_the_baseline():
    values = xr.DataArray([[[0.2]], [[0.3]], [[0.1]]], dims=("tuned_to", "participant", "region"))
    found = xr.Dataset({"r": values}, {"tuned_to": ["pretrained", "A", "B"]})
    gain = percent_gain(found)
    np.testing.assert_allclose(gain["r"].squeeze(), [50, -50])
    assert gain["tuned_to"].values.tolist() == ["A", "B"]
    with pytest.raises(ValueError, match="'none' is not among the models"):
        percent_gain(found, "none")
    with pytest.raises(ValueError, match="no better than chance"):
        percent_gain(found - 0.2)

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from transfer_inputs import PROFILE, inputs_of, meaning, model_of

from bthelpers.params.splits import Splits
from bthelpers.statistics.bootstrap import percent_change
from bthelpers.transfer.participants import predictable, read_region_inputs, transfer
from bthelpers.transfer.regions import region_means


@pytest.fixture(scope="module")
def planted():
    """A and B share a meaning; C's was drawn anew. Tuning to one makes its meaning clearer."""
    shared, other = meaning(0), meaning(1)
    both = np.concatenate([shared, other], axis=1)

    def tuned_to(clear):
        scale = np.repeat([[1.0 if clear in ("A", "B") else 0.2, 1.0 if clear == "C" else 0.2]], 4)
        return model_of(both * scale, 0.7, n_features=14).expand_dims(layer=[2])

    models = {name: tuned_to(name) for name in ("pretrained", "A", "B", "C")}
    inputs = {"A": inputs_of(shared, seed=1), "B": inputs_of(shared, seed=2), "C": inputs_of(other)}
    found = {name: transfer(model, list(inputs), inputs.get) for name, model in models.items()}
    return models, inputs, found


def test_a_model_meets_every_participant(planted):
    models, inputs, found = planted
    assert found["A"]["r"].sizes == {"participant": 3, "region": 2}
    for tuned_to, participant in (("A", "B"), ("C", "A"), ("pretrained", "C")):
        expected = region_means(models[tuned_to][0], inputs[participant])
        cell = found[tuned_to][["r", "alignment"]].sel(participant=participant, drop=True)
        xr.testing.assert_allclose(cell, expected)


def test_transfer_is_positive_between_those_who_share_a_meaning_only(planted):
    found = {name: of_model["r"].sel(region="all") for name, of_model in planted[2].items()}
    gain = {name: percent_change(found[name], found["pretrained"]) for name in ("A", "B", "C")}
    for name in ("A", "B"):
        assert (gain[name].sel(participant=["A", "B"]) > 20).all()
        assert gain[name].sel(participant="C") < 5
    assert (gain["C"].sel(participant=["A", "B"]) < 5).all()
    assert gain["C"].sel(participant="C") > 20


def test_draws_lie_about_the_mean_and_are_paired_over_models(planted):
    _, _, found = planted
    draws = {name: of_model["r_draws"].sel(participant="A") for name, of_model in found.items()}
    for name in draws:
        around = draws[name].mean("draw") - found[name]["r"].sel(participant="A")
        assert (abs(around) < 3 * draws[name].std("draw")).all()
    apart = (draws["A"] - draws["B"]).std("draw")
    assert (apart < draws["A"].std("draw")).all()


HEARD = Splits(train=("one", "two", "left"), validation=("held",), test=("test",))


@pytest.mark.parametrize("penalties", ["training", "validation"])
def test_who_heard_more_than_is_represented_cannot_be_predicted(penalties):
    dataset = replace(
        *(PROFILE.dataset,), participants=("A", "B"), splits=HEARD, absent={"B": ("left",)}
    )
    encoding = replace(PROFILE.encoding, penalties=penalties)
    profile = replace(PROFILE, dataset=dataset, models={}, encoding=encoding)
    assert predictable(profile, HEARD.stories) == ["A", "B"]
    assert predictable(profile, ["one", "two", "held", "test"]) == ["B"]
    without = ["one", "two", "left", "test"]
    assert predictable(profile, without) == ([] if penalties == "validation" else ["A", "B"])


def test_a_region_without_a_voxel_above_the_ceiling_is_an_error():
    masks = xr.DataArray([[True, False], [False, True]], dims=("region", "voxel"))
    voxels = xr.Dataset(
        {"regions": masks, "above": ("voxel", [True, False]), "ceiling": ("voxel", [0.9, 0.1])},
        {"region": list(PROFILE.transfer.regions)},
    )
    with pytest.raises(ValueError, match="SIM01: no voxel above the noise ceiling in primary_aud"):
        read_region_inputs("SIM01", None, lambda name: voxels, PROFILE)

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from transfer_inputs import N_ROWS, STORIES, inputs_of, meaning, model_of

from bthelpers.core.timing import TR
from bthelpers.params.evaluations import TransferSettings
from bthelpers.statistics.curves import first_reaching
from bthelpers.transfer.minutes import N_DRAWS, learning_curve, learning_curves
from bthelpers.transfer.regions import region_means, resampled_alignment

NUMBERS = (2, 4, 8)


def one_layer(features):
    return features.expand_dims(layer=[3])


@pytest.fixture(scope="module")
def planted():
    latent = meaning(0)
    models = {
        name: one_layer(model_of(latent, clear)) for name, clear in (("weak", 0.25), ("clear", 1.5))
    }
    inputs = inputs_of(latent)
    return (
        inputs,
        models,
        {
            name: learning_curve(model, inputs, NUMBERS, orders=3, seed=0)
            for name, model in models.items()
        },
    )


def test_more_minutes_help_and_a_clearer_model_needs_fewer(planted):
    curves = {name: curve.mean("order").sel(region="all") for name, curve in planted[2].items()}
    for curve in curves.values():
        assert curve["r"][0] < curve["r"][-1]
    best = curves["weak"]["alignment"].max().item()
    minutes = curves["clear"]["minutes"], curves["weak"]["minutes"]
    needed = first_reaching(minutes[0], curves["clear"]["alignment"], best)
    assert needed <= minutes[1].max() / 2


def test_minutes_are_those_of_the_responses(planted):
    curve = planted[2]["weak"]
    expected = np.array(NUMBERS) * (N_ROWS - 15) * TR / 60
    np.testing.assert_allclose(curve["minutes"], np.tile(expected, (3, 1)))
    assert curve["n_stories"].values.tolist() == [*NUMBERS]


def test_all_stories_are_the_whole_and_fewer_are_a_subset_of_more(planted):
    inputs, models, curves = planted
    whole = region_means(models["weak"][0], inputs)
    for order in range(3):
        found = curves["weak"].isel(order=order, n_stories=-1, drop=True)
        xr.testing.assert_allclose(found[["r", "alignment"]], whole, rtol=1e-4)
    first = curves["weak"]["r"].isel(n_stories=0)
    assert len(np.unique(first.sel(region="all"))) == 3  # every draw has stories of its own


def test_a_subset_is_fitted_as_if_it_were_all(planted):
    inputs, models, _ = planted
    first = np.random.default_rng(0).permutation(STORIES)[:2]
    fitted = inputs.fitted_to(first.tolist())
    assert fitted.training.stories == [story for story in STORIES if story in first]
    assert fitted.encoding.folds == 2
    drawn = replace(inputs.statistics, bootstrap_draws=N_DRAWS)
    expected = resampled_alignment(models["weak"][0], replace(fitted, statistics=drawn))
    found = planted[2]["weak"].isel(order=0).sel(n_stories=2, drop=True).drop_vars("minutes")
    xr.testing.assert_allclose(found, expected)


def test_stories_that_are_not_there_are_an_error(planted):
    inputs, models, _ = planted
    for numbers in ((0,), (2, 9)):
        with pytest.raises(ValueError, match="stories cannot be taken of 8"):
            learning_curve(models["weak"], inputs, numbers, orders=1, seed=0)
    with pytest.raises(ValueError, match="two training stories or more are needed"):
        learning_curve(models["weak"], inputs, (1,), orders=1, seed=0)
    with pytest.raises(ValueError, match="no training stories: test"):
        inputs.fitted_to(["test", "story0"])


SETTINGS = TransferSettings(n_stories=(2, 3, 4), orders=2)


def test_curves_of_heard_and_unheard_stories_go_as_far_as_there_are_stories(planted):
    inputs, models, _ = planted
    fewer = inputs.fitted_to(STORIES[:5])
    of_participants = {"A": inputs, "B": fewer}
    sets = {"heard": STORIES[:3], "unheard": STORIES[3:]}
    found = learning_curves(models["weak"], ["A", "B"], of_participants.get, sets, SETTINGS, seed=1)
    assert found["r"].dims == ("participant", "stories", "order", "n_stories", "region")
    known = found["r"].notnull().all(("order", "region"))
    assert known.sel(participant="A", stories="heard").values.tolist() == [True, True, False]
    assert known.sel(participant="A", stories="unheard").values.tolist() == [True, True, True]
    assert known.sel(participant="B", stories="unheard").values.tolist() == [True, False, False]
    alone = learning_curve(models["weak"], inputs.fitted_to(STORIES[3:]), (2, 3, 4), 2, seed=1)
    chosen = found.sel(participant="A", stories="unheard", drop=True)
    xr.testing.assert_allclose(chosen.transpose(*alone["r"].dims, ...), alone)


def test_a_set_of_which_nobody_heard_enough_is_left_out_and_none_at_all_is_an_error(planted):
    inputs, models, _ = planted
    sets = {"heard": STORIES[:2], "unheard": STORIES[2:3]}
    found = learning_curves(models["weak"], ["A"], lambda _: inputs, sets, SETTINGS, seed=0)
    assert found["stories"].values.tolist() == ["heard"]
    with pytest.raises(ValueError, match=r"A: fewer than 2 stories in each of unheard: lower"):
        learning_curves(
            *(models["weak"], ["A"], lambda _: inputs),
            *({"unheard": STORIES[2:3]}, SETTINGS, 0),
        )


def test_a_curve_is_the_mean_over_layers(planted):
    inputs, models, curves = planted
    both = xr.concat([models["weak"], models["clear"].assign_coords(layer=[4])], "layer")
    found = learning_curve(both, inputs, (2,), orders=1, seed=0)["r"]
    expected = [curves[name]["r"].isel(order=[0]).sel(n_stories=[2]) for name in curves]
    np.testing.assert_allclose(found, np.mean(expected, axis=0), rtol=1e-5)

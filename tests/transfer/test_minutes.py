import numpy as np
import pytest
import xarray as xr
from transfer_inputs import N_ROWS, STORIES, inputs_of, meaning, model_of

from bthelpers.core.timing import TR
from bthelpers.transfer.minutes import learning_curve, minutes_to_reach
from bthelpers.transfer.regions import region_means

NUMBERS = (2, 4, 8)


@pytest.fixture(scope="module")
def planted():
    latent = meaning(0)
    models = {name: model_of(latent, clear) for name, clear in (("weak", 0.25), ("clear", 1.5))}
    inputs = inputs_of(latent)
    return (
        inputs,
        models,
        {
            name: learning_curve(model, inputs, NUMBERS, draws=3, seed=0)
            for name, model in models.items()
        },
    )


def test_more_minutes_help_and_a_clearer_model_needs_fewer(planted):
    curves = {name: curve.mean("draw").sel(region="all") for name, curve in planted[2].items()}
    for curve in curves.values():
        assert curve["r"][0] < curve["r"][-1]
    best = curves["weak"]["alignment"].max().item()
    minutes = curves["clear"]["minutes"], curves["weak"]["minutes"]
    needed = minutes_to_reach(minutes[0], curves["clear"]["alignment"], best)
    assert needed <= minutes[1].max() / 2


def test_minutes_are_those_of_the_responses(planted):
    curve = planted[2]["weak"]
    expected = np.array(NUMBERS) * (N_ROWS - 15) * TR / 60
    np.testing.assert_allclose(curve["minutes"], np.tile(expected, (3, 1)))
    assert curve["n_stories"].values.tolist() == [*NUMBERS]


def test_all_stories_are_the_whole_and_fewer_are_a_subset_of_more(planted):
    inputs, models, curves = planted
    whole = region_means(models["weak"], inputs)
    for draw in range(3):
        found = curves["weak"].isel(draw=draw, n_stories=-1, drop=True).drop_vars("minutes")
        xr.testing.assert_allclose(found, whole, rtol=1e-4)
    first = curves["weak"]["r"].isel(n_stories=0)
    assert len(np.unique(first.sel(region="all"))) == 3  # every draw has stories of its own


def test_a_subset_is_fitted_as_if_it_were_all(planted):
    inputs, models, _ = planted
    order = np.random.default_rng(0).permutation(STORIES)[:2]
    fitted = inputs.fitted_to(order.tolist())
    assert fitted.training.stories == [story for story in STORIES if story in order]
    assert fitted.encoding.folds == 2
    expected = region_means(models["weak"], fitted)
    found = planted[2]["weak"].isel(draw=0).sel(n_stories=2, drop=True).drop_vars("minutes")
    xr.testing.assert_allclose(found, expected)


def test_stories_that_are_not_there_are_an_error(planted):
    inputs, models, _ = planted
    for numbers in ((0,), (2, 9)):
        with pytest.raises(ValueError, match="stories cannot be taken of 8"):
            learning_curve(models["weak"], inputs, numbers, draws=1, seed=0)
    with pytest.raises(ValueError, match="two training stories or more are needed"):
        learning_curve(models["weak"], inputs, (1,), draws=1, seed=0)
    with pytest.raises(ValueError, match="no training stories: test"):
        inputs.fitted_to(["test", "story0"])


@pytest.mark.parametrize(
    ("values", "target", "expected"),
    [
        ([0.1, 0.2, 0.4], 0.3, 30),
        ([0.1, 0.2, 0.4], 0.4, 40),
        ([0.1, 0.2, 0.4], 0.05, 10),
        ([0.1, 0.2, 0.4], 0.5, np.inf),
        ([0.1, 0.4, 0.2], 0.25, 15),  # and never mind that it falls again
        ([0.3, 0.3, 0.3], 0.3, 10),
    ],
)
def test_minutes_to_reach_a_value(values, target, expected):
    assert minutes_to_reach([10, 20, 40], values, target) == pytest.approx(expected)


def test_one_point_is_a_curve():
    assert minutes_to_reach([10], [0.5], 0.5) == 10


@pytest.mark.parametrize(
    ("minutes", "values"),
    [([10, 10], [1, 2]), ([10, 20], [1, np.nan]), ([10], [1, 2]), ([], [])],
)
def test_what_is_no_curve_is_an_error(minutes, values):
    with pytest.raises(ValueError, match="minutes"):
        minutes_to_reach(minutes, values, 1.0)

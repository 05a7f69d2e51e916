import numpy as np
import pytest
import xarray as xr
from alignment_results import N_DRAWS, PARTICIPANTS
from intervals_by_hand import by_hand, of_one

from bthelpers.results.comparison import CHANGES, compare, tuned_and_pretrained
from bthelpers.results.runs import LAYERS
from bthelpers.statistics.bootstrap import percent_change


def percent(new, old):
    return 100 * (new - old) / old


def test_changes_are_of_means_over_layers(alignments, written):
    for layers, chosen in (("mean over layers", slice(1, None)), ("last layer", slice(-1, None))):
        means = alignments["alignment"].isel(layer=LAYERS[layers]).mean("layer")
        changes = percent_change(*tuned_and_pretrained(means)).sel(condition="brain-tuned")
        assert changes.dims == ("participant", "region")
        for participant in PARTICIPANTS:
            new, old = (
                written[participant, condition]["alignment"].values[chosen].mean(axis=0)
                for condition in ("brain-tuned", "pretrained")
            )
            np.testing.assert_allclose(changes.sel(participant=participant), percent(new, old))


def invented(seed, *conditions):
    rng = np.random.default_rng(seed)
    labels = {"condition": list(conditions)} if conditions else {}
    shape = [len(names) for names in labels.values()]
    draws = rng.uniform(1, 2, (*shape, N_DRAWS))
    return xr.Dataset(
        {"value": (tuple(labels), draws.mean(-1)), "draws": ((*labels, "draw"), draws)}, labels
    )


@pytest.mark.parametrize("kind", CHANGES)
def test_intervals_are_of_the_changes_of_paired_draws(kind):
    new, old = invented(0), invented(1, "pretrained", "block-permuted")
    compared = compare(new, old, kind)
    assert list(compared) == ["baseline", "value", "change", "low", "high"]
    for condition in old["condition"].values:
        row, before = compared.sel(condition=condition), old.sel(condition=condition)
        value, draws = (
            new[name].values - before[name].values
            if kind == "difference"
            else percent(new[name].values, before[name].values)
            for name in ("value", "draws")
        )
        assert (row["baseline"], row["value"]) == (before["value"], new["value"])
        assert row["change"] == pytest.approx(float(value))
        np.testing.assert_allclose([row["low"], row["high"]], of_one(value, draws))


@pytest.mark.parametrize("kind", CHANGES)
def test_mean_changes_have_intervals_over_participants(kind):
    new, old = invented(0, "SIM01", "SIM02"), invented(1, "SIM01", "SIM02")
    pair = [one.rename(condition="participant") for one in (new, old)]
    compared = compare(*pair, kind, over="participant")
    values, draws = (
        new[name].values - old[name].values
        if kind == "difference"
        else percent(new[name].values, old[name].values)
        for name in ("value", "draws")
    )
    assert compared["baseline"] == pytest.approx(old["value"].values.mean())
    assert compared["change"] == pytest.approx(values.mean())
    bounds = by_hand(values, draws)
    np.testing.assert_allclose([compared["low"], compared["high"]], bounds)


def test_a_percentage_of_nothing_is_no_number():
    new, old = invented(0), invented(1)
    old["draws"][3] = 0
    compared = compare(new, old, "percent")
    assert compared[["low", "high"]].to_dataarray().isnull().all()
    assert compared["change"].notnull()
    assert compare(new, old)[["low", "high"]].to_dataarray().notnull().all()

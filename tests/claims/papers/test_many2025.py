import json

import numpy as np
import pytest
import xarray as xr
from transfer_results import MODEL, minutes, write_minutes

from bthelpers.claims.papers import many2025
from bthelpers.claims.papers.many2025 import HEARD, UNHEARD, highest_gain, share_of_minutes
from bthelpers.claims.verdicts import evaluate_claims
from bthelpers.results.runs import BASELINE
from bthelpers.results.store import Results, read_dataset, write_dataset
from bthelpers.results.transfer.minutes import JOINT, NEW, OTHER, OWN, TUNED_TO, load_minutes
from bthelpers.statistics.intervals import interval


@pytest.fixture
def results(tmp_path):
    return write_minutes(tmp_path / "smoke")


@pytest.mark.parametrize("role", [TUNED_TO, NEW])
def test_shares_of_the_minutes_are_those_of_the_table(results, role):
    found = share_of_minutes(results, MODEL, role, HEARD)
    value = found["value"]
    np.testing.assert_allclose(value.sel(condition=BASELINE), 100)
    np.testing.assert_allclose(value.sel(condition=JOINT), 12.5)
    np.testing.assert_allclose(value.sel(condition=OTHER), 50)
    assert (found["n_drawn"] == 3).all()  # orders: of blocks, there are more


@pytest.mark.parametrize("region", ["late_language", "primary_auditory"])
def test_what_is_uncertain_of_one_participant_is_the_story_too(results, region):
    """Where all orders come to the same, as they do where all stories are taken."""
    rng = np.random.default_rng(0)
    for condition in (BASELINE, JOINT):
        path = results.root / MODEL / condition / "minutes.nc"
        one = minutes(condition)
        one["alignment"] = one["alignment"].mean("order") + 0 * one["alignment"]
        noise = xr.DataArray(rng.normal(size=one.sizes["draw"]), dims="draw")
        one["draws"] = one["alignment"] * (1 + 0.05 * noise)
        write_dataset(one, path, {})
    found = highest_gain(results, MODEL, region, NEW, HEARD).sel(condition=JOINT)
    blocks = interval(found.isel(participant=0))
    assert (blocks.sel(bound="low") < found["value"].item() - 5).all()
    assert (blocks.sel(bound="high") > found["value"].item() + 5).all()


def test_resampled_orders_are_means_over_as_many(results):
    """Draws of blocks apart, which are the same for all models, and cancel."""
    found = highest_gain(results, MODEL, "late_language", NEW, UNHEARD)
    curves = load_minutes(results, MODEL).sel(stories=UNHEARD, participant="SIM03")
    best = curves["alignment"].sel(region="late_language", n_stories=8)
    mean = best.mean("order")
    expected = 100 * (mean.sel(condition=OWN) / mean.sel(condition=BASELINE) - 1)
    assert found["value"].sel(condition=OWN).item() == pytest.approx(expected.item())
    per_order = 100 * (best.sel(condition=OWN) / best.sel(condition=BASELINE) - 1)
    draws = found["draws"].sel(condition=OWN, participant="SIM03")
    assert draws.min() >= per_order.min() - 1e-9
    assert draws.max() <= per_order.max() + 1e-9
    assert len(np.unique(draws.round(9))) > 3


def test_a_curve_that_does_not_get_there_counts_with_all_of_its_minutes(results):
    low = minutes("other")
    low["alignment"] *= 0.5
    write_dataset(low, results.root / MODEL / JOINT / "minutes.nc", {})
    found = share_of_minutes(results, MODEL, NEW, HEARD)["value"].sel(condition=JOINT)
    np.testing.assert_allclose(found, 100)


def test_verdicts_are_those_of_the_planted_truth(results):
    claims = {
        topic: [claim for claim in some if claim.statements[0].measure.evaluation == "minutes"]
        for topic, some in many2025.CLAIMS.items()
    }
    table = evaluate_claims(results, claims).claims.set_index("claim")["verdict"]
    assert table["It needs less than the pretrained model"] == "holds"
    assert table["By up to 50 %"] == "cannot be tested"
    assert table["Alignment with auditory cortex is slightly lower"] == "holds"
    assert table["So it does on stories that no model has heard"] == "holds"
    assert len(table) == 7


def test_of_fewer_unheard_stories_than_a_curve_takes_nothing_is_asked(results):
    profile = json.loads((results.root / "profile.json").read_text())
    profile["transfer"]["n_stories"] = [len(profile["tuning"]["unheard"]) + 1, 16]
    (results.root / "profile.json").write_text(json.dumps(profile))
    for file in results.root.rglob("minutes.nc"):
        heard = read_dataset(file).sel(stories=[HEARD])
        write_dataset(heard, file, heard.attrs)
    ((paper, claims),) = many2025.CLAIMS.items()
    of_unheard = tuple(claim for claim in claims if "no model has heard" in claim.text)
    verdicts = evaluate_claims(Results(results.root), {paper: of_unheard}).claims["verdict"]
    assert verdicts.tolist() == ["cannot be tested"]

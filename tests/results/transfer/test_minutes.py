import numpy as np
import pytest
from transfer_results import AUDITORY, CURVES, LANGUAGE, MODEL, PEOPLE, write_minutes

from bthelpers.results.runs import BASELINE
from bthelpers.results.transfer.minutes import (
    JOINT,
    NEW,
    OTHER,
    OWN,
    TUNED_TO,
    load_minutes,
    mean_curves,
    minutes_needed,
)


@pytest.fixture(scope="module")
def curves(tmp_path_factory):
    return load_minutes(write_minutes(tmp_path_factory.mktemp("results") / "smoke"), MODEL)


def test_brain_tuned_models_are_the_participants_own_or_those_of_others(curves):
    assert curves["condition"].values.tolist() == [BASELINE, JOINT, OWN, OTHER]
    assert curves["role"].values.tolist() == [TUNED_TO, TUNED_TO, NEW]
    for role, people in ((TUNED_TO, PEOPLE[:2]), (NEW, PEOPLE[2:])):
        means = mean_curves(curves, LANGUAGE, role)["alignment"].sel(stories="heard")
        assert means["participant"].values.tolist() == people
        scale = means.sel(condition=BASELINE, n_stories=16)
        for name, kind in ((OWN, "own"), (OTHER, "other"), (JOINT, JOINT)):
            shape = (means.sel(condition=name) / scale).transpose("participant", "n_stories")
            np.testing.assert_allclose(shape, [CURVES[kind]] * len(people))


def test_unheard_stories_are_fewer(curves):
    means = mean_curves(curves, LANGUAGE, NEW).sel(stories="unheard")
    assert np.isnan(means["alignment"].sel(n_stories=16)).all()
    assert means["alignment"].sel(n_stories=8).notnull().all()


def test_minutes_needed_for_the_best_of_the_pretrained_model(curves):
    table = minutes_needed(curves, LANGUAGE).sort_index()
    heard, unheard = table.loc[("heard", "SIM03")], table.loc[("unheard", "SIM03")]
    assert heard.loc[BASELINE, ["minutes", "share", "gain (%)"]].tolist() == [64, 1, 0]
    assert heard.loc[JOINT, "minutes"] == 8  # already at the first point
    assert heard.loc[JOINT, "share"] == 1 / 8
    assert heard.loc[JOINT, "gain (%)"] == pytest.approx(50)
    assert heard.loc[OWN, "minutes"] == pytest.approx(16)
    assert heard.loc[OTHER, "minutes"] == pytest.approx(32)
    # Of the unheard stories, the pretrained model's best is 0.8 of it, after 32 minutes.
    assert unheard.loc[OTHER, "minutes"] == pytest.approx(16)
    assert unheard.loc[OTHER, "share"] == pytest.approx(0.5)
    assert table.loc[("heard", "SIM01"), "role"].unique().tolist() == [TUNED_TO]


def test_a_curve_that_does_not_get_there_needs_more_than_there_is(curves):
    lower = curves.copy(deep=True)
    lower["alignment"].loc[{"condition": OTHER}] *= 0.5
    table = minutes_needed(lower, LANGUAGE)
    assert np.isinf(table.loc[("heard", "SIM03", OTHER), "minutes"])
    assert table.loc[("heard", "SIM03", OTHER), "gain (%)"] < 0


def test_a_flat_curve_is_there_at_once(curves):
    share = minutes_needed(curves, AUDITORY)["share"].unstack("condition")
    assert (share[[BASELINE, OWN, OTHER]] == 1).all(axis=None)
    assert np.isinf(share[JOINT].astype(float)).all()  # it is lower

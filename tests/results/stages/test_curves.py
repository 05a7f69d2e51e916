import alignment_results
import numpy as np
import pytest
import task_results
from planted_curves import in_order, planted
from scipy import stats

from bthelpers.results.stages.curves import (
    CENTRE,
    MAXIMUM,
    PLACES,
    alignment_curves,
    hierarchy,
    hierarchy_table,
    middle,
    place_table,
    placed,
    probe_curves,
)
from bthelpers.results.store import Results


def test_curves_have_their_planted_places_and_the_input_does_not_count():
    curve = planted({"pretrained": (3, 5), "brain-tuned": (2, 2)})
    maxima = placed(curve, MAXIMUM)
    np.testing.assert_array_equal(maxima["value"], [[3, 2], [5, 2]])
    assert (maxima["draws"] == maxima["value"]).all()
    assert maxima["n_drawn"].values.tolist() == [12] * 60
    assert placed(curve, CENTRE)["value"].sel(condition="pretrained")[0].item() == 3  # symmetric


def test_the_table_has_means_over_participants_and_certain_places_have_no_width():
    table = place_table({"a": planted({"pretrained": (3, 5)})}).loc["a", "pretrained"]
    assert table[MAXIMUM].tolist() == [4, 4, 4]
    assert table[CENTRE]["low"] < table[CENTRE]["layer"] < table[CENTRE]["high"]


def test_the_middle_is_of_the_draws_of_the_mean_and_lies_among_the_layers():
    maxima = placed(planted({"pretrained": (3, 4)}, noise=0.2), MAXIMUM)
    low, high = middle(maxima).values[:, 0]
    expected = np.quantile(maxima["draws"].values[:, 0].mean(axis=0), [0.025, 0.975])
    np.testing.assert_allclose([low, high], expected)
    assert 1 <= low < high <= 5


def test_the_hierarchy_is_the_rank_correlation_with_the_order_of_tasks():
    found = hierarchy(in_order())["value"]
    places = [PLACES[task] for task in in_order()]
    expected = stats.spearmanr(places, [3, 2, 4, 1, 5, 2]).statistic
    np.testing.assert_allclose(found.sel(condition="pretrained"), expected)
    np.testing.assert_allclose(found.sel(condition="brain-tuned"), 1)


def test_only_the_planted_order_is_significant():
    table = hierarchy_table(in_order(noise=0.01), n_draws=2000, seed=0)
    assert table["tasks"].tolist() == [6, 6]
    assert table["p"]["brain-tuned"] <= 2 / 720 + 1e-9  # the tie of the acoustic tasks
    assert table["p"]["pretrained"] > 0.2
    assert table.loc["brain-tuned", ["low", "correlation", "high"]].tolist() == [1, 1, 1]


def test_tasks_that_peak_in_one_layer_have_no_order():
    table = hierarchy_table(in_order(tuned=(4,) * 6), n_draws=100, seed=0)
    assert table.loc["brain-tuned", ["correlation", "low", "high", "p"]].tolist() == [0, 0, 0, 1]


def test_draws_of_different_corpora_count_the_fewest_units():
    curves = in_order()
    curves["word"] = planted({"pretrained": (1, 1), "brain-tuned": (3, 3)}, n_drawn=2)
    assert set(hierarchy(curves)["n_drawn"].values) == {2}


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    return task_results.write_results(tmp_path_factory.mktemp("tasks"))


def test_probes_are_read_in_the_order_from_acoustic_to_semantic(tested):
    """Emotion has no place, and categories are NaN here."""
    results, model, runs = tested
    curves = probe_curves(results, model)
    assert list(curves) == ["phone in stories", "action"]
    file = results.root / model / "SIM01" / "brain-tuned" / "probes.nc"
    tuned = curves["action"].sel(participant="SIM01", condition="brain-tuned")
    np.testing.assert_allclose(tuned["value"], runs[file]["f1_macro"].sel(task="action"))
    np.testing.assert_allclose(tuned["draws"], runs[file]["f1_macro_draws"].sel(task="action"))


def test_alignment_is_read_by_region(tmp_path):
    written = alignment_results.write_results(tmp_path / "smoke")
    regions = alignment_results.REGIONS
    curves = alignment_curves(Results(tmp_path / "smoke"), alignment_results.MODEL, regions)
    assert list(curves) == regions
    run = written["SIM02", "block-permuted"]["alignment"].sel(region=regions[1])
    of_run = curves[regions[1]].sel(participant="SIM02", condition="block-permuted")
    np.testing.assert_allclose(of_run["value"], run)

import numpy as np
import pytest
from transfer_results import GAINS, MODEL, TO_OTHERS, write_tunings

from bthelpers.results.runs import TUNED
from bthelpers.results.transfer.participants import (
    OTHERS,
    SELF,
    load_transfer,
    pair_table,
    self_and_others,
    transfer_table,
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return write_tunings(tmp_path_factory.mktemp("results") / "smoke")


@pytest.mark.parametrize("name", [TUNED, "auditory cortex"])
def test_gains_of_all_by_all(results, name):
    gain = load_transfer(results, MODEL, name)
    own = GAINS[name][0]
    expected = [[own, own * TO_OTHERS, 0], [own * TO_OTHERS, own, 0], [0, 0, own]]
    found = gain["value"].sel(region="cortex").transpose("tuned_to", "participant")
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert gain["draws"].std() > 0


def test_the_same_participant_and_others(results):
    both = self_and_others(load_transfer(results, MODEL, TUNED))["value"].sel(region="cortex")
    own = GAINS[TUNED][0]
    np.testing.assert_allclose(both.sel(condition=SELF), own)
    others = both.sel(condition=OTHERS)
    np.testing.assert_allclose(others, [own * TO_OTHERS / 2] * 2 + [0], atol=1e-9)
    table = transfer_table(load_transfer(results, MODEL, TUNED))
    assert table.loc[("cortex", OTHERS), "gain (%)"] == pytest.approx(own * TO_OTHERS / 3)


def test_each_is_shown_by_each_model(results):
    table = pair_table(load_transfer(results, MODEL, TUNED), "cortex")
    own = GAINS[TUNED][0]
    assert table.loc[("SIM01", "SIM02"), "gain (%)"] == pytest.approx(own * TO_OTHERS)
    assert table.loc[("SIM01", "SIM02"), "low"] > 0
    low, high = table.loc[("SIM03", "SIM01"), ["low", "high"]]
    assert low < 0 < high


def test_of_one_participant_others_are_none(results):
    both = self_and_others(load_transfer(results, MODEL, "left hemisphere"))["value"]
    assert both.sel(condition=SELF, region="cortex").item() == pytest.approx(11)
    assert np.isnan(both.sel(condition=OTHERS)).all()

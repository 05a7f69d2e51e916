import numpy as np
import pytest
import xarray as xr
from transfer_results import GAINS, MODEL, PEOPLE, PRETRAINED, REGIONS, write_tunings

from bthelpers.results.runs import BASELINE, TUNED
from bthelpers.results.store import write_dataset
from bthelpers.results.transfer.tunings import (
    gain_table,
    load_own,
    tunings,
    voxel_gain,
    with_error,
)
from bthelpers.statistics.bootstrap import percent_change

OF_ALL = [BASELINE, TUNED, "big-text-lm", "without LoRA", "auditory cortex", "rest of cortex"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return write_tunings(tmp_path_factory.mktemp("results") / "smoke")


def test_tunings_are_conditions_and_what_variants_differ_in(results):
    found = tunings(results.profile(), MODEL, "transfer")
    assert list(found) == [*OF_ALL, "left hemisphere", "right hemisphere"]
    assert found["without LoRA"] == ("hubert-full", TUNED)
    assert found[BASELINE] == (MODEL, BASELINE)
    assert list(tunings(results.profile(), MODEL, "probes"))[-1] == "auditory cortex"


def test_gains_are_those_of_each_participants_own_model(results):
    own = load_own(results, MODEL, OF_ALL)
    assert own["participant"].values.tolist() == PEOPLE
    before = own["r"].sel(condition=BASELINE).transpose("participant", "region")
    np.testing.assert_allclose(before, PRETRAINED)
    r = own["r"].sel(participant="SIM03")
    gain = percent_change(r, r.sel(condition=BASELINE, drop=True))
    for name in OF_ALL[1:]:
        np.testing.assert_allclose(gain.sel(condition=name), GAINS[name])
    table = gain_table(own)
    row = table.loc["rest_of_cortex", TUNED]
    assert row["change (%)"] == pytest.approx(14)
    assert row["alignment (%)"] == pytest.approx(14)
    assert row["low"] < 14 < row["high"]
    assert row["pretrained"] == pytest.approx(PRETRAINED.sel(region="rest_of_cortex").mean())


def test_participants_are_those_who_have_all_tunings(results):
    assert load_own(results, MODEL)["participant"].values.tolist() == ["SIM01"]
    pair = load_own(results, MODEL, ["left hemisphere", "right hemisphere"])
    assert pair["r"].sizes == {"participant": 1, "condition": 2, "region": len(REGIONS)}


def test_errors_leave_out_what_participants_differ_by(results):
    errors = with_error(load_own(results, MODEL, OF_ALL))
    spread = PRETRAINED.std("participant", ddof=1) / np.sqrt(3)
    assert (errors["error"] < spread / 4).all()
    mean = errors["mean"].sel(condition=BASELINE)
    np.testing.assert_allclose(mean, PRETRAINED.mean("participant").sel(region=mean["region"]))


def test_single_voxels_gain_at_the_layer_that_tuning_reads_out(results):
    for condition, layer_4 in ((BASELINE, [0.1, 0.2, 0.3]), (TUNED, [0.5, 0.3, 0.2])):
        r = np.zeros((6, 3))
        r[4] = layer_4
        run = xr.Dataset(
            {"r": (("layer", "voxel"), r)}, {"layer": np.arange(6), "voxel": [3, 5, 9]}
        )
        write_dataset(run, results.root / MODEL / "SIM01" / condition / "alignment.nc", {})
    gain = voxel_gain(results, MODEL, "SIM01", least=0.15)
    np.testing.assert_allclose(gain, [np.nan, 0.1, -0.1])
    assert gain["voxel"].values.tolist() == [3, 5, 9]
    assert voxel_gain(results, MODEL, "SIM01")[0] == pytest.approx(0.4)

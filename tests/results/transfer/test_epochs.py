import numpy as np
import pytest
from transfer_results import EPOCHS, MODEL, PEOPLE, write_tunings

from bthelpers.results.runs import TUNED
from bthelpers.results.store import read_dataset, write_dataset
from bthelpers.results.transfer.epochs import epoch_table, load_epochs
from bthelpers.statistics.curves import successive_variance


@pytest.fixture
def results(tmp_path):
    return write_tunings(tmp_path / "smoke")


def test_curves_begin_at_the_pretrained_model(results):
    curves = load_epochs(results, MODEL)
    assert set(curves) == {
        *(TUNED, "without LoRA", "auditory cortex", "rest of cortex"),
        *("left hemisphere", "right hemisphere"),
    }
    score = curves[TUNED]["score"]
    assert score["participant"].values.tolist() == PEOPLE
    np.testing.assert_allclose(score[0], [0.09, *np.linspace(0.1, 0.2, EPOCHS)])
    assert (curves[TUNED]["kept"] == EPOCHS).all()


def test_a_rough_curve_varies_more_though_both_rise_alike(results):
    table = epoch_table(load_epochs(results, MODEL))
    steady, rough = (table.loc[(name, "SIM02")] for name in (TUNED, "without LoRA"))
    assert rough["variance (1e-6)"] > 10 * steady["variance (1e-6)"]
    expected = 1e6 * successive_variance(np.linspace(0.1, 0.2, EPOCHS))
    assert steady["variance (1e-6)"] == pytest.approx(expected)
    assert steady[["epochs", "kept"]].tolist() == [EPOCHS, EPOCHS]
    assert steady["score, kept"] == steady["score, last"] == pytest.approx(0.2)


def test_a_training_that_stopped_early_is_as_long_as_it_was(results):
    file = results.root / MODEL / "SIM02" / TUNED / "training.nc"
    short = read_dataset(file).isel(epoch=slice(2)).drop_vars("pretrained_loss")
    write_dataset(short.assign(kept_epoch=0, undefined=3), file, {})
    curves = load_epochs(results, MODEL)
    scores = curves[TUNED]["score"].sel(participant="SIM02")
    assert np.isnan(scores.sel(epoch=[0, *range(3, EPOCHS + 1)])).all()
    table = epoch_table(curves)
    assert table.loc[(TUNED, "SIM02"), "epochs"] == 2
    assert table.loc[(TUNED, "SIM02"), "kept"] == 1
    assert np.isnan(table.loc[(TUNED, "SIM02"), "pretrained"])
    assert table.loc[(TUNED, "SIM02"), "undefined"] == 3
    assert np.isnan(table.loc[(TUNED, "SIM01"), "undefined"])

import numpy as np
import pytest
import xarray as xr
from anatomy_dataset import PARTICIPANT
from explored_results import ATTRS, CONDITIONS, DROPPED, MODEL, write_profile, write_runs
from unpacked import unpack

from bthelpers.core.errors import DatasetError
from bthelpers.explorer.catalogue import MEAN, Catalogue
from bthelpers.explorer.chunks import STEPS
from bthelpers.results.store import Results, read_dataset, write_dataset


def nowhere(results, participant):
    raise DatasetError("no surfaces")


@pytest.fixture
def results(tmp_path):
    """Of 40 voxels, which nothing draws."""
    results = Results(tmp_path / "results")
    write_profile(results)
    write_runs(results, 40, np.random.default_rng(1))
    return results


def rows(results, key):
    return unpack(Catalogue(results, nowhere).chunk(key))["rows"]


def test_values_are_of_all_voxels_mean_over_layers_first(results):
    found = rows(results, f"{MODEL}/{PARTICIPANT}/brain-tuned/r")
    r = results.open(MODEL, PARTICIPANT, "brain-tuned", "alignment")["r"].values
    evaluated = np.arange(40) % DROPPED != 0
    assert np.isnan(found[:, ~evaluated]).all()
    step = np.ptp(found[:, evaluated]) / STEPS
    np.testing.assert_allclose(found[0, evaluated], r[1:].mean(axis=0), rtol=0, atol=step)
    np.testing.assert_allclose(found[1:, evaluated], r, rtol=0, atol=step)


def test_records_of_a_mean_only(results):
    file = results.root / MODEL / PARTICIPANT / "pretrained/alignment.nc"
    run = read_dataset(file)
    mean = run["r"][1:].mean("layer")
    write_dataset(xr.Dataset({"mean_r": mean}), file, ATTRS)
    [run] = [
        run
        for run in Catalogue(results, nowhere).description["runs"]
        if run["condition"] == "pretrained"
    ]
    assert run["r"]["layers"] == [MEAN]
    assert "p" not in run
    found = rows(results, f"{MODEL}/{PARTICIPANT}/pretrained/r")
    assert found.shape == (1, 40)
    np.testing.assert_allclose(found[0, mean["voxel"]], mean, rtol=0, atol=2e-4)


def test_a_run_that_is_missing_is_not_offered(results):
    (results.root / MODEL / PARTICIPANT / "brain-tuned/alignment.nc").unlink()
    catalogue = Catalogue(results, nowhere)
    shown = [run["condition"] for run in catalogue.description["runs"]]
    assert shown == [condition for condition in CONDITIONS if condition != "brain-tuned"]
    assert catalogue.first_view["condition"] == "pretrained"


def test_a_participant_without_surfaces_is_said_to_have_none(results):
    described = Catalogue(results, nowhere).description["participants"]
    assert described == {PARTICIPANT: {"problem": f"No map of {PARTICIPANT}. no surfaces"}}


def test_one_voxel_that_is_nan(tmp_path):
    results = Results(tmp_path)
    write_profile(results)
    write_runs(results, 1, np.random.default_rng(0))
    assert np.isnan(rows(results, f"{MODEL}/{PARTICIPANT}/pretrained/r")).all()

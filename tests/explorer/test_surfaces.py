import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bthelpers.core.errors import ResultsError
from bthelpers.core.files import atomic_write_text
from bthelpers.data.cortex import region_masks
from bthelpers.explorer.surfaces import surfaces
from bthelpers.params.loading import load, to_dict
from bthelpers.results.store import ENVIRONMENT, Results, write_dataset

PARAMS = Path(__file__).parents[2] / "params"


@pytest.fixture
def write_results(tmp_path, monkeypatch):
    """Write results of a profile that hold the noise ceilings of SIM01 alone, seen from a book."""
    (tmp_path / "book").mkdir()
    monkeypatch.chdir(tmp_path / "book")

    def write(folder, ceilings, profile="smoke", **sections):
        root = tmp_path / folder
        parameters = to_dict(load(PARAMS / f"{profile}.yaml"))
        for section, values in sections.items():
            parameters[section] |= values
        atomic_write_text(root / "profile.json", json.dumps(parameters))
        held = xr.Dataset({"ceiling": ("voxel", np.array(ceilings))})
        write_dataset(held, root / "SIM01" / "voxels.nc", {})
        return root

    return write


def test_surfaces_of_records_are_made_once(write_results, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, str(write_results("current", [0.5])))
    recorded = Results(write_results("recorded", [0.5, 0.6]), recorded=True)
    made = surfaces(recorded, "SIM01")
    assert made.root == Path("../data/smoke_surfaces")
    assert region_masks(made, "SIM01").any()
    written = (made.root / "dataset_description.json").stat().st_mtime_ns
    assert surfaces(recorded, "SIM01").root == made.root
    assert (made.root / "dataset_description.json").stat().st_mtime_ns == written


def test_surfaces_are_the_datasets_own_where_it_is_there(write_results, monkeypatch):
    current = Results(write_results("current", [0.5]))
    monkeypatch.setenv(ENVIRONMENT, str(current.root))
    assert surfaces(current, "SIM01").root == Path("../data/smoke")


def test_surfaces_of_real_participants_are_not_made_up(write_results, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, str(write_results("current", [0.5])))
    recorded = write_results("recorded", [0.5, 0.6], dataset={"simulate": None})
    with pytest.raises(ResultsError, match="maps of SIM01 are drawn on the surfaces of profile"):
        surfaces(Results(recorded, recorded=True), "SIM01")

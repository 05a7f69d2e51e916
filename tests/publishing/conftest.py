import numpy as np
import pytest
import xarray as xr
from alignment_results import REGIONS, write_results
from anatomy_dataset import PARTICIPANT, write_anatomy

from bthelpers.data.dataset import Dataset
from bthelpers.results.store import Results, write_dataset


@pytest.fixture(scope="package")
def dataset(tmp_path_factory):
    """Anatomy of one participant. To be read only."""
    root = tmp_path_factory.mktemp("anatomy")
    write_anatomy(root, seed=1)
    return Dataset(root)


@pytest.fixture
def results(dataset, tmp_path):
    """Results of that participant, below the folder of a repository that holds the dataset too."""
    root = tmp_path / "results" / "trial"
    write_results(root, [PARTICIPANT])
    n_voxels = dataset.n_voxels(PARTICIPANT)
    voxels = xr.Dataset(
        {
            "ceiling": ("voxel", np.full(n_voxels, 0.5)),
            "regions": (("region", "voxel"), np.ones((len(REGIONS), n_voxels), bool)),
        },
        coords={"region": REGIONS},
    )
    write_dataset(voxels, root / PARTICIPANT / "voxels.nc", {})
    results = Results(root)
    linked = tmp_path / results.profile().dataset.root
    linked.parent.mkdir(parents=True)
    linked.symlink_to(dataset.root)
    return results

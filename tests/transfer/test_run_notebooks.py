"""The notebooks of transfer, executed on a dataset of noise that hangs on one layer."""

from pathlib import Path

import jupytext
import numpy as np
import pytest
import xarray as xr
from tiny_dataset import write_tree

from bthelpers.data.dataset import Dataset
from bthelpers.encoding.inputs import at_trs, delayed_features
from bthelpers.params.loading import load
from bthelpers.results.store import read_dataset, write_dataset

REPOSITORY = Path(__file__).parents[2]
MODEL, PARTICIPANTS, N_LAYERS, N_VOXELS = "wavlm-mini", ["SIM01", "SIM02"], 3, 6
N_RESPDICT = 110  # of each story: 90 rows of responses


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Voxels of SIM01 follow the last layer of the model, those of SIM02 are noise."""
    root = tmp_path_factory.mktemp("repository")
    (root / "params").mkdir()
    (root / "params/trial.yaml").write_text(
        f"extends: {REPOSITORY}/params/smoke.yaml\n"
        "dataset: {root: data, participants: [SIM01, SIM02], absent: {SIM02: [story03]}}\n"
        "tuning: {unheard: [story03]}\n"
        "encoding: {penalties: validation}\n"
        "transfer: {n_stories: [1, 2], orders: 2}\n"
    )
    profile = load(root / "params/trial.yaml")
    stories, rng = profile.dataset.splits.stories, np.random.default_rng(0)
    layers = {}

    def write_responses(file, participant, story):
        if not layers:
            dataset = Dataset(root / "data")
            n_trs = sum(len(dataset.tr_times(one)) for one in stories)
            layers["all"] = at_trs(dataset, list(stories), rng.normal(size=(N_LAYERS, n_trs, 4)))
        last = delayed_features(layers["all"][-1], [story], (2,))
        signal = last @ np.eye(4, N_VOXELS) if participant == "SIM01" else 0
        file["data"] = signal + rng.normal(size=(N_RESPDICT - 20, N_VOXELS))

    table = dict.fromkeys(stories, N_RESPDICT)
    write_tree(root / "data", table, dict.fromkeys(PARTICIPANTS, N_VOXELS), write_responses)
    (root / "data/dataset_description.json").write_text('{"Name": "Noise"}')
    represented = layers["all"].assign_coords(layer=np.arange(N_LAYERS))
    folder = root / "results/trial" / MODEL / "pretrained"
    write_dataset(represented.to_dataset(name="representation"), folder / "representations.nc", {})
    heard = represented["story"] != "story03"  # as of what is tuned to SIM02
    less = represented.isel(tr=heard.values).to_dataset(name="representation")
    tuned = root / "results/trial" / MODEL / "SIM02/brain-tuned"
    write_dataset(less, tuned / "representations.nc", {})
    voxels = xr.Dataset(
        {
            "ceiling": ("voxel", np.full(N_VOXELS, 0.8)),
            "above": ("voxel", np.arange(N_VOXELS) < 5),
            "regions": (("region", "voxel"), np.arange(N_VOXELS) < [[4], [2]]),
        },
        {"region": list(profile.transfer.regions)},
    )
    for participant in PARTICIPANTS:
        write_dataset(voxels, root / "results/trial" / participant / "voxels.nc", {})
    return root


def executed(step, root, **names):
    """Execute the code cells of a run notebook, and return what it wrote."""
    space = {}
    for cell in jupytext.read(REPOSITORY / f"book/runs/{step}.md").cells:
        if cell.cell_type == "code":
            exec(cell.source, space)
            if "parameters" in cell.metadata.get("tags", []):
                space |= {"profile": "trial", "model": MODEL} | names
    return read_dataset(next(root.glob(f"results/trial/{MODEL}/**/{step}.nc")))


@pytest.fixture
def in_repository(repository, monkeypatch):
    monkeypatch.chdir(repository)
    yield repository
    for file in repository.glob("results/trial/**/*.nc"):
        if file.stem in ("transfer", "minutes"):
            file.unlink()


def test_a_model_is_evaluated_on_everyone(in_repository):
    found = executed("transfer", in_repository)
    assert found["participant"].values.tolist() == PARTICIPANTS
    first, second = (found["r"].sel(participant=name) for name in PARTICIPANTS)
    assert (first > 0.5).all()
    assert (abs(second) < 0.3).all()
    np.testing.assert_allclose(found["alignment"], found["r"] / 0.8)
    assert found["r_draws"].sizes["draw"] == 50


def test_who_heard_more_than_a_model_is_represented_on_is_left_out(in_repository):
    found = executed("transfer", in_repository, participant="SIM02", condition="brain-tuned")
    assert found["r"].notnull().all("region").values.tolist() == [False, True]


def test_curves_are_of_heard_and_unheard_stories(in_repository):
    found = executed("minutes", in_repository)["alignment"].transpose(
        "participant", "stories", "n_stories", "order", "region"
    )
    assert found["stories"].values.tolist() == ["heard", "unheard"]
    known = found.notnull().all(("order", "region"))
    np.testing.assert_array_equal(known, [[[1, 1], [1, 0]], [[1, 1], [0, 0]]])
    assert (found.sel(participant="SIM01", stories="heard", n_stories=2) > 0.6).all()

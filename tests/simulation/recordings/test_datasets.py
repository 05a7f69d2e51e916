"""A tiny simulated participant goes through all that fMRI goes through, by the same code."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bthelpers.data.inventory import require
from bthelpers.data.recordings.opening import open_dataset
from bthelpers.encoding.alignment import evaluate_layers, predicted_r
from bthelpers.encoding.ceiling import participant_voxels, voxels_to_model
from bthelpers.encoding.inputs import read_inputs
from bthelpers.params.loading import load
from bthelpers.simulation.recordings import datasets
from bthelpers.simulation.recordings.datasets import make_simulated

ROOT = Path(__file__).parents[3]
RATE = 32
TINY = {
    "dataset.simulate.training_stories": 2,
    "dataset.simulate.validation_stories": 1,
    "dataset.simulate.minutes_train": 0.3,
    "dataset.simulate.minutes_validation": 0.1,
    "dataset.simulate.minutes_test": 0.3,
    "dataset.simulate.repeats": 4,
    "dataset.simulate.noise_autocorrelation": 0.5,
    "dataset.simulate.ceiling_quantiles": [0.85, 0.95],
    "dataset.simulate.voices": ["en-us"],
    "dataset.splits.train": ["story01", "story02"],
    "dataset.splits.validation": ["story03"],
    "dataset.splits.test": ["story04"],
    "encoding.folds": 2,
    "encoding.alphas": [0, 6, 4],
    "statistics.bootstrap_draws": 20,
    "statistics.block": 128,
    "statistics.permutations": 20,
    "statistics.permutation_block": 128,
    "tuning.epochs": 1,
    "tuning.chunk_trs": 32,
    "tuning.batch_trs": 256,
    "tuning.precision": "float32",
    "representation.precision": "float32",
    "dataset.recording.rate": RATE,
    "representation.window": 0.3,
    "representation.stride": 1 / RATE,
    "dataset.simulate.lexicon": str(ROOT / "params/lexicons/square.yaml"),
    "dataset.regions": str(ROOT / "params/regions/eeg.yaml"),
}


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    root = str(tmp_path_factory.mktemp("eeg") / "dataset")
    made = load(ROOT / "params/eeg.yaml", TINY | {"dataset.root": root})
    make_simulated(made.dataset, made.seed)
    return made


@pytest.fixture(scope="module")
def dataset(profile):
    return open_dataset(profile.dataset)


@pytest.fixture(scope="module")
def voxels(dataset, profile):
    return participant_voxels(dataset, "SIM01", profile)


@pytest.fixture(scope="module")
def encoder(tiny_encoder_folder):
    from bthelpers.models.speech import SpeechEncoder

    return SpeechEncoder.load(tiny_encoder_folder)


@pytest.fixture(scope="module")
def representations(encoder, dataset, profile):
    from bthelpers.encoding.representations import extract

    return extract(encoder, dataset, profile.dataset.splits.stories, profile.representation)


def test_the_layout_is_that_of_bids_eeg(dataset, profile):
    splits = profile.dataset.splits
    require(dataset, ["SIM01"], splits.stories, splits.test)
    description = json.loads((dataset.root / "dataset_description.json").read_text())
    assert description["Simulated"] is True
    assert "EEG" in dataset.name
    folder = dataset.root / "sub-SIM01/eeg"
    ends = {
        path.name.removeprefix("sub-SIM01_task-listening_run-01_") for path in folder.glob("*01_*")
    }
    assert ends >= {"eeg.vhdr", "eeg.vmrk", "eeg.eeg", "eeg.json", "events.tsv", "channels.tsv"}
    assert len(list(folder.glob("*_eeg.vhdr"))) == 3 + 4  # stories, the last one heard four times
    assert (dataset.root / profile.dataset.table).is_file()
    assert dataset.n_voxels("SIM01") == 64
    assert {"the"} <= {word.label for word in dataset.words("story01")}


def test_noise_ceilings_are_those_that_were_planted(dataset, voxels):
    truth = xr.load_dataset(dataset.root / "truth/SIM01.nc", engine="h5netcdf")
    assert not voxels["invalid"].any()
    assert voxels["above"].all()
    np.testing.assert_allclose(voxels["ceiling"], truth["ceiling"], atol=0.1)
    assert voxels["electrode"].values.tolist() == truth["voxel"].values.tolist()
    np.testing.assert_allclose(voxels["position"], dataset.positions("SIM01"))


def test_features_are_at_the_samples_and_around_them(representations, dataset):
    times = representations["time"][representations["story"] == "story01"].values
    np.testing.assert_allclose(np.diff(times), 1 / RATE)
    np.testing.assert_allclose(times[10:-5], dataset.response_times("story01"))


def test_alignment_is_found_at_the_planted_lags(representations, dataset, voxels, profile):
    """Electrodes in front follow sound: later, and not earlier than it is heard."""
    modelled = voxels_to_model(voxels, ("fronto_central", "centro_parietal"))
    aligned = evaluate_layers(representations, read_inputs(dataset, "SIM01", modelled, profile))
    assert aligned["alignment"].shape == (3, 2)
    assert aligned["alignment"].sel(region="fronto_central").max() > 0.2
    features, found = representations.isel(layer=0), {}
    front = voxels_to_model(voxels, ("fronto_central",))
    for delay in (-0.25, 0.15625, 0.6875):
        encoding = replace(profile.encoding, delays=(delay,))
        inputs = read_inputs(dataset, "SIM01", front, replace(profile, encoding=encoding))
        found[delay] = predicted_r(features, inputs).mean()
    assert found[0.15625] > 0.1
    assert max(found[-0.25], found[0.6875]) < 0.04


def test_a_nan_channel_is_masked_and_counted(dataset, profile, monkeypatch):
    heard = dataset.responses
    monkeypatch.setattr(
        dataset, "responses", lambda *chosen: np.where(np.arange(64) == 5, np.nan, heard(*chosen))
    )
    found = participant_voxels(dataset, "SIM01", profile)
    assert np.flatnonzero(found["invalid"]).tolist() == [5]
    assert not found["above"][5]


def test_a_model_is_tuned_towards_electrodes(encoder, dataset, voxels, profile):
    from bthelpers.tuning.brain_tuning import brain_tune
    from bthelpers.tuning.targets import TARGETS, TargetInputs

    chosen = voxels_to_model(voxels, profile.voxels.regions)["voxel"].values
    inputs = TargetInputs(
        dataset, "SIM01", chosen, profile.tuning, profile.targets, profile.seed, encoder.device
    )
    stories = ("story01",), ("story03",)
    for condition in ("brain-tuned", "block-permuted"):
        settings = replace(profile.tuning, permutation_block=64)
        training, validation = TARGETS[condition](replace(inputs, tuning=settings), stories)
        assert training[0].responses.shape == (dataset.n_samples("story01"), len(chosen))
        result = brain_tune(encoder, training, validation, settings, profile.seed)
        assert np.isfinite(result.training_loss + result.validation_loss).all()


def test_volumes_are_made_where_there_is_no_recording(profile, monkeypatch):
    made = []
    monkeypatch.setattr(datasets, "make_dataset", lambda *arguments: made.append(arguments))
    make_simulated(replace(profile.dataset, recording=None), 3)
    assert made == [(profile.dataset.root, profile.dataset.simulate, 3)]

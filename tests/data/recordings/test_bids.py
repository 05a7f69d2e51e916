from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recorded_folder import (
    EEG,
    NAMES,
    ONSET,
    RATE,
    SECONDS,
    recorded,
    write_folder,
    write_presentation,
    write_table,
)

from bthelpers.core.errors import DatasetError, MissingError
from bthelpers.core.files import write_json
from bthelpers.data.inventory import take_inventory
from bthelpers.data.recordings.bids import EEGDataset
from bthelpers.data.recordings.opening import open_dataset, region_masks, region_table
from bthelpers.params.loading import load

COLUMNS = [NAMES.index(name) for name in EEG]
START = round(ONSET * RATE)
N_SAMPLES = {story: int(seconds * RATE) for story, seconds in SECONDS.items()}
EVENTS = ["onset", "duration", "trial_type", "stim_file"]


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path)


@pytest.fixture
def dataset(folder):
    return EEGDataset(folder.parents[1], RATE)


def test_what_was_recorded_from_the_onset_on_is_the_response(dataset):
    assert (dataset.participants, dataset.stories) == (["A1"], ["one", "two"])
    assert dataset.electrodes("A1") == EEG
    n_samples = N_SAMPLES["one"]
    expected = recorded("one", 0)[START : START + n_samples, COLUMNS]
    np.testing.assert_array_equal(dataset.responses("A1", "one"), expected)
    np.testing.assert_array_equal(
        dataset.responses("A1", "one", np.array([2, 0])), expected[:, [2, 0]]
    )
    mask = np.array([False, True, True])
    np.testing.assert_array_equal(dataset.responses("A1", "one", mask), expected[:, 1:])
    assert dataset.response_shape("A1", "one") == expected.shape
    assert len(dataset.response_times("one")) == n_samples
    assert len(dataset.tr_times("one")) == n_samples + 15


def test_several_presentations_are_repeats_and_their_mean_the_response(dataset):
    expected = np.stack(
        [recorded("two", run)[START : START + N_SAMPLES["two"], COLUMNS] for run in (1, 2)]
    )
    np.testing.assert_array_equal(dataset.repeats("A1", "two"), expected)
    np.testing.assert_allclose(dataset.responses("A1", "two"), expected.mean(axis=0), rtol=1e-6)
    assert dataset.repeats_shape("A1", "two") == expected.shape
    with pytest.raises(DatasetError, match="'one' was presented once"):
        dataset.repeats("A1", "one")


@pytest.mark.parametrize("rate", [128, 500])
def test_recordings_of_a_higher_rate_are_resampled(folder, rate):
    """A sinusoid below half of the new rate stays, one above it goes; Fourier is the oracle."""
    times = np.arange(round((ONSET + SECONDS["one"] + 1) * rate)) / rate - ONSET
    slow, fast = np.sin(2 * np.pi * 6 * times), np.sin(2 * np.pi * 55 * times)
    samples = np.stack([5 + slow, fast, 0 * slow, slow + fast], axis=1).astype(np.float32)
    write_presentation(folder, 0, "one", samples, rate)
    dataset = EEGDataset(folder.parents[1], RATE)
    heard = dataset.responses("A1", "one")
    inside = slice(20, -20)  # of the ends, filters know one side only
    new_times = dataset.response_times("one")
    assert heard.shape == (N_SAMPLES["one"], 3)
    expected = np.sin(2 * np.pi * 6 * new_times)
    np.testing.assert_allclose((heard - heard.mean(axis=0))[inside, 0], expected[inside], atol=0.05)
    assert np.abs(heard[inside, 1]).max() < 0.05
    np.testing.assert_allclose(heard[inside, 2], expected[inside], atol=0.05)


def test_one_channel_with_nan_leaves_others_as_they_are(folder):
    samples = recorded("one", 0, 128)
    write_presentation(folder, 0, "one", samples, 128)
    dataset = EEGDataset(folder.parents[1], RATE)
    whole = dataset.responses("A1", "one")
    samples[250:260, NAMES.index("Cz")] = np.nan
    write_presentation(folder, 0, "one", samples, 128)
    heard = EEGDataset(folder.parents[1], RATE).responses("A1", "one")
    assert np.isnan(heard[:, EEG.index("Cz")]).all()
    np.testing.assert_array_equal(heard[:, [0, 2]], whole[:, [0, 2]])


def test_bad_electrodes_are_nan(folder, dataset):
    write_presentation(folder, 0, "one", recorded("one", 0), status="bad")
    assert np.isnan(dataset.responses("A1", "one")).all()


def test_a_recording_below_the_rate_is_refused(folder):
    with pytest.raises(DatasetError, match=r"has 64 Hz, less than the 100 Hz of dataset.recording"):
        EEGDataset(folder.parents[1], 100).responses("A1", "one")


def test_events_beyond_the_recording(folder, dataset):
    late = recorded("one", 0)
    write_presentation(folder, 0, "one", late, onset=ONSET + 1)  # it ends with the recording
    assert dataset.responses("A1", "one").shape[0] == N_SAMPLES["one"]
    for onset in (ONSET + 1.1, -0.1, "n/a"):
        write_presentation(folder, 0, "one", late, onset=onset)
        with pytest.raises(DatasetError, match=r"one is heard from .* beyond the recording"):
            EEGDataset(dataset.root, RATE).responses("A1", "one")


def test_an_event_that_is_not_as_long_as_its_sound(folder, dataset):
    write_table(
        folder / "sub-A1_task-listening_run-0_events.tsv", EVENTS, [[ONSET, 2, "", "one.wav"]]
    )
    with pytest.raises(DatasetError, match=r"one is said to last 2 s, and one\.wav lasts 2\.50 s"):
        dataset.responses("A1", "one")


def test_stories_without_sound_or_presentation(folder, dataset):
    with pytest.raises(MissingError, match=r"three\.wav is missing; the nearest is"):
        dataset.responses("A1", "three")
    events = folder / "sub-A1_task-listening_run-0_events.tsv"
    write_table(events, EVENTS, [[0.2, 0, "button", "n/a"]])
    with pytest.raises(MissingError, match=r"has one\.wav as its stim_file.*dataset\.absent"):
        EEGDataset(dataset.root, RATE).responses("A1", "one")
    write_table(events, EVENTS, [[0.2, 0, "story", "gone.wav"]])
    with pytest.raises(MissingError, match=r"gone\.wav is missing"):
        EEGDataset(dataset.root, RATE).responses("A1", "one")
    with pytest.raises(DatasetError, match="'B2' is no participant in"):
        dataset.responses("B2", "one")


def test_the_beginning_of_stories_may_be_left_out(folder, dataset):
    later = EEGDataset(dataset.root, RATE, skip=0.75)
    np.testing.assert_array_equal(
        later.responses("A1", "one"), dataset.responses("A1", "one")[round(0.75 * RATE) :]
    )
    assert later.response_times("one")[0] == 0.75
    with pytest.raises(DatasetError, match=r"one\.wav lasts 2.5 s, too short .* the first 2 s"):
        EEGDataset(dataset.root, RATE, skip=2).n_samples("one")


def test_tables_beside_the_recording_must_agree_with_it(folder, dataset):
    write_json(folder / "sub-A1_task-listening_run-1_eeg.json", {"SamplingFrequency": 65})
    with pytest.raises(DatasetError, match=r"SamplingFrequency is 65, .* has 64 Hz"):
        dataset.responses("A1", "two")
    write_json(folder / "sub-A1_task-listening_run-1_eeg.json", {"SamplingFrequency": 64})
    channels = folder / "sub-A1_task-listening_run-1_channels.tsv"
    rows = [[name, "EOG" if name in ("VEOG", "Pz") else "EEG", "µV"] for name in NAMES]
    write_table(channels, ["name", "type", "units"], rows)
    with pytest.raises(DatasetError, match="in one recording only: Pz"):
        dataset.electrodes("A1")


def test_positions_of_all_electrodes_are_needed(folder, dataset):
    positions = dataset.positions("A1")
    assert positions["voxel"].values.tolist() == EEG
    np.testing.assert_allclose(positions.sel(voxel="Pz"), [0, -0.06, 0.07])
    rows = [["Fz", 0, 1, 1], ["Cz", "n/a", "n/a", "n/a"]]
    write_table(folder / "sub-A1_electrodes.tsv", ["name", "x", "y", "z"], rows)
    with pytest.raises(DatasetError, match="has no position of Cz, Pz"):
        dataset.require_anatomy("A1")
    (folder / "sub-A1_electrodes.tsv").unlink()
    with pytest.raises(MissingError, match=r"0 files \*_electrodes.tsv"):
        dataset.positions("A1")


def test_a_selection_of_other_electrodes(dataset):
    with pytest.raises(ValueError, match="A1 has 3 electrodes, and the selection does not fit"):
        dataset.responses("A1", "one", np.array([3]))


def test_the_inventory_finds_what_is_missing(folder, dataset):
    inventory = take_inventory(dataset, ["A1"], ["one", "two"], ["two"])
    parts = [problem.part for problem in inventory.problems]
    assert parts == ["TextGrid", "TextGrid"]  # the folder has none
    assert inventory.n_repeats == {("A1", "two"): 2}
    (folder / "sub-A1_task-listening_run-0_eeg.eeg").unlink()
    found = take_inventory(EEGDataset(dataset.root, RATE), ["A1"], ["one"]).problems
    assert any("run-0_eeg.eeg is missing" in problem.message for problem in found)


def test_regions_are_of_electrodes(dataset, tmp_path):
    table = tmp_path / "regions.yaml"
    table.write_text("front: [Fz]\nmiddle: [front, Cz]\nback: [middle, Pz, -front]\n")
    settings = replace(
        load(Path(__file__).parents[3] / "params/eeg.yaml").dataset,
        root=str(dataset.root),
        regions=str(table),
    )
    masks = region_masks(open_dataset(settings), "A1", region_table(settings))
    assert masks.sel(region="back").values.tolist() == [False, True, True]
    table.write_text("front: [Fz, Fp1]\n")
    with pytest.raises(DatasetError, match="region 'front': A1 has no electrode 'Fp1'"):
        region_masks(dataset, "A1", region_table(settings))

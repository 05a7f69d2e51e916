import numpy as np
import pytest
from recorded_folder import write_recording, write_table

from bthelpers.core.errors import DatasetError
from bthelpers.core.files import write_json
from bthelpers.data.recordings.brainvision import open_recording
from bthelpers.data.recordings.electrodes import read_channels, read_positions

COLUMNS = ["name", "x", "y", "z"]


@pytest.fixture
def positions(tmp_path):
    def write(rows, system="CapTrak", units="m"):
        path = tmp_path / "sub-A1_electrodes.tsv"
        write_table(path, COLUMNS, rows)
        about = {"EEGCoordinateSystem": system, "EEGCoordinateUnits": units}
        write_json(tmp_path / "sub-A1_coordsystem.json", about)
        return path

    return write


@pytest.mark.parametrize(
    ("system", "units", "nose", "left"),
    [
        ("CapTrak", "m", (0, 0.1, 0), (-0.1, 0, 0)),
        ("CTF", "cm", (10, 0, 0), (0, 10, 0)),
        ("EEGLAB", "mm", (100, 0, 0), (0, 100, 0)),
    ],
)
def test_axes_and_units_are_brought_to_one(positions, system, units, nose, left):
    read = read_positions(positions([["nose", *nose], ["left", *left]], system, units))
    assert read["voxel"].values.tolist() == ["nose", "left"]
    np.testing.assert_allclose(read, [[0, 0.1, 0], [-0.1, 0, 0]], atol=1e-12)


def test_no_position_is_nan(positions):
    read = read_positions(positions([["Cz", 0, 0, 0.1], ["REF", "n/a", "n/a", "n/a"]]))
    assert np.isnan(read.sel(voxel="REF")).all()
    assert np.isfinite(read.sel(voxel="Cz")).all()


def test_positions_that_cannot_be_read(positions):
    with pytest.raises(DatasetError, match="'Mars' is no coordinate system"):
        read_positions(positions([["Cz", 0, 0, 1]], system="Mars"))
    with pytest.raises(DatasetError, match="'feet' is no unit of positions"):
        read_positions(positions([["Cz", 0, 0, 1]], units="feet"))
    with pytest.raises(DatasetError, match="names twice: Cz"):
        read_positions(positions([["Cz", 0, 0, 1], ["Cz", 0, 0, 1]]))
    with pytest.raises(DatasetError, match="numbers in column 'z'"):
        read_positions(positions([["Cz", 0, 0, "up"]]))
    path = positions([])
    write_table(path, ["name", "x", "y"], [])
    with pytest.raises(DatasetError, match="has no column z"):
        read_positions(path)


@pytest.fixture
def channels(tmp_path):
    header = tmp_path / "run_eeg.vhdr"
    write_recording(header, np.zeros((4, 2), np.float32), ["Cz", "VEOG"], 64)

    def read(rows, columns=("name", "type", "units", "sampling_frequency", "status")):
        write_table(tmp_path / "run_channels.tsv", columns, rows)
        return read_channels(tmp_path / "run_channels.tsv", open_recording(header))

    return read


def test_channels_have_types_and_may_be_bad(channels):
    read = channels([["Cz", "EEG", "uV", 64, "bad"], ["VEOG", "EOG", "n/a", "n/a", "good"]])
    assert read["type"].tolist() == ["EEG", "EOG"]
    assert read["bad"].tolist() == [True, False]
    plain = channels([["Cz", "EEG", "V"], ["VEOG", "EOG", "V"]], ("name", "type", "units"))
    assert not plain["bad"].any()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["Cz", "EEG", "µV"]], "names 1 channels, the header.*2, in one of them only: VEOG"),
        ([["VEOG", "EOG", "µV"], ["Cz", "EEG", "µV"]], "2, in another order"),
        ([["Cz", "EEG", "µV"], ["HEOG", "EOG", "µV"]], "in one of them only: HEOG, VEOG"),
    ],
)
def test_channels_that_disagree_with_the_data(channels, rows, message):
    with pytest.raises(DatasetError, match=message):
        channels(rows, ("name", "type", "units"))


@pytest.mark.parametrize("unit", ["fT", "μV"])  # with another sign than that of micro
def test_units_that_are_no_voltage(channels, tmp_path, unit):
    header = tmp_path / "run_eeg.vhdr"
    header.write_text(header.read_text().replace("Cz,,1,µV", f"Cz,,1,{unit}"))
    read = channels([["Cz", "MISC", "n/a"], ["VEOG", "EOG", "µV"]], ("name", "type", "units"))
    assert read["type"].tolist() == ["MISC", "EOG"]
    with pytest.raises(DatasetError, match=r"Cz as EEG, which the header of .* another unit"):
        channels([["Cz", "EEG", "µV"], ["VEOG", "EOG", "µV"]], ("name", "type", "units"))


def test_another_sampling_frequency(channels):
    with pytest.raises(DatasetError, match=r"says 250 Hz, the header of .* 64 Hz"):
        channels([["Cz", "EEG", "µV", 250, "good"], ["VEOG", "EOG", "µV", 64, "good"]])

import numpy as np
import pytest
from recorded_folder import write_recording

from bthelpers.core.errors import DatasetError, MissingError
from bthelpers.data.recordings.brainvision import open_recording, read_microvolts

SAMPLES = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


@pytest.fixture
def header(tmp_path):
    path = tmp_path / "run_eeg.vhdr"
    write_recording(path, SAMPLES, ["Fp1", "Cz", "Oz"], 512)
    return path


def edited(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize("rate", [64, 512, 1000 / 3])
def test_what_was_written_is_read(tmp_path, rate):
    path = tmp_path / "run_eeg.vhdr"
    write_recording(path, SAMPLES, ["Fp1", "Cz", "Oz"], rate)
    recording = open_recording(path)
    assert recording.ch_names == ["Fp1", "Cz", "Oz"]
    assert recording.info["sfreq"] == pytest.approx(rate, rel=1e-12)
    assert recording.n_times == 7
    read = read_microvolts(recording, 0, 7, [0, 1, 2])
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, SAMPLES)
    np.testing.assert_array_equal(read_microvolts(recording, 2, 5, [2, 0]), SAMPLES[2:5, [2, 0]])


@pytest.mark.parametrize("orientation", ["MULTIPLEXED", "VECTORIZED"])
def test_integers_have_a_resolution_and_a_unit(header, orientation):
    """As recorders write them: bytes by hand, a comma in a name, and free text at the end."""
    edited(header, "IEEE_FLOAT_32", "INT_16")
    edited(header, "DataOrientation=MULTIPLEXED", f"DataOrientation={orientation}\nDataPoints=2")
    edited(header, "Ch1=Fp1,,1,µV", "Ch1=a\\1b,,0.5,µV")
    edited(header, "Ch2=Cz,,1,µV", "Ch2=Cz,REF,2,mV")
    edited(header, "Ch3=Oz,,1,µV", "Ch3=Oz,,")
    header.write_text(header.read_text() + "\nno = key [at] all\n[[\n")
    samples = np.array([[1, -1, 256], [2, 3, 4]], "<i2")
    order = "C" if orientation == "MULTIPLEXED" else "F"
    header.with_name("run_eeg.eeg").write_bytes(samples.tobytes(order))
    recording = open_recording(header)
    assert recording.ch_names == ["a,b", "Cz", "Oz"]
    expected = [[0.5, -2000, 256], [1, 6000, 4]]
    np.testing.assert_allclose(read_microvolts(recording, 0, 2, [0, 1, 2]), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("IEEE_FLOAT_32", "INT_64", "no BrainVision header.*INT_64 is not supported"),
        ("Ch2=Cz", "Ch2=Fp1", "no BrainVision header.*not unique.*'Fp1'"),
        ("Channels=3", "Channels=4", "no BrainVision header.*missing entries"),
        ("Channels=3", "Channels=0", "no BrainVision header"),
        ("[Binary Infos]", "[Other Infos]", "no BrainVision header.*Binary Infos"),
    ],
)
def test_other_headers_are_refused(header, old, new, message):
    with pytest.raises(DatasetError, match=message):
        open_recording(edited(header, old, new))


def test_samples_that_are_cut_off_or_missing(header):
    samples = header.with_name("run_eeg.eeg")
    samples.write_bytes(samples.read_bytes()[:-4])
    with pytest.raises(DatasetError, match="80 bytes are no whole number of samples of 3 channels"):
        open_recording(header)
    samples.write_bytes(b"")
    with pytest.raises(DatasetError, match="0 bytes"):
        open_recording(header)
    samples.unlink()
    with pytest.raises(MissingError, match=r"run_eeg\.eeg is missing"):
        open_recording(header)
    header.unlink()
    with pytest.raises(MissingError, match=r"run_eeg\.vhdr is missing"):
        open_recording(header)

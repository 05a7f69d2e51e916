import numpy as np
import pytest

from bthelpers.core.errors import DatasetError, MissingError
from bthelpers.data.recordings.brainvision import read_header, write_recording

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
def test_what_is_written_is_read(tmp_path, rate):
    path = tmp_path / "run_eeg.vhdr"
    write_recording(path, SAMPLES, ["Fp1", "Cz", "Oz"], rate)
    recording = read_header(path)
    assert recording.channels == ("Fp1", "Cz", "Oz")
    assert recording.rate == pytest.approx(rate, rel=1e-12)
    assert recording.n_samples == 7
    np.testing.assert_array_equal(recording.read(0, 7, [0, 1, 2]), SAMPLES)
    np.testing.assert_array_equal(recording.read(2, 5, [2, 0]), SAMPLES[2:5, [2, 0]])


def test_integers_have_a_resolution_and_a_unit(header):
    """As recorders write them: bytes by hand, a comma in a name, and free text at the end."""
    edited(header, "IEEE_FLOAT_32", "INT_16")
    edited(header, "Ch1=Fp1,,1,µV", "Ch1=a\\1b,,0.5,µV")
    edited(header, "Ch2=Cz,,1,µV", "Ch2=Cz,REF,2,mV")
    edited(header, "Ch3=Oz,,1,µV", "Ch3=Oz,,")
    header.write_text(header.read_text() + "\n[Comment]\nno = key [at] all\n[[\n")
    header.with_name("run_eeg.eeg").write_bytes(bytes([1, 0, 255, 255, 0, 1, 2, 0, 3, 0, 4, 0]))
    recording = read_header(header)
    assert recording.channels == ("a,b", "Cz", "Oz")
    expected = [[0.5, -2000, 256], [1, 6000, 4]]
    np.testing.assert_array_equal(recording.read(0, 2, [0, 1, 2]), expected)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MULTIPLEXED", "VECTORIZED", "BINARY, VECTORIZED, not BINARY, MULTIPLEXED"),
        ("IEEE_FLOAT_32", "INT_32", "'INT_32' is no binary format.*nearest is 'INT_16'"),
        ("µV", "T", "'T' is no unit of a channel"),
        ("Ch2=Cz", "Ch2=Fp1", "two channels are named Fp1"),
        ("Channels=3", "Channels=4", "no BrainVision header.*Ch4"),
        ("Channels=3", "Channels=0", "0 channels"),
        ("SamplingInterval=1953.125", "SamplingInterval=-1", "no BrainVision header"),
        ("Brain Vision Data", "Some Other Data", "no BrainVision header.*begins otherwise"),
        ("[Binary Infos]", "[Other Infos]", "no BrainVision header.*Binary Infos"),
    ],
)
def test_other_headers_are_refused(header, old, new, message):
    with pytest.raises(DatasetError, match=message):
        read_header(edited(header, old, new))


def test_samples_that_are_cut_off_or_missing(header):
    samples = header.with_name("run_eeg.eeg")
    samples.write_bytes(samples.read_bytes()[:-4])
    with pytest.raises(DatasetError, match="80 bytes are no whole number of samples of 3 channels"):
        read_header(header)
    samples.write_bytes(b"")
    with pytest.raises(DatasetError, match="0 bytes"):
        read_header(header)
    samples.unlink()
    with pytest.raises(MissingError, match=r"run_eeg\.eeg is missing"):
        read_header(header)

import re

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from bthelpers.core.errors import DatasetError, MissingError
from bthelpers.tasks.clips import (
    Clip,
    examples,
    read_waveform,
    require_files,
    require_label,
    require_layout,
    require_splits,
)

NIST_FIELDS = {
    "database_id": "-s5 TIMIT",
    "utterance_id": "-s8 aks0_sa1",
    "channel_count": "-i 1",
    "sample_count": "-i {n}",
    "sample_rate": "-i 16000",
    "sample_min": "-i -9000",
    "sample_max": "-i 9000",
    "sample_n_bytes": "-i 2",
    "sample_byte_format": "-s2 01",
    "sample_sig_bits": "-i 16",
}


def nist(samples, coding=None):
    """A file as TIMIT holds them; `sample_coding` is only in compressed ones."""
    fields = {**NIST_FIELDS, **({"sample_coding": coding} if coding else {})}
    lines = "".join(f"{key} {value}\n" for key, value in fields.items()).format(n=len(samples))
    header = f"NIST_1A\n   1024\n{lines}end_head\n".encode()
    return header.ljust(1024) + samples.astype("<i2").tobytes()


@pytest.fixture
def samples():
    return np.random.default_rng(0).integers(-9000, 9000, 1601).astype(np.int16)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "SA1.WAV"


# Sounds


@pytest.mark.parametrize("form", ["nist", "wav", "flac"])
def test_every_published_form_is_read_to_the_sample(path, samples, form):
    if form == "nist":
        path.write_bytes(nist(samples))
    else:
        soundfile.write(path, samples, 16_000, format=form)
    waveform = read_waveform(path)
    assert waveform.dtype == np.float32
    np.testing.assert_array_equal(waveform, samples / np.float32(2**15))


def test_channels_are_averaged(path, samples):
    stereo = np.stack([samples, samples[::-1]], axis=1)
    soundfile.write(path, stereo, 16_000, format="wav")
    np.testing.assert_allclose(read_waveform(path), stereo.mean(axis=1) / 2**15, atol=1e-7)


@pytest.mark.parametrize(("rate", "up", "down"), [(44_100, 160, 441), (8_000, 2, 1)])
def test_other_rates_are_resampled(path, rate, up, down):
    t = np.arange(rate) / rate
    sound = 0.3 * np.sin(2 * np.pi * 440 * t) + 0.2 * np.sin(2 * np.pi * 1230 * t)
    soundfile.write(path, sound, rate, format="wav", subtype="FLOAT")
    waveform = read_waveform(path)
    assert len(waveform) == 16_000
    middle = slice(1000, -1000)
    np.testing.assert_allclose(waveform[middle], resample_poly(sound, up, down)[middle], atol=1e-3)


def test_one_sample_is_a_sound(path):
    soundfile.write(path, np.full(1, 0.5), 16_000, format="wav")
    assert read_waveform(path) == pytest.approx([0.5], abs=1e-4)


def riff(samples):
    data = samples.tobytes()
    form = b"\x01\x00\x01\x00" + (16_000).to_bytes(4, "little") + (32_000).to_bytes(4, "little")
    body = b"WAVEfmt \x10\x00\x00\x00" + form + b"\x02\x00\x10\x00data"
    body += len(data).to_bytes(4, "little") + data
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def written(samples, path, form):
    soundfile.write(path, samples, 16_000, format=form)
    return path.read_bytes()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (lambda s, _: b"", "is truncated or no sound"),
        (lambda s, _: b"no sound at all", "is truncated or no sound"),
        (lambda s, _: POINTER, "git lfs pull"),
        (lambda s, _: riff(s[:0]), "holds no sound"),
        (lambda s, _: nist(s[:0]), "holds no sound"),
        (lambda s, _: riff(s)[:-2], "is truncated"),
        (lambda s, _: riff(s)[:30], "is truncated"),
        (lambda s, _: nist(s)[:-2], "is truncated"),
        (lambda s, _: nist(s)[:1024], "is truncated"),
        (lambda s, _: nist(s)[:600], "is truncated"),
        (lambda s, p: written(s, p, "flac")[:900], "is truncated or no sound"),
        (lambda s, p: written(s, p, "aiff")[:-2], "is truncated"),
        (lambda s, p: written(s, p, "rf64")[:-2], "is truncated"),
        (lambda s, _: nist(s, "-s26 pcm,embedded-shorten-v2.00"), "sph2pipe"),
    ],
)
def test_broken_sound_is_named_with_the_remedy(path, samples, content, fragment):
    path.write_bytes(content(samples, path))
    with pytest.raises(DatasetError, match=re.escape(str(path))) as caught:
        read_waveform(path)
    assert fragment in str(caught.value)


def test_intact_sounds_are_not_truncated(path, samples):
    forms = (written(samples, path, form) for form in ("flac", "aiff", "rf64"))
    for content in (riff(samples), nist(samples), *forms):
        path.write_bytes(content)
        assert len(read_waveform(path)) == len(samples)


def test_missing_sound(path):
    with pytest.raises(MissingError, match=r"SA1\.WAV is missing"):
        read_waveform(path)


# Checks of folders and labels


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "downloads/corpus"
    for name in ("one", "two/deep"):
        (root / name).mkdir(parents=True)
    return root


def test_layout_in_either_case(corpus):
    require_layout(corpus, ("ONE", "two"), "the corpus")


@pytest.mark.parametrize("inside", [".", "..", "../..", "two", "two/deep"])
def test_corpus_nearby_is_found(corpus, inside):
    root = corpus / inside
    if inside == ".":
        require_layout(root, ("one", "two"), "the corpus")
        return
    with pytest.raises(DatasetError, match="does not hold one and two: name ") as caught:
        require_layout(root.resolve(), ("one", "two"), "the corpus")
    assert f"name {corpus} in the profile" in str(caught.value)


def test_another_layout(corpus):
    with pytest.raises(DatasetError, match="does not hold one and three: get the corpus"):
        require_layout(corpus, ("one", "three"), "the corpus")


def test_missing_folder(corpus):
    with pytest.raises(MissingError, match="nowhere is missing: get the corpus"):
        require_layout(corpus / "nowhere", ("one",), "the corpus")


def test_missing_files_are_counted(tmp_path):
    names = [f"{number:02d}.wav" for number in range(10)]
    require_files(tmp_path, names, names, "copy them")
    with pytest.raises(MissingError) as caught:
        require_files(tmp_path, names, names[:3], "copy them")
    assert str(caught.value) == (
        f"{tmp_path}: 7 of 10 file(s) are missing, such as 03.wav, 04.wav, 05.wav, 06.wav, 07.wav,"
        " …: copy them"
    )


def test_few_examples_are_all_there_is():
    assert examples(["b", "a"]) == "a, b"


def test_unknown_label_with_the_nearest():
    require_label("ANG", ("ANG", "SAD"), "emotion", "file", "it")
    with pytest.raises(DatasetError, match="file: 'SAB' is no emotion; the nearest is 'SAD'"):
        require_label("SAB", ("ANG", "SAD"), "emotion", "file", "it")


@pytest.mark.parametrize("absent", ["train", "validation", "test"])
def test_empty_split(tmp_path, absent):
    clips = [
        Clip(split, tmp_path / split, split, None, "a")
        for split in ("train", "validation", "test")
        if split != absent
    ]
    with pytest.raises(DatasetError, match=f"none of 2 clips is in the {absent} split"):
        require_splits(tmp_path, clips)

import re
import shutil

import numpy as np
import pytest
import soundfile

from bthelpers.core.errors import DatasetError, MissingError
from bthelpers.core.timing import Interval
from bthelpers.tasks.clips import read_waveform
from bthelpers.tasks.timit import DEVELOPMENT, FOLDING, PHONES, read_timit

SPEAKERS = {
    "TRAIN/DR1/FCJF0": "train",
    "TRAIN/DR8/MTCS0": "train",
    "TEST/DR1/FAKS0": "validation",  # of the development set
    "TEST/DR2/MWEW0": "test",  # of the core test set
    "TEST/DR5/FHEW0": "test",  # of neither
}
SENTENCES = ("SA1", "SA2", "SI648", "SI1027", "SI1657", "SX37", "SX127", "SX217", "SX307", "SX397")
TEXT = "0 8000 Don't ask, he said."
WORDS = "1000 2500 don't\n2500 4000 ask\n5000 6000 he\n6000 7500 said\n"
PHONES_OF_TEXT = (
    "0 1000 h#\n1000 1600 dcl\n1600 2000 d\n2000 3000 ax-h\n3000 3200 q\n3200 8000 h#\n"
)
SYMBOLS = re.findall(
    r"\S+",
    "aa ae ah ao aw ax ax-h axr ay b bcl ch d dcl dh dx eh el em en eng epi er ey f g gcl h# hh hv"
    " ih ix iy jh k kcl l m n ng nx ow oy p pau pcl q r s sh t tcl th uh uw ux v w y z zh",
)
# Lee and Hon (1989): each of these groups counts as one phone, every other symbol as its own.
GROUPS = (
    "aa ao", "ah ax ax-h", "er axr", "hh hv", "ih ix", "l el", "m em", "n en nx", "ng eng",
    "sh zh", "uw ux", "bcl dcl epi gcl h# kcl pau pcl tcl",
)  # fmt: skip


def write_sentence(stem):
    soundfile.write(stem.with_suffix(".WAV"), np.zeros(8000), 16_000, format="NIST")
    stem.with_suffix(".TXT").write_text(TEXT + " \n")
    stem.with_suffix(".WRD").write_text(WORDS)
    stem.with_suffix(".PHN").write_text(PHONES_OF_TEXT)


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpora") / "timit"
    for speaker in SPEAKERS:
        (root / speaker).mkdir(parents=True)
        for sentence in SENTENCES:
            write_sentence(root / speaker / sentence)
    (root / "DOC").mkdir()
    (root / "README.DOC").write_text("The DARPA TIMIT corpus")
    return root


@pytest.fixture
def broken(intact, tmp_path):
    """Copy of the intact corpus to break."""
    return shutil.copytree(intact, tmp_path / "timit")


# What is read


def test_all_sentences_are_listed(intact):
    clips = read_timit(intact)
    assert sorted(clip.name for clip in clips) == sorted(
        f"{speaker}/{sentence}.WAV" for speaker in SPEAKERS for sentence in SENTENCES
    )
    for clip in clips:
        folder, file = clip.name.rsplit("/", 1)
        assert clip.path == intact / clip.name
        assert clip.split == SPEAKERS[folder]
        assert clip.speaker == folder[-5:]
        assert clip.label == file[:2]
        assert len(read_waveform(clip.path)) == 8000


def test_transcriptions_are_in_seconds_and_folded(intact):
    clip = read_timit(intact)[0]
    assert clip.text == "Don't ask, he said."
    assert [word.label for word in clip.words] == ["don't", "ask", "he", "said"]
    assert clip.words[1] == Interval(2500 / 16_000, 0.25, "ask")
    assert clip.phones == (  # the glottal stop is gone
        Interval(0, 0.0625, "sil"),
        Interval(0.0625, 0.1, "sil"),
        Interval(0.1, 0.125, "d"),
        Interval(0.125, 0.1875, "ah"),
        Interval(0.2, 0.5, "sil"),
    )


def test_folding_is_that_of_lee_and_hon():
    assert set(FOLDING) == set(SYMBOLS)
    assert len(SYMBOLS) == 61
    assert FOLDING["q"] is None
    groups = [group.split() for group in GROUPS]
    alone = [[s] for s in SYMBOLS if s != "q" and not any(s in group for group in groups)]
    folded = [{FOLDING[symbol] for symbol in group} for group in groups + alone]
    assert all(len(phones) == 1 for phones in folded)
    assert sorted(phone for phones in folded for phone in phones) == list(PHONES)
    assert len(PHONES) == len(set(PHONES)) == 39


def test_development_set_has_fifty_speakers():
    assert len(set(DEVELOPMENT)) == len(DEVELOPMENT) == 50
    core = "MDAB0 MWBT0 FELC0 MTAS1 MWEW0 FPAS0 MJMP0 MLNT0 FPKT0 MLLL0 MTLS0 FJLM0 MBPM0 MKLT0"
    core += " FNLP0 MCMJ0 MJDH0 FMGD0 MGRT0 MNJM0 FDHC0 MJLN0 MPAM0 FMLD0"
    assert not set(DEVELOPMENT) & set(core.split())


def test_lower_case_copies_and_converted_sounds(broken):
    """As many copies have it: names in lower case, sounds as wav, also beside the originals."""
    for path in sorted(broken.rglob("*"), reverse=True):
        if path.suffix == ".WAV":
            soundfile.write(path, np.zeros(8000), 16_000, format="WAV")
            shutil.copy(path, path.with_suffix(".WAV.wav"))
            path.with_name(f"._{path.name}").write_bytes(b"left by a Mac")
        path.rename(path.with_name(path.name.lower()))
    clips = read_timit(broken)
    assert len(clips) == len(SPEAKERS) * len(SENTENCES)
    assert clips[0].name == "test/dr1/faks0/sa1.wav"
    assert (clips[0].speaker, clips[0].split, clips[0].label) == ("FAKS0", "validation", "SA")
    assert len(read_waveform(clips[0].path)) == 8000


def test_linked_folders_are_followed(intact, tmp_path):
    for part in ("TRAIN", "TEST"):
        (tmp_path / part).symlink_to(intact / part)
    assert len(read_timit(tmp_path)) == len(read_timit(intact))


# Broken copies

TRAIN = "TRAIN/DR1/FCJF0"


def write(name, text):
    return lambda root: (root / name).write_text(text)


def remove(pattern):
    def run(root):
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return run


def copy(name, to):
    def run(root):
        source, target = root / name, root / to
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)

    return run


def without_dialects(root):
    for path in root.glob("*/DR*/*"):
        path.rename(path.parents[1] / path.name)


@pytest.mark.parametrize(
    ("damage", "fragments"),
    [
        (remove("TEST"), ["does not hold TEST and TRAIN", "LDC93S1"]),
        (without_dialects, ["no file is named as TRAIN/DR1/FCJF0/SA1.WAV"]),
        (remove("*/*/*/*.PHN"), ["50 of 200 file(s) are missing", "FAKS0/SA1.PHN", "LDC93S1"]),
        (remove(f"{TRAIN}/SX37.WAV"), ["1 of 200 file(s)", "FCJF0/SX37.WAV"]),
        (remove(f"{TRAIN}/SX37.*"), ["1 of 5 speakers do not have 2 SA, 5 SX and 3 SI", "FCJF0"]),
        (copy(f"{TRAIN}/SA1.WAV", f"{TRAIN}/SB1.WAV"), ["SB1.WAV", "type SA, SX, SI", "remove"]),
        (copy(TRAIN, "TRAIN/DR9/FCJF0"), ["DR9", "is not named as"]),
        (copy(TRAIN, "TEST/DR1/FCJF0"), ["1 speaker(s) are in both TRAIN and TEST", "FCJF0"]),
        (remove("TEST/DR1"), ["none of 40 clips is in the validation split"]),
        (remove("TEST/DR[25]"), ["none of 30 clips is in the test split"]),
        (remove("TRAIN/*"), ["none of 30 clips is in the train split"]),
        (write(f"{TRAIN}/SA1.PHN", "0 1000 h#\n1000 x d\n"), ["line 2", "'1000 x d'", "LDC93S1"]),
        (write(f"{TRAIN}/SA1.PHN", "0 1000 h#\n1000 d\n"), ["line 2", "'1000 d'"]),
        (write(f"{TRAIN}/SA1.PHN", "0 1000\n"), ["line 1", "first_sample last_sample label"]),
        (write(f"{TRAIN}/SA1.PHN", "-5 1000 h#\n"), ["line 1", "'-5 1000 h#'"]),
        (write(f"{TRAIN}/SA1.PHN", "1000 0 h#\n"), ["line 1", "'1000 0 h#'"]),
        (write(f"{TRAIN}/SA1.PHN", "0 800 h#\n200 900 d\n"), ["SA1.PHN", "in the first half of"]),
        (write(f"{TRAIN}/SA1.PHN", ""), ["SA1.PHN is empty"]),
        (write(f"{TRAIN}/SA1.PHN", "0 9 axh\n"), ["SA1.PHN", "'axh'", "nearest is 'ax-h'"]),
        (write(f"{TRAIN}/SA1.WRD", "one two three\n"), ["SA1.WRD, line 1"]),
        (write(f"{TRAIN}/SA1.TXT", "She had her dark suit\n"), ["SA1.TXT, line 1"]),
    ],
)
def test_damage_is_named_with_the_remedy(broken, damage, fragments):
    damage(broken)
    with pytest.raises(DatasetError, match=re.escape(str(broken))) as caught:
        read_timit(broken)
    assert all(fragment in str(caught.value) for fragment in fragments), caught.value


@pytest.mark.parametrize("inside", ["..", "TRAIN", "TRAIN/DR1"])
def test_folder_a_level_too_high_or_low(intact, inside):
    root = (intact / inside).resolve()
    with pytest.raises(DatasetError, match=re.escape(str(root))) as caught:
        read_timit(root)
    assert f"name {intact} in the profile" in str(caught.value)


def test_missing_folder(tmp_path):
    with pytest.raises(MissingError, match="nowhere is missing"):
        read_timit(tmp_path / "nowhere")

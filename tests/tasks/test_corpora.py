import json
import re
import shutil
import warnings
from collections import Counter
from itertools import chain

import numpy as np
import pytest
import soundfile
import xarray as xr

from bthelpers.core.errors import DatasetError, MissingError
from bthelpers.core.timing import Interval
from bthelpers.tasks.clips import SPLITS, Clip, read_waveform
from bthelpers.tasks.corpora import (
    COMMANDS,
    CORPORA,
    CREMA_D_UNUSABLE,
    EMOTIONS,
    SLURP_ACTIONS,
    probe_tasks,
    read_crema_d,
    read_slurp,
    read_speech_commands,
)
from bthelpers.tasks.timit import PHONES, TimitClip

# Trees in the published layouts


def write_sound(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(800), 16_000)


def slurp_entry(number, action, files):
    """As in the published lists; of all its fields, action and files are used."""
    return {
        "slurp_id": number,
        "sentence": "wake me up at ten",
        "sentence_annotation": "wake me up at [time : ten]",
        "intent": f"alarm_{action}",
        "action": action,
        "tokens": [{"surface": "wake", "id": 0, "lemma": "wake", "pos": "VB"}],
        "scenario": "alarm",
        "recordings": [
            {"file": f, "wer": 0.2, "ent_wer": None, "status": "correct"} for f in files
        ],
        "entities": [{"span": [4], "type": "time"}],
    }


SLURP = {
    "train": [("set", ["audio-11-headset.flac", "audio-11.flac"]), ("joke", ["audio--12.flac"])],
    "devel": [("quirky", ["audio-13-headset.flac"])],
    "test": [("set", ["audio-14.flac"]), ("hue_lightoff", [])],
}


def write_lists(root, lists):
    for name, entries in lists.items():
        path = root / f"dataset/slurp/{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = (json.dumps(slurp_entry(k, *entry)) for k, entry in enumerate(entries))
        path.write_text("\n".join(rows) + "\n")


def write_slurp(root):
    write_lists(root, {**SLURP, "train_synthetic": [("affirm", ["synth.flac"])]})
    for _, files in chain(*SLURP.values()):
        for file in files:
            write_sound(root / "audio/slurp_real" / file)
    (root / "audio/slurp_synth").mkdir()
    (root / "README.md").write_text("# SLURP")


VALIDATING, TESTING = "0a7c2a8d", "1ecfb537"


def write_speech_commands(root):
    for word in COMMANDS:
        write_sound(root / f"{word}/00176480_nohash_0.wav")
        write_sound(root / f"{word}/00176480_nohash_1.wav")
    write_sound(root / f"bed/{VALIDATING}_nohash_0.wav")
    write_sound(root / f"right/{TESTING}_nohash_3.wav")
    write_sound(root / "_background_noise_/pink_noise.wav")
    (root / "_background_noise_/README.md").write_text("noise")
    (root / "validation_list.txt").write_text(f"bed/{VALIDATING}_nohash_0.wav\n")
    (root / "testing_list.txt").write_text(f"right/{TESTING}_nohash_3.wav\n")
    (root / "README.md").write_text("# Speech Commands Data Set v0.02")


def write_crema_d(root):
    for actor in range(1001, 1011):
        for emotion in EMOTIONS:
            write_sound(root / f"AudioWAV/{actor}_DFA_{emotion}_XX.wav")
        write_sound(root / f"AudioWAV/{actor}_IEO_ANG_LO.wav")
    write_sound(root / "AudioWAV/1040_ITH_SAD_X.wav")
    write_sound(root / "AudioWAV/1076_MTI_SAD_XX.wav")
    (root / "AudioMP3").mkdir()
    (root / "SentenceFilenames.csv").write_text("Stimulus_Number,Filename\n")


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpora")
    write_slurp(root / "slurp")
    write_speech_commands(root / "speech_commands")
    write_crema_d(root / "crema_d")
    return root


@pytest.fixture
def broken(intact, tmp_path):
    """Copies of the intact corpora to break."""
    return shutil.copytree(intact, tmp_path / "corpora")


# What is read


def test_readers_by_name():
    assert list(CORPORA) == ["timit", "slurp", "speech_commands", "crema_d"]


def test_slurp(intact):
    root = intact / "slurp"
    audio = "audio/slurp_real"
    assert read_slurp(root) == [
        Clip(f"{audio}/{file}", root / audio / file, split, None, action)
        for split, name in zip(SPLITS, SLURP, strict=True)
        for action, files in SLURP[name]
        for file in files
    ]


def test_slurp_has_46_actions():
    assert len(set(SLURP_ACTIONS)) == len(SLURP_ACTIONS) == 46


def test_recording_listed_again_is_taken_once_with_a_warning(broken):
    """The published lists have some recordings under two sentences."""
    train = [*SLURP["train"], ("set", ["audio-11.flac"]), ("post", ["audio--12.flac"])]
    write_lists(broken / "slurp", {"train": train})
    with pytest.warns(UserWarning, match="again") as caught:
        clips = read_slurp(broken / "slurp")
    assert "lists 2 of 3 recordings again" in str(caught[0].message)
    assert "1 under several actions, which are left out ['audio--12.flac']" in str(
        caught[0].message
    )
    assert [clip.path.name for clip in clips if clip.split == "train"] == [
        "audio-11-headset.flac",
        "audio-11.flac",
    ]


def test_speech_commands(intact):
    root = intact / "speech_commands"
    clips = {clip.name: clip for clip in read_speech_commands(root)}
    assert set(clips) == {
        path.relative_to(root).as_posix()
        for path in root.glob("*/*.wav")
        if path.parent.name != "_background_noise_"
    }
    assert {clip.label for clip in clips.values()} == set(COMMANDS)
    assert len(COMMANDS) == 35
    name = f"right/{TESTING}_nohash_3.wav"
    assert clips[name] == Clip(name, root / name, "test", TESTING, "right")
    assert clips["bed/00176480_nohash_1.wav"].speaker == "00176480"
    assert Counter(clip.split for clip in clips.values()) == {
        "train": 70,
        "validation": 1,
        "test": 1,
    }


def test_crema_d(intact):
    root = intact / "crema_d"
    clips = {clip.name: clip for clip in read_crema_d(root)}
    assert len(clips) == 10 * 7 + 1
    name = "AudioWAV/1003_DFA_FEA_XX.wav"
    assert clips[name] == Clip(name, root / name, "validation", "1003", "FEA")
    assert clips["AudioWAV/1040_ITH_SAD_X.wav"].label == "SAD"
    assert not set(CREMA_D_UNUSABLE) & {clip.path.name for clip in clips.values()}


def test_crema_d_actors_are_split_by_the_last_digit(tmp_path):
    for actor in range(1001, 1092):
        path = tmp_path / f"AudioWAV/{actor}_DFA_ANG_XX.wav"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    actors = {split: set() for split in SPLITS}
    for clip in read_crema_d(tmp_path):
        actors[clip.split].add(clip.speaker)
    assert {split: len(of_split) for split, of_split in actors.items()} == {
        "train": 55,
        "validation": 18,
        "test": 18,
    }
    assert {speaker[-1] for speaker in actors["validation"]} == {"3", "8"}
    assert {speaker[-1] for speaker in actors["test"]} == {"4", "9"}


@pytest.mark.parametrize("name", ["slurp", "speech_commands", "crema_d"])
def test_sounds_are_where_the_clips_say(intact, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clips = CORPORA[name](str(intact / name))
    assert all(clip.path == intact / name / clip.name for clip in clips)
    assert len(read_waveform(clips[0].path)) == 800


# Broken copies


def remove(name):
    def run(root):
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return run


def add(name, text=""):
    def run(root):
        (root / name).parent.mkdir(exist_ok=True)
        with (root / name).open("a") as file:
            file.write(text)

    return run


def move(name, to):
    return lambda root: (root / name).rename(root / to)


LIST = "slurp/dataset/slurp/devel.jsonl"
DAMAGES = [
    (remove("slurp/audio"), ["does not hold audio and dataset", "zenodo"]),
    (remove(LIST), ["1 of 3 file(s) are missing, such as devel.jsonl", "github.com"]),
    (remove("slurp/audio/slurp_real"), ["5 of 5 file(s)", "unpack slurp_real.tar.gz"]),
    (remove("slurp/audio/slurp_real/audio-14.flac"), ["1 of 5 file(s)", "such as audio-14.flac"]),
    (add(LIST, "{'slurp_id': 3}\n"), ["devel.jsonl, line 2", "no entry with action"]),
    (add(LIST, '{"action": "set"}\n'), ["devel.jsonl, line 2", "'recordings'"]),
    (add(LIST, '["set"]\n'), ["devel.jsonl, line 2", "no entry with action"]),
    (
        add(LIST, json.dumps(slurp_entry(3, "qury", [])) + "\n"),
        ["devel.jsonl, line 2", "'qury' is no action of SLURP; the nearest is 'query'"],
    ),
    (
        add(LIST, json.dumps(slurp_entry(3, "set", ["audio-14.flac"])) + "\n"),
        ["1 recording(s) are listed in two splits, such as audio-14.flac", "all lists but one"],
    ),
    (
        lambda root: (root / LIST).write_text(""),
        ["none of 4 clips is in the validation split"],
    ),
    (
        remove("speech_commands/testing_list.txt"),
        ["does not hold testing_list.txt and validation_list.txt", "speech_commands_v0.02"],
    ),
    (remove("speech_commands/visual"), ["1 of 35 file(s) are missing", "visual", "0.01 has 30"]),
    (
        add("speech_commands/_unknown_/1_nohash_0.wav"),
        ["'_unknown_' is no word of Speech Commands; the nearest is"],
    ),
    (
        remove(f"speech_commands/bed/{VALIDATING}_nohash_0.wav"),
        ["1 of 2 file(s) are missing", f"bed/{VALIDATING}_nohash_0.wav"],
    ),
    (add("speech_commands/bed/mine.wav"), ["bed/mine.wav", "SPEAKER_nohash_NUMBER.wav", "remove"]),
    (
        add("speech_commands/testing_list.txt", f"bed/{VALIDATING}_nohash_0.wav\n"),
        ["1 clip(s) are in both validation_list.txt and testing_list.txt", VALIDATING],
    ),
    (
        lambda root: (root / "speech_commands/testing_list.txt").write_text(""),
        ["none of 72 clips is in the test split"],
    ),
    (move("crema_d/AudioWAV", "crema_d/wavs"), ["does not hold AudioWAV", "Git LFS"]),
    (
        add("crema_d/AudioWAV/1001_DFA_JOY_XX.wav"),
        ["1001_DFA_JOY_XX.wav: 'JOY' is no emotion of CREMA-D; the nearest is"],
    ),
    (add("crema_d/AudioWAV/1001-DFA.wav"), ["1001-DFA.wav is not named as 1001_DFA_ANG_XX.wav"]),
    (
        lambda root: [p.unlink() for p in root.glob("crema_d/AudioWAV/100[49]_*")],
        ["none of 57 clips is in the test split"],
    ),
]


@pytest.mark.parametrize(("damage", "fragments"), DAMAGES)
def test_damage_is_named_with_the_remedy(broken, damage, fragments):
    damage(broken)
    messages = []
    for name in ("slurp", "speech_commands", "crema_d"):
        try:
            CORPORA[name](broken / name)
        except DatasetError as error:
            messages.append(str(error))
    (message,) = messages
    assert str(broken) in message
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("slurp", "dataset"),
        ("slurp", "audio/slurp_real"),
        ("speech_commands", "bed"),
        ("crema_d", "AudioWAV"),
    ],
)
def test_folder_a_level_too_low(intact, name, inside):
    root = intact / name / inside
    with pytest.raises(DatasetError, match=re.escape(str(root))) as caught:
        CORPORA[name](root)
    assert f"name {intact / name} in the profile" in str(caught.value)


@pytest.mark.parametrize("name", ["slurp", "speech_commands", "crema_d"])
def test_folder_a_level_too_high(intact, name):
    with pytest.raises(DatasetError, match=re.escape(str(intact))) as caught:
        CORPORA[name](intact)
    assert f"name {intact / name} in the profile" in str(caught.value)


@pytest.mark.parametrize("name", CORPORA)
def test_missing_folder(tmp_path, name):
    with pytest.raises(MissingError, match=re.escape(f"{tmp_path / name} is missing: get ")):
        CORPORA[name](tmp_path / name)


def test_probes_have_features_and_truth_of_the_same_clips():
    sentences = {"SA1": "aa sil", "SX2": "b aa b", "SI3": "", "SA2": "z"}
    clips = {
        "timit": [
            TimitClip(
                name,
                name,
                "train",
                None,
                name[:2],
                text="",
                words=(),
                phones=tuple(Interval(0, 1, phone) for phone in phones.split()),
            )
            for name, phones in sentences.items()
        ],
        **{
            corpus: [Clip(label, label, "train", None, label) for label in labels]
            for corpus, labels in {
                "slurp": ["joke", "game"],
                "speech_commands": ["yes", "no", "up"],
                "crema_d": ["SAD"],
            }.items()
        },
    }
    features = {
        corpus: xr.DataArray(
            np.random.default_rng(0).normal(size=(2, len(of_corpus), 3)),
            {"clip": [clip.name for clip in of_corpus]},
            ("layer", "clip", "feature"),
        )
        for corpus, of_corpus in clips.items()
    }
    tasks = probe_tasks(clips, features)
    assert {task: truth.tolist() for task, (_, truth) in tasks.items() if task != "phones"} == {
        "sentence type": ["SA", "SX", "SI", "SA"],
        "action": ["joke", "game"],
        "word": ["yes", "no", "up"],
        "emotion": ["SAD"],
    }
    assert list(tasks) == ["sentence type", "action", "phones", "word", "emotion"]
    of_task = ["timit", "slurp", None, "speech_commands", "crema_d"]
    for (given, _), corpus in zip(tasks.values(), of_task, strict=True):
        if corpus is not None:
            xr.testing.assert_identical(given, features[corpus])
    given, present = tasks["phones"]
    xr.testing.assert_identical(given, features["timit"].sel(clip=["SX2", "SI3"]))
    assert present.shape == (2, len(PHONES))
    found = [{PHONES[k] for k in np.flatnonzero(row)} for row in present]
    assert found == [{"aa", "b"}, set()]


def test_sound_of_crema_d_in_capitals_is_not_left_out_in_silence(broken):
    sound = broken / "crema_d/AudioWAV/1001_DFA_ANG_XX.wav"
    sound.rename(sound.with_suffix(".WAV"))
    with pytest.raises(DatasetError, match=r"1001_DFA_ANG_XX\.WAV is not named as"):
        read_crema_d(broken / "crema_d")

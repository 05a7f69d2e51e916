import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
from textgrids import INTERVALS, POINTS, praat_bytes, praat_text
from tiny_dataset import RESPDICT, copy_tree, write_silence, write_tree

from bthelpers.cli import main
from bthelpers.data import response_cache
from bthelpers.data.dataset import Dataset
from bthelpers.data.files import spoken
from bthelpers.data.inventory import print_check, take_inventory
from bthelpers.encoding.acoustics import articulation_table, phone_name
from bthelpers.params.loading import load
from bthelpers.params.splits import Splits

ROOT = Path(__file__).parents[2]
STORIES = {"avatar": 30, "legacy": 27, "souls": 33}
PARTICIPANTS = {"UTS01": 6, "UTS02": 7}
TEST = "souls"


def paper(stories=None, participants=tuple(PARTICIPANTS), absent=None):
    """The published experiment, on other stories and participants, without variants of models."""
    profile = load(ROOT / "params/paper.yaml")
    splits = profile.dataset.splits if stories is None else Splits(*map(tuple, stories))
    choice = {"participants": tuple(participants), "splits": splits, "absent": absent}
    models = {name: profile.models[name] for name in profile.models_with("alignment")}
    return replace(profile, dataset=replace(profile.dataset, **choice), models=models)


PROFILE = paper([["avatar"], ["legacy"], ["souls"]])


def write_responses(file, participant, story):
    shape = (STORIES[story] - 20, PARTICIPANTS[participant])
    file["data"] = np.zeros(shape)
    if story == TEST:
        file["individual_repeats"] = np.zeros((2 if participant == "UTS01" else 5, *shape))


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    root = tmp_path_factory.mktemp("intact")
    write_tree(root, STORIES, PARTICIPANTS, write_responses)
    return root


@pytest.fixture
def broken(intact, tmp_path):
    return copy_tree(intact, tmp_path / "data")


@pytest.fixture
def no_array_is_read(monkeypatch):
    """Whoever reads responses or sound fails."""

    def refuse(*args, **kwargs):
        raise AssertionError("read more than a header")

    monkeypatch.setattr(h5py.Dataset, "__getitem__", refuse)
    monkeypatch.setattr(soundfile, "read", refuse)


def row(inventory, name):
    return dict(inventory.table().loc[name])


def inventory(root):
    return take_inventory(Dataset(root), PARTICIPANTS, ["avatar", "legacy"], [TEST])


def test_an_intact_dataset_is_all_there(intact, capsys, no_array_is_read):
    assert print_check(Dataset(intact), PROFILE)
    assert capsys.readouterr().out == (
        f"{intact}: 2 participants and 3 stories of profile 'paper'\n"
        "\n"
        "          there  missing  malformed absent repeats anatomy annotation\n"
        "UTS01         3        0          0      0       2   there      there\n"
        "UTS02         3        0          0      0       5   there      there\n"
        "audio         3        0          0                                  \n"
        "TextGrid      3        0          0                                  \n"
        "\n"
        "No problem.\n"
    )


def test_what_is_missing_and_what_is_malformed_is_counted_and_explained(broken, capsys):
    folder = broken / "derivative/preprocessed_data"
    (folder / "UTS01/avatar.hf5").unlink()
    (folder / "UTS01/legacy.hf5").write_bytes(b"\0")
    with h5py.File(folder / "UTS02/souls.hf5", "a") as file:
        del file["individual_repeats"]
    shutil.rmtree(broken / "derivative/pycortex-db/UTS01/surfaces")
    (broken / "derivative/freesurfer_subjdir/UTS02/label/rh.HCP-MMP1.annot").write_bytes(b"\0")
    write_silence(broken / "stimuli/avatar.wav", 100, rate=22_050)
    (broken / "stimuli/souls.wav").unlink()
    (broken / "derivative/TextGrids/legacy.TextGrid").write_text("")

    assert not print_check(Dataset(broken), PROFILE)
    table, problems = capsys.readouterr().out.split("\n\n")[1:]
    assert table == (
        "          there  missing  malformed absent repeats  anatomy annotation\n"
        "UTS01         1        1          1      0       2  missing    missing\n"
        "UTS02         3        0          0      0       -    there  malformed\n"
        "audio         1        1          1                                   \n"
        "TextGrid      2        0          1                                   "
    )
    header, *lines = problems.strip().split("\n- ")
    assert header == "8 problem(s)"
    for line, fragments in zip(
        lines,
        [
            ("avatar.wav is 22050 Hz", "44100 Hz", "convert"),
            ("legacy.TextGrid is truncated", "download it again"),
            ("souls.wav is missing", "download it again"),
            ("UTS01/surfaces/wm_lh.gii is missing", "download it again"),
            ("UTS01/avatar.hf5 is missing", "dataset.absent"),
            ("UTS01/legacy.hf5 is truncated", "download it again"),
            ("rh.HCP-MMP1.annot is truncated", "download it again"),
            ("UTS02/souls.hf5 has no array 'individual_repeats'", "dataset.splits.test"),
        ],
        strict=True,
    ):
        assert all(fragment in line for fragment in fragments), line


def test_names_that_the_dataset_does_not_know_are_told_from_missing_files(intact, capsys):
    profile = paper([["avatar", "avatr"], ["legacy"], ["souls"]], ["UTS01", "UST02"])
    assert not print_check(Dataset(intact), profile)
    table, problems = capsys.readouterr().out.split("\n\n")[1:]
    assert table.splitlines()[1:] == [
        "UTS01        3       0         0      0       2   there      there",
        "UST02        -       -         -      -       -       -          -",
        "audio        3       0         0                                  ",
        "TextGrid     3       0         0                                  ",
    ]
    assert "'avatr' is no story" in problems
    assert "'UST02' is no participant" in problems
    assert problems.startswith("2 problem(s)")


def test_stories_that_a_participant_did_not_hear_are_not_looked_for(broken, capsys):
    for participant in PARTICIPANTS:
        (broken / f"derivative/preprocessed_data/{participant}/avatar.hf5").unlink()
    profile = paper([["avatar", "legacy"], ["life"], ["souls"]], absent={"UTS02": ["avatar"]})
    assert not print_check(Dataset(broken), profile)
    table, problems = capsys.readouterr().out.split("\n\n")[1:]
    assert [line.split()[:5] for line in table.splitlines()[1:3]] == [
        ["UTS01", "2", "1", "0", "0"],
        ["UTS02", "2", "0", "0", "1"],
    ]
    assert "UTS01/avatar.hf5 is missing" in problems
    assert "UTS02" not in problems
    assert (
        take_inventory(Dataset(broken), ["UTS02"], STORIES, [TEST], profile.dataset.absent).messages
        == []
    )


def test_responses_of_other_voxels_than_the_mask_are_malformed(broken):
    path = broken / "derivative/preprocessed_data/UTS01/avatar.hf5"
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((10, 8))
    found = inventory(broken)
    assert row(found, "UTS01") | {"there": 2, "malformed": 1} == row(found, "UTS01")
    (message,) = found.messages
    assert "has 6 voxels" in message
    assert "avatar.hf5 (8)" in message


def test_repeats_are_listed_per_test_story(broken):
    with h5py.File(broken / "derivative/preprocessed_data/UTS02/legacy.hf5", "a") as file:
        file["individual_repeats"] = np.zeros((3, 7, 7))
    found = take_inventory(Dataset(broken), PARTICIPANTS, ["avatar"], ["legacy", TEST])
    assert row(found, "UTS01")["repeats"] == "- 2"
    assert row(found, "UTS02")["repeats"] == "3 5"


def test_without_its_table_of_stories_nothing_of_stories_is_looked_at(broken):
    (broken / "derivative/respdict.json").unlink()
    found = inventory(broken)
    assert len(found.messages) == 1
    assert "respdict.json is missing" in found.messages[0]
    assert row(found, "audio") == dict.fromkeys(("there", "missing", "malformed"), 0) | {
        "absent": "",
        "repeats": "",
        "anatomy": "",
        "annotation": "",
    }


def test_a_folder_that_is_not_there_is_named(tmp_path):
    messages = inventory(tmp_path / "none").messages
    assert len(messages) == 3  # its name, its stories, its participants
    assert all(str(tmp_path / "none") in message for message in messages)


def test_a_dataset_without_a_name_is_told_before_any_work(broken):
    (broken / "dataset_description.json").write_text("{}")
    [problem] = inventory(broken).problems
    assert problem.part == "dataset"
    assert "dataset_description.json has no 'Name'" in problem.message


# The published dataset


def write_published_kinds(folder, stories):
    """TextGrids of the kinds that the published ones are of; returns overlaps by story.

    Most are long and overlap by 1e-4 s, as 76 of 84 do; two are chronological.
    """
    kinds = {
        "life": ("short", "latin-1", "\n"),
        "legacy": ("chronological", "utf-8", "\r\n"),
        "exorcism": ("short", "utf-16", "\r\n"),
        "souls": ("chronological", "utf-8-sig", "\n"),
        "buck": ("long", "utf-16-be", "\n"),
    }
    phones = ["sp", "dh", "ah0", "K", "AE1", "t ", "{NS}", "", "{ls}", "SP", "N", "EY1", "v"]
    words = ["sp", "the", "cat's,", "{NS}", "{LG} ", "", 'say "so"', "naïve", "br", "5", "sp"]
    overlaps = {}
    for number, (story, n) in enumerate(stories.items()):
        form, encoding, newline = kinds.get(story, ("long", "utf-8", "\n"))
        duration = (n - 5) * 2.0045 - 10
        overlap = 1e-4 if number % 9 else 0  # in 24 of 27
        tiers = []
        for name, labels in (("phone", phones), ("word", words)):
            edges = [*np.linspace(0, 9, len(labels)).tolist(), duration]
            entries = [(edges[k], edges[k + 1], label) for k, label in enumerate(labels)]
            entries[2] = (entries[2][0], entries[2][1] + overlap, entries[2][2])
            tiers.append((INTERVALS, name, entries))
        tiers.append((POINTS, "notes", [(1.5, "5 of them")]))
        text = praat_text(tiers, form, duration)
        text = text.rstrip() if story == "life" else text
        path = folder / f"{story}.TextGrid"
        path.write_bytes(praat_bytes(text.replace("\n", newline), encoding))
        overlaps[story] = 2 * (overlap > 0)
    return overlaps


def test_textgrids_of_all_published_kinds_pass(tmp_path, capsys, monkeypatch):
    stories = {story: RESPDICT[story] for story in paper().dataset.splits.stories}
    participants = {f"UTS0{k}": 4 for k in range(1, 9)}

    def write_responses(file, participant, story):
        shape = (stories[story] - 20, participants[participant])
        file.create_dataset("data", shape, "f8")
        if story == "wheretheressmoke":
            file.create_dataset("individual_repeats", (5, *shape), "f8")

    write_tree(tmp_path, stories, participants, write_responses)
    overlaps = write_published_kinds(tmp_path / "derivative/TextGrids", stories)
    monkeypatch.chdir(ROOT)
    assert main(["check", str(tmp_path), "--profile", "paper"]) == 0
    shown = capsys.readouterr().out
    assert "TextGrid     27        0          0" in shown
    overlapping = ", ".join(f"{story} ({n})" for story, n in overlaps.items() if n)
    assert "In 24 of 27 TextGrids, neighbours overlap by less than 1 ms" in shown
    assert f"number of overlaps: {overlapping}.\n\nNo problem." in shown
    dataset = Dataset(tmp_path)
    for story in stories:
        assert [word.label for word in spoken(dataset.words(story))] == [
            *("the", "cat's,", 'say "so"', "naïve", "5")
        ]
        labels = [phone_name(phone) for phone in dataset.phones(story)]
        noises = [label for label in labels if label not in articulation_table()]
        assert noises == ["SP", "{NS}", "{LS}", "SP"]


FULL_SIZE = {"UTS02": 94_251}


@pytest.fixture(scope="module")
def full_size(tmp_path_factory):
    """All 27 stories of the papers for UTS02: true shapes, of which HDF5 stores nothing."""
    stories = {story: RESPDICT[story] for story in paper().dataset.splits.stories}

    def write_responses(file, participant, story):
        shape = (stories[story] - 20, FULL_SIZE[participant])
        file.create_dataset("data", shape, "f8")
        if story == "wheretheressmoke":
            file.create_dataset("individual_repeats", (10, *shape), "f8")

    root = tmp_path_factory.mktemp("full") / "ds003020"
    write_tree(root, stories, FULL_SIZE, write_responses)
    return root


def test_a_participant_at_full_size_is_checked_without_reading_arrays(
    full_size, no_array_is_read, capsys
):
    assert print_check(Dataset(full_size), paper(participants=FULL_SIZE))
    assert "UTS02        27        0          0      0      10   there      there" in (
        capsys.readouterr().out
    )


def test_a_selection_is_read_at_full_size_by_small_blocks(full_size, monkeypatch):
    shapes = []
    read = h5py.Dataset.__getitem__

    def watched(self, index):
        block = read(self, index)
        shapes.append(block.nbytes)
        return block

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    voxels = np.random.default_rng(0).permutation(94_251)[:50_732]
    responses = Dataset(full_size).responses("UTS02", "itsabox", np.sort(voxels))
    assert responses.shape == (RESPDICT["itsabox"] - 20, 50_732)
    assert max(shapes) <= response_cache.BLOCK_BYTES
    block = Dataset(full_size).repeats("UTS02", "wheretheressmoke", np.arange(800, 1000))
    assert block.shape == (10, 291, 200)
    assert sum(shapes) <= responses.shape[0] * 94_251 * 8 + block.size * 8

import csv
import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from bthelpers.core.errors import DatasetError
from bthelpers.data.manifest import (
    MANIFEST,
    METADATA,
    PACKAGED,
    PARTS,
    part_path,
    read_manifest,
    select,
    survey,
    table,
    unpublished,
)
from bthelpers.params.loading import load

PAPER = load(Path(__file__).parents[2] / "params" / "paper.yaml").dataset
EVERYBODY = [f"UTS{number:02d}" for number in range(1, 9)]  # those whom the pipeline knows


@pytest.fixture(scope="module")
def published():
    return read_manifest()


@pytest.fixture(scope="module")
def n_bytes():
    """Sizes by path, read in another way."""
    with gzip.open(MANIFEST, "rt", newline="") as file:
        return {row["path"]: int(row["bytes"]) for row in csv.DictReader(file, delimiter="\t")}


ALL_STORIES = sorted(json.loads((PACKAGED / "respdict.json").read_text()))


def expected_paths(participant, stories):
    """What of a participant is read, file by file; some may not be published."""
    pycortex = f"derivative/pycortex-db/{participant}"
    transform = f"{pycortex}/transforms/{participant}_auto"
    ending = "npz" if participant == "UTS02" else "gii"
    return {
        "responses": [
            f"derivative/preprocessed_data/{participant}/{story}.hf5" for story in stories
        ],
        "anatomy": [
            f"{transform}/mask_thick.nii.gz",
            f"{transform}/matrices.xfm",
            f"{transform}/reference.nii.gz",
            f"{pycortex}/surface-info/curvature.npz",
            *(
                f"{pycortex}/surfaces/{surface}_{hemisphere}.{ending}"
                for surface in ("wm", "pia", "inflated", "flat")
                for hemisphere in ("lh", "rh")
            ),
        ],
        "freesurfer": [
            f"derivative/freesurfer_subjdir/{participant}/surf/{hemisphere}.sphere.reg"
            for hemisphere in ("lh", "rh")
        ],
    }


CHOICES = {
    "paper": (PAPER.participants, PAPER.splits.stories, list(PARTS)),
    "all stories of three": (["UTS01", "UTS02", "UTS03"], ALL_STORIES, list(PARTS)),
    "parts of one": (["UTS05"], ["buck", "wheretheressmoke"], ["textgrids", "responses"]),
}


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_every_cell_of_the_table_is_the_sum_over_the_manifest(published, n_bytes, choice):
    participants, stories, parts = choice
    paths = {
        ("stimuli", "shared"): [f"stimuli/{story}.wav" for story in stories],
        ("textgrids", "shared"): [f"derivative/TextGrids/{story}.TextGrid" for story in stories],
        **{
            (part, participant): paths
            for participant in participants
            for part, paths in expected_paths(participant, stories).items()
        },
    }
    sums = {
        cell: sum(n_bytes.get(path, 0) for path in paths)
        for cell, paths in paths.items()
        if cell[0] in parts
    }

    chosen = select(published, *choice)
    assert sum(file.n_bytes for file in chosen) == sum(sums.values())

    header, *rows = (line.split() for line in table(chosen).splitlines())
    assert header == ["GB", "shared", *participants, "total"]
    for part, *cells in rows:
        for column, cell in zip(header[1:], cells, strict=True):
            expected = sum(
                size
                for (of_part, of_column), size in sums.items()
                if part in (of_part, "total") and column in (of_column, "total")
            )
            assert cell == (f"{expected / 1e9:.3f}" if expected else "-"), (part, column)


def test_the_published_manifest_is_whole(published, n_bytes):
    assert len(published) == len(n_bytes) == 922
    assert sum(file.n_bytes for file in published) == sum(n_bytes.values())
    assert {len(bytes.fromhex(file.md5)) for file in published} == {16}


def test_all_of_a_participant_is_selected_and_nothing_that_is_never_read(published):
    for participant in EVERYBODY:
        chosen = select(published, [participant], ["wheretheressmoke"])
        expected = [
            "stimuli/wheretheressmoke.wav",
            "derivative/TextGrids/wheretheressmoke.TextGrid",
        ]
        for paths in expected_paths(participant, ["wheretheressmoke"]).values():
            expected += paths
        assert sorted(file.path for file in chosen) == sorted(expected)


def test_the_metadata_fit_the_manifest(published):
    transforms = json.loads((PACKAGED / "subject_xfms.json").read_text())
    assert sorted(transforms) == EVERYBODY
    files = select(published, EVERYBODY, ALL_STORIES)
    for participant, transform in transforms.items():
        assert any(f"/{participant}/transforms/{transform}/" in file.path for file in files)
    for part in ("stimuli", "textgrids", "responses"):
        assert {file.story for file in files if file.part == part} == set(ALL_STORIES)
    assert json.loads((PACKAGED / "dataset_description.json").read_text())["License"] == "CC0"
    assert all((PACKAGED / Path(name).name).is_file() for name in METADATA)
    assert not {file.path for file in published} & set(METADATA)


@pytest.mark.parametrize(
    ("participants", "stories", "parts", "message"),
    [
        (["UTS1"], ["buck"], ["stimuli"], "'UTS1' is no participant .* nearest is 'UTS01'"),
        (["UTS01"], ["bucks"], ["stimuli"], "'bucks' is no story .* nearest is 'buck'"),
        (["UTS01"], ["auditory_localizer"], ["stimuli"], "'auditory_localizer' is no story"),
        (["UTS01"], ["buck"], ["stimulus"], "'stimulus' is no part .* nearest is 'stimuli'"),
    ],
)
def test_an_unknown_name_is_an_error_that_names_the_nearest(
    published, participants, stories, parts, message
):
    with pytest.raises(DatasetError, match=message):
        select(published, participants, stories, parts)


def test_what_was_selected_but_never_published_is_named(published):
    choice = (["UTS04", "UTS09"], ["buck", "life"])
    absent = ["responses UTS04 life", "freesurfer UTS09"]
    assert unpublished(select(published, *choice), *choice) == absent
    assert unpublished([], ["UTS01"], ["buck"], ["stimuli", "responses"]) == [
        "stimuli buck",
        "responses UTS01 buck",
    ]


def test_a_survey_counts_what_is_there_by_size_and_what_is_left_of_the_rest(
    published, tmp_path, monkeypatch
):
    files = select(published, ["UTS01"], ["buck"], ["textgrids", "freesurfer"])
    grid, left, right = files

    def put(path, n_bytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(n_bytes))

    put(tmp_path / grid.path, grid.n_bytes)
    put(tmp_path / left.path, 7)
    put(part_path(tmp_path / right.path), 1000)
    found = survey(files, tmp_path)
    assert (found.there, found.missing, found.replaced) == ([grid], [left, right], [left])
    assert found.n_bytes == left.n_bytes + right.n_bytes - 1000
    assert f"to be replaced: {left.path}" in str(found)

    usage = SimpleNamespace(free=5)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    found = survey(files, tmp_path / "not" / "yet")
    assert (found.there, found.free) == ([], 5)
    assert found.n_bytes == sum(file.n_bytes for file in files)

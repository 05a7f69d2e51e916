import json
import shutil
from pathlib import Path

import pytest

from bthelpers import commands
from bthelpers.cli import main
from bthelpers.data import manifest

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def in_repository(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


@pytest.fixture
def transfers(monkeypatch):
    """The arguments of every download; nothing is downloaded."""
    calls = []
    monkeypatch.setattr(commands.data, "download", lambda *arguments: calls.append(arguments))
    return calls


def test_a_dry_run_shows_what_there_is_to_do_and_does_nothing(tmp_path, transfers, capsys):
    root = tmp_path / "ds003020"
    assert main(["download", str(root), "--dry-run", "--participants", "UTS04"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].split() == ["GB", "shared", "UTS04", "total"]
    assert "there already: 0.000 GB, 0 files" in shown
    assert "free on the disk" in shown
    assert "not in the published dataset: responses UTS04 life" in shown
    assert transfers == []
    assert not root.exists()


def test_the_paper_profile_decides_unless_told_otherwise(tmp_path, transfers, monkeypatch):
    monkeypatch.setattr(commands.data, "require_space", lambda *_: None)
    assert main(["download", str(tmp_path)]) == 0
    ((files, root, url, jobs),) = transfers
    assert (root, jobs) == (tmp_path, 4)
    assert url == "https://s3.amazonaws.com/openneuro.org/ds003020"
    assert {file.participant for file in files} == {None, *(f"UTS0{n}" for n in range(1, 9))}
    assert len({file.story for file in files if file.part == "stimuli"}) == 27
    assert {file.part for file in files} == set(manifest.PARTS)


def test_participants_stories_parts_and_profile_are_choices(tmp_path, transfers, monkeypatch):
    profile = tmp_path / "mine.yaml"
    choice = "dataset: {participants: [UTS03, UTS01, UTS02]}"
    profile.write_text(f"extends: {REPOSITORY}/params/paper.yaml\n{choice}\n")
    arguments = ["download", "data", "--profile", str(profile), "--stories", "buck", "food"]
    assert main([*arguments, "--parts", "responses", "--url", "http://here", "--jobs", "2"]) == 0
    ((files, root, url, jobs),) = transfers
    assert (root, url, jobs) == (REPOSITORY / "data", "http://here", 2)
    assert [(file.part, file.participant, file.story) for file in files] == [
        ("responses", participant, story)
        for participant in ("UTS01", "UTS02", "UTS03")
        for story in ("buck", "food")
    ]


def test_no_profile_is_needed_where_everything_is_chosen(tmp_path, transfers, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["download", "data", "--participants", "UTS01", "--stories", "buck"]) == 0
    assert len(transfers) == 1


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_a_small_disk_is_refused(tmp_path, transfers, monkeypatch, capsys, dry_run):
    usage = shutil.disk_usage(tmp_path)._replace(free=10**9)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    assert main(["download", str(tmp_path), *dry_run]) == 1
    error = capsys.readouterr().err
    assert "75.160 GB are to be downloaded" in error
    assert "1.000 GB are free" in error
    assert transfers == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--participants", "UTS1"], "'UTS1' is no participant of ds003020; the nearest"),
        (["--stories", "bukc"], "'bukc' is no story of ds003020; the nearest is 'buck'"),
        (["--parts", "responces"], "'responces' is no part of ds003020; the nearest"),
        (["--profile", "demo"], "simulates its dataset"),
        (["--profile", "papper"], "papper.yaml: no such parameter file"),
        (["--participants", "UTS01", "--jobs", "0"], "at least 1"),
    ],
)
def test_an_error_of_the_user_is_one_message(tmp_path, capsys, arguments, message):
    assert main(["download", str(tmp_path), *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("bthelpers download: ")
    assert error.count("\n") == 1
    assert message in error


def test_a_folder_that_cannot_be_made_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    arguments = ["--participants", "UTS01", "--stories", "buck", "--url", "http://127.0.0.1:9"]
    assert main(["download", str(tmp_path / "file" / "data"), *arguments]) == 1
    assert f"{tmp_path / 'file' / 'data'}" in capsys.readouterr().err


def test_ctrl_c_is_no_traceback(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands.data, "download", interrupted)
    arguments = ["--participants", "UTS01", "--stories", "buck"]
    assert main(["download", str(tmp_path), *arguments]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["downlaod"], ["download"]])
def test_a_command_line_that_cannot_be_read_shows_the_usage(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: bthelpers" in capsys.readouterr().err


def test_what_follows_two_dashes_is_for_snakemake_alone(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["check", "--", "data"])
    assert stop.value.code == 2
    with pytest.raises(SystemExit):
        main(["check", "data", "--", "data"])
    assert "only `bthelpers run` hands on what follows --" in capsys.readouterr().err


def test_families_are_those_of_the_miniatures(capsys):
    from bthelpers.simulation.miniatures.speech import FAMILIES  # slow

    with pytest.raises(SystemExit):
        main(["miniature", "speech", "--help"])
    families = sorted([*FAMILIES, "wav2vec2"])  # by masked prediction, and by contrast
    assert f"--family {{{','.join(families)}}}" in capsys.readouterr().out


def test_the_package_carries_what_the_command_needs():
    assert {path.name for path in manifest.PACKAGED.iterdir()} >= {
        "manifest.tsv.gz",
        *(Path(name).name for name in manifest.METADATA),
    }
    assert json.loads((manifest.PACKAGED / "respdict.json").read_text())["wheretheressmoke"] == 311

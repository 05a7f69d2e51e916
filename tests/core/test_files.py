import json
import os
import platform
import shutil
import subprocess
import sys

import pytest
import torch
from full_disk import largest_file
from safetensors.torch import save_file

from bthelpers.core.errors import ResultsError
from bthelpers.core.files import (
    atomic_folder,
    atomic_path,
    atomic_write_text,
    file_bytes,
    free_bytes,
    write_if_changed,
    write_json,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_error_of_the_caller_is_passed_on_and_leaves_nothing(tmp_path):
    def fail(context):
        with context as temporary:
            if temporary.is_dir():
                temporary = temporary / "file"
            temporary.write_text("half")
            raise KeyError("of the caller")

    for context in (atomic_path(tmp_path / "a"), atomic_folder(tmp_path / "b")):
        with pytest.raises(KeyError):
            fail(context)
    assert names(tmp_path) == []


@pytest.fixture
def killed():
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_what_a_killed_run_left_is_replaced(tmp_path, killed):
    here, alive = platform.node(), os.getppid()
    left = [f"{here}.{killed}", f"{here}.{alive}", f"{here}0.{killed}"]
    for process in left:
        (tmp_path / f".a.txt.{process}.part").write_text("hal")
        (tmp_path / f".model.{process}.part").mkdir()
        (tmp_path / f".model.{process}.part" / "half").write_text("hal")
        (tmp_path / f".model.{process}.old").mkdir()
    atomic_write_text(tmp_path / "a.txt", "whole")
    with atomic_folder(tmp_path / "model") as temporary:
        (temporary / "config.json").write_text("{}")
    # What another process is writing is left alone; of another machine, it may be at work.
    ends = ("a.txt.{}.part", "model.{}.old", "model.{}.part")
    others = [f".{end.format(process)}" for end in ends for process in left[1:]]
    assert names(tmp_path) == sorted([*others, "a.txt", "model"])
    assert names(tmp_path / "model") == ["config.json"]


WRITER = """
import sys
from bthelpers.core.files import atomic_path
letter, path = sys.argv[1:]
for _ in range(200):
    with atomic_path(path) as temporary, temporary.open("w") as file:
        for _ in range(20):
            file.write(letter * 100)
            file.flush()
"""


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    path = tmp_path / "a.txt"
    command = [sys.executable, "-c", WRITER]
    writers = [subprocess.Popen([*command, letter, path]) for letter in "xy"]
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            assert path.read_text() in ("x" * 2000, "y" * 2000)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "deep" / "model"
    with atomic_folder(folder) as temporary:
        (temporary / "old").write_text("1")
    with atomic_folder(folder) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "new").write_text("2")
        assert names(folder) == ["old"]
    assert names(folder) == ["sub"]
    assert names(folder.parent) == ["model"]


@pytest.mark.parametrize("error", [OSError("no"), KeyboardInterrupt()])
def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch, error):
    folder, replace, moved = tmp_path / "model", os.replace, []
    with atomic_folder(folder) as temporary:
        (temporary / "weights").write_text("old")

    def second_fails(source, target):
        moved.append(target)
        if len(moved) == 2:
            raise error
        replace(source, target)

    monkeypatch.setattr(os, "replace", second_fails)
    with (
        pytest.raises((ResultsError, KeyboardInterrupt)),
        atomic_folder(folder) as temporary,
    ):
        (temporary / "weights").write_text("new")
    assert moved[1:] == [folder, folder]
    assert (folder / "weights").read_text() == "old"
    assert names(tmp_path) == ["model"]


def test_a_folder_that_was_killed_on_its_way_is_put_back(tmp_path, killed):
    """It is there again where the next attempt comes to nothing."""
    moved = tmp_path / f".model.{platform.node()}.{killed}.old"
    moved.mkdir()
    (moved / "weights").write_text("old")
    with pytest.raises(KeyError), atomic_folder(tmp_path / "model"):
        raise KeyError
    assert (tmp_path / "model/weights").read_text() == "old"
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(bytes(1000)),
        lambda path: torch.save({"weights": torch.zeros(1000)}, path),
        lambda path: save_file({"weights": torch.zeros(1000)}, path),
    ],
)
def test_a_folder_that_does_not_fit_leaves_the_old_one(tmp_path, write):
    folder = tmp_path / "model"
    with atomic_folder(folder) as temporary:
        (temporary / "weights").write_text("old")
    with (
        pytest.raises(ResultsError, match="model was not written"),
        atomic_folder(folder) as temporary,
        largest_file(100),
    ):
        write(temporary / "weights")
    assert (folder / "weights").read_text() == "old"
    assert names(tmp_path) == ["model"]


def test_text_that_is_the_same_keeps_its_date(tmp_path):
    path = tmp_path / "profile.json"
    assert write_if_changed(path, "ä\n")
    os.utime(path, ns=(1, 1))
    assert not write_if_changed(path, "ä\n")
    assert path.stat().st_mtime_ns == 1
    assert write_if_changed(path, "b\n")
    assert path.read_text(encoding="utf-8") == "b\n"
    assert path.stat().st_mtime_ns != 1


def test_json_is_indented_text_that_ends_with_a_line(tmp_path):
    write_json(tmp_path / "a.json", {"name": "ä", "n": [1]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"name": "ä", "n": [1]}
    assert text.startswith('{\n "name"')
    assert text.endswith("}\n")


def test_free_space_is_that_of_the_folder_that_is_there(tmp_path):
    for path in (tmp_path, tmp_path / "not" / "yet"):
        assert free_bytes(path) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)


def test_only_a_file_is_read(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    assert file_bytes(tmp_path / "file") == b"content"
    os.mkfifo(tmp_path / "pipe")
    for name in (".", "pipe", "missing"):
        with pytest.raises(FileNotFoundError):
            file_bytes(tmp_path / name)

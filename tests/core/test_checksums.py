"""Damage to what was written is noticed; `sha256sum` is the oracle."""

import os
import subprocess
from pathlib import Path

import pytest
from full_disk import largest_file

from bthelpers.core.checksums import (
    SUMS,
    checked_path,
    damaged,
    is_intact,
    remove,
    sums_beside,
    write_sums,
)
from bthelpers.core.errors import ResultsError


def write(path, content):
    with checked_path(path) as temporary:
        temporary.write_bytes(content)


def fine_by_sha256sum(sums):
    command = ["sha256sum", "--check", "--strict", "--quiet", sums.name]
    return subprocess.run(command, cwd=sums.parent, capture_output=True).returncode == 0


def flip(path, position=1):
    """A bit, so that size and time stay."""
    content, status = bytearray(path.read_bytes()), path.stat()
    content[position] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_file_has_its_checksum_beside_it(tmp_path):
    file = tmp_path / "folder" / "a.nc"
    for content in (b"first", b"second"):
        write(file, content)
        assert file.read_bytes() == content
        assert is_intact(file)
        assert fine_by_sha256sum(sums_beside(file))
    assert sorted(path.name for path in file.parent.iterdir()) == ["a.nc", "a.nc.sha256"]
    remove(file)
    assert list(file.parent.iterdir()) == []
    remove(file)


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        Path.unlink,
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-3]),
        lambda file: (file.unlink(), file.mkdir()),
    ],
    ids=["flipped", "missing", "emptied", "truncated", "folder"],
)
@pytest.mark.parametrize("of_sums", [False, True])
def test_damage_to_file_or_checksum_is_noticed(tmp_path, damage, of_sums):
    file = tmp_path / "a.nc"
    write(file, b"content")
    damage(sums_beside(file) if of_sums else file)
    assert not is_intact(file)
    assert not fine_by_sha256sum(sums_beside(file))


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path):
    file = tmp_path / "a.nc"
    write(file, b"first")
    with largest_file(50), pytest.raises(ResultsError, match=r"a\.nc.* was not written"):
        write(file, b"second")  # which fits, as its checksum does not
    assert file.read_bytes() == b"first"
    assert is_intact(file)


def test_of_a_folder_files_that_are_not_as_written_are_named(tmp_path):
    (tmp_path / "in").mkdir()
    files = [tmp_path / name for name in ("a", "in/b c", "in/d")]
    for file in files:
        file.write_bytes(file.name.encode() * 3)
    write_sums(tmp_path)
    assert damaged(tmp_path / SUMS) == []
    assert fine_by_sha256sum(tmp_path / SUMS)
    flip(files[1])
    files[2].unlink()
    assert damaged(tmp_path / SUMS) == files[1:]
    (tmp_path / SUMS).write_bytes(b"\xff no list")
    assert damaged(tmp_path / SUMS) == [tmp_path / SUMS]


def test_what_is_no_file_is_damaged_and_not_waited_for(tmp_path):
    write(tmp_path / "a.nc", b"content")
    for path in (sums_beside(tmp_path / "a.nc"), tmp_path / "a.nc"):
        path.unlink()
        os.mkfifo(path)
        assert not is_intact(tmp_path / "a.nc")

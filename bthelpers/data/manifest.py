"""What OpenNeuro ds003020 holds, which of its files a run reads, and which of them are here.

The manifest and the small metadata files in ``bthelpers/data/ds003020`` come from the dataset
itself (LeBel et al. 2023, doi:10.18112/openneuro.ds003020), which is CC0.
"""

from __future__ import annotations

import gzip
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bthelpers.core.errors import DatasetError, look_up, parsing
from bthelpers.core.files import free_bytes

NAME = "ds003020"
PACKAGED = Path(__file__).with_name(NAME)
MANIFEST = PACKAGED / "manifest.tsv.gz"
# What `Dataset` and pycortex read of each participant and story. All else that is published is not
# read: pycortex's caches and overlays, anatomical scans, and FreeSurfer's other surfaces.
PARTS = {
    "stimuli": re.compile(r"stimuli/(?P<story>\w+)\.wav"),
    "textgrids": re.compile(r"derivative/TextGrids/(?P<story>\w+)\.TextGrid"),
    "responses": re.compile(
        r"derivative/preprocessed_data/(?P<participant>\w+)/(?P<story>\w+)\.hf5"
    ),
    "anatomy": re.compile(
        r"derivative/pycortex-db/(?P<participant>\w+)/"
        r"(surfaces/(wm|pia|inflated|flat)_[lr]h\.(gii|npz)"  # npz: an older pycortex's, of UTS02
        r"|surface-info/curvature\.npz"
        r"|transforms/\w+/(matrices\.xfm|reference\.nii\.gz|mask_thick\.nii\.gz))"
    ),
    "freesurfer": re.compile(
        r"derivative/freesurfer_subjdir/(?P<participant>\w+)/surf/[lr]h\.sphere\.reg"
    ),
}
# Not in the manifest: copies come with the package. All but the second are read by a run.
METADATA = (
    "dataset_description.json",
    "participants.tsv",
    "derivative/respdict.json",
    "derivative/subject_xfms.json",
)
GB = 10**9
REINSTALL = "it comes with this package: install that again"


@dataclass(frozen=True)
class RemoteFile:
    """A file of the published dataset.

    Parameters
    ----------
    path : str
        Below the dataset's folder.
    n_bytes : int
    md5 : str
        Hexadecimal.
    part : str or None
        Key of `PARTS`; None for what nothing here reads.
    participant, story : str or None
        To whom and to what it belongs; None if it is shared.
    """

    path: str
    n_bytes: int
    md5: str
    part: str | None = None
    participant: str | None = None
    story: str | None = None


def read_manifest(path: Path = MANIFEST) -> list[RemoteFile]:
    """Read a gzipped table of path, bytes and MD5, by default that of the published dataset.

    Raises
    ------
    DatasetError
        If it is no such table, or a path leads out of the dataset's folder.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is missing or no file: {REINSTALL}")
    with parsing(path, "manifest", REINSTALL), gzip.open(path, "rt", encoding="utf-8") as file:
        header, *rows = (line.rstrip("\n").split("\t") for line in file)
        if len(header) != 3 or not rows:
            raise ValueError("it has no rows of path, bytes and MD5")
        return [_remote_file(*row) for row in rows]


def _remote_file(path: str, n_bytes: str, md5: str) -> RemoteFile:
    steps = path.split("/")
    inside = all(step not in ("", ".", "..") for step in steps) and path.isprintable()
    if not (
        inside
        and re.fullmatch(r"\d{1,15}", n_bytes, re.ASCII)
        and re.fullmatch(r"[0-9a-f]{32}", md5)
    ):
        raise ValueError(f"no path, bytes and MD5: {(path, n_bytes, md5)}")
    return RemoteFile(path, int(n_bytes), md5, **_role(path))


def _role(path: str) -> dict[str, str]:
    for part, pattern in PARTS.items():
        if match := pattern.fullmatch(path):
            return {"part": part, **match.groupdict()}
    return {}


def select(
    manifest: Iterable[RemoteFile],
    participants: Sequence[str],
    stories: Sequence[str],
    parts: Sequence[str] = tuple(PARTS),
) -> list[RemoteFile]:
    """Choose the files that runs with these participants and stories read.

    Parameters
    ----------
    manifest : iterable of RemoteFile
    participants, stories : sequence of str
        Of those that the manifest has responses of.
    parts : sequence of str
        Keys of `PARTS`; all by default.

    Returns
    -------
    list of RemoteFile
        In the manifest's order.

    Raises
    ------
    DatasetError
        If a name is unknown; the message names the nearest valid one.
    """
    responses = [file for file in manifest if file.part == "responses"]
    for what, names, valid in (
        ("participant", participants, {file.participant for file in responses}),
        ("story", stories, {file.story for file in responses}),
        ("part", parts, PARTS),
    ):
        for name in names:
            look_up(name, dict.fromkeys(sorted(valid)), f"{what} of {NAME}")
    return [
        file
        for file in manifest
        if file.part in parts
        and file.participant in (None, *participants)
        and file.story in (None, *stories)
    ]


def unpublished(
    files: Iterable[RemoteFile],
    participants: Sequence[str],
    stories: Sequence[str],
    parts: Sequence[str] = tuple(PARTS),
) -> list[str]:
    """Name what `select` was asked for but the dataset has not: not all heard every story.

    Parameters
    ----------
    files : iterable of RemoteFile
        What `select` returned for the other parameters.
    participants, stories, parts : sequence of str

    Returns
    -------
    list of str
        Such as ``responses UTS04 life``.
    """
    published = {(file.part, file.participant, file.story) for file in files}
    asked = (
        (part, participant, story)
        for part in parts
        for participant in (participants if "participant" in PARTS[part].groupindex else [None])
        for story in (stories if "story" in PARTS[part].groupindex else [None])
    )
    return [" ".join(filter(None, role)) for role in asked if role not in published]


def table(files: Iterable[RemoteFile]) -> str:
    """Lay out gigabytes (10^9 bytes) per part and participant in plain text, with totals."""
    n_bytes = defaultdict(int)
    for file in files:
        for row in (file.part, "total"):
            for column in (file.participant or "shared", "total"):
                n_bytes[row, column] += file.n_bytes
    columns = sorted({column for _, column in n_bytes} - {"shared", "total"})
    columns = ["shared", *columns, "total"]
    lines = [f"{'GB':<10}" + "".join(f"{column:>8}" for column in columns)]
    for row in (*PARTS, "total"):
        sizes = (n_bytes.get((row, column)) for column in columns)
        cells = ("-" if size is None else f"{size / GB:.3f}" for size in sizes)
        lines.append(f"{row:<10}" + "".join(f"{cell:>8}" for cell in cells))
    return "\n".join(lines)


@dataclass(frozen=True)
class Survey:
    """What of some files is in a folder.

    Parameters
    ----------
    there, missing : list of RemoteFile
        In the folder with the right size, and all others.
    replaced : list of RemoteFile
        Those of the missing whose place something else takes.
    n_bytes : int
        Yet to be received of the missing files.
    free : int
        Bytes that are free on the folder's disk.
    """

    there: list[RemoteFile]
    missing: list[RemoteFile]
    replaced: list[RemoteFile]
    n_bytes: int
    free: int

    def __str__(self):
        there = sum(file.n_bytes for file in self.there)
        return "\n".join(
            [
                f"there already: {there / GB:.3f} GB, {len(self.there)} files",
                f"to download: {self.n_bytes / GB:.3f} GB, {len(self.missing)} files",
                f"free on the disk: {self.free / GB:.3f} GB",
                *(f"of another size, to be replaced: {file.path}" for file in self.replaced),
            ]
        )


def survey(files: Iterable[RemoteFile], root: Path) -> Survey:
    """Look for files in a folder, which need not exist, by name and size."""
    there, missing, replaced, n_bytes = [], [], [], 0
    for file in files:
        path = root / file.path
        if path.is_file() and path.stat().st_size == file.n_bytes:
            there.append(file)
            continue
        missing.append(file)
        n_bytes += max(0, file.n_bytes - size(part_path(path)))
        if path.exists():
            replaced.append(file)
    return Survey(there, missing, replaced, n_bytes, free_bytes(root))


def part_path(path: Path) -> Path:
    """Return where a file is until it is complete, beside its place."""
    return path.with_name(f".{path.name}.part")


def size(path: Path) -> int:
    """Return the number of bytes of a file, 0 if there is none."""
    return path.stat().st_size if path.is_file() else 0

"""Download of the published dataset: in parallel, continued after a cut, verified by MD5.

HTTP goes through requests, because it is here already, follows the proxies of compute clusters and
streams ranges, whereas pooch and parfive do not continue a file, and openneuro-py writes unfinished
ones under their final names and has no MD5 of large ones, which our manifest has.

A file gets its name only when its size and MD5 are right; until then it is ``.name.part`` beside
it. Files that came in another way are verified once. What was verified is noted with its time of
modification in ``.verified`` in the dataset's folder, and trusted as long as that stays the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

import requests

from bthelpers.core.errors import shortened
from bthelpers.core.files import atomic_write_text
from bthelpers.core.progress import ByteProgress, say
from bthelpers.data.manifest import (
    GB,
    METADATA,
    PACKAGED,
    RemoteFile,
    Survey,
    part_path,
    size,
    survey,
)

URL = "https://s3.amazonaws.com/openneuro.org/ds003020"
ATTEMPTS = 6  # at one file, in a row, that bring nothing new
COPIES = 3  # of one file, whole but wrong
TEMPORARY = (408, 429)  # HTTP status, beside those from 500 on
FAILURES = 8  # files that fail in a row without a byte from the server: it is out of reach
BYTES_AT_ONCE = 1 << 16
AGAIN = "the same command continues where this one stopped"


class DownloadError(Exception):
    """What was not downloaded and why; the message says what to do."""


class _FileError(Exception):
    """Why one file was not downloaded."""


def require_space(found: Survey, root: Path) -> None:
    """Raise a DownloadError with both figures if what is missing does not fit on the disk."""
    if found.n_bytes > found.free:
        raise DownloadError(
            f"{found.n_bytes / GB:.3f} GB are to be downloaded to {root}, but"
            f" {found.free / GB:.3f} GB are free on its disk: make room, or choose another folder,"
            " fewer participants, stories or parts"
        )


def download(
    files: Sequence[RemoteFile],
    root: Path,
    url: str = URL,
    jobs: int = 4,
    timeout: float = 60.0,
    pause: float = 1.0,
) -> None:
    """Bring files into a dataset's folder, with the metadata that all need.

    Parameters
    ----------
    files : sequence of RemoteFile
        As `manifest.select` returns them.
    root : Path
        The dataset's folder, made if need be.
    url : str
        Where the files' paths begin.
    jobs : int
        Files at a time.
    timeout : float
        Seconds without a byte after which a connection is given up.
    pause : float
        Seconds before another attempt at a file, doubled for each in a row that brought nothing.

    Raises
    ------
    DownloadError
        If the disk is too small, before any work; and at the end, if files could not be had.
    """
    if jobs < 1:
        raise DownloadError(f"{jobs} files cannot be downloaded at a time: at least 1")
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"{url!r} is no address: it must begin with https:// or http://")
    root.mkdir(parents=True, exist_ok=True)
    with _Verified(root) as verified:
        for name in METADATA:
            _write_metadata(root / name, (PACKAGED / Path(name).name).read_bytes().decode())
        unsure = [file for file in survey(files, root).there if file not in verified]
        progress = ByteProgress("verify", sum(file.n_bytes for file in unsure), len(unsure))
        wrong: list[RemoteFile] = []
        _in_parallel(partial(_verify, root, verified, progress, wrong), unsure, jobs)
        found = survey(files, root)
        n_bytes = found.n_bytes + sum(file.n_bytes for file in wrong)
        found = replace(found, missing=[*found.missing, *wrong], n_bytes=n_bytes)
        require_space(found, root)
        progress = ByteProgress("download", found.n_bytes, len(found.missing))
        transfer = _Transfer(root, url.rstrip("/"), timeout, pause, verified, progress)
        _in_parallel(transfer, found.missing, jobs)
        transfer.require_success(found.missing)


def _write_metadata(path: Path, content: str) -> None:
    """Write what all need, unless the user has made it their own."""
    if not path.exists():
        atomic_write_text(path, content)
    elif path.read_bytes() != content.encode():
        say(f"{path} is not the published one and is kept; delete it to get that one")


def _verify(
    root: Path,
    verified: _Verified,
    progress: ByteProgress,
    wrong: list[RemoteFile],
    file: RemoteFile,
    _: threading.Event,
) -> None:
    """Note a file of the right size as verified, or as wrong: it stays until it is replaced."""
    path = root / file.path
    if _md5(path) == file.md5:
        verified.add(file)
    else:
        say(f"{path} has the right size but another MD5: it is downloaded again")
        wrong.append(file)
    progress.received(file.n_bytes)
    progress.end_file()


def _in_parallel(
    work: Callable[[RemoteFile, threading.Event], None], files: Iterable[RemoteFile], jobs: int
) -> None:
    """Work on files; an error, and so Ctrl-C, ends it soon: all are told by an event to stop."""
    stop = threading.Event()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for future in as_completed([pool.submit(work, file, stop) for file in files]):
                future.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass
class _Transfer:
    """Brings single files from the server to their names. Parameters are those of `download`."""

    root: Path
    url: str
    timeout: float
    pause: float
    verified: _Verified
    progress: ByteProgress
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _problems: dict[RemoteFile, str] = field(default_factory=dict)
    _in_a_row: int = 0  # files that failed while nothing came for any other
    _n_bytes_then: int = 0  # that had come when a file last failed

    def __call__(self, file: RemoteFile, stop: threading.Event) -> None:
        """Bring one file, or note why it could not be had."""
        if stop.is_set():
            return
        try:
            self._fetch(file, stop)
        except _FileError as error:
            with self._lock:
                self._problems[file] = str(error)
                if self.progress.n_bytes > self._n_bytes_then:
                    self._in_a_row, self._n_bytes_then = 0, self.progress.n_bytes
                self._in_a_row += 1
                if self._in_a_row >= FAILURES:
                    stop.set()
        except OSError as error:
            raise DownloadError(
                f"{self.root / file.path} cannot be written: {error.strerror or error}. Make room"
                f" or get the right to write there; then {AGAIN}"
            ) from error

    def require_success(self, files: Sequence[RemoteFile]) -> None:
        """Raise a DownloadError that lists all files that could not be had, if any."""
        if not self._problems:
            return
        lines = [
            f"{file.path}: {shortened(str(problem))}" for file, problem in self._problems.items()
        ]
        if untried := len(files) - self.progress.n_files - len(lines):
            lines.append(f"{untried} more, not tried: nothing comes from {self.url} any more")
        raise DownloadError(
            "\n- ".join([f"not downloaded to {self.root}:", *lines])
            + f"\nOnce the server has them, {AGAIN}."
        )

    def _fetch(self, file: RemoteFile, stop: threading.Event) -> None:
        path = self.root / file.path
        part = part_path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(COPIES):
            self._complete(file, part, stop)
            n_bytes, md5 = size(part), _md5(part)
            if md5 == file.md5:
                os.replace(part, path)
                self.verified.add(file)
                self.progress.end_file()
                return
            part.unlink()
            self.progress.expect(n_bytes)
            problem = (
                f"the server's has {n_bytes} bytes and MD5 {md5}, the published one"
                f" {file.n_bytes} bytes and MD5 {file.md5}"
            )
            say(f"{file.path}: {problem}; starting it again")
        raise _FileError(problem)

    def _complete(self, file: RemoteFile, part: Path, stop: threading.Event) -> None:
        """Request what is missing of a file until all of it is there."""
        furthest, in_vain = size(part), 0
        while size(part) < file.n_bytes:
            problem = self._receive(file, part, stop)
            n_bytes = size(part)
            if n_bytes >= file.n_bytes:
                return
            problem = problem or ("stopped" if stop.is_set() else "the server ended it early")
            in_vain = 0 if n_bytes > furthest else in_vain + 1
            furthest = max(furthest, n_bytes)
            if in_vain == ATTEMPTS or stop.is_set():
                raise _FileError(f"{n_bytes} of {file.n_bytes} bytes: {problem}")
            say(f"{file.path}: {n_bytes} of {file.n_bytes} bytes, trying again: {problem}")
            stop.wait(self.pause * 2**in_vain)

    def _receive(self, file: RemoteFile, part: Path, stop: threading.Event) -> str:
        """Request what is missing of a file once; return what went wrong, if anything."""
        n_there = size(part)
        headers = {"Accept-Encoding": "identity"}  # the file as it is, not compressed on the way
        if n_there:
            headers["Range"] = f"bytes={n_there}-"
        try:
            with requests.get(
                f"{self.url}/{quote(file.path)}", headers=headers, stream=True, timeout=self.timeout
            ) as response:
                status = response.status_code
                if status in TEMPORARY or status >= 500:
                    return f"the server answers {status} {response.reason}"
                if status not in (200, 206):
                    raise _FileError(f"the server answers {status} {response.reason}")
                kept = n_there if status == 206 else 0  # 200: the whole file, ranges are ignored
                announced = response.headers.get("Content-Length", str(file.n_bytes - kept))
                to_come = int(announced) if re.fullmatch("[0-9]{1,15}", announced) else -1
                if kept + to_come != file.n_bytes:  # a proxy's page of its own, for one
                    return f"the server's has {announced:.20} bytes, not {file.n_bytes - kept}"
                self.progress.expect(n_there - kept)
                with part.open("ab" if kept else "wb") as target:
                    for chunk in response.iter_content(BYTES_AT_ONCE):
                        target.write(chunk)
                        self.progress.received(len(chunk))
                        if stop.is_set() or target.tell() > file.n_bytes:
                            break
        except requests.RequestException as error:
            return str(error)
        return ""


class _Verified:
    """The note of verified files in a dataset's folder, and a lock on it."""

    def __init__(self, root: Path):
        self._root = root

    def __enter__(self) -> _Verified:
        self._note = (self._root / ".verified").open("ab+", buffering=0)  # a line is written whole
        try:
            fcntl.flock(self._note, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._note.close()
            raise DownloadError(
                f"another download is at work in {self._root}: wait for it, or end it first"
            ) from None
        except OSError as error:
            self._note.close()
            raise DownloadError(
                f"{self._root / '.verified'} cannot be locked ({error}): choose a folder on a disk"
                " with file locks, such as a local one"
            ) from error
        self._note.seek(0)
        self._lines = set(self._note)
        return self

    def __exit__(self, *_) -> None:
        self._note.close()

    def __contains__(self, file: RemoteFile) -> bool:
        return self._line(file) in self._lines

    def add(self, file: RemoteFile) -> None:
        """Note that a file is right as it is now."""
        self._note.write(self._line(file))

    def _line(self, file: RemoteFile) -> bytes:
        modified = (self._root / file.path).stat().st_mtime_ns
        return f"{modified}\t{file.md5}\t{file.path}\n".encode()


def _md5(path: Path) -> str:
    """MD5 of a file, which is on the disk afterwards: a power cut leaves no hole behind."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()

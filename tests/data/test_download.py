import gzip
import hashlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest
from full_disk import largest_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bthelpers.core import progress as progress_module
from bthelpers.data import download as module
from bthelpers.data import manifest
from bthelpers.data.dataset import Dataset
from bthelpers.data.download import ATTEMPTS, COPIES, FAILURES, DownloadError, download
from bthelpers.data.inventory import take_inventory
from bthelpers.data.manifest import METADATA, RemoteFile, part_path, read_manifest, select

CHUNK = module.BYTES_AT_ONCE
TIMEOUT = 0.3  # seconds, where the server stalls


class Server(ThreadingHTTPServer):
    """Serves `contents` by path. Each request for a path takes the next of its `faults`."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents, self.faults = {}, defaultdict(list)
        self.requests = []  # (path, first byte asked for)
        self.release = threading.Event()  # of what is stalled

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def starts(self, path):
        return [start for requested, start in self.requests if requested == path]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path = unquote(self.path).lstrip("/")
        requested = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(requested[1]) if requested else 0
        self.server.requests.append((path, start))
        faults = self.server.faults[path]
        fault = faults.pop(0) if faults else whole
        if path in self.server.contents:
            fault(self, self.server.contents[path], start)
        else:
            self.send_error(404)

    def answer(self, body, start, n_announced):
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-*/*")
        if n_announced is not None:
            self.send_header("Content-Length", str(n_announced))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def whole(handler, content, start):
    handler.answer(content[start:], start, len(content) - start)


def half(body):
    return body[: len(body) // 2]


def truncated(handler, content, start):
    handler.answer(half(content[start:]), start, len(content) - start)


def truncated_without_length(handler, content, start):
    handler.answer(half(content[start:]), start, None)


def stalled(handler, content, start):
    truncated(handler, content, start)
    handler.wfile.flush()
    handler.server.release.wait(10 * TIMEOUT)


def busy(handler, content, start):
    handler.send_error(503)


def throttled(handler, content, start):
    handler.send_error(429)


def without_ranges(handler, content, start):
    whole(handler, content, 0)


def wrong(handler, content, start):
    whole(handler, content[:-1] + bytes([255 - content[-1]]), start)


def too_long(handler, content, start):
    handler.answer(content[start:] + b"more", start, None)


def page_of_a_proxy(handler, content, start):
    handler.answer(b"<html>Please log in.</html>", 0, 27)


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


def random_bytes(n_bytes, seed=0):
    return np.random.default_rng(seed).bytes(n_bytes)


def remote_file(path, content):
    return RemoteFile(path, len(content), hashlib.md5(content).hexdigest())


def serve(server, **contents):
    """Have the server hold contents as data/<name>; returns the files."""
    files = []
    for name, content in contents.items():
        server.contents[f"data/{name}"] = content
        files.append(remote_file(f"data/{name}", content))
    return files


def fetch(files, root, server, jobs=2, timeout=30):
    download(files, root, server.url, jobs=jobs, timeout=timeout, pause=0.001)


def contents(root):
    """All files below a folder, without the dataset's metadata and the note of what is verified."""
    paths = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in paths.items()
        if name not in (*METADATA, ".verified")
    }


def error_of(*arguments, **options):
    with pytest.raises(DownloadError) as caught:
        fetch(*arguments, **options)
    return str(caught.value)


FAULTS = {
    "whole": [],
    "truncated": [truncated],
    "truncated, length unknown": [truncated_without_length],
    "stalled": [stalled],
    "503 and 429": [busy, busy, truncated, busy, throttled],
    "ranges ignored": [truncated, without_ranges],
    "wrong bytes": [wrong],
    "wrong bytes after a cut": [truncated, wrong, stalled],
    "too long": [too_long],
    "a proxy's page": [page_of_a_proxy, truncated, page_of_a_proxy],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_whatever_the_server_does_the_files_end_up_right(server, tmp_path, faults):
    files = serve(server, one=random_bytes(3 * CHUNK), other=random_bytes(1000, seed=1))
    server.faults["data/one"] = list(faults)
    fetch(files, tmp_path, server, timeout=TIMEOUT)
    assert contents(tmp_path) == server.contents
    assert server.faults["data/one"] == []


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n_bytes=st.integers(1, 3 * CHUNK),
    faults=st.lists(
        st.sampled_from([truncated, truncated_without_length, busy, without_ranges, wrong]),
        max_size=ATTEMPTS - 1,
    ).filter(lambda faults: faults.count(wrong) < COPIES),
)
def test_any_sequence_of_faults_that_ends_leaves_the_right_bytes(
    server, tmp_path_factory, n_bytes, faults
):
    root = tmp_path_factory.mktemp("root")
    files = serve(server, file=random_bytes(n_bytes))
    server.faults["data/file"] = list(faults)
    fetch(files, root, server)
    assert contents(root) == server.contents


def test_a_cut_file_goes_on_where_it_was_cut(server, tmp_path):
    files = serve(server, file=random_bytes(8 * CHUNK))
    server.faults["data/file"] = [truncated]
    fetch(files, tmp_path, server)
    assert server.starts("data/file") == [0, 4 * CHUNK]


def test_a_server_without_ranges_sends_a_file_from_its_start(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress_module, "GB", 1)
    files = serve(server, file=random_bytes(4 * CHUNK))
    server.faults["data/file"] = [truncated, without_ranges]
    fetch(files, tmp_path, server)
    assert server.starts("data/file") == [0, 2 * CHUNK]
    assert contents(tmp_path) == server.contents
    received = (2 + 4) * CHUNK
    assert f"download: {received}.000 of {received}.000 GB, 1 of 1" in capsys.readouterr().err


def test_a_page_of_a_proxy_does_not_cost_what_is_there(server, tmp_path):
    files = serve(server, file=random_bytes(4 * CHUNK))
    server.faults["data/file"] = [truncated, page_of_a_proxy]
    fetch(files, tmp_path, server)
    assert server.starts("data/file") == [0, 2 * CHUNK, 2 * CHUNK]


def test_a_file_may_be_cut_any_number_of_times_as_long_as_it_grows(server, tmp_path):
    def one_chunk(handler, content, start):
        handler.answer(content[start : start + CHUNK], start, len(content) - start)

    files = serve(server, file=random_bytes(3 * ATTEMPTS * CHUNK))
    server.faults["data/file"] = [one_chunk] * (3 * ATTEMPTS)
    fetch(files, tmp_path, server)
    assert contents(tmp_path) == server.contents


def test_pauses_double_as_long_as_nothing_new_comes(tmp_path, server):
    pauses = []
    stop = SimpleNamespace(is_set=lambda: False, wait=pauses.append)
    progress = progress_module.ByteProgress("download", 10, 1)
    transfer = module._Transfer(tmp_path, server.url, 30, 1.0, None, progress)
    (file,) = serve(server, file=bytes(10))
    server.faults[file.path] = [busy] * ATTEMPTS
    with pytest.raises(module._FileError):
        transfer._complete(file, tmp_path / "part", stop)
    assert pauses == [2, 4, 8, 16, 32]


def test_every_failed_file_is_listed_and_the_same_command_gets_them(server, tmp_path):
    files = serve(
        server,
        busy=random_bytes(10),
        cut=random_bytes(4 * CHUNK, seed=1),
        good=random_bytes(3000, seed=2),
        wrong=random_bytes(300, seed=3),
    )
    gone = remote_file("data/gone", b"gone")
    server.faults["data/busy"] = [busy] * ATTEMPTS
    server.faults["data/cut"] = [truncated, *[busy] * ATTEMPTS]
    server.faults["data/wrong"] = [wrong] * COPIES
    message = error_of([*files, gone], tmp_path, server)
    for line in (
        "data/busy: 0 of 10 bytes: the server answers 503",
        f"data/cut: {2 * CHUNK} of {4 * CHUNK} bytes: the server answers 503",
        "data/gone: the server answers 404",
        f"data/wrong: the server's has 300 bytes and MD5 {'.' * 32}, the published one 300 bytes",
        "the same command continues",
    ):
        assert re.search(line, message)
    assert "data/good" not in message
    left = contents(tmp_path)
    assert left == {
        "data/good": server.contents["data/good"],
        "data/.cut.part": half(server.contents["data/cut"]),
    }
    assert len(server.starts("data/gone")) == 1
    assert not any(server.faults.values())

    server.requests.clear()
    fetch(files, tmp_path, server)
    assert contents(tmp_path) == server.contents
    assert sorted(server.requests) == [("data/busy", 0), ("data/cut", 2 * CHUNK), ("data/wrong", 0)]


def test_a_file_of_another_size_on_the_server_is_reported(server, tmp_path):
    (file,) = serve(server, file=b"newer")
    file = RemoteFile(file.path, 7, file.md5)
    assert "0 of 7 bytes: the server's has 5 bytes" in error_of([file], tmp_path, server)
    assert contents(tmp_path) == {}


def test_a_server_out_of_reach_is_given_up_after_some_files(server, tmp_path):
    files = [remote_file(f"data/{number}", b"content") for number in range(3 * FAILURES)]
    message = error_of(files, tmp_path, server, jobs=1)
    assert message.count("answers 404") == FAILURES
    assert f"{2 * FAILURES} more, not tried: nothing comes from {server.url}" in message


def test_a_server_that_sends_other_files_is_not_given_up(server, tmp_path):
    files = []
    for number in range(2 * FAILURES):
        files += serve(server, **{f"{number}": random_bytes(10)})
        files.append(remote_file(f"data/{number}-gone", b"gone"))
    message = error_of(files, tmp_path, server, jobs=1)
    assert message.count("answers 404") == 2 * FAILURES
    assert "not tried" not in message
    assert contents(tmp_path) == server.contents


def test_files_come_at_the_same_time_but_not_more_than_asked_for(server, tmp_path):
    meeting = threading.Barrier(3)

    def together(handler, content, start):
        meeting.wait(5)
        whole(handler, content, start)

    files = serve(server, **{name: random_bytes(10) for name in "abc"})
    server.faults.update({file.path: [together] for file in files})
    fetch(files, tmp_path, server, jobs=3)
    assert contents(tmp_path) == server.contents

    now, most = [], []

    def alone(handler, content, start):
        now.append(None)
        most.append(len(now))
        time.sleep(0.02)
        now.pop()
        whole(handler, content, start)

    server.faults.update({file.path: [alone] for file in files})
    fetch(files, tmp_path / "again", server, jobs=1)
    assert most == [1, 1, 1]


def test_files_from_elsewhere_are_verified_once(server, tmp_path, monkeypatch, capsys):
    files = serve(server, right=random_bytes(1000), spoilt=random_bytes(1000, seed=1))
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "right").write_bytes(server.contents["data/right"])
    (folder / "spoilt").write_bytes(bytes(1000))
    fetch(files, tmp_path, server)
    assert server.requests == [("data/spoilt", 0)]
    assert "spoilt has the right size but another MD5" in capsys.readouterr().err
    assert contents(tmp_path) == server.contents

    read = []
    md5 = module._md5
    monkeypatch.setattr(module, "_md5", lambda path: read.append(path.name) or md5(path))
    fetch(files, tmp_path, server)
    assert read == []
    (folder / "spoilt").write_bytes(bytes(1000))
    fetch(files, tmp_path, server)
    assert set(read) == {"spoilt", ".spoilt.part"}
    assert contents(tmp_path) == server.contents


def test_a_wrong_file_stays_until_the_right_one_is_there(server, tmp_path):
    [file] = serve(server, spoilt=random_bytes(1000))
    (tmp_path / "data").mkdir()
    (tmp_path / file.path).write_bytes(bytes(1000))
    server.contents.clear()
    assert "answers 404" in error_of([file], tmp_path, server)
    assert (tmp_path / file.path).read_bytes() == bytes(1000)


def test_an_unreadable_file_ends_verification(server, tmp_path, monkeypatch):
    def unreadable(path):
        raise PermissionError(13, "Permission denied", str(path))

    files = serve(server, a=bytes(10), b=bytes(10))
    (tmp_path / "data").mkdir()
    for file in files:
        (tmp_path / file.path).write_bytes(bytes(10))
    monkeypatch.setattr(module, "_md5", unreadable)
    with pytest.raises(PermissionError, match="data/a"):
        fetch(files, tmp_path, server, jobs=1)
    assert server.requests == []


def test_a_note_that_was_cut_off_only_costs_another_look(server, tmp_path):
    files = serve(server, one=random_bytes(10), other=random_bytes(20))
    fetch(files, tmp_path, server)
    note = tmp_path / ".verified"
    note.write_bytes(note.read_bytes()[:-5])
    fetch(files, tmp_path, server)
    assert len(server.requests) == 2


def test_a_file_of_another_size_is_replaced_when_the_right_one_is_there(server, tmp_path):
    def look(handler, content, start):
        seen.append((tmp_path / "data/file").read_bytes())
        whole(handler, content, start)

    files, seen = serve(server, file=random_bytes(1000)), []
    server.faults["data/file"] = [look]
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_bytes(b"older")
    fetch(files, tmp_path, server)
    assert seen == [b"older"]
    assert contents(tmp_path) == server.contents


def test_the_metadata_come_with_the_package(server, tmp_path, capsys):
    (tmp_path / "derivative").mkdir()
    own = tmp_path / "derivative/respdict.json"
    own.write_text('{"mystory": 300}')
    fetch([], tmp_path, server)
    for name in METADATA:
        if tmp_path / name != own:
            packaged = manifest.PACKAGED / Path(name).name
            assert (tmp_path / name).read_bytes() == packaged.read_bytes()
    assert own.read_text() == '{"mystory": 300}'
    assert f"{own} is not the published one and is kept" in capsys.readouterr().err


def test_a_small_disk_is_refused_before_any_request(server, tmp_path, monkeypatch):
    files = serve(server, file=random_bytes(1000))
    large = RemoteFile("data/large", 3_000_000_000, 32 * "0")
    usage = SimpleNamespace(free=2_500_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    message = error_of([*files, large], tmp_path, server)
    assert re.search(r"3\.000 GB are to be downloaded.* 2\.500 GB are free.*make room", message)
    assert server.requests == []


def test_a_disk_that_fills_up_ends_the_download_which_can_go_on(server, tmp_path):
    files = serve(server, **{name: random_bytes(4 * CHUNK) for name in "abcdef"})
    with largest_file(2 * CHUNK):
        message = error_of(files, tmp_path, server)
    assert re.search(r"data/[ab] cannot be written: File too large\. Make room", message)
    assert len(server.requests) <= 4
    fetch(files, tmp_path, server)
    assert contents(tmp_path) == server.contents


@pytest.mark.parametrize(
    ("options", "message"),
    [({"jobs": 0}, "at least 1"), ({"url": "s3://openneuro.org/ds003020"}, "begin with https")],
)
def test_nonsense_is_refused(tmp_path, options, message):
    with pytest.raises(DownloadError, match=message):
        download([], tmp_path, **options)


def test_two_downloads_do_not_write_the_same_files(server, tmp_path):
    files = serve(server, file=random_bytes(10))

    def try_another(handler, content, start):
        refusals.append(error_of(files, tmp_path, server))
        whole(handler, content, start)

    refusals = []
    server.faults["data/file"] = [try_another]
    fetch(files, tmp_path, server)
    assert "another download is at work" in refusals[0]
    assert contents(tmp_path) == server.contents


COMMAND = """
import sys
from pathlib import Path
from bthelpers import cli, commands
from bthelpers.data import manifest
commands.data.read_manifest = lambda: manifest.read_manifest(Path(sys.argv[1]))
sys.exit(cli.main(sys.argv[2:]))
"""


def write_manifest(path, server):
    lines = ["path\tbytes\tmd5"]
    for name, content in server.contents.items():
        lines.append(f"{name}\t{len(content)}\t{hashlib.md5(content).hexdigest()}")
    with gzip.open(path, "wt") as file:
        file.write("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_killed_process_leaves_nothing_partial_and_the_same_command_goes_on(
    server, tmp_path, how, code
):
    responses = "derivative/preprocessed_data/UTS01"
    server.contents = {
        f"{responses}/buck.hf5": random_bytes(8 * CHUNK),
        f"{responses}/life.hf5": random_bytes(1000, seed=1),
    }
    buck, life = server.contents
    arrived = threading.Event()

    def never_ending(handler, content, start):
        truncated(handler, content, start)
        arrived.set()
        handler.server.release.wait(30)

    server.faults[buck] = [never_ending]
    root = tmp_path / "ds003020"
    catalogue = write_manifest(tmp_path / "manifest.tsv.gz", server)
    options = ["--participants", "UTS01", "--stories", "buck", "life", "--parts", "responses"]
    arguments = ["download", str(root), *options, "--url", server.url]
    command = [sys.executable, "-c", COMMAND, str(catalogue), *arguments]
    part = part_path(root / buck)
    # A shell's background jobs, such as these tests may be, ignore Ctrl-C.
    heeds_interrupts = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=heeds_interrupts
    ) as process:
        assert arrived.wait(60)
        while not (part.exists() and part.stat().st_size == 4 * CHUNK and (root / life).exists()):
            time.sleep(0.01)
        process.send_signal(how)
        time.sleep(1)  # it is told to stop before the server goes on
        server.release.set()
        _, log = process.communicate()
    assert process.returncode == code
    assert how == signal.SIGKILL or "interrupted; the same command goes on" in log
    assert "Traceback" not in log
    assert not (root / buck).exists()

    assert subprocess.run(command).returncode == 0
    assert contents(root) == server.contents
    assert server.starts(buck) == [0, 4 * CHUNK]
    assert server.starts(life) == [0]


def test_what_is_downloaded_is_all_that_is_read(server, tmp_path, small_dataset):
    """Simulated participants, served as the published ones are."""
    for path in small_dataset.root.rglob("*"):
        if path.is_file():
            server.contents[path.relative_to(small_dataset.root).as_posix()] = path.read_bytes()
    files = read_manifest(write_manifest(tmp_path / "manifest.tsv.gz", server))
    participant, stories = small_dataset.participants[0], small_dataset.stories
    root = tmp_path / "downloaded"
    fetch(select(files, [participant], stories), root, server)
    for name in METADATA:  # those that came with the package are of others
        if name in server.contents:
            (root / name).write_bytes(server.contents[name])
    fsaverage = "derivative/freesurfer_subjdir/fsaverage"  # comes from elsewhere
    shutil.copytree(small_dataset.root / fsaverage, root / fsaverage)
    assert take_inventory(Dataset(root), [participant], stories, stories[-1:]).messages == []

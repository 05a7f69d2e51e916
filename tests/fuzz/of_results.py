"""Trials of results, the manifest and what a server answers."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import socket
import threading
from contextlib import contextmanager

import numpy as np
import xarray as xr
from fuzz.damages import JSON, TEXT, on_bytes
from fuzz.hdf5_damages import HDF5
from fuzz.of_parameters import PARAMS
from fuzz.trial import Reader

from bthelpers.core.checksums import sums_beside
from bthelpers.core.files import write_json
from bthelpers.data.download import download
from bthelpers.data.manifest import MANIFEST, RemoteFile, read_manifest
from bthelpers.params.loading import load, to_dict
from bthelpers.results.store import Results, write_dataset

NUMBERS = np.random.default_rng(0).normal(size=(3, 20))
RUN = ("hubert-mini", "SIM01", "pretrained", "alignment")
RESULT = "/".join(RUN[:3]) + f"/{RUN[3]}.nc"
CONTENT = b"numbers of a story\n" * 40
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(CONTENT)


def _write_results(root):
    write_json(root / "profile.json", to_dict(load(PARAMS / "smoke.yaml")))
    result = xr.Dataset({"r": (("layer", "voxel"), NUMBERS)}, {"layer": [0, 1, 2]})
    write_dataset(result, root / RESULT, {"dataset": "made"})


def _write_earlier(root):
    """As earlier versions did."""
    _write_results(root)
    sums_beside(root / RESULT).unlink()


def _read_results(root):
    results = Results(root)
    return {"profile": to_dict(results.profile()), "run": results.open(*RUN).to_dict()}


def says_profile(root, profile):
    """All that the file says; a key that it lacks is one of the profile's, at its default."""
    said = json.loads((root / "profile.json").read_text("utf-8"), parse_int=float)
    return _holds(json.loads(json.dumps(profile), parse_int=float), said)


def _holds(profile, said):
    if isinstance(profile, dict) and isinstance(said, dict):
        return said.keys() <= profile.keys() and all(_holds(profile[k], said[k]) for k in said)
    return profile == said


def _says_results(root, found):
    """A profile whose values were changed is what the file says; the run beside it is whole."""
    return (
        says_profile(root, found["profile"])
        and found["run"]["data_vars"]["r"]["data"] == NUMBERS.tolist()
    )


def _write_manifest(root):
    rows = gzip.decompress(MANIFEST.read_bytes()).splitlines(keepends=True)[:30]
    (root / "manifest.tsv.gz").write_bytes(gzip.compress(b"".join(rows)))


@on_bytes
def rows_changed(content, rng):
    """Of the table inside: text as it is damaged elsewhere, and paths that lead outside."""
    rows = gzip.decompress(content).splitlines()
    k = int(rng.integers(len(rows)))
    cells = rows[k].split(b"\t")
    odd = [
        b"../../outside",
        b"/etc/passwd",
        b"",
        b"-1",
        b"x",
        b"1e9",
        b"a/../../b",
        b"\xff",
        b"9" * 5000,
    ]
    cells[rng.integers(len(cells))] = odd[rng.integers(len(odd))]
    rows[k] = b"\t".join(cells[: int(rng.integers(1, 4))] if rng.integers(4) == 0 else cells)
    return gzip.compress(b"\n".join(rows))


def _read_manifest(root):
    return [vars(file) for file in read_manifest(root / "manifest.tsv.gz")]


def _says_manifest(root, files):
    rows = gzip.decompress((root / "manifest.tsv.gz").read_bytes()).decode().split("\n")[1:]
    said = [row.split("\t") for row in rows if row]
    return [[one["path"], str(one["n_bytes"]), one["md5"]] for one in files] == said and all(
        one["n_bytes"] >= 0 and ".." not in one["path"].split("/") and one["path"][0] != "/"
        for one in files
    )


def _write_reply(root):
    (root / "reply").write_bytes(REPLY + CONTENT)


@contextmanager
def _server(root):
    """A server that answers everything by the bytes of a file."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall((root / "reply").read_bytes())

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def _read_reply(root):
    target = root / "received"
    file = RemoteFile("stimuli/x.wav", len(CONTENT), hashlib.md5(CONTENT).hexdigest())
    try:
        with _server(root) as url:
            download([file], target, url, jobs=1, timeout=0.2, pause=0)
        return (target / file.path).read_bytes()
    finally:
        shutil.rmtree(target, ignore_errors=True)


RESULTS = (
    Reader(
        "results",
        _write_results,
        _read_results,
        {"profile.json": (*JSON, *TEXT), RESULT: HDF5},
        _says_results,
        cases=80,
    ),
    # Another array in place of one is noticed by the checksum alone: here are bytes changed.
    Reader(
        "earlier results",
        _write_earlier,
        _read_results,
        {RESULT: ()},
        _says_results,
        cases=80,
    ),
    Reader(
        "manifest",
        _write_manifest,
        _read_manifest,
        {"manifest.tsv.gz": (rows_changed,)},
        _says_manifest,
        cases=100,
    ),
    Reader("server", _write_reply, _read_reply, {"reply": TEXT}, cases=60),
)

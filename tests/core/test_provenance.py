import json
import subprocess
from pathlib import Path

import numpy as np
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from bthelpers.core.provenance import digest, provenance
from bthelpers.params import loading as params
from bthelpers.results.store import read_dataset, write_dataset

DEMO = Path(__file__).parents[2] / "params" / "demo.yaml"


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False) | st.text()))
def test_a_digest_ignores_the_order_of_keys_and_nothing_else(content):
    assert digest(dict(reversed(content.items()))) == digest(content)
    assert digest({**content, "another key": 1}) != digest({**content, "another key": 2})
    assert len(digest(content)) == 64


def test_provenance_is_flat_text_and_says_what_made_a_result(tmp_path):
    parameters = params.to_dict(params.load(DEMO))
    record = provenance(parameters, participant="SIM01", layers=5)
    assert all(isinstance(value, str) for value in record.values())
    assert json.loads(record["parameters"]) == parameters
    assert record["parameters_digest"] == digest(parameters)
    assert record["version_numpy"] == np.__version__
    assert (record["participant"], record["layers"]) == ("SIM01", "5")
    assert record["date"].endswith("+00:00")
    assert provenance({}, device="cuda:1")["device"] == "cuda:1"
    write_dataset(xr.Dataset({"r": 1.0}), tmp_path / "voxels.nc", record)
    assert read_dataset(tmp_path / "voxels.nc").attrs == record


def test_the_commit_is_marked_where_files_differ_from_it(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        command = ["git", "-C", tmp_path, *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.setattr("bthelpers.core.provenance.__file__", str(tmp_path / "provenance.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance({})["commit"] == "unknown"
    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    git("tag", "v1", "-m", "a tag")
    commit = git("rev-parse", "HEAD")
    assert provenance({})["commit"] == commit
    (tmp_path / "file").write_text("2")
    assert provenance({})["commit"] == f"{commit}-dirty"

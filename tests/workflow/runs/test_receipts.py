"""What has changed since a run is known, whatever the dates."""

import os

import numpy as np
import pytest
import xarray as xr

from bthelpers.core.checksums import SUMS, write_sums
from bthelpers.results.store import write_dataset
from bthelpers.workflow.runs.receipts import changed_since, digests, write_receipt

INPUTS, OUTPUTS = ["in.md", "data/tables/list.json"], ["model/weights", "out.nc"]
ALL = (*INPUTS, *OUTPUTS, "data/sound", "model/config", "model/provenance.json")
RESULT = xr.Dataset({"r": ("region", np.arange(3.0)), "n": 7}, {"region": ["A1", "A5", "é"]})


@pytest.fixture
def receipt(tmp_path, monkeypatch):
    """Of a run that read a file and a dataset, and wrote a model and a file."""
    monkeypatch.chdir(tmp_path)
    for name in ALL:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"content of {name}")
    write_dataset(RESULT, tmp_path / "out.nc", {"date": "today"})
    for folder in ("data", "model"):
        write_sums(tmp_path / folder)
    write_receipt(tmp_path / "run.json", digests(INPUTS), OUTPUTS)
    return tmp_path / "run.json"


def changed(receipt):
    found = changed_since(receipt, digests(INPUTS), OUTPUTS)
    return found and str(receipt.parent / found)


def test_nothing_has_changed_where_only_dates_have(receipt):
    assert changed(receipt) is None
    for name in ALL:
        os.utime(receipt.parent / name, (1, 1))
    assert changed(receipt) is None


@pytest.mark.parametrize("name", ["in.md", "out.nc", "out.nc.sha256", "model/weights", "run.json"])
@pytest.mark.parametrize("change", ["flipped", "emptied", "removed"])
def test_what_has_changed_is_named(receipt, name, change):
    if (name, change) == ("out.nc.sha256", "removed"):
        pytest.skip("the receipt has the digest as well")
    file = receipt.parent / name
    content, times = file.read_bytes(), (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    if change == "removed":
        file.unlink()
    else:
        file.write_bytes(content[:5] + b"x" + content[6:] if change == "flipped" else b"")
        os.utime(file, ns=times)
    assert changed(receipt).removesuffix(".sha256") == str(file).removesuffix(".sha256")
    file.write_bytes(content)
    assert changed(receipt) is None


def test_a_dataset_that_is_made_again_with_other_content_has_changed(receipt):
    """Also where the file that stands for it is the same."""
    (receipt.parent / "data/sound").write_text("other")
    write_sums(receipt.parent / "data")
    assert changed(receipt) == str(receipt.parent / "data/tables/list.json")


def test_the_same_numbers_made_again_are_no_change(receipt):
    """By another version, at another time."""
    write_dataset(RESULT, receipt.parent / "out.nc", {"date": "tomorrow", "commit": "abc"})
    (receipt.parent / "model/provenance.json").write_text("other")
    write_sums(receipt.parent / "model")
    assert changed(receipt) is None


@pytest.mark.parametrize(
    "other",
    [
        RESULT.assign(r=RESULT["r"] + [0, 0, 1e-15]),
        RESULT.assign(r=RESULT["r"].astype("float32")),
        RESULT.assign(n=8),
        RESULT.assign_coords(region=["A1", "A5", "e"]),
        RESULT.rename(r="s"),
        RESULT.assign(more=0),
    ],
    ids=["number", "type", "single number", "label", "name", "array"],
)
def test_other_numbers_are_a_change(receipt, other):
    write_dataset(other, receipt.parent / "out.nc", {"date": "today"})
    assert changed(receipt) == str(receipt.parent / "out.nc")


def test_an_input_more_or_less_is_a_change(receipt):
    assert changed_since(receipt, digests(INPUTS[:1]), OUTPUTS) == INPUTS[1]
    assert changed_since(receipt, digests([*INPUTS, "data/sound"]), OUTPUTS) == "data/sound"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"inputs": [], "outputs": 1}', "[" * 10**5])
def test_a_receipt_that_is_none_is_named(receipt, content):
    receipt.write_text(content)
    assert changed(receipt) == str(receipt)


def test_what_a_folder_of_results_is_followed_by_its_digests(receipt):
    """The output of one run is the input of another, under the same digest."""
    later = receipt.with_name("later.json")
    write_receipt(later, digests(OUTPUTS), [])
    assert changed_since(later, digests(OUTPUTS), []) is None
    (receipt.parent / "model" / SUMS).unlink()
    assert changed_since(later, digests(OUTPUTS), []) == "model/weights"

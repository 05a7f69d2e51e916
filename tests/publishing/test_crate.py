from __future__ import annotations

import hashlib
import json

import pytest
from alignment_results import CONDITIONS, MADE, MODEL
from anatomy_dataset import PARTICIPANT

from bthelpers.core.errors import ResultsError
from bthelpers.publishing.crate import METADATA, crate, write_crate
from bthelpers.publishing.export import export
from bthelpers.results.store import Results


def by_id(found):
    assert len({entry["@id"] for entry in found["@graph"]}) == len(found["@graph"])
    return {entry["@id"]: entry for entry in found["@graph"]}


def test_an_export_is_whole_and_its_crate_lists_every_file(results, tmp_path):
    written = list(export(tmp_path, "trial"))
    assert all(file.is_file() for file in written)
    assert written[-1] == results.root / METADATA
    entries = by_id(json.loads(written[-1].read_text()))
    there = {
        file.relative_to(results.root).as_posix(): file
        for file in results.root.rglob("*")
        if file.is_file() and file.name != METADATA
    }
    assert {name for name, entry in entries.items() if entry["@type"] == "File"} == set(there)
    for name, file in there.items():
        content = file.read_bytes()
        assert entries[name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert entries[name]["contentSize"] == str(len(content))
    assert {part["@id"] for part in entries["./"]["hasPart"]} == set(there)
    assert len([name for name in there if name.endswith("_statmap.nii.gz")]) == len(CONDITIONS)


def test_every_reference_of_a_crate_is_to_something_in_it(results):
    entries = by_id(crate(results))

    def references(value):
        if isinstance(value, list):
            return [one for each in value for one in references(each)]
        return [value["@id"]] if isinstance(value, dict) else []

    for entry in entries.values():
        for key, value in entry.items():
            if key not in ("license", "conformsTo"):
                assert set(references(value)) <= set(entries)


def test_every_run_has_the_action_that_made_it(results):
    entries = by_id(crate(results))
    action = entries[f"#{MODEL}/{PARTICIPANT}/brain-tuned/alignment"]
    assert action["result"] == {"@id": f"{MODEL}/{PARTICIPANT}/brain-tuned/alignment.nc"}
    assert action["endTime"] == MADE["date"]
    assert MADE["commit"] in action["description"]


def test_writing_the_crate_changes_neither_crate_nor_fingerprint(results):
    before = results.fingerprint()
    once = write_crate(results).read_bytes()
    assert write_crate(results).read_bytes() == once
    assert results.fingerprint() == before


def test_a_folder_without_runs_has_no_crate(tmp_path):
    with pytest.raises(ResultsError, match="holds no run"):
        crate(Results(tmp_path))

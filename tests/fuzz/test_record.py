"""What `make fuzz` keeps for the book."""

import json
import sys

import pytest
from fuzz import __main__ as command
from fuzz.trial import Case

from bthelpers.results.trials.record import read_record

DONE = [
    Case("TIMIT", "x.PHN", 0, "emptied", "own error"),
    Case("GloVe", "x.txt", 0, "emptied", "own error", "said of it"),
    Case("GloVe", "x.txt", 1, "truncated", "accepted"),
    Case("TIMIT", "x.PHN", 1, "fifo", "hung"),
]


@pytest.fixture
def record(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "RECORD", tmp_path / "fuzz.json")
    monkeypatch.setattr(command, "run", lambda names, seed, cases: DONE)
    return tmp_path / "fuzz.json"


def test_cases_are_counted_by_reader_and_outcome():
    counted = command.table(DONE)
    assert list(counted.index) == ["TIMIT", "GloVe", "all"]
    assert counted.loc["TIMIT"].to_dict() == {
        **{"cases": 2, "own error": 1, "same": 0, "accepted": 0},
        **{"foreign error": 0, "wrong": 0, "hung": 1, "nameless": 0, "wrote": 0},
    }
    assert counted.loc["all", "cases"] == 4


def test_a_run_is_recorded_if_asked_for(record, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fuzz"])
    assert command.main() == 1
    assert not record.exists()
    monkeypatch.setattr(sys, "argv", ["fuzz", "--record"])
    assert command.main() == 1
    kept = read_record(record)
    assert kept.table.loc["GloVe", ["cases", "own error", "accepted"]].tolist() == [2, 1, 1]
    assert kept.seeds == (0, 1)
    assert not kept.stale
    files = json.loads(record.read_text())["code"]["files"]
    assert {"bthelpers/tasks/timit.py", "tests/fuzz/damages.py"} <= set(files)
    assert not any(file.startswith(".venv") for file in files)


def test_a_part_is_not_recorded(record, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fuzz", "--record", "GloVe"])
    with pytest.raises(SystemExit):
        command.main()
    assert not record.exists()

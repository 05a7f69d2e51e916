import json

import pytest

from bthelpers.core.errors import ResultsError
from bthelpers.results.trials import record as module
from bthelpers.results.trials.record import Code, content, read_record

OUTCOMES = {"a": {"cases": 2, "lost": 1}, "all": {"cases": 2, "lost": 1}}


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A record, beside the code that it depends on."""
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    (tmp_path / "code").mkdir()
    (tmp_path / "code/one.py").write_text("1")
    made = content(Code.of(["code/*.py", "x.txt"]), [7, 3, 5], OUTCOMES)
    (tmp_path / "fuzz.json").write_text(json.dumps(made))
    return tmp_path / "fuzz.json"


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_there_may_be_none_yet(tmp_path):
    assert read_record(tmp_path / "fuzz.json") is None


def test_a_record_is_read_with_its_table_and_source(path):
    change(path, date="2026-01-02T03:04:05+00:00", commit="0123456789abcdef-dirty", faults=[])
    record = read_record(path)
    assert record.table.to_dict("index") == OUTCOMES
    assert record.table.dtypes.tolist() == [int, int]
    assert record.source == "seeds 3 to 7, 2026-01-02, commit 0123456789-dirty"


@pytest.mark.parametrize("file", ["code/one.py", "code/other.py", "x.txt"])
def test_a_record_is_stale_once_code_has_changed(path, file):
    assert not read_record(path).stale
    (path.parent / file).write_text("2")
    assert read_record(path).stale
    assert read_record(path).source.endswith("stale: code has changed since")


@pytest.mark.parametrize(
    "values",
    [
        {"outcomes": {}},
        {"outcomes": {"a": {"cases": 2}, "all": {"cases": 2, "lost": 1}}},
        {"outcomes": {"all": {"cases": -2}}},
        {"outcomes": {"all": {"cases": True}}},
        {"seeds": [1]},
        {"date": None},
        {"code": "of an earlier version"},
        {"code": {"files": ["../*"], "digest": "0"}},
        {"code": {"files": ["/etc/passwd"], "digest": "0"}},
        {"code": {"files": ["x**"], "digest": "0"}},
    ],
)
def test_a_damaged_record_is_named_with_its_remedy(path, values):
    change(path, **values)
    with pytest.raises(ResultsError, match=r"fuzz\.json .* no record of trials .*`make fuzz`"):
        read_record(path)

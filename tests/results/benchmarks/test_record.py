import json
from dataclasses import replace

import numpy as np
import pytest
from benchmark_records import RECORD, measurement

from bthelpers.core.errors import ResultsError
from bthelpers.results.benchmarks import record as module
from bthelpers.results.benchmarks.record import (
    code_digests,
    largest,
    read_record,
    speeds,
    summary,
    write_record,
)
from bthelpers.results.benchmarks.strides import stride_table


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "recorded/benchmarks.json"
    assert read_record(path) is None
    write_record(RECORD, path)
    assert read_record(path) == RECORD
    assert json.loads(path.read_text())["peaks"] == {"float32": 100.0}


def test_a_damaged_record_is_named_with_its_remedy(tmp_path):
    path = tmp_path / "benchmarks.json"
    write_record(RECORD, path)
    whole = json.loads(path.read_text())
    for content in (
        *("{", "[]", '{"peaks": {}}'),
        *(json.dumps(whole | other) for other in ({"provenance": {}}, {"strides": []}, {"x": 1})),
        json.dumps(whole).replace("9.0, 2.0", '"x", 2.0'),
        json.dumps(whole).replace("9.0, 2.0", "1e999, 2.0"),
    ):
        path.write_text(content)
        with pytest.raises(ResultsError, match=r"benchmarks\.json.*make bench"):
            read_record(path)


def test_speed_is_that_beside_the_fastest_other_in_full_precision():
    """By hand: medians are 2, 4 and 8 s, and of bfloat16, which is none to be compared with, 1."""
    rows = speeds(RECORD).set_index(["size", "contender"])
    assert rows.loc[10, "seconds"].to_dict() == {"ours": 2, "a": 4, "b": 8, "half": 1}
    assert rows.loc[10, "speed"].to_dict() == {"ours": 2, "a": 1, "b": 0.5, "half": 4}
    assert rows.loc[(1, "ours"), "speed"] == 1
    assert rows.loc[(10, "ours"), "share"] == 150 / 2 / 100
    assert np.isnan(rows.loc[(10, "b"), "share"])


def test_the_largest_size_is_shown_to_readers():
    shown = summary(largest(speeds(RECORD)))
    assert set(shown.index.get_level_values("size")) == {"10 voxels"}
    ours = shown.xs("ours", level="contender").iloc[0]
    assert ours.to_dict() == {
        "seconds": "2",
        "times as fast": "2.00",
        "share of peak": "75.0%",
        "same penalty": "99.9%",
        "difference": "1e-06",
    }
    assert shown.xs("b", level="contender").iloc[0]["share of peak"] == ""


def test_a_study_is_stale_whose_code_has_changed_or_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LIBRARY", tmp_path)
    for name in ("kept.py", "changed.py", "gone.py"):
        (tmp_path / name).write_text("1")
    code = {
        "ridge": code_digests(["kept.py", "changed.py", "gone.py"]),
        "reading": code_digests(["kept.py"]),
    }
    record = replace(RECORD, code=code)
    assert record.stale == {}
    assert "stale" not in record.source
    (tmp_path / "changed.py").write_text("2")
    (tmp_path / "gone.py").unlink()
    assert record.stale == {"ridge": ["changed.py", "gone.py"]}
    assert record.source.endswith("stale in part")
    assert set(speeds(record)["study"]) == {"ridge (stale)"}


def test_the_source_says_machine_date_and_commit():
    assert RECORD.source == (
        "a processor, 2 cores (2 threads), 2026-01-02, commit 0123456789-dirty, 1 times the usual"
        " amount of work"
    )


def test_penalties_that_were_not_compared_are_empty():
    record = replace(RECORD, measurements=[measurement("other", 1, [1.0], same=None)])
    assert summary(speeds(record))["same penalty"].tolist() == [""]


def test_a_stride_is_shown_with_its_cost_and_its_change():
    row = stride_table(RECORD.strides).loc[("last", 2.0, "late_language")]
    assert row.tolist() == ["2", "0.100", "-0.0300 [-0.0550, -0.0050]"]

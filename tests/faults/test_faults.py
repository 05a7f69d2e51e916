"""A sample of `make faults`."""

import json
from dataclasses import replace

import pytest
from faults.kinds import KINDS
from faults.record import Record, table
from faults.site import Site
from faults.trial import Fault, kind_of, trial
from places import naming

from bthelpers.results.trials.record import read_record

DONE = [Fault("a", 0, "recovered", "said of it", 12), Fault("b", 1, "lost", "", 30)]
USER = "somebody-else"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("LOGNAME", "USER"):
            patch.setenv(variable, USER)
        yield Site(tmp_path_factory.mktemp("faults"))


def test_results_tell_neither_where_nor_by_whom_they_were_made(site):
    assert naming(site.root / "results", site.root, USER) == []


@pytest.mark.parametrize("kind", ["SIGTERM", "damaged result", "damaged checkpoint"])
def test_nothing_is_lost(site, kind):
    fault = trial(site, list(KINDS).index(kind))
    assert (fault.kind, fault.outcome) == (kind, "recovered"), fault


def test_any_stretch_of_seeds_has_all_kinds():
    assert {kind_of(seed) for seed in range(50, 50 + len(KINDS))} == set(KINDS)


def test_faults_are_counted_by_kind_and_outcome():
    outcomes = [("a", "recovered"), ("b", "lost"), ("a", "named"), ("a", "recovered")]
    counted = table([Fault(kind, 0, outcome, "", 1) for kind, outcome in outcomes])
    assert list(counted) == ["injected", "recovered", "named", "lost"]
    assert counted.loc["a"].tolist() == [3, 2, 1, 0]
    assert counted.loc["b"].tolist() == [1, 0, 0, 1]
    assert counted.loc["all"].tolist() == [4, 2, 1, 1]


def test_parts_add_to_a_record_of_the_same_code(tmp_path, capsys):
    path = tmp_path / "faults.json"
    Record(path, "code").add(DONE[1])
    Record(path, "code").add(DONE[0])
    kept = [replace(fault, detail="") for fault in DONE]
    assert Record(path, "code").faults == kept
    assert "said of it" not in path.read_text()
    assert json.loads(path.read_bytes())["outcomes"]["all"]["lost"] == 1
    shown = read_record(path)
    assert shown.table.loc["all"].tolist() == [2, 1, 0, 1]
    assert shown.stale
    assert shown.source.startswith("seeds 0 to 1, 20")
    assert capsys.readouterr().out == ""
    other = Record(path, "other code")
    assert other.faults == []
    assert capsys.readouterr().out == f"{path}: 2 faults of other code are dropped\n"
    path.write_text(json.dumps({"code": "of an earlier version", "faults": []}))
    assert Record(path, "code").faults == []
    other.add(DONE[1])
    assert Record(path, "other code").faults == kept[1:]

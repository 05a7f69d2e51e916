"""A sample of `make faults`."""

import pytest
from faults.__main__ import table
from faults.site import Site
from faults.trial import Fault, trial
from places import naming

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
    fault = trial(site, kind, seed=1)
    assert fault.outcome == "recovered", fault


def test_faults_are_counted_by_kind_and_outcome():
    outcomes = [("a", "recovered"), ("b", "lost"), ("a", "named"), ("a", "recovered")]
    counted = table([Fault(kind, 0, outcome, "", 1.0) for kind, outcome in outcomes])
    assert list(counted) == ["injected", "recovered", "named", "lost"]
    assert counted.loc["a"].tolist() == [3, 2, 1, 0]
    assert counted.loc["b"].tolist() == [1, 0, 0, 1]
    assert counted.loc["all"].tolist() == [4, 2, 1, 1]

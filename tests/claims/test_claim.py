import numpy as np
import pytest

from bthelpers.claims.claim import Claim, Statement
from bthelpers.claims.margins import ALIGNMENT, MARGINS, RISE, margin_table
from bthelpers.claims.papers.iclr2025 import CLAIMS
from bthelpers.claims.quantities import PROBES, alignment_with

LATE = alignment_with("late_language", "late language")
GAIN = ("brain-tuned", "pretrained")


@pytest.mark.parametrize(
    ("claimed", "bound", "limits", "edge"),
    [
        ("above", 50, (50, np.inf), 50),
        ("below", 0, (-np.inf, 0), 0),
        ("not above", 0, (-np.inf, 10), 10),
        ("not below", 0, (-10, np.inf), -10),
        ("equal to", 30, (20, 40), 20),
    ],
)
def test_limits_of_equality_are_a_margin_from_the_bound(claimed, bound, limits, edge):
    statement = Statement(LATE, GAIN, claimed, bound)
    assert ALIGNMENT.size == 10
    assert statement.limits == limits
    assert statement.edge == edge
    assert statement.null == 0
    assert Statement(LATE, GAIN[:1], claimed, bound).null == bound


def test_a_statement_may_have_a_margin_of_its_own():
    statement = Statement(PROBES, GAIN, "equal to", margin=RISE)
    assert statement.limits == (-10, 10)
    assert str(statement) == "equal to 0 ± 10"
    assert str(Statement(PROBES, GAIN, "above", 0.1)) == "above 0.1"


def test_every_statement_that_needs_a_margin_has_one_of_the_table():
    table = margin_table()
    assert len(table) == len(MARGINS)
    for claim in (claim for claims in CLAIMS.values() for claim in claims):
        assert isinstance(claim, Claim)
        for statement in claim.statements:
            if statement.claimed not in ("above", "below"):
                assert (statement.margin or statement.measure.margin) in MARGINS

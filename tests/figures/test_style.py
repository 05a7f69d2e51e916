from typing import get_args

import pytest

from bthelpers.figures.style import STYLES
from bthelpers.params.settings import Condition

pytestmark = pytest.mark.filterwarnings("error")


def test_every_condition_has_its_style():
    assert set(STYLES) == set(get_args(Condition))
    for key in ("color", "marker", "line"):
        assert len({style[key] for style in STYLES.values()}) == len(STYLES)

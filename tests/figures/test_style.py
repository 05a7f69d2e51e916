from typing import get_args

import pytest

from bthelpers.data.regions import load_regions
from bthelpers.figures.alignment import TITLES, region_title
from bthelpers.figures.style import STYLES
from bthelpers.params.settings import Condition

pytestmark = pytest.mark.filterwarnings("error")

REGIONS = list(load_regions())


def test_every_condition_and_region_has_its_style():
    assert set(STYLES) == set(get_args(Condition))
    assert set(TITLES) == set(REGIONS)
    for key in ("color", "marker", "line"):
        assert len({style[key] for style in STYLES.values()}) == len(STYLES)
    assert region_title("inferior_frontal") == "Inferior frontal"
    assert region_title("my_own_region") == "My own region"

import numpy as np
import xarray as xr
from drawn_figures import drawn

from bthelpers.figures.transfer.participants import transfer_matrices


def gain(values):
    people = list("ABC")
    coords = {"participant": people, "tuned_to": people[: len(values)]}
    return xr.DataArray(np.array(values).T, coords, ("participant", "tuned_to"))


def test_every_number_stands_at_its_row_and_column():
    whole = gain([[10, 5, np.nan], [4, 12, -1], [0, 1, 30]])
    figure = drawn(transfer_matrices({"Whole cortex": whole, "Left": gain([[1.0, 2, 3]])}))
    first, second = figure.axes[:2]
    texts = {text.get_position(): text.get_text() for text in first.texts}
    assert texts[1, 0] == "5.0"
    assert texts[0, 1] == "4.0"
    assert (2, 0) not in texts
    assert [label.get_text() for label in first.get_yticklabels()] == list("ABC")
    assert [label.get_text() for label in second.get_yticklabels()] == ["A"]
    assert first.images[0].get_clim() == (-30, 30) == second.images[0].get_clim()


def test_without_any_gain_there_is_a_map_still():
    figure = drawn(transfer_matrices({"none": gain([[np.nan] * 3])}))
    assert not figure.axes[0].texts

from __future__ import annotations

import numpy as np
import pytest
from alignment_results import CONDITIONS, MODEL, N_LAYERS, PARTICIPANTS, REGIONS, write_results

from bthelpers.core.errors import ResultsError
from bthelpers.publishing.tables import LABELS, alignment_table
from bthelpers.results.store import Results


@pytest.mark.parametrize("participants", [PARTICIPANTS, PARTICIPANTS[:1]])
def test_every_value_has_one_row_with_its_interval(tmp_path, participants):
    written = write_results(tmp_path / "results", participants)
    table = alignment_table(Results(tmp_path / "results")).set_index(LABELS).sort_index()
    assert len(table) == len(participants) * len(CONDITIONS) * (N_LAYERS + 1) * len(REGIONS)
    assert table.index.is_unique
    for (participant, condition), run in written.items():
        for region in REGIONS:
            rows = table.loc[MODEL, participant, condition].xs(region, level="region")
            value = run["alignment"].sel(region=region)
            half = 1.96 * run["draws"].sel(region=region).std("draw", ddof=1)  # draws are many
            np.testing.assert_allclose(rows["value"], value)
            np.testing.assert_allclose(rows["low"], value - half, rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(rows["high"], value + half, rtol=1e-3, atol=1e-3)


def test_a_missing_run_is_named(tmp_path):
    write_results(tmp_path / "results")
    (tmp_path / "results" / MODEL / PARTICIPANTS[0] / "brain-tuned" / "alignment.nc").unlink()
    with pytest.raises(ResultsError, match=r"brain-tuned/alignment.nc is not there"):
        alignment_table(Results(tmp_path / "results"))

"""Results as long tables, a value a row, which spreadsheets and statistics programs open."""

from __future__ import annotations

import pandas as pd

from bthelpers.results.alignment import load_alignment
from bthelpers.results.comparison import estimate
from bthelpers.results.store import Results
from bthelpers.statistics.intervals import interval

LABELS = ["model", "participant", "condition", "layer", "region"]


def alignment_table(results: Results) -> pd.DataFrame:
    """Normalised brain alignment of all models of a profile, tidy.

    Parameters
    ----------
    results : Results

    Returns
    -------
    DataFrame
        A row per ``model``, ``participant``, ``condition``, ``layer`` (0: input of the transformer)
        and ``region``; ``value``, the mean over the region's voxels of r / ceiling on the test
        story, and the ends of its 95 % interval over blocks of TRs, ``low`` and ``high``.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.

    Examples
    --------
    >>> from bthelpers.results.store import Results
    >>> table = alignment_table(Results("book/recorded/english"))
    >>> list(table)
    ['model', 'participant', 'condition', 'layer', 'region', 'value', 'low', 'high']
    >>> means = table.query("layer > 0").groupby(["model", "condition", "region"])["value"].mean()
    """
    tables = []
    for model in results.profile().models_with("alignment"):
        alignment = estimate(load_alignment(results, model), "alignment")
        found = alignment[["value"]].assign(interval(alignment).to_dataset("bound"))
        tables.append(found.to_dataframe(LABELS[1:]).reset_index().assign(model=model))
    return pd.concat(tables, ignore_index=True)[[*LABELS, "value", "low", "high"]]

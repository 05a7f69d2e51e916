"""A profile's results for other programs, in its own results folder.

``results/<profile>/export/alignment.csv``, brain images below ``export/images`` and, of the whole
folder, ``ro-crate-metadata.json``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bthelpers.core.files import atomic_write_text
from bthelpers.data.dataset import Dataset
from bthelpers.publishing.brain_images import write_alignment_images
from bthelpers.publishing.crate import write_crate
from bthelpers.publishing.tables import alignment_table
from bthelpers.results.store import Results


def export(repository: Path, profile: str) -> Iterator[Path]:
    """Write the table, the images of every run and the crate; yield each file once it is there.

    Parameters
    ----------
    repository : Path
        The folder that holds ``results/<profile>``, and the profile's dataset.
    profile : str

    Raises
    ------
    DatasetError
        If the dataset's surfaces are missing, or are not those of the results.
    ResultsError
        If a run of the profile is missing, or a file cannot be written.
    """
    results = Results(repository / "results" / profile)
    settings = results.profile()
    table = results.root / "export" / "alignment.csv"
    atomic_write_text(table, alignment_table(results).to_csv(index=False))
    yield table
    dataset = Dataset(repository / settings.dataset.root)
    volumes = settings.dataset.recording is None  # electrodes have no place in a brain
    aligned = settings.models_with("alignment") if volumes else []
    for run in settings.runs:
        if run[0] in aligned:
            yield from write_alignment_images(results, dataset, *run, table.with_name("images"))
    yield write_crate(results)

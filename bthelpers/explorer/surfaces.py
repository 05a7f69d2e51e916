"""Surfaces to draw results on: of the data they were made from or, of records, made anew."""

from __future__ import annotations

from pathlib import Path

from bthelpers.core.errors import ResultsError
from bthelpers.data.dataset import Dataset
from bthelpers.results.maps import drawing_dataset
from bthelpers.results.store import Results


def surfaces(results: Results, participant: str) -> Dataset:
    """Dataset on whose surfaces a participant's voxels are drawn, as seen from the book's folder.

    Recorded results come without their dataset. Where it was simulated, its surfaces follow from
    the profile: they are made once, in a minute, and kept beside the data.

    Parameters
    ----------
    results : Results
    participant : str

    Raises
    ------
    ResultsError
        If the results are recorded from a real dataset, and `drawing_dataset` finds no other.
    """
    try:
        return drawing_dataset(results, participant)
    except ResultsError:
        profile = results.profile()
        if not results.recorded or profile.dataset.simulate is None:
            raise
    root = Path(f"../{profile.dataset.root}_surfaces")
    if not (root / "dataset_description.json").is_file():
        # It takes a second to load, and is needed once.
        from bthelpers.simulation.participants import make_surfaces

        make_surfaces(root, profile.dataset.simulate, profile.seed)
    return Dataset(root)

"""What there is to explore in a results folder, and its values in pieces that a page asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bthelpers.core.errors import DatasetError, ResultsError
from bthelpers.data.cortex import parcels
from bthelpers.data.dataset import Dataset
from bthelpers.data.regions import load_regions
from bthelpers.encoding.impact import SMALLEST_R
from bthelpers.explorer.chunks import pack
from bthelpers.explorer.raster import CURVATURE_STEP, flatmap_raster
from bthelpers.explorer.surfaces import surfaces
from bthelpers.figures.style import DARK_GREY, STYLES
from bthelpers.results.alignment import significant_voxels
from bthelpers.results.maps import mean_r, whole_brain
from bthelpers.results.runs import BASELINE, TUNED, source
from bthelpers.results.store import Results, Run

MEAN = "mean over layers"
FEATURE = "joint"  # all low-level features at once
COLOUR_MAPS = {"sequential": "viridis", "centred": "RdBu_r", "centred_dark": "berlin"}
PIXEL_PARTS = 10  # to which corners of outlines are rounded


@dataclass(frozen=True)
class Measure:
    """What a map can show of a voxel.

    Attributes
    ----------
    label, short, unit : str
        `short` names the value of a voxel.
    values : tuple of str
        What a run must hold for it.
    change : bool
        Whether it is a difference to pretrained.
    """

    label: str
    short: str
    unit: str
    values: tuple[str, ...] = ()
    change: bool = False


MEASURES = {
    "gain": Measure(
        "Gain in alignment over pretrained", "Gain", "r / ceiling", ("r",), change=True
    ),
    "alignment": Measure("Brain alignment", "Alignment", "r / ceiling", ("r",)),
    "impact change": Measure(
        "Low-level impact, change from pretrained",
        "Change",
        "points",
        ("r", "residual"),
        change=True,
    ),
    "impact": Measure("Low-level impact", "Impact", "% of alignment", ("r", "residual")),
    "ceiling": Measure("Noise ceiling", "Noise ceiling", "r"),
    "p": Measure("p-value of alignment", "p", "block permutation", ("p",)),
}


class Rows(NamedTuple):
    """Values of all voxels of a participant, and of which layers: shape (layer, voxel)."""

    layers: list[str]
    values: NDArray[np.float64]


class Catalogue:
    """Participants, models, conditions and measures of a results folder.

    Parameters
    ----------
    results : Results
    drawn_on : callable
        Of the results and a participant: the Dataset with the participant's surfaces.
    """

    def __init__(self, results: Results, drawn_on: Callable[[Results, str], Dataset] = surfaces):
        self.results = results
        self.drawn_on = drawn_on
        self._rows: dict[str, Rows] = {}
        self._maps: dict[str, bytes] = {}

    def chunk(self, key: str) -> bytes:
        """Arrays under a key of the description, as `bthelpers.explorer.chunks.pack` joins them.

        Raises
        ------
        KeyError
            If there is no such key.
        """
        self.description  # noqa: B018
        return self._maps[key] if key in self._maps else pack({"rows": self._rows[key].values})

    @property
    def keys(self) -> list[str]:
        """Keys of all chunks."""
        self.description  # noqa: B018
        return [*self._maps, *self._rows]

    @cached_property
    def description(self) -> dict:
        """What a page needs to know before it asks for values; JSON can hold it."""
        profile = self.results.profile()
        models = profile.models_with("alignment")
        shown = dict.fromkeys(name for model in models for name in profile.participants_of(model))
        return {
            "participants": {name: self._describe_map(name) for name in shown},
            "runs": self._runs,
            "measures": {name: asdict(measure) for name, measure in MEASURES.items()},
            "baseline": BASELINE,
            "smallest_r": SMALLEST_R,
            "colours": {kind: _colours(name) for kind, name in COLOUR_MAPS.items()},
            "lines": {
                name: DARK_GREY if name == BASELINE else style["color"]
                for name, style in STYLES.items()
            },
            "source": str(source(self.results, *models)) if models else "",
        }

    @property
    def first_view(self) -> dict[str, Any]:
        """What an explorer shows first: the gain of brain-tuning, of the first run's model.

        Where that is not there, the page shows the nearest that is.
        """
        runs = self._runs
        conditions = [run["condition"] for run in runs]
        first = runs[0] if runs else {"participant": "", "model": "", "condition": ""}
        return {
            "participant": first["participant"],
            "model": first["model"],
            "condition": TUNED if TUNED in conditions else first["condition"],
            "beside": "",
            "layer": MEAN,
            "measure": "gain",
            "threshold": 0.0,
            "significant": False,
            "regions": ["late_language", "early_auditory"],
            "selection": "",
            "view": [0.5, 0.5, 1.0],
        }

    def _describe_map(self, participant: str) -> dict:
        try:
            dataset = self.drawn_on(self.results, participant)
            regions = load_regions()
            raster = flatmap_raster(dataset, participant, regions)
            names, parcel = np.unique(parcels(dataset, participant), return_inverse=True)
        except (DatasetError, ResultsError) as reason:
            return {"problem": f"No map of {participant}. {reason}"}
        lines = [(name, line) for name, of in raster.outlines.items() for line in of]
        corners = [
            np.column_stack([np.full(len(line), number), np.rint(line * PIXEL_PARTS)])
            for number, (_, line) in enumerate(lines)
        ]
        key = f"{participant}/map"
        self._maps[key] = pack(
            {
                "voxel": (raster.voxel + 1).astype(np.uint32),
                "curvature": raster.curvature,
                "corners": np.concatenate(corners).astype(np.uint32),
                "parcel": parcel[None].astype(np.uint32),
                "ceiling": self.results.voxels(participant)["ceiling"].values[None].astype(float),
            }
        )
        return {
            "map": key,
            "curvature_step": CURVATURE_STEP,
            "corner_parts": PIXEL_PARTS,
            "outlines": [name for name, _ in lines],
            "parcels": names.tolist(),
            "voxels": raster.n_voxels,
            "unseen": raster.unseen,
        }

    @cached_property
    def _runs(self) -> list[dict]:
        """Model, participant and condition of each run, and what is there of it."""
        profile, described = self.results.profile(), []
        models = profile.models_with("alignment")
        for name, participant, condition in profile.runs:
            run = Run(name, participant, condition, "alignment")
            found = dict(self._values(run)) if name in models else {}
            if not found:
                continue
            prefix = "/".join(run[:3])
            self._rows |= {f"{prefix}/{kind}": rows for kind, rows in found.items()}
            values = {
                kind: {"key": f"{prefix}/{kind}", "layers": rows.layers}
                for kind, rows in found.items()
            }
            described.append(
                {"model": name, "participant": participant, "condition": condition} | values
            )
        return described

    def _values(self, run: Run) -> Iterator[tuple[str, Rows]]:
        """Whatever a run holds of: r, r of residuals, p, and which voxels are significant."""
        n_voxels = self.results.voxels(run.participant).sizes["voxel"]
        try:
            alignment = self.results.open(*run)
        except ResultsError:
            return
        yield "r", _rows(alignment, n_voxels)
        if "p" in alignment:
            yield "p", _layers(alignment["p"], n_voxels)
            yield "significant", _layers(significant_voxels(self.results, run), n_voxels)
        try:
            impact = self.results.open(*run._replace(step="impact"))
        except ResultsError:
            return
        if FEATURE in impact["feature"]:
            yield "residual", _rows(impact.sel(feature=FEATURE), n_voxels)


def _rows(run: xr.Dataset, n_voxels: int) -> Rows:
    """Correlations, mean over layers first; records of earlier versions hold nothing else."""
    mean = whole_brain(mean_r(run), n_voxels)[None]
    layers, values = _layers(run["r"], n_voxels) if "r" in run else ([], mean[:0])
    return Rows([MEAN, *layers], np.concatenate([mean, values]))


def _layers(values: xr.DataArray, n_voxels: int) -> Rows:
    labels = values["layer"].values
    rows = [whole_brain(values.sel(layer=layer), n_voxels) for layer in labels]
    return Rows([str(layer) for layer in labels], np.array(rows, float))


def _colours(name: str) -> str:
    """256 colours of a map of matplotlib's, six hexadecimal digits each."""
    table = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]
    return table.tobytes().hex()

"""The explorer in a page without kernel: HTML that works from a folder as well as from a server."""

from __future__ import annotations

import base64
import html
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from nilearn.plotting.surface.html_surface import SurfaceView

from bthelpers.core.errors import DatasetError, ResultsError
from bthelpers.core.files import write_if_changed
from bthelpers.core.provenance import digest
from bthelpers.data.dataset import Dataset
from bthelpers.explorer.catalogue import Catalogue
from bthelpers.explorer.inflated import inflated_view
from bthelpers.explorer.script import page_script, style_sheet
from bthelpers.explorer.widget import FlatmapExplorer
from bthelpers.figures.flatmap import flatmap, symmetric_limits
from bthelpers.results.maps import voxel_alignment, whole_brain
from bthelpers.results.runs import BASELINE, TUNED
from bthelpers.results.store import SERVED, Results

FOLDER = "explorer"  # of the values, in that of the files that are served beside the pages
DPI, QUALITY = 90, 80  # of the picture that is there without JavaScript
GAIN = "Gain in alignment over pretrained (r / ceiling)"
CAPTION = (
    "Gain in alignment of {model} by brain-tuning, mean over layers, {participant}. With"
    " JavaScript, this picture is a map to explore. Data: {source}."
)


@dataclass(frozen=True)
class StaticExplorer:
    """An explorer that needs no kernel, as a cell's output: for HTML, and a picture for others."""

    html: str
    jpeg: bytes | None

    def _repr_html_(self) -> str:
        return self.html

    def _repr_jpeg_(self) -> bytes | None:
        return self.jpeg


def show_explorer(results: Results) -> StaticExplorer | FlatmapExplorer:
    """Show a results folder to explore, as the last value of a cell.

    Returns
    -------
    StaticExplorer or FlatmapExplorer
        The first where the book is being built; else, in JupyterLab, the widget.
    """
    catalogue = Catalogue(results)
    if SERVED in os.environ:
        return explorer_page(catalogue, Path(os.environ[SERVED]))
    return FlatmapExplorer(catalogue, **catalogue.first_view)


def show_inflated(results: Results) -> SurfaceView | HTML:
    """Show the explorer's first map on the inflated cortex, to turn, as the last value of a cell.

    Returns
    -------
    SurfaceView or HTML
        In JupyterLab the view. Where the book is being built, a link to a page that holds all
        that it needs: some megabytes, which nobody has to load who does not ask for them.
    """
    catalogue = Catalogue(results)
    try:
        dataset, gain = first_gain(catalogue)
    except (DatasetError, ResultsError) as reason:
        return HTML(f"<p>{html.escape(f'No inflated cortex. {reason}')}</p>")
    if not np.isfinite(gain).any():
        return HTML("<p>No inflated cortex: no voxel has a gain.</p>")
    view = inflated_view(dataset, catalogue.first_view["participant"], gain, label=GAIN)
    if SERVED not in os.environ:
        return view
    name = f"{FOLDER}/inflated-{digest(view.html)[:8]}.html"
    write_if_changed(Path(os.environ[SERVED]) / name, view.html)
    size = f"{len(view.html) / 1e6:.0f} MB"
    return HTML(f'<p><a href="_static/{name}">Turn the inflated cortex</a> ({size})</p>')


def explorer_page(catalogue: Catalogue, served: Path) -> StaticExplorer:
    """Make an explorer without kernel, and write its values beside the pages.

    Until the first map is drawn, and without JavaScript, there is a static flatmap.

    Parameters
    ----------
    catalogue : Catalogue
    served : Path
        Folder whose files pages find under ``_static``.
    """
    view = catalogue.first_view
    content = {
        "catalogue": catalogue.description,
        "state": view,
        "files": write_chunks(catalogue, served / FOLDER),
        "folder": f"_static/{FOLDER}",
    }
    # In a script, "</script>" and "<!--" would end it or change how it is read.
    data = json.dumps(content, allow_nan=False).replace("<", "\\u003c")
    place = f"flatmap-{digest(content)[:8]}"
    said = html.escape(CAPTION.format(**view, source=catalogue.description["source"]))
    picture = static_picture(catalogue)
    source = base64.b64encode(picture or b"").decode()
    image = f'<img alt="{said}" src="data:image/jpeg;base64,{source}">' if picture else ""
    text = f"""<div class="flatmap-explorer" id="{place}">
<figure>{image}<figcaption>{said}</figcaption></figure>
</div>
<style>{style_sheet()}</style>
<script type="module">
{page_script()}
const content = {data};
render({{ model: pageModel(content), el: document.getElementById("{place}") }});
</script>
"""
    return StaticExplorer(text, picture)


def write_chunks(catalogue: Catalogue, folder: Path) -> dict[str, str]:
    """Write the catalogue's values as scripts, which a page can load from a folder too.

    Parameters
    ----------
    catalogue : Catalogue
    folder : Path
        It may hold other catalogues' values.

    Returns
    -------
    dict of str to str
        By key: the script's name without its ending, which follows from its content.
    """
    names = {}
    for key in catalogue.keys:
        text = base64.b64encode(catalogue.chunk(key)).decode()
        names[key] = digest(text)[:16]
        script = f'(globalThis.flatmapChunks ??= {{}})["{names[key]}"] = "{text}";\n'
        write_if_changed(folder / f"{names[key]}.js", script)
    return names


def first_gain(catalogue: Catalogue) -> tuple[Dataset, np.ndarray]:
    """Gain in alignment that the first view shows, and what it is drawn on.

    Returns
    -------
    dataset : Dataset
        With the participant's surfaces.
    gain : array of shape (voxel,)
        r / ceiling, mean over layers; NaN where a voxel was not evaluated.

    Raises
    ------
    DatasetError, ResultsError
        If surfaces or runs are not there.
    """
    view, results = catalogue.first_view, catalogue.results
    participant = view["participant"]
    tuned, before = (
        voxel_alignment(results, view["model"], participant, condition)
        for condition in (TUNED, BASELINE)
    )
    gain = whole_brain(tuned - before, results.voxels(participant).sizes["voxel"])
    return catalogue.drawn_on(results, participant), gain


def static_picture(catalogue: Catalogue) -> bytes | None:
    """JPEG of the first view's flatmap; None where runs, surfaces or finite values are missing."""
    try:
        dataset, gain = first_gain(catalogue)
    except (DatasetError, ResultsError):
        return None
    if not np.isfinite(gain).any():
        return None
    low, high = symmetric_limits(gain)
    participant = catalogue.first_view["participant"]
    figure = flatmap(dataset, participant, gain, label=GAIN, cmap="RdBu_r", vmin=low, vmax=high)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpeg", dpi=DPI, pil_kwargs={"quality": QUALITY})
    plt.close(figure)
    return buffer.getvalue()

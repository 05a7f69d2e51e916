"""The explorer in a page without kernel: HTML that works from a folder as well as from a server."""

from __future__ import annotations

import base64
import html
import io
import json
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from bthelpers.core.files import write_if_changed
from bthelpers.core.provenance import digest
from bthelpers.explorer.catalogue import Catalogue
from bthelpers.explorer.script import page_script, style_sheet

FOLDER = "explorer"  # of the pieces, among the files that are served beside the pages
SERVED = "_static"
DPI = 90  # of the picture that is there without JavaScript


def write_chunks(catalogue: Catalogue, folder: Path) -> dict[str, str]:
    """Write the catalogue's pieces as scripts, which a page can load from a folder too.

    Parameters
    ----------
    catalogue : Catalogue
    folder : Path
        It may hold other catalogues' pieces.

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


def explorer_page(catalogue: Catalogue, picture: Figure, caption: str, static: Path) -> str:
    """Make the HTML of an explorer, and write its values beside the pages.

    Parameters
    ----------
    catalogue : Catalogue
    picture : Figure
        What is there without JavaScript, and until the first map is drawn.
    caption : str
        Of the picture.
    static : Path
        Folder whose files are served as ``_static``.

    Returns
    -------
    str
    """
    content = {
        "catalogue": catalogue.description,
        "state": catalogue.first_view,
        "files": write_chunks(catalogue, static / FOLDER),
        "folder": f"{SERVED}/{FOLDER}",
    }
    # In a script, "</script>" and "<!--" would end it or change how it is read.
    data = json.dumps(content, allow_nan=False).replace("<", "\\u003c")
    place = f"flatmap-{digest(content)[:8]}"
    said = html.escape(caption)
    return f"""<div class="flatmap-explorer" id="{place}"><figure>
<img alt="{said}" src="data:image/png;base64,{_png(picture)}"><figcaption>{said}</figcaption>
</figure></div>
<style>{style_sheet()}</style>
<script type="module">
{page_script()}
const content = {data};
render({{ model: pageModel(content), el: document.getElementById("{place}") }});
</script>
"""


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()

"""Sphinx extension: the download button of a chapter gives its notebook, with what its cells show.

Chapters are written as MyST Markdown, which Jupyter opens with jupytext only; MyST-NB keeps them as
executed notebooks beside the pages.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_nb.sphinx_ext import OUTPUT_FOLDER
from sphinx.application import Sphinx

# Browsers would show text, which Markdown and notebooks are to them.
DOWNLOAD = """addEventListener("DOMContentLoaded", () => {
  for (const link of document.querySelectorAll(".dropdown-download-buttons a")) link.download = "";
});"""


def offer_notebook(
    app: Sphinx, page: str, template: str, context: dict[str, Any], document: nodes.document | None
) -> None:
    """Copy a page's executed notebook to the sources, and tell the theme of it."""
    executed = Path(app.outdir).parent / OUTPUT_FOLDER / f"{page}.ipynb"
    if context.get("page_source_suffix") == ".md" and executed.is_file():
        copy = Path(app.outdir, "_sources", f"{page}.ipynb")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(executed, copy)
        context["ipynb_source"] = f"{page}.ipynb"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension, before the theme (at 501) makes its buttons."""
    app.connect("html-page-context", offer_notebook)
    app.add_js_file(None, body=DOWNLOAD)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

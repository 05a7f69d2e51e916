"""Sphinx extension: the download button of a chapter gives its notebook.

Chapters are written as MyST Markdown, which Jupyter opens with jupytext only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jupytext
from docutils import nodes
from myst_nb.core.read import is_myst_markdown_notebook
from sphinx.application import Sphinx

# Browsers would show text, which Markdown and notebooks are to them.
DOWNLOAD = """addEventListener("DOMContentLoaded", () => {
  for (const link of document.querySelectorAll(".dropdown-download-buttons a")) link.download = "";
});"""


def offer_notebook(
    app: Sphinx, page: str, template: str, context: dict[str, Any], document: nodes.document | None
) -> None:
    """Write a chapter's notebook, without outputs, to the sources, and tell the theme of it."""
    if context.get("page_source_suffix") != ".md":
        return
    source = Path(app.env.doc2path(page))
    if is_myst_markdown_notebook(source.read_text(encoding="utf-8")):
        notebook = Path(app.outdir, "_sources", f"{page}.ipynb")
        notebook.parent.mkdir(parents=True, exist_ok=True)
        jupytext.write(jupytext.read(source), notebook)
        context["ipynb_source"] = f"{page}.ipynb"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension, before the theme (at 501) makes its buttons."""
    app.connect("html-page-context", offer_notebook)
    app.add_js_file(None, body=DOWNLOAD)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Pages of the book made from executed run notebooks."""

from __future__ import annotations

import json
from pathlib import Path

from bthelpers.results import write_if_changed


def collect_pages(results: Path, folder: Path) -> list[Path]:
    """Bring the executed notebooks of a results folder into the book, one page each.

    Pages of runs that are no longer there are removed, and pages that did not change are left
    alone, so that Sphinx does not read them again.

    Parameters
    ----------
    results : Path
        ``results/<profile>``.
    folder : Path
        Folder of the pages in the book.

    Returns
    -------
    list of Path
        The pages, sorted.
    """
    pages = {}
    for notebook in sorted(results.rglob("*.ipynb")):
        owner = notebook.relative_to(results).with_suffix("").parts
        page = folder / f"{'-'.join(owner)}.ipynb"
        content = json.loads(notebook.read_text(encoding="utf-8"))
        pages[page] = json.dumps(_titled(content, owner[:-1]), indent=1) + "\n"
    for outdated in set(folder.glob("*.ipynb")) - set(pages):
        outdated.unlink()
    for page, text in pages.items():
        write_if_changed(page, text)
    return list(pages)


def _titled(content: dict, owner: tuple[str, ...]) -> dict:
    """Put model, participant and condition into the notebook's title."""
    first = content["cells"][0]
    title, *rest = "".join(first["source"]).split("\n")
    if owner:
        title = f"{title}: {', '.join(owner)}"
    first["source"] = "\n".join([title, *rest])
    return content

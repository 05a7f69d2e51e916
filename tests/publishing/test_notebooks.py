from pathlib import Path
from types import SimpleNamespace

import nbformat

from bthelpers.publishing.notebooks import offer_notebook

BOOK = Path(__file__).parents[2] / "book"


def offered(folder, page, suffix=".md"):
    """What the theme is told of a page, of which the notebook lies in the folder."""
    env = SimpleNamespace(doc2path=lambda name: str(BOOK / f"{name}{suffix}"))
    context = {"page_source_suffix": suffix}
    offer_notebook(SimpleNamespace(outdir=str(folder), env=env), page, "page.html", context, None)
    return context.get("ipynb_source")


def test_a_chapter_offers_its_notebook(tmp_path):
    assert offered(tmp_path, "17_explorer") == "17_explorer.ipynb"
    notebook = nbformat.read(tmp_path / "_sources/17_explorer.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    text = (BOOK / "17_explorer.md").read_text()
    assert len(code) == text.count("```{code-cell}")
    assert all(cell.source in text and cell.outputs == [] for cell in code)


def test_pages_without_cells_and_executed_notebooks_are_left_alone(tmp_path):
    assert offered(tmp_path, "21_references") is None
    assert offered(tmp_path, "executed/run", ".ipynb") is None
    assert not (tmp_path / "_sources").exists()

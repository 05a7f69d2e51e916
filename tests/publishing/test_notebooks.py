from types import SimpleNamespace

import pytest

from bthelpers.publishing.notebooks import offer_notebook


@pytest.mark.parametrize(("suffix", "offered"), [(".md", "a/chapter.ipynb"), (".ipynb", None)])
def test_a_chapter_offers_its_executed_notebook(tmp_path, suffix, offered):
    app = SimpleNamespace(outdir=str(tmp_path / "html"))
    executed = tmp_path / "jupyter_execute/a/chapter.ipynb"
    executed.parent.mkdir(parents=True)
    executed.write_text("a notebook")
    context = {"page_source_suffix": suffix}
    offer_notebook(app, "a/chapter", "page.html", context, None)
    assert context.get("ipynb_source") == offered
    if offered:
        assert (tmp_path / "html/_sources" / offered).read_text() == "a notebook"


def test_a_page_without_cells_offers_none(tmp_path):
    context = {"page_source_suffix": ".md"}
    offer_notebook(SimpleNamespace(outdir=tmp_path / "html"), "page", "page.html", context, None)
    assert "ipynb_source" not in context

from __future__ import annotations

import html
import io
import re

import nbformat
import pytest
from myst_nb.ext.glue import GLUE_PREFIX
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from bthelpers.results.runs import SOURCE_TYPE

CONFIGURATION = """\
extensions = ["myst_nb", "bthelpers.publishing.captions"]
nb_execution_mode = "off"
run_pages = {"../results/tuned.nc": "run"}
myst_enable_extensions = ["colon_fence"]
numfig = True
numfig_format = {"figure": "Figure %s", "table": "Table %s"}
"""
PAGE = """\
# Page

:::{figure-caption} gain
The *gain*, beside {numref}`loss`.
:::

:::{table-caption} numbers
Numbers of {numref}`gain`.
:::

:::{figure-caption} loss
The loss.
:::
"""


def built(tmp_path, page, builder="html"):
    """What a builder writes of a page, or of a notebook, and its warnings."""
    source, out, warnings = tmp_path / "source", tmp_path / "out", io.StringIO()
    source.mkdir()
    (source / "conf.py").write_text(CONFIGURATION)
    if isinstance(page, str):
        (source / "index.md").write_text(page)
    else:
        nbformat.write(page, source / "index.ipynb")
        (source / "run.md").write_text("---\norphan: true\n---\n# A run")
    with docutils_namespace():
        app = Sphinx(source, source, out, out / "trees", builder, status=None, warning=warnings)
        app.build()
    [written] = out.glob("index.html" if builder == "html" else "*.tex")
    return written.read_text(), warnings.getvalue()


def test_captions_are_numbered_by_kind_and_can_be_referred_to(tmp_path):
    page, warnings = built(tmp_path, PAGE)
    assert not warnings
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.DOTALL)
    words = [
        " ".join(html.unescape(re.sub("<[^>]*>", "", each)).replace("¶", "").split())
        for each in captions
    ]
    assert words == [
        "Figure 1 The gain, beside Figure 2.",
        "Table 1 Numbers of Figure 1.",
        "Figure 2 The loss.",
    ]
    assert set(re.findall(r'<figure[^>]* id="([^"]*)"', page)) == {"gain", "numbers", "loss"}


def test_captions_are_written_for_latex_too(tmp_path):
    page, warnings = built(tmp_path, PAGE, "latex")
    assert page.count(r"\caption{") == 3
    assert not warnings


@pytest.mark.parametrize("content", ["", "One.\n\nTwo.", "- a list"])
def test_a_caption_is_one_paragraph(tmp_path, content):
    page = f"# Page\n\n:::{{figure-caption}} gain\n{content}\n:::\n"
    assert "'gain' has to be one paragraph" in built(tmp_path, page)[1]


SAID = "Invented <script>alert(1)</script> & *SIM01*"
FILES = {
    "parameters": "../results/profile.json",
    "files": {
        "alignment": {"pretrained": "../results/pretrained.nc", "tuned": "../results/tuned.nc"},
        "impact": {"tuned": "../results/impact.nc"},
    },
}


def notebook(tmp_path, caption):
    """A chapter whose cell has pasted a source, and its files."""
    data = {"text/plain": SAID, SOURCE_TYPE: FILES}
    glued = new_output(
        "display_data",
        data={GLUE_PREFIX + kind: content for kind, content in data.items()},
        metadata={"scrapbook": {"name": "source", "mime_prefix": GLUE_PREFIX}},
    )
    (tmp_path / "results").mkdir()
    for name in ("profile.json", "pretrained.nc", "tuned.nc", "impact.nc"):
        (tmp_path / "results" / name).write_text(name)
    cells = [new_markdown_cell("# Page"), new_code_cell("", outputs=[glued])]
    return new_notebook(cells=[*cells, new_markdown_cell(caption)])


@pytest.mark.parametrize("builder", ["html", "latex"])
def test_data_runs_and_parameters_are_below_a_caption(tmp_path, builder):
    caption = ":::{figure-caption} gain\n:data: alignment\nGain. Data: {glue:text}`source`.\n:::"
    page, warnings = built(tmp_path, notebook(tmp_path, caption), builder)
    assert not warnings
    if builder == "latex":
        assert "tuned.nc" not in page
        return
    assert f"Data: {SAID}." in html.unescape(re.sub("<[^>]*>", "", page))
    links = re.findall(r'<a class="reference (?:download )?internal" [^>]*?href="([^"]*)"', page)
    if builder == "latex":
        assert "tuned.nc" not in page
        return
    downloads = [link for link in links if link.startswith("_downloads")]
    assert [(tmp_path / "out" / link).read_text() for link in downloads] == [
        *("pretrained.nc", "tuned.nc"),
        "profile.json",
    ]
    assert [link for link in links if link not in downloads] == ["run.html"]


def test_a_caption_with_a_source_says_which_data_it_has(tmp_path):
    caption = ":::{figure-caption} gain\nGain. Data: {glue:text}`source`.\n:::"
    warnings = built(tmp_path, notebook(tmp_path, caption))[1]
    assert "the caption 'gain' has to say which :data: it has" in warnings

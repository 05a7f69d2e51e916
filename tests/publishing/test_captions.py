from __future__ import annotations

import html
import io
import re

import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

CONFIGURATION = """\
extensions = ["myst_parser", "bthelpers.publishing.captions"]
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
    """What a builder writes of a page, and its warnings."""
    source, out, warnings = tmp_path / "source", tmp_path / "out", io.StringIO()
    source.mkdir()
    (source / "conf.py").write_text(CONFIGURATION)
    (source / "index.md").write_text(page)
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

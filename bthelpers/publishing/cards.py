"""Sphinx extension: cards of papers, terms and equations where one points at a link to them.

What is on the cards is read from the built pages, so that a build of some pages keeps all cards.
They are in one script, ``_static/cards.js``; tippy.js, which comes with the library, shows them.
Formulas are MathML, which browsers set without a script.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bs4 import BeautifulSoup, Tag
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

# Not in the book's own `_static`, all scripts of which Jupyter Book loads, in any order.
STATIC = Path(__file__).parent / "static"
SCRIPT = "cards.js"
SHOWN_BY = ("vendored/popper-2.11.8.min.js", "vendored/tippy-bundle-6.3.7.umd.min.js")
# Keys are addresses from the book's root; the page knows the way there.
SHOW = """
const root = new URL(document.documentElement.dataset.content_root, location.href).href;
for (const link of document.querySelectorAll("article a[href*='#']:not(.headerlink)")) {
  const content = link.href.startsWith(root) && cards[link.href.slice(root.length)];
  if (content) tippy(link, { content, allowHTML: true, maxWidth: 480, delay: [200, 0] });
}
"""

logger = logging.getLogger(__name__)


def page_cards(html: str) -> Iterator[tuple[str, str]]:
    """Find what links can lead to on a page.

    Parameters
    ----------
    html : str

    Yields
    ------
    tuple of str
        The target's id, and its card in HTML: a paper of the references, a term with its
        definition, or an equation with a label.

    Raises
    ------
    MathError
        If an equation has a command that cannot be written as MathML.
    """
    soup = BeautifulSoup(html, "html.parser")
    for paper in soup.select("div.citation[id]"):
        yield str(paper["id"]), _plain(*paper.find_all("p"))
    for term in soup.select("dl.glossary dt[id]"):
        meaning = term.find_next_sibling("dd")
        yield str(term["id"]), _plain(term) + _plain(*meaning.find_all("p"))
    for equation in soup.select("div.math[id^=equation-]"):
        tex = "".join(equation.find_all(string=True, recursive=False)).strip()
        yield (
            str(equation["id"]),
            tex2mathml(tex.removeprefix(r"\[").removesuffix(r"\]"), as_block=True),
        )


def _plain(*tags: Tag) -> str:
    """HTML without links, which could not be followed on a card."""
    for tag in tags:
        for link in tag.select("a.headerlink, .backrefs"):
            link.decompose()
        for link in tag.find_all("a"):
            link.unwrap()
        for named in tag.find_all(id=True):
            del named["id"]  # it stands on the page that the card is from
    return "".join(f"<p>{tag.decode_contents().strip()}</p>" for tag in tags)


def write_cards(app: Sphinx, error: Exception | None) -> None:
    """Write the script of all pages of the book."""
    if error or app.builder.name != "html":
        return
    cards = {}
    for name in sorted(app.env.found_docs):
        page = Path(app.outdir, f"{name}.html")
        try:
            found = dict(page_cards(page.read_text(encoding="utf-8")))
        except MathError as problem:
            logger.warning("%s: no cards of this page: %s", page, problem)
            continue
        cards |= {f"{name}.html#{target}": card for target, card in found.items()}
    text = f"const cards = {json.dumps(cards, ensure_ascii=False, indent=0)};\n{SHOW}"
    Path(app.outdir, "_static", SCRIPT).write_text(text, encoding="utf-8")


def serve_scripts(app: Sphinx, config: Config) -> None:
    """Have Sphinx copy the scripts of others to ``_static``."""
    config.html_static_path.append(str(STATIC))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    for script in (*SHOWN_BY, SCRIPT):
        app.add_js_file(script, loading_method="defer")
    app.connect("config-inited", serve_scripts)
    app.connect("build-finished", write_cards)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

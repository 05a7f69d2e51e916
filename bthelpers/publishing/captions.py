"""Sphinx extension: numbered captions of what a chapter's cells show.

MyST-NB can number a single image of a cell. A cell may draw several, or tables, which it cannot; so
the caption is a directive of its own, above or below the cell::

    :::{figure-caption} gain
    Change from pretrained. Data: simulated.
    :::

It is numbered (``numfig``), and ``{numref}`gain``` refers to it. ``table-caption`` is the same for
tables.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxTranslator
from sphinx.writers.html5 import HTML5Translator


class FigureCaption(nodes.figure):
    """A figure that has been shown elsewhere: its caption alone."""


class TableCaption(nodes.figure):
    """A table that has been shown elsewhere: its caption alone."""


class FigureCaptionDirective(SphinxDirective):
    """``figure-caption``: the argument is the name that references use."""

    has_content = True
    required_arguments = 1
    node_class: type[nodes.figure] = FigureCaption

    def run(self) -> list[nodes.Node]:
        """Make the caption, numbered, in one paragraph."""
        parsed = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, parsed)
        if len(parsed) != 1 or not isinstance(parsed[0], nodes.paragraph):
            raise self.error(f"the caption {self.arguments[0]!r} has to be one paragraph")
        caption = nodes.caption("", "", *parsed[0].children)
        captioned = self.node_class("", caption, names=[self.arguments[0]], classes=["caption"])
        self.set_source_info(captioned)
        self.state.document.note_explicit_target(captioned, captioned)
        return [captioned]


class TableCaptionDirective(FigureCaptionDirective):
    """``table-caption``: the argument is the name that references use."""

    node_class = TableCaption


def _visit(translator: SphinxTranslator, node: nodes.figure) -> None:
    translator.visit_figure(node)


def _depart(translator: SphinxTranslator, node: nodes.figure) -> None:
    translator.depart_figure(node)


def _depart_html(translator: HTML5Translator, node: nodes.figure) -> None:
    translator.body.append("</figcaption>\n</figure>\n")  # docutils' needs an image for the first


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives, numbered as Sphinx's own figures and tables are."""
    written = {"html": (_visit, _depart_html), "latex": (_visit, _depart)}
    app.add_enumerable_node(FigureCaption, "figure", **written)
    app.add_enumerable_node(TableCaption, "table", **written)
    app.add_directive("figure-caption", FigureCaptionDirective)
    app.add_directive("table-caption", TableCaptionDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

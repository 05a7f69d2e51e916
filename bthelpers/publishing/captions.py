"""Sphinx extension: numbered captions of what a chapter's cells show, and where its data are.

MyST-NB can number a single image of a cell. A cell may draw several, or tables, which it cannot; so
the caption is a directive of its own, above or below the cell::

    :::{figure-caption} gain
    :data: alignment
    Change from pretrained. Data: {glue:text}`source`.
    :::

It is numbered (``numfig``), and ``{numref}`gain``` refers to it. ``table-caption`` is the same for
tables. A caption that pastes a `bthelpers.results.runs.Source` says which of its files are drawn:
on the page, they can be downloaded below it, with links to the pages of the runs that made them
(configuration value ``run_pages``) and with their parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from docutils import nodes
from docutils.parsers.rst.directives import unchanged_required
from myst_nb.core.variables import RetrievalError
from myst_nb.ext.glue.utils import retrieve_glue_data
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxTranslator
from sphinx.writers.html5 import HTML5Translator

from bthelpers.results.runs import SOURCE_TYPE

PASTED = re.compile(r"\{glue:text\}`([\w-]+)`")


class FigureCaption(nodes.figure):
    """A figure that has been shown elsewhere: its caption alone."""


class TableCaption(nodes.figure):
    """A table that has been shown elsewhere: its caption alone."""


class CaptionSources(nodes.Element):
    """Links to the data below a caption; on pages only."""


class FigureCaptionDirective(SphinxDirective):
    """``figure-caption``: the argument is the name that references use."""

    has_content = True
    required_arguments = 1
    option_spec = {"data": unchanged_required}  # noqa: RUF012
    node_class: type[nodes.figure] = FigureCaption

    def run(self) -> list[nodes.Node]:
        """Make the caption, numbered, in one paragraph, and the links below it."""
        parsed = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, parsed)
        if len(parsed) != 1 or not isinstance(parsed[0], nodes.paragraph):
            raise self.error(f"the caption {self.arguments[0]!r} has to be one paragraph")
        caption = nodes.caption("", "", *parsed[0].children)
        captioned = self.node_class("", caption, names=[self.arguments[0]], classes=["caption"])
        self.set_source_info(captioned)
        self.state.document.note_explicit_target(captioned, captioned)
        if links := list(self._links()):
            captioned += CaptionSources("", nodes.bullet_list("", *links))
        return [captioned]

    def _links(self) -> Iterator[nodes.list_item]:
        """Of every source that the caption pastes: files that are drawn, then its parameters."""
        name = self.arguments[0]
        for source in self._sources():
            if "data" not in self.options:
                raise self.error(f"the caption {name!r} has to say which :data: it has")
            for kind in self.options["data"].split():
                for run, file in source["files"].get(kind, {}).items():
                    page = self.config.run_pages.get(file)
                    links = [self._download(file, f"{kind}.nc"), *([_page(page)] if page else [])]
                    yield _item(f"{run}: ", *links)
            yield _item("parameters: ", self._download(source["parameters"], "profile.json"))

    def _sources(self) -> Iterator[dict]:
        for name in PASTED.findall("\n".join(self.content)):
            try:
                pasted = retrieve_glue_data(self.state.document, name).data
            except RetrievalError:  # the role says so
                continue
            if SOURCE_TYPE in pasted:
                yield pasted[SOURCE_TYPE]

    def _download(self, file: str, name: str) -> nodes.Node:
        return addnodes.download_reference(
            "", name, refdomain="", reftype="download", reftarget=file, refdoc=self.env.docname
        )


class TableCaptionDirective(FigureCaptionDirective):
    """``table-caption``: the argument is the name that references use."""

    node_class = TableCaption


def _page(name: str) -> nodes.Node:
    target = {"refdomain": "std", "reftype": "doc", "reftarget": f"/{name}"}
    return addnodes.pending_xref("", nodes.inline("", "run"), refexplicit=True, **target)


def _item(said: str, *links: nodes.Node) -> nodes.list_item:
    line = nodes.paragraph("", "", nodes.Text(said))
    for number, link in enumerate(links):
        line += [nodes.Text(", "), link] if number else [link]
    return nodes.list_item("", line)


def _visit(translator: SphinxTranslator, node: nodes.figure) -> None:
    translator.visit_figure(node)


def _depart(translator: SphinxTranslator, node: nodes.figure) -> None:
    translator.depart_figure(node)


def _depart_html(translator: HTML5Translator, node: nodes.figure) -> None:
    translator.body.append("</figcaption>\n</figure>\n")  # docutils' needs an image for the first


def _visit_sources(translator: HTML5Translator, node: CaptionSources) -> None:
    translator.body.append("<details><summary>Data, runs and parameters</summary>\n")


def _depart_sources(translator: HTML5Translator, node: CaptionSources) -> None:
    translator.body.append("</details>\n")


def _skip(translator: SphinxTranslator, node: CaptionSources) -> None:
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives, numbered as Sphinx's own figures and tables are."""
    written = {"html": (_visit, _depart_html), "latex": (_visit, _depart)}
    app.add_enumerable_node(FigureCaption, "figure", **written)
    app.add_enumerable_node(TableCaption, "table", **written)
    app.add_config_value("run_pages", {}, "env")
    app.add_node(CaptionSources, html=(_visit_sources, _depart_sources), latex=(_skip, None))
    app.add_directive("figure-caption", FigureCaptionDirective)
    app.add_directive("table-caption", TableCaptionDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Invented results to explore, a page of them, and a browser."""

import pytest
from explored_results import invented_catalogue
from served import served

from bthelpers.explorer.page import explorer_page

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>A chapter</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<main><h1>A chapter</h1>{}</main></html>"""


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory):
    return invented_catalogue(tmp_path_factory.mktemp("explored"))


@pytest.fixture(scope="session")
def write_page():
    """Write a page of a catalogue into a folder."""

    def write(catalogue, folder):
        content = explorer_page(catalogue, folder / "_static").html
        (folder / "index.html").write_text(PAGE.format(content), encoding="utf-8")
        return folder

    return write


@pytest.fixture(scope="session")
def site(catalogue, write_page, tmp_path_factory):
    return write_page(catalogue, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def addresses(site):
    """Of the page in a folder and from a server."""
    with served(site) as address:
        yield {"file": (site / "index.html").as_uri(), "http": f"{address}/index.html"}


@pytest.fixture
def open_page(page):
    """Open an address, wait for the first map, and keep what goes wrong on the page."""
    page.set_default_timeout(60_000)
    page.problems, page.asked = [], []
    page.on("console", lambda said: page.problems.append(said.text) if said.type == "error" else 0)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("dialog", lambda dialog: page.problems.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: page.asked.append(request.url))

    def opened(address):
        page.goto("about:blank")  # an address that differs in its state only is not loaded again
        page.goto(address)
        page.wait_for_selector(".flatmap")
        return page

    return opened

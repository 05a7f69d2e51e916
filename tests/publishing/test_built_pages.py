"""The built book, where there is one: its links, and its pages in a browser."""

import functools
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from places import naming
from served import served

BUILT = Path(__file__).parents[2] / "book/_build/html"
SEEN = ("link", "script", "img", "source", "iframe")  # what a page loads, not what it leads to

pytestmark = pytest.mark.skipif(
    not (BUILT / "index.html").exists(),
    reason="no built book: its pages are not tested (make book)",
)


def pages():
    return sorted(str(page.relative_to(BUILT)) for page in BUILT.rglob("*.html"))


def chapters():
    return [name for name in pages() if name[:2].isdigit() or name == "runs_index.html"]


@functools.cache
def parsed(page):
    return BeautifulSoup(page.read_text(encoding="utf-8"), "lxml")


@functools.cache
def places(page):
    return {element["id"] for element in parsed(page).find_all(id=True)} | {""}


@pytest.mark.parametrize("name", pages())
def test_what_a_page_leads_to_is_there(name):
    page = BUILT / name
    missing = []
    for link in parsed(page).find_all("a", href=True):
        address, place = urldefrag(link["href"])
        if urlparse(address).scheme or (not address and not place):
            continue
        target = (page.parent / unquote(address)).resolve() if address else page
        if not target.exists():
            missing.append(link["href"])
        elif target.suffix == ".html" and not place.startswith("flatmap?"):
            missing += [link["href"]] * (unquote(place) not in places(target))
    assert missing == []


@pytest.mark.parametrize("name", pages())
def test_a_page_loads_nothing_from_elsewhere(name):
    loaded = [
        element.get("src") or element.get("href", "")
        for element in parsed(BUILT / name).find_all(SEEN)
        if element.get("rel") not in (["canonical"], ["next"], ["prev"])
    ]
    assert [address for address in loaded if urlparse(address).netloc] == []


def test_no_file_tells_where_it_was_made():
    assert naming(BUILT, Path(__file__).parents[2]) == []


@pytest.fixture(scope="module")
def roots():
    with served(BUILT) as address:
        yield {"file": BUILT.as_uri(), "http": address}


@pytest.mark.parametrize("name", chapters())
@pytest.mark.parametrize("scheme", ["file", "http"])
def test_a_chapter_has_no_error_and_asks_for_nothing_elsewhere(page, roots, scheme, name):
    problems, asked = [], []
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else 0)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{roots[scheme]}/{name}", wait_until="load")
    page.wait_for_timeout(500)
    assert problems == []
    own = (roots[scheme], "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []


@pytest.mark.parametrize("name", chapters())
def test_a_chapter_is_accessible(page, roots, name):
    page.goto(f"{roots['file']}/{name}", wait_until="load")
    page.wait_for_timeout(500)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("name", chapters())
def test_a_chapter_fits_a_small_screen(page, roots, name):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{roots['file']}/{name}", wait_until="load")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from bthelpers.publishing.pdf import find_chromium, print_pdf


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"install it .*apt install chromium"):
        find_chromium()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium: nothing is printed")
def test_a_page_is_printed_with_its_outline(tmp_path):
    page, pdf = tmp_path / "a page.html", tmp_path / "book.pdf"
    page.write_text("<title>A book</title><h1>Chapter</h1>" + "<p>Text.</p>" * 200)
    # Playwright refuses a thread in which the browser tests already run its event loop.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(print_pdf, page, pdf).result()
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert content.count(b"/Type /Page\n") > 1
    assert b"/Outlines" in content

"""The whole book as a PDF: its single page (``jupyter-book build --builder singlehtml``), printed.

``python -m bthelpers.publishing.pdf PAGE PDF`` prints, and without arguments says whether it could.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MISSING = "no Chromium, which prints the PDF: install it (Debian, Ubuntu: apt install chromium)"
MARGINS = {"top": "18mm", "bottom": "18mm", "left": "15mm", "right": "15mm"}
FOOTER = """<div style="font-size: 8px; width: 100%; text-align: center">
<span class="pageNumber"></span></div>"""
# Formulas are set when the page has been loaded.
SET = "() => globalThis.MathJax?.startup?.promise.then(() => true) ?? true"
LONGEST = 600_000  # milliseconds that a large book may take on a slow machine


def find_chromium() -> str:
    """Return the path of Chromium.

    Raises
    ------
    FileNotFoundError
        If there is none; the message says how to get it.
    """
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise FileNotFoundError(MISSING)


def print_pdf(page: Path, pdf: Path) -> None:
    """Print an HTML page, with an outline of its headings.

    Parameters
    ----------
    page : Path
    pdf : Path
        Is written anew.

    Raises
    ------
    FileNotFoundError
        If there is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium())
        opened = browser.new_page()
        opened.set_default_timeout(LONGEST)
        opened.goto(page.absolute().as_uri())
        opened.wait_for_function(SET)
        opened.pdf(
            path=pdf,
            format="A4",
            margin=MARGINS,
            outline=True,
            tagged=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
        )
        browser.close()


if __name__ == "__main__":
    try:
        if sys.argv[1:]:
            print_pdf(*map(Path, sys.argv[1:]))
        else:
            find_chromium()
    except FileNotFoundError as missing:
        sys.exit(f"make pdf: {missing}")

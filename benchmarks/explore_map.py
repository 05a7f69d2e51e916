"""Measure the explorer: bytes, seconds to the first picture, milliseconds for other colours.

    PYTHONPATH=tests python benchmarks/explore_map.py [--voxel-size-mm 5.2 2.53]

Invented values of three conditions on a simulated cortex, in a page that is opened from
a folder in headless Chromium, 1280 pixels wide. By default with some 10,000 voxels, and as many as
UTS02's functional volume has on the cortex. A recolour is what follows a choice: controls, title,
legend, all pixels and outlines; the browser's own work to show the canvas is not in it.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from explored_results import N_LAYERS, invented_catalogue
from playwright.sync_api import Browser, sync_playwright

from bthelpers.explorer.catalogue import Catalogue
from bthelpers.explorer.page import explorer_page

PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Map</title><main>{}</main></html>'
)
ROUNDS = 12
MEASURED = "performance.getEntriesByName('flatmap recolour').map((entry) => entry.duration)"


def write_page(catalogue: Catalogue, folder: Path) -> Path:
    page = folder / "index.html"
    content = explorer_page(catalogue, folder / "_static").html
    page.write_text(PAGE.format(content), encoding="utf-8")
    return page


def measure(browser: Browser, written: Path) -> dict[str, float]:
    """Seconds to the first picture, and all recolours in milliseconds, of one page."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    loaded = []
    page.on("request", lambda request: loaded.append(request.url))
    started = time.perf_counter()
    page.goto(written.as_uri())
    page.wait_for_selector(".flatmap .legend")
    first_picture = time.perf_counter() - started
    before = sum(
        Path(url.removeprefix("file://")).stat().st_size for url in loaded if "file" in url
    )
    page.get_by_label("Measure", exact=True).select_option("alignment")
    for number in range(ROUNDS):
        page.get_by_role("slider", name="Layer").fill(str(number % (N_LAYERS + 1)))
        page.wait_for_timeout(100)
    page.evaluate("performance.clearMeasures()")
    for _ in range(ROUNDS):
        for layer in range(N_LAYERS + 1):
            page.get_by_role("slider", name="Layer").fill(str(layer))
            page.wait_for_timeout(40)
    durations = page.evaluate(MEASURED)
    page.close()
    return {
        "MB before the first picture": before / 1e6,
        "s to the first picture": first_picture,
        "ms, median": statistics.median(durations),
        "ms, worst": max(durations),
        "recolours": len(durations),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxel-size-mm", type=float, nargs="+", default=[5.2, 2.53])
    sizes = parser.parse_args().voxel_size_mm
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                catalogue = invented_catalogue(Path(folder), size)
                written = write_page(catalogue, Path(folder))
                [described] = catalogue.description["participants"].values()
                chunks = (Path(folder) / "_static").rglob("*.js")
                values = {"MB in all": sum(file.stat().st_size for file in chunks) / 1e6}
                values |= measure(browser, written)
                print(f"{described['voxels']:,} voxels ({described['unseen']:,} on no pixel)")
                for name, value in values.items():
                    print(f"  {value:10.2f}  {name}")
        browser.close()


if __name__ == "__main__":
    main()

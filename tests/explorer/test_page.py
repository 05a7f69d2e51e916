"""The explorer in a browser, against the arrays that Python holds."""

import csv
import re
import shutil

import numpy as np
import pytest
import xarray as xr
from anatomy_dataset import PARTICIPANT
from axe_playwright_python.sync_playwright import Axe
from explored_results import ATTRS, CONDITIONS, MODEL, N_LAYERS
from unpacked import unpack

from bthelpers.core.errors import DatasetError
from bthelpers.explorer.catalogue import Catalogue
from bthelpers.explorer.chunks import STEPS
from bthelpers.results.maps import voxel_alignment, whole_brain
from bthelpers.results.store import Results, read_dataset, write_dataset

ROUNDING = 1.2 / STEPS  # of correlations and of the ceilings that divide them, in 12 bits


@pytest.fixture(scope="module")
def arrays(catalogue):
    return unpack(catalogue.chunk(f"{PARTICIPANT}/map"))


@pytest.fixture(scope="module")
def gain(catalogue, arrays):
    """Of every voxel, mean over layers, and how far 12 bits may take it."""
    tuned, before = (
        voxel_alignment(catalogue.results, MODEL, PARTICIPANT, condition)
        for condition in ("brain-tuned", "pretrained")
    )
    ceiling = arrays["ceiling"][0]
    return whole_brain(tuned - before, ceiling.size), ROUNDING / ceiling.min()


def seen_pixel(page, arrays, accepted):
    """Where on the page a large patch of pixels of an accepted voxel is, and its number."""
    raster = arrays["voxel"] - 1
    rows, columns = raster.shape
    reach = 8
    for y in range(rows // 4, rows - reach, 5):
        for x in range(columns // 8, columns - reach, 5):
            patch = raster[y - reach : y + reach, x - reach : x + reach]
            if raster[y, x] >= 0 and np.ptp(patch) == 0 and accepted[raster[y, x]]:
                box = page.locator(".flatmap canvas").first.bounding_box()
                place = (x * box["width"] / columns, y * box["height"] / rows)
                return box["x"] + place[0], box["y"] + place[1], raster[y, x]
    raise AssertionError("no voxel covers that many pixels")


def value_of(text):
    return float(re.match(r"[+−]?[\d.]+", text).group().replace("−", "-"))


def choose(page, label, option):
    page.get_by_label(label, exact=True).select_option(option)


def table_of(page, folder):
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    download.value.save_as(folder / "table.csv")
    with open(folder / "table.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_a_page_works_from_a_folder_and_from_a_server(open_page, addresses, scheme):
    page = open_page(addresses[scheme])
    assert (
        page.locator(".title").first.text_content() == "brain-tuned − pretrained, mean over layers"
    )
    assert "Invented <script>alert(1)</script>" in page.locator(".note").text_content()
    assert page.problems == []
    root = addresses[scheme].removesuffix("index.html")
    assert all(url.startswith((root, "about:", "data:", "blob:")) for url in page.asked)


def test_the_value_under_the_pointer_is_that_of_the_array(open_page, addresses, arrays, gain):
    page = open_page(addresses["file"])
    x, y, voxel = seen_pixel(page, arrays, np.isfinite(gain[0]))
    page.mouse.move(x, y)
    assert page.locator(".panel .name").text_content() == f"Voxel {voxel}"
    parcel, shown, ceiling = page.locator(".panel dd").all_text_contents()
    names = page.locator(".find option").all_text_contents()
    assert parcel in [*names, "no parcel"]
    assert value_of(shown) == pytest.approx(gain[0][voxel], abs=gain[1] + 6e-4)
    assert value_of(ceiling) == pytest.approx(arrays["ceiling"][0, voxel], abs=6e-4)


def test_the_table_holds_all_voxels(open_page, addresses, arrays, gain, tmp_path):
    rows = table_of(open_page(addresses["file"]), tmp_path)
    column = next(name for name in rows[0] if name.startswith("Gain"))
    written = np.array([float(row[column] or "nan") for row in rows])
    np.testing.assert_allclose(written, gain[0], rtol=0, atol=gain[1])
    pixels = np.bincount(arrays["voxel"].ravel(), minlength=len(rows) + 1)[1:]
    assert [int(row["pixels"]) for row in rows] == pixels.tolist()


def test_layers_measures_and_the_address(open_page, addresses, catalogue, tmp_path):
    page = open_page(addresses["file"])
    choose(page, "Measure", "alignment")
    choose(page, "Condition", "block-permuted")
    page.get_by_role("slider", name="Layer").fill("2")  # after the mean, layers 0 and 1
    page.wait_for_function("location.hash.includes('layer=1')")
    again = open_page(page.url)
    assert again.locator(".title").first.text_content() == "block-permuted, layer 1"
    run = catalogue.results.open(MODEL, PARTICIPANT, "block-permuted", "alignment")
    ceiling = catalogue.results.voxels(PARTICIPANT)["ceiling"].values
    expected = whole_brain(run["r"].sel(layer=1), ceiling.size) / ceiling
    rows = table_of(again, tmp_path)
    column = next(name for name in rows[0] if name.startswith("Brain alignment"))
    written = np.array([float(row[column] or "nan") for row in rows])
    np.testing.assert_allclose(written, expected, rtol=0, atol=ROUNDING / ceiling.min())
    assert again.problems == []


COLOUR_AT = """([x, y]) => {
  const canvas = document.querySelector(".flatmap canvas");
  const box = canvas.getBoundingClientRect();
  const [column, row] = [(x - box.left) / box.width, (y - box.top) / box.height];
  const place = [column * canvas.width, row * canvas.height, 1, 1];
  return [...canvas.getContext("2d").getImageData(...place).data];
}"""


def colour_at(page, x, y):
    return page.evaluate(COLOUR_AT, [x, y])


def test_the_threshold_leaves_smaller_values_out(open_page, addresses, arrays, gain):
    small = np.isfinite(gain[0]) & (np.abs(gain[0]) < 0.1) & (np.abs(gain[0]) > 0.03)
    page = open_page(addresses["file"])
    red, green, blue, _ = colour_at(page, *seen_pixel(page, arrays, small)[:2])
    assert (red - blue) * gain[0][seen_pixel(page, arrays, small)[2]] > 0  # red above 0
    page = open_page(f"{addresses['file']}#flatmap?threshold=0.1")
    red, green, blue, opaque = colour_at(page, *seen_pixel(page, arrays, small)[:2])
    assert red == green == blue
    assert opaque == 255


def test_only_significant_voxels(open_page, addresses, arrays, catalogue):
    address = f"{addresses['file']}#flatmap?measure=alignment&layer=2"
    [key] = [key for key in catalogue.keys if key.endswith("brain-tuned/significant")]
    significant = unpack(catalogue.chunk(key))["rows"][2]
    page = open_page(address)
    tick = page.get_by_label("only significant voxels")
    for wanted in (0, 1):
        x, y, _ = seen_pixel(page, arrays, significant == wanted)
        tick.set_checked(False)
        page.wait_for_function("!location.hash.includes('significant')")
        before = colour_at(page, x, y)
        tick.check()
        page.wait_for_function("location.hash.includes('significant=true')")
        red, green, blue, _ = after = colour_at(page, x, y)
        assert (before == after) == bool(wanted)
        assert (red == green == blue) == (not wanted)


def test_a_click_pins_and_draws_curves(open_page, addresses, arrays, gain):
    page = open_page(addresses["file"])
    x, y, voxel = seen_pixel(page, arrays, np.isfinite(gain[0]))
    page.mouse.click(x, y)
    curves = page.locator(".curves svg")
    said = curves.get_attribute("aria-label")
    assert f"layers {', '.join(map(str, range(N_LAYERS)))}" in said
    assert "brain-tuned" in said
    assert "block-permuted" in said
    page.wait_for_function(f"location.hash.includes('selection=voxel%3A{voxel}')")
    page.get_by_role("button", name="Unpin").click()
    curves.wait_for(state="detached")


def test_the_keyboard_reads_pins_and_moves(open_page, addresses):
    page = open_page(addresses["file"])
    page.locator(".frame").first.focus()
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.locator(".curves svg").wait_for()
    page.keyboard.press("p")
    page.wait_for_function("location.hash.includes('selection=parcel')")
    page.keyboard.press("+")
    page.wait_for_function("location.hash.includes('view=')")
    page.keyboard.press("Escape")
    page.locator(".curves svg").wait_for(state="detached")
    assert page.problems == []


def test_two_maps_share_view_and_colours(open_page, addresses):
    page = open_page(f"{addresses['file']}#flatmap?beside=block-permuted&view=[0.4,0.5,3]")
    titles = [title.split(" ")[0] for title in page.locator(".title").all_text_contents()]
    assert titles == ["brain-tuned", "block-permuted"]
    assert page.locator(".legend").count() == 1
    assert page.locator(".flatmap canvas:visible").count() == 2


@pytest.mark.parametrize("kind", ["PNG", "SVG"])
def test_pictures_are_saved(open_page, addresses, tmp_path, kind):
    page = open_page(addresses["file"])
    with page.expect_download() as download:
        page.get_by_role("button", name=kind).click()
    download.value.save_as(tmp_path / "picture")
    start = {"PNG": b"\x89PNG", "SVG": b"<svg"}[kind]
    assert (tmp_path / "picture").read_bytes().startswith(start)
    assert download.value.suggested_filename.endswith(f".{kind.lower()}")


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("condition=no-such", "There is no condition “no-such” here"),
        ("layer=99&selection=voxel:123456789", "no layer “99”"),
        ("model=<script>alert(1)</script>", "no model “<script>alert(1)</script>”"),
        ("view=[null]&threshold={}&regions=5&unheard=of&measure=gain", None),
        ("selection=voxel:-1", "no selection"),
    ],
)
def test_a_state_that_does_not_exist(open_page, addresses, state, told):
    page = open_page(f"{addresses['file']}#flatmap?{state}")
    status = page.locator(".status")
    if told:
        assert told in status.text_content()
    assert page.locator(".legend").is_visible()
    assert page.problems == []


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_damaged_and_missing_values(open_page, site, tmp_path, damage):
    shutil.copytree(site, tmp_path / "site")
    largest = max(tmp_path.glob("site/_static/explorer/*.js"), key=lambda file: file.stat().st_size)
    text = largest.read_text()
    largest.unlink()
    if damage == "cut":
        middle = len(text) // 2 // 4 * 4
        largest.write_text(text[: text.index('= "') + 3] + "AAAA" + text[middle:])
    page = open_page((tmp_path / "site/index.html").as_uri())
    told = page.locator(".status").text_content()
    assert f"{PARTICIPANT}/map" in told
    assert "build the book again" in told


def test_a_participant_without_surfaces(open_page, catalogue, write_page, tmp_path):
    def none(results, participant):
        raise DatasetError("pycortex-db/sim01 is missing")

    page = open_page(
        (write_page(Catalogue(catalogue.results, none), tmp_path) / "index.html").as_uri()
    )
    assert "No map of sim01. pycortex-db/sim01 is missing" in page.locator(".status").text_content()
    assert page.problems == []


def all_alike(run):
    return run.assign(r=xr.full_like(run["r"], 0.25))


def none_known(run):
    return run.assign(r=run["r"] * np.nan)


def one_voxel(run):
    return run.isel(voxel=[5])


def without_layers(run):
    return xr.Dataset({"mean_r": run["r"][1:].mean("layer")})


@pytest.mark.parametrize("change", [all_alike, none_known, one_voxel, without_layers])
@pytest.mark.parametrize("measure", ["gain", "alignment", "impact change", "p"])
def test_odd_values_are_shown_as_they_are(
    open_page, catalogue, write_page, tmp_path, change, measure
):
    results = Results(tmp_path / "results")
    shutil.copytree(catalogue.results.root, results.root)
    for condition in CONDITIONS:
        file = results.root / MODEL / PARTICIPANT / condition / "alignment.nc"
        write_dataset(change(read_dataset(file)), file, ATTRS)
        (file.parent / "impact.nc").unlink(missing_ok=True)
    odd = Catalogue(results, catalogue.drawn_on)
    page = open_page(
        (write_page(odd, tmp_path) / "index.html").as_uri() + f"#flatmap?measure={measure}"
    )
    measures = page.get_by_label("Measure", exact=True).locator("option").all_text_contents()
    assert "Low-level impact" not in measures  # of no condition is there any
    rows = table_of(page, tmp_path)
    assert len(rows) == catalogue.results.voxels(PARTICIPANT).sizes["voxel"]
    page.locator(".find select").select_option("L_A1")
    page.locator(".panel .name", has_text="L_A1").wait_for()
    assert page.problems == []


def test_without_javascript_there_is_a_picture(browser, addresses):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(addresses["file"])
    caption = page.locator(".flatmap-explorer figcaption").text_content()
    assert page.locator(".flatmap-explorer img").get_attribute("alt") == caption
    assert "Gain in alignment" in caption
    assert page.locator(".flatmap-explorer img").bounding_box()["height"] > 100


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_page(open_page, addresses, width, theme):
    page = open_page(addresses["file"])
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.locator(".find select").select_option("L_A1")
    page.locator(".curves svg").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()

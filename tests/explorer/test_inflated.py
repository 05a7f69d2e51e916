"""The inflated cortex as a page of its own."""

import base64
import re

import numpy as np
import pytest
from anatomy_dataset import PARTICIPANT

from bthelpers.core.errors import DatasetError
from bthelpers.explorer.inflated import GAP, inflated_view
from bthelpers.explorer.page import first_gain, show_inflated
from bthelpers.figures.flatmap import inflated
from bthelpers.results.store import SERVED

LABEL = "Gain <over> pretrained"


@pytest.fixture(scope="module")
def drawn(catalogue):
    return first_gain(catalogue)


@pytest.fixture(scope="module")
def view(drawn):
    return inflated_view(drawn[0], PARTICIPANT, drawn[1], label=LABEL)


def numbers(html, name):
    packed = re.search(rf'"_{name}": "([^"]*)"', html).group(1)
    return np.frombuffer(base64.b64decode(packed), "<f4" if name in "xyz" else "<i4")


def test_both_hemispheres_stand_apart(view, drawn):
    hemispheres = inflated(drawn[0], PARTICIPANT, drawn[1])
    left = len(hemispheres[0][0])
    x = numbers(view.html, "x")
    assert len(x) == left + len(hemispheres[1][0])
    assert x[:left].max() == pytest.approx(-GAP, abs=1e-3)
    assert x[left:].min() == pytest.approx(GAP, abs=1e-3)
    third_corner = numbers(view.html, "k")
    np.testing.assert_array_equal(third_corner[: len(hemispheres[0][1])], hemispheres[0][1][:, 2])
    assert third_corner.max() == len(x) - 1


def test_the_page_works_from_a_folder_and_asks_for_nothing(view, page, tmp_path):
    (tmp_path / "inflated.html").write_text(view.html, encoding="utf-8")
    problems, asked = [], []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "inflated.html").as_uri())
    page.wait_for_selector("canvas", timeout=60_000)
    assert problems == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    assert re.findall(r"<(?:link|script|img)[^>]*https?:", view.html) == []


def test_nothing_to_show_is_said(drawn):
    with pytest.raises(ValueError, match=f"no finite value to show on the cortex of {PARTICIPANT}"):
        inflated_view(drawn[0], PARTICIPANT, np.full_like(drawn[1], np.nan), label=LABEL)


def test_a_book_links_to_the_page_or_says_why_not(catalogue, monkeypatch, tmp_path):
    def missing(results, participant):
        raise DatasetError(f"{participant} has no <surfaces>")

    monkeypatch.setenv(SERVED, str(tmp_path))
    monkeypatch.setattr("bthelpers.explorer.page.Catalogue", lambda results: catalogue)
    link = re.search(r'href="_static/([^"]+)"', show_inflated(catalogue.results).data).group(1)
    assert (tmp_path / link).stat().st_size > 1e6
    monkeypatch.setattr(catalogue, "drawn_on", missing)
    assert "has no &lt;surfaces&gt;" in show_inflated(catalogue.results).data

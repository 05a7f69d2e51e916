"""Invented results; a module that needs others defines its own."""

import pytest
from alignment_results import MODEL, write_results

from bthelpers.results.alignment import load_alignment
from bthelpers.results.store import Results


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results") / "smoke"


@pytest.fixture(scope="module")
def written(folder):
    return write_results(folder)


@pytest.fixture(scope="module")
def results(folder, written):
    return Results(folder)


@pytest.fixture(scope="module")
def alignments(results):
    return load_alignment(results, MODEL)

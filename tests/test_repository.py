"""Rules of the repository that no tool checks."""

import re
import subprocess
from pathlib import Path

import pytest

from bthelpers.workflow.steps import STEPS

ROOT = Path(__file__).parents[1]


def tracked(pattern):
    listed = subprocess.run(
        ["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def test_no_executed_notebook_is_tracked():
    assert tracked("*.ipynb") == []


def test_no_file_tells_where_it_was_made():
    """Recorded results and miniatures are binary files, among others. Tests invent places."""
    search = ["git", "grep", "-laE", "/(home|root|tmp|Users)/", "--", ".", ":!tests"]
    found = subprocess.run(search, cwd=ROOT, capture_output=True, text=True)
    assert found.stdout.split() == []


@pytest.mark.parametrize("chapter", [*ROOT.glob("book/*.md"), *ROOT.glob("book/runs/*.md")])
def test_chapters_hold_calls_and_no_definitions(chapter):
    assert not re.search(r"^\s*(def|class) ", chapter.read_text(), re.MULTILINE)


def test_the_book_finds_its_configuration():
    for name in ("_config.yml", "_toc.yml"):
        assert (ROOT / "book" / name).resolve() == ROOT / name


def test_every_run_notebook_is_that_of_a_step():
    notebooks = {step.notebook or name for name, step in STEPS.items()}
    assert {notebook.stem for notebook in ROOT.glob("book/runs/*.md")} == notebooks

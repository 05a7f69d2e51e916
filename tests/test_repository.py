"""Rules of the repository that no tool checks."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted(ROOT.glob("book/*.md"))


def tracked(pattern):
    listed = subprocess.run(
        ["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def contents():
    """Pages of the book's table of contents, in its order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    sections = [section for chapter in chapters for section in chapter.get("sections", [])]
    return [toc["root"], *(page["file"] for page in [*chapters, *sections] if "file" in page)]


def test_no_executed_notebook_is_tracked():
    assert tracked("*.ipynb") == []


@pytest.mark.parametrize("chapter", [*CHAPTERS, *ROOT.glob("book/runs/*.md")])
def test_chapters_hold_calls_and_no_definitions(chapter):
    assert not re.search(r"^\s*(def|class) ", chapter.read_text(), re.MULTILINE)


def test_the_book_finds_its_configuration():
    for name in ("_config.yml", "_toc.yml"):
        assert (ROOT / "book" / name).resolve() == ROOT / name


def test_every_run_notebook_has_a_rule():
    rules = "".join(
        (ROOT / file).read_text() for file in ("Snakefile", "bthelpers/workflow/steps.py")
    )
    for notebook in ROOT.glob("book/runs/*.md"):
        assert re.search(rf"['\"/]{notebook.stem}(\.md)?['\"]", rules), notebook


def test_chapters_are_numbered_in_reading_order():
    names = [chapter.stem for chapter in CHAPTERS]
    assert names == [page for page in contents() if not page.startswith("api/")]
    assert [int(name[:2]) for name in names] == list(range(1, len(names) + 1))


def test_every_package_has_its_page():
    packages = [file.parent.relative_to(ROOT) for file in ROOT.glob("bthelpers/**/__init__.py")]
    pages = {f"api/{'.'.join(package.parts)}" for package in packages}
    assert pages == {page for page in contents() if page.startswith("api/")}
    library = (ROOT / "book/16_library.md").read_text()
    assert pages == set(re.findall(r"\]\((api/.*?)\)", library))


def test_links_between_chapters_and_from_old_addresses_lead_somewhere():
    names = {chapter.name for chapter in CHAPTERS}
    for chapter in CHAPTERS:
        assert set(re.findall(r"\]\(([^)]*\.md)\)", chapter.read_text())) <= names, chapter
    redirects = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["redirects"]
    assert {f"{Path(target).stem}.md" for target in redirects.values()} <= names
    assert not {f"{old}.md" for old in redirects} & names


def test_the_version_is_said_in_one_way():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == project["version"]
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text()

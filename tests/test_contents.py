"""The book's contents, its addresses, and what the repository says of its version."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted(ROOT.glob("book/*.md"))


def contents():
    """Pages of the book's table of contents, in its order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    sections = [section for chapter in chapters for section in chapter.get("sections", [])]
    return [toc["root"], *(page["file"] for page in [*chapters, *sections] if "file" in page)]


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

"""The book's contents, its addresses, and what the repository says of its version."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted(ROOT.glob("book/*.md"))
REFERENCE = re.compile(r"\{ref\}`([^`]*)`")
OF_THE_PAPER = [
    *("1", "2a", "2b", "2c", "3a", "3b", "3c", "4a", "4b–f", "5", "6", "7", "8", "9", "10"),
    *("11", "12a", "12b", "13", "14", "15"),  # figures
    *("A.1", "A.2", "A.3", "A.4", "A.5", "B", "C", "D.1", "D.2", "E.1", "E.2", "F.1", "F.2", "F.3"),
]


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


def labels():
    """Of sections that other pages link to."""
    text = "\n".join(chapter.read_text() for chapter in CHAPTERS)
    return set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))


def test_captions_have_names_of_their_own_and_numbers_refer_to_them():
    text = "\n".join(chapter.read_text() for chapter in CHAPTERS)
    names = re.findall(r"^:::\{(?:figure|table)-caption\} (.*)$", text, re.MULTILINE)
    assert len(set(names)) == len(names) > 0
    assert set(re.findall(r"\{numref\}`([^`]*)`", text)) <= set(names)
    assert not set(names) & labels()


def test_every_reference_is_cited_and_every_citation_has_its_reference():
    text = "\n".join(chapter.read_text() for chapter in CHAPTERS)
    cited = re.findall(r"\{cite:[pt]\}`([^`]*)`", text)
    entries = re.findall(r"^@\w+\{(.*),$", (ROOT / "book/references.bib").read_text(), re.MULTILINE)
    assert len(set(entries)) == len(entries)
    assert {key for keys in cited for key in keys.split(",")} == set(entries)


def references(text):
    """Labels that a page links to."""
    return {re.sub(r".*<(.*)>", r"\1", name, flags=re.DOTALL) for name in REFERENCE.findall(text)}


def test_references_between_sections_lead_somewhere():
    for chapter in CHAPTERS:
        assert references(chapter.read_text()) <= labels(), chapter


def test_every_figure_and_appendix_of_the_paper_has_its_counterpart():
    """Or a line that says what is missing and why; of the panels of a figure, each."""
    table = (ROOT / "book/01_introduction.md").read_text().split("(figures-of-the-paper)=")[1]
    rows = [row.split(" | ") for row in re.findall(r"^\| (\w.*) \|$", table, re.MULTILINE)]
    rows = {row[0]: row[2:] for row in rows if row[0] not in ("figure", "appendix")}
    named = ", ".join(rows).split(", ")
    assert sorted(named) == sorted(OF_THE_PAPER)
    for name, (counterpart, *missing) in rows.items():
        assert references(counterpart) or any(missing), name


def test_the_version_is_said_in_one_way():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == project["version"]
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text()

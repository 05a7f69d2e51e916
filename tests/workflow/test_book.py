import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import xarray as xr
from impact_results import SMOKE
from places import naming

from bthelpers.results.store import read_dataset, write_dataset
from bthelpers.workflow import book as sphinx_results
from bthelpers.workflow.book import (
    choose_cache,
    execute_chapters,
    fingerprint,
    make_results,
    write_reference,
)

CONFIG = """\
title: A book
only_build_toc_files: true
execute:
  execute_notebooks: cache
  raise_on_error: true
sphinx:
  extra_extensions: [bthelpers.workflow.book]
  local_extensions: {kill: .}
  config:
    results_command: [python, workflow.py, "{profile}"]
"""

PAGE = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3}
---
# A chapter

```{code-cell}
from pathlib import Path
from bthelpers.core.errors import ResultsError
from bthelpers.results.store import Results
executions = Path("executions")
executions.write_text(executions.read_text() + "x" if executions.exists() else "x")
result = Results.current().open("hubert-mini", "SIM01", "pretrained", "alignment")
print("the alignment is", float(result["alignment"]), result.attrs["profile"])
try:
    Results.current().open("hubert-mini", "SIM02", "pretrained", "alignment")
except ResultsError as reason:
    print(reason)
```
"""

# Stands for the workflow: makes a profile's result where it is missing.
WORKFLOW = """\
import json
import sys
from pathlib import Path
import xarray as xr
from bthelpers.results.store import write_dataset
from bthelpers.core.checksums import write_sum
from bthelpers.params.loading import load, to_dict
profile = sys.argv[1]
print("the workflow makes", profile, file=sys.stderr)
path = Path("results", profile, "hubert-mini/SIM01/pretrained/alignment.nc")
if profile == "broken":
    sys.exit(3)
if not path.exists():
    write_dataset(xr.Dataset({"alignment": 0.25}), path, {"profile": profile})
    parameters = json.dumps(to_dict(load("SMOKE")))
    Path("results", profile, "profile.json").write_text(parameters)
"""

# Ends a build at the worst moment: after Sphinx has noted its pages as read, before it writes them.
KILL = """\
import os
def setup(app):
    if "KILL" in os.environ:
        app.connect("env-check-consistency", lambda app, env: os._exit(9))
"""

# Waits for another chapter, which waits for this one.
MEETING = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3}
---
# OWN

```{code-cell}
import time
from pathlib import Path
Path("OWN").touch()
give_up = time.monotonic() + 300
while not Path("OTHER").exists() and time.monotonic() < give_up:
    time.sleep(0.1)
print("have met:", Path("OTHER").exists())
```
"""


class Book:
    """A repository with a book of one chapter."""

    def __init__(self, repository: Path):
        self.repository = repository
        self.book = repository / "book"
        self.book.mkdir()
        self.page = self.book / "_build" / "html" / "chapter.html"
        (self.book / "_config.yml").write_text(CONFIG)
        (self.book / "_toc.yml").write_text("format: jb-book\nroot: chapter\n")
        (self.book / "chapter.md").write_text(PAGE)
        (self.book / "kill.py").write_text(KILL)
        (repository / "workflow.py").write_text(WORKFLOW.replace("SMOKE", str(SMOKE)))

    def build(self, **environment) -> subprocess.CompletedProcess:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["jupyter-book", "build", "book"],
            cwd=self.repository,
            env={**os.environ, "PATH": path, **environment},
            capture_output=True,
            text=True,
        )

    def shown(self, **environment) -> str:
        """What the chapter prints after a build."""
        done = self.build(**environment)
        assert done.returncode == 0, done.stderr
        page = self.page.read_text()
        assert "the workflow makes" in done.stderr
        assert "the workflow makes" not in page
        (shown,) = re.findall(r"the alignment is (\S+ \w+)", page)
        return shown

    def executions(self) -> int:
        return len((self.book / "executions").read_text())

    def change(self, alignment: float) -> None:
        path = self.repository / "results/demo/hubert-mini/SIM01/pretrained/alignment.nc"
        provenance = read_dataset(path).attrs
        write_dataset(xr.Dataset({"alignment": alignment}), path, provenance)


def test_a_page_shows_the_results_that_are_there(tmp_path):
    book = Book(tmp_path)
    assert book.shown() == "0.25 demo"
    assert book.executions() == 1
    assert "../results/demo/hubert-mini/SIM02" in book.page.read_text()
    assert naming(tmp_path / "book/_build/html", tmp_path) == []

    assert book.shown() == "0.25 demo"
    assert book.executions() == 1  # nothing has changed

    book.change(0.5)
    assert book.shown() == "0.5 demo"
    assert book.executions() == 2

    book.change(0.75)
    assert book.build(KILL="yes").returncode == 9
    assert book.shown() == "0.75 demo"  # though Sphinx takes the page for read

    assert book.shown(PROFILE="other") == "0.25 other"
    assert book.executions() == 4

    assert book.shown() == "0.75 demo"
    assert book.executions() == 4  # from the cache of that state

    failed = book.build(PROFILE="broken")
    assert failed.returncode == 1
    assert "workflow.py broken failed (exit status 3)" in failed.stderr.splitlines()[-1]
    assert "Traceback" not in failed.stderr


@pytest.mark.skipif(os.cpu_count() < 2, reason="chapters wait for each other: needs two processors")
def test_chapters_are_executed_side_by_side(tmp_path):
    book = Book(tmp_path)
    for own, other in (("one", "two"), ("two", "one")):
        page = MEETING.replace("OWN", own).replace("OTHER", other)
        (book.book / f"{own}.md").write_text(page)
    (book.book / "_toc.yml").write_text("format: jb-book\nroot: one\nchapters: [{file: two}]\n")
    assert book.build().returncode == 0
    for name in ("one", "two"):
        assert "have met: True" in (book.book / f"_build/html/{name}.html").read_text()


def test_threads_of_chapters_sleep_where_they_wait_unless_the_user_says_how(tmp_path, monkeypatch):
    policies = []

    def remember(command, env, stdout):
        policies.append(env["OMP_WAIT_POLICY"])

    monkeypatch.setattr(sphinx_results, "run_to_end", remember)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    execute_chapters(tmp_path, tmp_path / "cache", 60)
    assert set(policies) == {"PASSIVE"}
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    execute_chapters(tmp_path, tmp_path / "cache", 60)
    assert policies[-1] == "ACTIVE"


def test_a_chapter_that_fails_fails_the_build(tmp_path):
    book = Book(tmp_path)
    (book.book / "chapter.md").write_text(PAGE.replace("print(", "1 / 0  # print("))
    failed = book.build()
    assert failed.returncode != 0
    assert "ZeroDivisionError" in failed.stderr


def test_a_workflow_that_fails_is_named(tmp_path):
    results = tmp_path / "results" / "demo"
    with pytest.raises(SystemExit, match=r"false failed \(exit status 1\); its messages are above"):
        make_results(["false"], results)
    with pytest.raises(SystemExit, match="no-such-command cannot be run: "):
        make_results(["no-such-command"], results)
    with pytest.raises(SystemExit, match=f"true has not made {results}"):
        make_results(["true"], results)
    make_results(["mkdir", "-p", str(results)], results)


def test_the_fingerprint_follows_results_profile_library_and_benchmarks(tmp_path, monkeypatch):
    library = tmp_path / "library"
    library.mkdir()
    (library / "surface.py").write_text("1")
    monkeypatch.setattr(sphinx_results, "LIBRARY", library)
    demo, other = (tmp_path / "results" / name for name in ("demo", "other"))
    for folder in (demo, other):
        write_dataset(xr.Dataset({"alignment": 1.0}), folder / "a.nc", {})
    seen = [fingerprint(demo), fingerprint(other)]
    assert fingerprint(demo) == seen[0]
    write_dataset(xr.Dataset({"alignment": 2.0}), demo / "a.nc", {})
    seen.append(fingerprint(demo))
    (library / "surface.py").write_text("2")
    seen.append(fingerprint(demo))
    (library / "regions.yaml").write_text("A1: [A1]")
    seen.append(fingerprint(demo))
    (tmp_path / "book/recorded").mkdir(parents=True)
    (tmp_path / "book/recorded/benchmarks.json").write_text("{}")
    seen.append(fingerprint(demo))
    assert len(set(seen)) == len(seen)


def test_only_the_last_used_caches_are_kept(tmp_path):
    caches = tmp_path / ".jupyter_cache"
    for name in ("a", "b", "c"):
        cache = choose_cache(caches, name)
        (cache / "outputs").write_text(name)
    (caches / "global.db").write_text("a file of Jupyter's")
    assert choose_cache(caches, "a") == caches / "a"
    choose_cache(caches, "d")
    assert sorted(path.name for path in caches.iterdir()) == ["a", "c", "d", "global.db"]
    assert (caches / "a" / "outputs").read_text() == "a"


def test_the_reference_has_a_page_for_each_package_that_lists_its_modules(tmp_path):
    book = Path(sphinx_results.__file__).parents[2] / "book"
    (tmp_path / "_templates").symlink_to(book / "_templates")
    write_reference(tmp_path)
    packages = {file.parent for file in (book.parent / "bthelpers").rglob("__init__.py")}
    pages = {".".join(package.relative_to(book.parent).parts): package for package in packages}
    assert {path.stem for path in (tmp_path / "api").iterdir()} == set(pages)
    for name, package in pages.items():
        page = tmp_path / "api" / f"{name}.rst"
        modules = {f"{name}.{module.stem}" for module in package.glob("[a-z]*.py")}
        listed = re.findall(r"automodule:: (\S+)\n   :members:", page.read_text())
        assert set(listed) == modules
    written = page.stat().st_mtime_ns
    write_reference(tmp_path)
    assert page.stat().st_mtime_ns == written


def test_the_variables_of_make_limit_the_workflow(tmp_path, monkeypatch):
    for name in ("CORES", "GPUS", "CLUSTER"):
        monkeypatch.setenv(name, "")  # as make hands on what is not given

    def command():
        values = {}
        app = SimpleNamespace(
            add_config_value=lambda name, default, _: values.update({name: default}),
            connect=lambda *_, **__: None,
        )
        sphinx_results.setup(app)
        return values["results_command"][3:]

    assert command() == ["run", "{profile}"]
    for name, value in {"CORES": "2", "GPUS": "0", "CLUSTER": "slurm"}.items():
        monkeypatch.setenv(name, value)
    limits = ["--cores", "2", "--gpus", "0", "--cluster", "slurm"]
    assert command() == ["run", "{profile}", *limits]

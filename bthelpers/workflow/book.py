"""Sphinx extension: a book that makes its results, and whose pages follow them.

Before any page is read, the workflow makes what is missing or outdated of the profile's results
(``PROFILE`` in the environment, or ``demo``; ``CORES``, ``GPUS`` and ``CLUSTER`` say where and how
many at a time, as of ``make results``). What they hold is digested to a fingerprint:

- Jupyter's execution cache compares a page's code only, so each fingerprint has a cache folder of
  its own. The folder is a configuration value on which Sphinx's reading of every page depends:
  when it changes, all pages are read, and so executed, again. What it lacks is executed side by
  side, before Sphinx reads one page after another.
- The fingerprint is a configuration value on which the writing of every page depends: pages are
  written again until a build with this fingerprint has come to its end.
- What chapters write for the pages to load goes to a folder of the cache, too.

The library's reference, one page a package, is made from its docstrings before pages are read.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.ext import apidoc
from sphinx.util import logging

from bthelpers.core.checksums import is_intact, sums_beside
from bthelpers.core.errors import parsing
from bthelpers.core.files import write_if_changed
from bthelpers.core.provenance import digest, file_digest
from bthelpers.results.store import ENVIRONMENT, SERVED, Results
from bthelpers.workflow.processes import run_to_end
from bthelpers.workflow.runs.unfinished import UNFINISHED
from bthelpers.workflow.steps import planned_runs

LIBRARY = Path(__file__).parents[1]
PAGES = "executed"  # folder of the runs' pages, in the book
LEFT_OUT = "delete it, and its page is left out"
KEPT_CACHES = 3  # so that going back to another profile, or undoing a change, executes nothing

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; ``results_command`` is what makes the results of ``{profile}``."""
    told = {name: os.environ.get(name.upper(), "") for name in ("cores", "gpus", "cluster")}
    options = [word for name, value in told.items() if value for word in (f"--{name}", value)]
    workflow = [sys.executable, "-m", "bthelpers", "run", "{profile}", *options]
    app.add_config_value("results_command", workflow, "")
    app.add_config_value("results_fingerprint", "", "html")
    # Early: the table of contents, read at 900, may list pages that the workflow makes.
    app.connect("config-inited", follow_results, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def follow_results(app: Sphinx, config: Config) -> None:
    """Make the results, show them to the chapters, and choose their execution cache.

    Raises
    ------
    SystemExit
        If the workflow fails. (Under an exception, Jupyter Book would put its own traceback.)
    """
    profile = os.environ.get("PROFILE", "demo")
    repository = Path(app.srcdir).parent
    results = repository / "results" / profile
    make_results([part.replace("{profile}", profile) for part in config.results_command], results)
    collect_pages(results, Path(app.srcdir) / PAGES)
    config.run_pages = run_pages(results)
    write_reference(Path(app.srcdir))
    # Inherited by the chapters' kernels. Relative to them: pages show messages that name files.
    os.environ[ENVIRONMENT] = os.path.relpath(results, app.srcdir)
    caches = Path(app.outdir).parent / ".jupyter_cache"
    config.results_fingerprint = fingerprint(results)
    cache = choose_cache(caches, config.results_fingerprint)
    config.nb_execution_cache_path = str(cache)
    serve(cache / "served", config)
    execute_chapters(Path(app.srcdir), cache, config.nb_execution_timeout)


def execute_chapters(book: Path, cache: Path, timeout: float) -> None:
    """Execute the chapters that a cache lacks, as many at a time as there are processors.

    Their threads sleep where they wait for each other: awake, they would hold up other chapters'.
    One that fails is executed again, and its error reported, when its page is read.
    """
    chapters = sorted(str(chapter.absolute()) for chapter in book.glob("*.md"))
    own = {"JUPYTERCACHE": str(cache.absolute())}
    environment = {"OMP_WAIT_POLICY": "PASSIVE"} | os.environ | own
    for words in (
        ("notebook", "clear", "--force"),  # from the list of those to execute
        ("notebook", "add", "--reader", "myst_nb_md", *chapters),
        ("project", "execute", "--executor", "local-parallel", "--timeout", str(int(timeout))),
    ):
        jcache = Path(sys.executable).with_name("jcache")
        run_to_end([str(jcache), *words], env=environment, stdout=subprocess.DEVNULL)


def serve(folder: Path, config: Config) -> None:
    """Have Sphinx copy to ``_static`` what chapters write into a folder when they are executed.

    It is one of their cache: a page that is not executed again finds its files still there.
    """
    folder.mkdir(exist_ok=True)
    config.html_static_path.append(str(folder))
    os.environ[SERVED] = str(folder.absolute())


def make_results(command: list[str], results: Path) -> None:
    """Run the workflow in the repository; its progress goes to the terminal.

    A signal that ends the build ends the workflow as well.
    """
    shown = shlex.join(command)
    logger.info("making what is missing of %s: %s", results, shown)
    try:
        status = run_to_end(command, cwd=results.parent.parent)
    except OSError as error:
        raise SystemExit(f"{shown} cannot be run: {error}") from error
    if status != 0:
        raise SystemExit(
            f"{shown} failed (exit status {status}); its messages are above."
            " The same build goes on from there once their cause is mended."
        )
    if not results.is_dir():
        raise SystemExit(f"{shown} has not made {results}")


def fingerprint(results: Path) -> str:
    """Digest of all that a chapter shows apart from its own code."""
    ends = ("py", "yaml", "json", "js", "css")
    library = [path for end in ends for path in LIBRARY.rglob(f"*.{end}")]
    book = results.parents[1] / "book"
    return digest(
        {
            "results": str(results),
            "contents": Results(results).fingerprint(),
            "recorded": Results(book / "recorded").fingerprint(),
            "measured": [file_digest(path) for path in sorted(book.glob("recorded/*.json"))],
            "library": {str(path.relative_to(LIBRARY)): file_digest(path) for path in library},
        }
    )


def choose_cache(caches: Path, name: str) -> Path:
    """Folder of that name among the caches, of which only the last used are kept."""
    chosen = caches / name
    chosen.mkdir(parents=True, exist_ok=True)
    os.utime(chosen)
    folders = (path for path in caches.iterdir() if path.is_dir())
    by_use = sorted(folders, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for superseded in by_use[KEPT_CACHES:]:
        shutil.rmtree(superseded)
    return chosen


def write_reference(book: Path) -> None:
    """Write ``api/<package>.rst`` for every package of the library, by the book's template."""
    folders = [f"--templatedir={book / '_templates'}", f"--output-dir={book / 'api'}"]
    apidoc.main(["-q", "--force", "--no-toc", *folders, str(LIBRARY)])


def collect_pages(results: Path, folder: Path) -> list[Path]:
    """Bring the executed notebooks of a results folder into the book, one page each.

    Pages of runs that are no longer there are removed, and pages that did not change are left
    alone, so that Sphinx does not read them again.

    Parameters
    ----------
    results : Path
        ``results/<profile>``.
    folder : Path
        Folder of the pages in the book.

    Returns
    -------
    list of Path
        The pages, sorted.

    Raises
    ------
    SystemExit
        If a notebook is damaged, or not known to be of the run whose receipt lies beside it.
    """
    pages = {}
    for notebook in sorted(results.rglob("*.ipynb")):
        if notebook.name.endswith(UNFINISHED):
            continue
        owner = notebook.relative_to(results)
        page = folder / f"{_page_name(owner)}.ipynb"
        # One of an earlier version has neither receipt nor checksum.
        checked = notebook.with_suffix(".json").exists() or sums_beside(notebook).exists()
        if checked and not is_intact(notebook):
            raise SystemExit(f"{notebook} is not as its run left it: {LEFT_OUT}")
        with parsing(notebook, "notebook", LEFT_OUT, SystemExit):
            content = _titled(json.loads(notebook.read_bytes()), owner.parts[:-1])
        pages[page] = _without_places(json.dumps(content, indent=1)) + "\n"
    for outdated in set(folder.glob("*.ipynb")) - set(pages):
        outdated.unlink()
    for page, text in pages.items():
        write_if_changed(page, text)
    return list(pages)


def _without_places(text: str) -> str:
    """Text in which files, as warnings name them, are named from the repository or environment."""
    for place in (sys.prefix, str(LIBRARY.parent)):
        text = text.replace(f"{place}/", "")
    return text


def run_pages(results: Path) -> dict[str, str]:
    """Pages of the runs that made the data files of a results folder.

    Parameters
    ----------
    results : Path
        ``results/<profile>``.

    Returns
    -------
    dict of str to str
        By data file, as seen from the book's folder: the page of its run, if it is in the book.
    """
    seen = Path("..", *results.parts[-2:])
    return {
        (seen / file).as_posix(): f"{PAGES}/{_page_name(Path(run.log))}"
        for run in planned_runs(Results(results).profile())
        if (results / run.log).is_file()
        for file in run.files
    }


def _page_name(notebook: Path) -> str:
    return "-".join(notebook.with_suffix("").parts)


def _titled(content: dict, owner: tuple[str, ...]) -> dict:
    """Put model, participant and condition into the notebook's title."""
    first = content["cells"][0]
    title, *rest = "".join(first["source"]).split("\n")
    if owner:
        title = f"{title}: {', '.join(owner)}"
    first["source"] = "\n".join([title, *rest])
    return content

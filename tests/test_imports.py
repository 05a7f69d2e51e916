"""What is imported: packages that are declared, and without PyTorch what is read first."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent.name for path in ROOT.glob("bthelpers/*/__init__.py"))
SHOWN = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("results", "figures", "claims")
    for path in sorted(ROOT.glob(f"bthelpers/{package}/**/*.py"))
]


def test_what_is_imported_is_declared():
    """So that all of it is pinned, and installed where the newest versions are tried."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    declared = {canonicalize_name(Requirement(each).name) for each in declared}
    libraries = [*ROOT.glob("bthelpers/**/*.py"), *ROOT.glob("snakemake_logger_plugin_runs/*.py")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in libraries)
    imported = set(re.findall(r"^ *(?:from|import) (\w+)(?:\.[\w.]+)?(?: import .*)?$", text, re.M))
    packages = metadata.packages_distributions()
    for module in (imported & packages.keys()) - {"bthelpers"}:
        assert declared & {canonicalize_name(name) for name in packages[module]}, module


def loads_torch(statement):
    code = f"import sys; {statement}; sys.exit('torch' in sys.modules)"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode


@pytest.mark.parametrize(
    "modules",
    [
        [f"bthelpers.{package}" for package in PACKAGES],
        ["bthelpers.results", "bthelpers.figures", "bthelpers.claims"],
        [name.removesuffix(".__init__") for name in SHOWN],
        ["bthelpers.tasks.preference"],
        ["bthelpers.cli"],
    ],
    ids=["packages", "what chapters show", "their modules", "preference", "command line"],
)
def test_no_torch_is_loaded(modules):
    assert loads_torch(f"import {', '.join(modules)}") == 0


@pytest.mark.parametrize("words", [["--help"], ["check", "nowhere", "--profile", "smoke"]])
def test_no_torch_is_loaded_by_commands_that_need_none(words):
    called = f"from bthelpers.cli import main\ntry: main({words})\nexcept SystemExit: pass"
    assert loads_torch(f"exec({called!r})") == 0


def test_what_needs_torch_is_noticed():
    assert loads_torch("import bthelpers.models.speech") == 1

"""What is said to `make` is checked, and never executed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAND_IN = """#!/bin/sh
for word in "$(basename "$0")" "$@"; do printf "<%s>" "$word"; done >> calls
printf " PROFILE=%s\\n" "$PROFILE" >> calls
"""
HOSTILE = [
    *("", "../x", "x/..", "/", ".", "..", "-x", "x y", "x; touch y", "x\ny", "*", "é"),
    *("$(shell touch y)", "$$(touch y)", "`touch y`", '"; touch y; "', "'; touch y; '"),
]


@pytest.fixture
def repository(tmp_path):
    """The Makefile where everything is installed, with profiles, results and data of two names."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for file in ("requirements.txt", "pyproject.toml", "params/x.yaml", "params/y.a+b-1_2.yaml"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    for folder in ("results/x", "results/other", "book/_build", ".snakemake"):
        (tmp_path / folder).mkdir(parents=True)
    for data, simulated in [("x", "true"), ("x_corpora/timit", "true"), ("other", "true")]:
        (tmp_path / "data" / data).mkdir(parents=True)
        described = tmp_path / "data" / data / "dataset_description.json"
        described.write_text(f'{{"Simulated": {simulated}}}')
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/installed").touch()
    for name in ("bthelpers", "jupyter-book", "jupyter-lab", "python"):
        (tmp_path / ".venv/bin" / name).write_text(STAND_IN)
        (tmp_path / ".venv/bin" / name).chmod(0o755)
    return tmp_path


def make(repository, *words, **environment):
    inherited = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    for name in ("PROFILE", "CORES", "GPUS", "CLUSTER"):
        inherited.pop(name, None)
    return subprocess.run(
        ["make", *words],
        cwd=repository,
        env=inherited | environment,
        capture_output=True,
        text=True,
    )


def content(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


@pytest.mark.parametrize("where", ["argument", "environment"])
@pytest.mark.parametrize("profile", HOSTILE)
def test_what_is_no_name_of_a_profile_is_refused_and_changes_nothing(repository, profile, where):
    if (where, profile) == ("environment", ""):
        pytest.skip("an empty variable of the environment is empty as well")
    before = content(repository)
    for target in ("book", "lab", "pdf", "results", "plan", "record", "clean"):
        if where == "argument":
            done = make(repository, target, f"PROFILE={profile}")
        else:
            done = make(repository, target, PROFILE=profile)
        assert done.returncode == 2
        assert "is no name of a profile" in done.stderr
    make(repository, "help", f"PROFILE={profile}")
    assert content(repository) == before


@pytest.mark.parametrize("target", ["book", "lab", "pdf", "results", "plan", "record"])
def test_a_profile_that_is_not_there_is_refused(repository, target):
    done = make(repository, target, "PROFILE=z")
    assert done.returncode == 2
    assert "params/z.yaml is not there; profiles are: x y.a+b-1_2\n" in done.stderr
    assert not (repository / "calls").exists()


def test_what_is_well_is_handed_on(repository):
    name = "y.a+b-1_2"
    for target in ("results", "results CORES=2 GPUS=1", "plan", "record", "book", "lab", "pdf"):
        assert make(repository, *target.split(), f"PROFILE={name}").returncode == 0
    assert make(repository, "results", PROFILE="x", CORES="3").returncode == 0
    assert make(repository, "results", PROFILE="x", CLUSTER="slurm").returncode == 0
    assert (repository / "calls").read_text().splitlines() == [
        f"<bthelpers><run><{name}> PROFILE={name}",
        f"<bthelpers><run><{name}><--cores><2><--gpus><1> PROFILE={name}",
        f"<bthelpers><plan><{name}> PROFILE={name}",
        f"<bthelpers><record><{name}> PROFILE={name}",
        f"<jupyter-book><build><book> PROFILE={name}",
        f"<bthelpers><run><{name}> PROFILE={name}",
        f"<jupyter-lab><--ServerApp.root_dir=.><book/01_introduction.md> PROFILE={name}",
        f"<python><-m><bthelpers.publishing.pdf> PROFILE={name}",
        f"<jupyter-book><build><book><--builder><singlehtml> PROFILE={name}",
        "<python><-m><bthelpers.publishing.pdf>"
        f"<book/_build/singlehtml/01_introduction.html><book/_build/book.pdf> PROFILE={name}",
        "<bthelpers><run><x><--cores><3> PROFILE=x",
        "<bthelpers><run><x><--cluster><slurm> PROFILE=x",
    ]


@pytest.mark.parametrize("value", ["$(shell touch y)", "1; touch y", "`touch y`", "$$(touch y)"])
def test_other_variables_are_one_word_and_not_executed(repository, value):
    assert make(repository, "results", "PROFILE=x", f"CORES={value}").returncode == 0
    assert f"<--cores><{value}>" in (repository / "calls").read_text()
    (repository / ".venv/installed").unlink()
    assert make(repository, "setup", f"PYTHON={value}").returncode == 2
    assert not (repository / "y").exists()


def test_a_lock_is_installed_by_its_hashes_if_asked_for(repository):
    for locked, given in {
        "": "<-r><requirements.txt>",
        "yes": "<--require-hashes><-r><requirements.lock>",
    }.items():
        (repository / ".venv/installed").unlink(missing_ok=True)
        python = str(repository / ".venv/bin/python")
        assert make(repository, "setup", PYTHON=python, LOCKED=locked).returncode == 0
        installed = (repository / "calls").read_text().splitlines()[-3]
        assert f"<--no-compile>{given} " in installed


def test_clean_removes_what_belongs_to_the_profile(repository):
    assert make(repository, "clean", "PROFILE=x").returncode == 0
    for gone in ("results/x", "data/x", "data/x_corpora/timit", "book/_build", ".snakemake"):
        assert not (repository / gone).exists()
    for kept in ("results/other", "data/other", "params/x.yaml", "book"):
        assert (repository / kept).exists()


def test_clean_keeps_data_that_were_not_simulated(repository):
    (repository / "data/x/dataset_description.json").write_text('{"Simulated": false}')
    assert make(repository, "clean", "PROFILE=x").returncode == 0
    assert (repository / "data/x").exists()


def test_help_lists_the_targets_in_groups(repository):
    shown = make(repository).stdout
    groups = ["Reading", "Running", "Developing", "Keeping packages"]
    assert [line for line in shown.splitlines() if line in groups] == groups
    for target in [
        "setup",
        "book",
        "lab",
        "pdf",
        "results",
        "plan",
        "test",
        "bench",
        "lint",
        "hooks",
        "miniature",
        "record",
        "verify",
        "clean",
        "lock",
        "audit",
    ]:
        assert f"\n  {target} " in shown

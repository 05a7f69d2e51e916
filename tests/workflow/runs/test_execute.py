"""A run is executed where something has changed, and leaves a receipt."""

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bthelpers.core.checksums import is_intact, sums_beside, write_sum
from bthelpers.params.loading import load, to_dict
from bthelpers.workflow.runs import execute
from bthelpers.workflow.runs.receipts import changed_since, digests
from bthelpers.workflow.runs.unfinished import CHECKPOINTS

PARAMS = Path(__file__).parents[3] / "params"
PAPERMILL = """#!/bin/bash
cat | tee executed > "${@: -1}"; echo "$@" >> calls
echo "$(cat in)" > out
exit $(cat status)
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Executes a notebook that copies a file, unless nothing has changed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "bin").mkdir()
    for name, script in {
        "papermill": PAPERMILL,
        "jupytext": '#!/bin/bash\ncat "${@: -1}"\n',
    }.items():
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    for name, content in {"run.md": "notebook", "in": "1", "status": "0", "calls": ""}.items():
        (tmp_path / name).write_text(content)
    words = ["run.md", "run.ipynb", "--named", "profile=007", "model=m"]
    words += ["--inputs", "run.md", "in", "--outputs", "out"]
    monkeypatch.setattr(sys, "argv", ["execute", *words])
    results = tmp_path / "results/007"
    results.mkdir(parents=True)
    profile = replace(load(PARAMS / "paper.yaml"), name="007")  # which names no file that is here
    (results / "profile.json").write_text(json.dumps(to_dict(profile)))
    return execute.main


def calls(folder):
    return (folder / "calls").read_text().splitlines()


def test_a_notebook_is_executed_with_its_parameters_and_leaves_a_receipt(run, tmp_path):
    assert run() == 0
    assert (tmp_path / "executed").read_text() == "notebook"
    options = "--log-output --no-progress-bar -r profile 007 -r model m"
    assert calls(tmp_path) == [f"{options} - run.unfinished.ipynb"]
    receipt = json.loads((tmp_path / "run.json").read_text())
    assert receipt == {"inputs": digests(["run.md", "in"]), "outputs": digests(["out"])}
    assert is_intact(tmp_path / "run.ipynb")
    assert not (tmp_path / "run.unfinished.ipynb").exists()


def test_of_several_processes_the_first_writes(run, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert run() == 0
    options = "--no-log-output --no-progress-bar -r profile 007 -r model m"
    assert calls(tmp_path) == [f"{options} - {os.devnull}"]
    assert not (tmp_path / "run.json").exists()


@pytest.fixture
def handlers():
    """PyTorch's launcher leaves its own, which other tests would meet."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_several_processes_execute_a_notebook_side_by_side(run, tmp_path):
    """And one that fails, though it is not the first, ends the others with the run."""
    papermill = tmp_path / "bin/papermill"
    both = "until [ -e executed-0-of-2 ] && [ -e executed-1-of-2 ]; do sleep 0.1; done"
    script = PAPERMILL.replace("tee executed", "tee executed-$RANK-of-$WORLD_SIZE")
    papermill.write_text(script.replace("echo", f"{both}; echo", 1))
    sys.argv += ["--processes", "2"]
    assert run() == 0
    assert len(calls(tmp_path)) == 2
    assert all((tmp_path / f"executed-{rank}-of-2").read_text() == "notebook" for rank in range(2))
    assert (tmp_path / "run.json").exists()
    (tmp_path / "in").write_text("2")
    papermill.write_text("#!/bin/bash\n[ $RANK = 1 ] && exit 1\nexec sleep 600\n")
    assert run() == 1


def test_where_nothing_has_changed_there_is_nothing_to_do(run, tmp_path):
    run()
    assert run() == 0
    assert len(calls(tmp_path)) == 1


def test_inputs_of_a_wrong_clock_are_dated_now(run, tmp_path):
    os.utime(tmp_path / "in", (4e9, 4e9))
    os.utime(tmp_path / "run.md", (1, 1))
    assert run() == 0
    assert (tmp_path / "in").stat().st_mtime <= time.time()
    assert (tmp_path / "run.md").stat().st_mtime == 1


@pytest.mark.parametrize("changed", ["in", "run.md", "out"])
def test_what_has_changed_is_made_again(run, tmp_path, changed):
    run()
    (tmp_path / changed).write_text("2")
    assert run() == 0
    assert (tmp_path / "out").read_text() == f"{(tmp_path / 'in').read_text()}\n"
    assert len(calls(tmp_path)) == 2
    assert run() == 0
    assert len(calls(tmp_path)) == 2


def test_a_failed_run_leaves_no_receipt_of_what_it_wrote(run, tmp_path):
    run()
    (tmp_path / "in").write_text("2")
    (tmp_path / "status").write_text("3")
    assert run() == 3
    assert changed_since(tmp_path / "run.json", digests(["run.md", "in"]), ["out"]) == "out"
    (tmp_path / "in").write_text("1")  # as it was, but the output is not
    (tmp_path / "status").write_text("0")
    assert run() == 0
    assert (tmp_path / "out").read_text() == "1\n"


def test_a_run_that_fails_or_is_killed_leaves_the_notebook_of_before(run, tmp_path):
    """Until the inputs are as they were, its own lies beside it, and shows where it stopped."""
    run()
    papermill, unfinished = tmp_path / "bin/papermill", tmp_path / "run.unfinished.ipynb"
    before = (tmp_path / "run.ipynb").read_bytes()
    (tmp_path / "in").write_text("2")
    papermill.write_text('#!/bin/bash\necho half > "${@: -1}"; kill -9 $$\n')
    assert run() == -9
    assert unfinished.read_text() == "half\n"
    assert (tmp_path / "run.ipynb").read_bytes() == before
    assert is_intact(tmp_path / "run.ipynb")
    (tmp_path / "in").write_text("1")
    assert run() == 0
    assert not unfinished.exists()
    assert (tmp_path / "run.ipynb").read_bytes() == before
    assert len(calls(tmp_path)) == 1


class Killed(BaseException):
    """As by a signal that ends this process outright."""


@pytest.mark.parametrize("step", ["tuning", "recognition"])
def test_a_checkpoint_stays_until_the_run_has_its_receipt(run, tmp_path, monkeypatch, step):
    def killed(*_):
        raise Killed

    def run_killed_in(function):
        with monkeypatch.context() as patch:
            patch.setattr(execute, function, killed)
            with pytest.raises(Killed):
                run()

    words = [word.replace("run.ipynb", f"{step}.ipynb") for word in sys.argv]
    monkeypatch.setattr(sys, "argv", words)
    checkpoint, others = tmp_path / CHECKPOINTS[step], [tmp_path / "alignment.pt"]
    others += [tmp_path / name for key, name in CHECKPOINTS.items() if key != step]
    for file in (checkpoint, *others):
        file.touch()
        write_sum(file)
    for function in ("write_sum", "write_receipt"):
        run_killed_in(function)
        assert is_intact(checkpoint)
        assert not (tmp_path / f"{step}.json").exists()
    run_killed_in("remove_unfinished")
    assert (tmp_path / f"{step}.json").exists()
    assert is_intact(checkpoint)
    executed = len(calls(tmp_path))
    assert run() == 0  # as Snakemake has it, to which the run is incomplete
    assert len(calls(tmp_path)) == executed
    assert not checkpoint.exists()
    assert not sums_beside(checkpoint).exists()
    assert all(map(is_intact, others))


def test_a_run_of_which_an_input_changes_meanwhile_is_to_begin_again(run, tmp_path, capsys):
    run()
    papermill = tmp_path / "bin/papermill"
    papermill.write_text(PAPERMILL.replace('echo "$@"', 'cat next > in; echo "$@"'))
    (tmp_path / "in").write_text("2")
    (tmp_path / "next").write_text("3")
    assert run() == 1
    said = "in has changed while this run was under way: it is to begin again\n"
    assert capsys.readouterr().out == said
    (tmp_path / "in").write_text("2")  # as it was when the run began
    assert changed_since(tmp_path / "run.json", digests(["run.md", "in"]), ["out"]) is not None
    (tmp_path / "next").write_text("2")
    assert run() == 0
    assert (tmp_path / "out").read_text() == "2\n"
    assert changed_since(tmp_path / "run.json", digests(["run.md", "in"]), ["out"]) is None


def test_a_file_that_parameters_name_is_looked_at_again(run, tmp_path, monkeypatch):
    """Weights may be read late, and put back before the next start."""
    monkeypatch.setattr(execute, "look_again", lambda at: (tmp_path / "in").write_text(str(at)))
    assert run() == 1
    assert (tmp_path / "in").read_text() == "results/007"
    assert not (tmp_path / "run.json").exists()

"""Nothing that a command has started stays when it ends."""

import errno
import os
import platform
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from bthelpers.workflow import processes
from bthelpers.workflow.processes import alone_in, run_to_end

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 60  # seconds; machines may be busy
RUN = """
import sys
from bthelpers.workflow import processes
processes.GRACE = float(sys.argv[1])
sys.exit(processes.run_to_end(sys.argv[2:]))
"""
# A child in a session of its own, as a kernel is, and one in the command's. `LATE` makes another
# when it is told to end; `DEAF` ends by no signal but SIGKILL.
CHILDREN = "setsid sleep 600 & sleep 600 & touch started; wait"
LATE = f"trap 'setsid sleep 600 & sleep 1; exit 1' TERM; {CHILDREN}"
DEAF = "trap '' TERM INT HUP; setsid sleep 600 & touch started; sleep 600; sleep 600"


def eventually(condition):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start(command, folder, **options):
    """Start a command that heeds Ctrl-C, as it would not where the tests are a background job."""
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    options = {"preexec_fn": heed, "env": environment} | options
    return psutil.Popen(command, cwd=folder, **options)


def started(process, folder):
    """Wait for a command's first sign of life; returns what it has started."""
    eventually((folder / "started").exists)
    return process.children(recursive=True)


def bash(folder, script, grace=PATIENCE, **options):
    return start([sys.executable, "-c", RUN, str(grace), "bash", "-c", script], folder, **options)


def test_the_exit_status_is_that_of_the_command():
    usual = signal.getsignal(signal.SIGTERM)
    assert run_to_end(["bash", "-c", "exit 7"]) == 7
    assert run_to_end(["bash", "-c", "kill -9 $$"]) == -9
    assert signal.getsignal(signal.SIGTERM) is usual
    with pytest.raises(FileNotFoundError, match="no-such-command"):
        run_to_end(["no-such-command"])
    assert signal.getsignal(signal.SIGTERM) is usual


@pytest.mark.parametrize("how", processes.SIGNALS)
@pytest.mark.parametrize(("script", "grace"), [(CHILDREN, 1), (LATE, 3), (DEAF, 1)])
def test_a_signal_ends_all_that_was_started(tmp_path, how, script, grace):
    process = bash(tmp_path, script, grace, stderr=subprocess.PIPE)
    family = started(process, tmp_path)
    assert len({os.getsid(one.pid) for one in family}) == 2
    process.send_signal(how)
    status = process.wait(2 * PATIENCE)
    assert status == -how
    assert not any(map(alive, family))
    assert not [one for one in psutil.process_iter() if own(one, tmp_path)]


def own(process, folder):
    """Whether a process is at work in a folder."""
    try:
        return alive(process) and process.cwd() == str(folder)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


@pytest.mark.parametrize(("script", "grace"), [(CHILDREN, 5), (DEAF, 1)])
def test_what_outlives_a_command_that_is_killed_alone_is_ended(tmp_path, script, grace):
    """As Snakemake with the shells, papermill and kernels that it has started."""
    process = bash(tmp_path, f"({script}) & wait", grace)
    family = started(process, tmp_path)
    assert len({os.getsid(one.pid) for one in family}) == 2
    [command] = process.children()
    command.kill()
    assert process.wait(2 * PATIENCE) == 256 - signal.SIGKILL
    assert not any(map(alive, family))
    assert not [one for one in psutil.process_iter() if own(one, tmp_path)]


def test_a_signal_ends_the_wait_for_what_outlives_a_command(tmp_path):
    process = bash(tmp_path, f"({DEAF}) & wait")
    family = started(process, tmp_path)
    [command] = process.children()
    command.kill()
    eventually(lambda: not alive(command))
    time.sleep(1)
    assert any(map(alive, family))
    process.terminate()
    assert process.wait(PATIENCE) == -signal.SIGTERM
    assert not any(map(alive, family))


def test_a_second_signal_ends_the_wait(tmp_path):
    process = bash(tmp_path, DEAF)
    family = started(process, tmp_path)
    process.terminate()
    time.sleep(1)
    assert all(map(alive, family))
    process.terminate()
    assert process.wait(PATIENCE) == -signal.SIGTERM
    assert not any(map(alive, family))


def test_what_is_ignored_stays_ignored(tmp_path):
    deaf = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    process = bash(tmp_path, "touch started; sleep 2; exit 5", preexec_fn=deaf)
    started(process, tmp_path)
    process.send_signal(signal.SIGHUP)
    assert process.wait(PATIENCE) == 5


HOLD = """
import sys, time
from pathlib import Path
from bthelpers.workflow.processes import alone_in
with alone_in([Path("results/demo")]):
    Path("started").touch()
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Start a process that is the only one at work in ``results/demo``; returns it and the lock."""
    process = start([sys.executable, "-c", HOLD], tmp_path)
    eventually((tmp_path / "started").exists)
    yield process, tmp_path / "results/.demo.lock"
    with suppress(psutil.NoSuchProcess):
        process.kill()
    process.wait()


def lock(tmp_path):
    with alone_in([tmp_path / "results/demo"]):
        return (tmp_path / "results/.demo.lock").read_text()


def test_a_lock_names_its_holder_until_a_signal_ends_it(holder, tmp_path):
    process, file = holder
    told = rf"another workflow \(process {process.pid} on {platform.node()}\) is at work in .*demo:"
    with pytest.raises(SystemExit, match=told):
        lock(tmp_path)
    process.terminate()
    assert process.wait(PATIENCE) == -signal.SIGTERM
    assert file.read_text() == ""
    assert lock(tmp_path) == f"{platform.node()} {os.getpid()}\n"
    assert file.read_text() == ""


def test_of_what_was_killed_another_machine_is_told_and_this_one_goes_on(
    holder, tmp_path, monkeypatch
):
    process, file = holder
    process.kill()
    process.wait()
    here = platform.node()
    monkeypatch.setattr(platform, "node", lambda: "another")
    told = (
        rf"demo\.lock: another workflow \(process {process.pid} on {here}\).*delete this file; then"
    )
    with pytest.raises(SystemExit, match=told):
        lock(tmp_path)
    file.unlink()
    assert lock(tmp_path).startswith("another ")
    file.write_text(f"another {process.pid}\n")
    assert lock(tmp_path).startswith("another ")


def test_a_disk_that_locks_no_files_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(processes.fcntl, "flock", refuse)
    with pytest.raises(SystemExit, match=r"demo\.lock cannot be locked .No locks available"):
        lock(tmp_path)


NOTEBOOK = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3, language: python}
---
# A run

```{code-cell}
:tags: [parameters]
profile = ""
```

```{code-cell}
import time
from pathlib import Path
Path("started").touch()
while not Path("free").exists():
    time.sleep(0.1)
made = Path("data/smoke/derivative/respdict.json")
made.parent.mkdir(parents=True, exist_ok=True)
made.write_text("{}")
```
"""
WORKFLOW = ["run", "smoke", "--cores", "1", "--", "data/smoke/derivative/respdict.json"]


@pytest.fixture
def repository(tmp_path):
    """A repository whose first step takes as long as there is no file ``free``."""
    for name in ("Snakefile", "bthelpers"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    for name in ("params", "book/runs"):
        subprocess.run(["cp", "-RL", "--parents", name, tmp_path], cwd=REPOSITORY, check=True)
    (tmp_path / "book/runs/dataset.md").write_text(NOTEBOOK)
    return tmp_path


@pytest.mark.parametrize("how", processes.SIGNALS)
def test_a_signal_ends_the_workflow_with_its_kernels_and_the_same_command_goes_on(repository, how):
    command = [sys.executable, "-m", "bthelpers", *WORKFLOW]
    process = start(command, repository, stderr=subprocess.PIPE, text=True)
    family = started(process, repository)
    names = " ".join(word for one in family for word in one.cmdline())
    for part in ("snakemake", "papermill", "ipykernel"):
        assert part in names
    process.send_signal(how)
    _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    assert "Traceback" not in log
    assert how != signal.SIGINT or log.endswith("interrupted; the same command goes on\n")
    assert not any(map(alive, family))
    assert not [one for one in psutil.process_iter() if own(one, repository)]
    made = repository / "data/smoke/derivative/respdict.json"
    assert not made.exists()

    (repository / "free").touch()
    assert start(command, repository, stderr=subprocess.DEVNULL).wait(PATIENCE) == 0
    assert made.exists()


def test_a_signal_is_heeded_where_the_command_has_just_ended(monkeypatch):
    def ended(*_, **__):
        def wait(*_):
            signal.raise_signal(signal.SIGINT)
            return 0

        return SimpleNamespace(wait=wait, pid=None)

    monkeypatch.setattr(processes.psutil, "Popen", ended)
    monkeypatch.setattr(processes, "_end", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        processes.run_to_end(["true"])

import io
import time

import pytest
from rich.console import Console

from bthelpers.core import terminal
from bthelpers.core.progress import Progress, warn
from bthelpers.core.terminal import WorkShown, last_progress


@pytest.fixture(params=[True, False], ids=["terminal", "log"])
def console(request):
    return Console(file=io.StringIO(), force_terminal=request.param, width=120)


@pytest.fixture
def shown(console, monkeypatch):
    monkeypatch.setattr(terminal, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(terminal, "SAY_EVERY", 0.0)
    shown = WorkShown(console)
    yield shown
    shown.close()


def wait_for(text, console):
    give_up = time.monotonic() + 60
    while text not in console.file.getvalue():
        assert time.monotonic() < give_up, console.file.getvalue()
        time.sleep(0.01)


def test_what_progress_says_is_found_again(tmp_path, capsys):
    log = tmp_path / "tuning.log"
    assert last_progress(log) is None
    log.write_text("Executing Cell 1\n")
    assert last_progress(log) is None
    progress = Progress("epochs", 3)
    progress.advance()
    progress.advance("loss 0.9901, validation loss 0.9853")
    log.write_text("é" * 5000 + "\n" + capsys.readouterr().err + "UserWarning: half of a li")
    assert last_progress(log) == ("epochs", 2, 3, 0)


def test_runs_begin_go_on_and_end(shown, console, tmp_path):
    log = tmp_path / "tuning.log"
    shown.expect(3)
    shown.begin(7, "tuning [of] SIM01", log)
    log.write_text("epochs: 3 of 16 loss 0.99 (75 s, about 325 s left)\n")
    wait_for("epochs: 3 of 16, about 325 s left", console)
    shown.end(7)
    shown.expect(3, done=1)
    shown.close()
    printed = console.file.getvalue()
    assert "tuning [of] SIM01: done in 0 s, 1 of 3" in printed
    assert ("tuning [of] SIM01: begins" in printed) == (not console.is_terminal)


def test_what_a_log_warns_of_is_shown_once(shown, console, tmp_path, capsys):
    log = tmp_path / "tuning.log"
    shown.begin(7, "tuning", log)
    warn("no memory")
    warning = capsys.readouterr().err
    log.write_text(f"epochs\n{warning}WARN")  # a line is being written
    shown_line = f"tuning: WARNING: no memory ({log})"
    wait_for("tuning: WARNING", console)
    with log.open("a") as file:
        file.write("ING: full disk\n")
    shown.end(7)
    printed = console.file.getvalue().replace("\n", "")
    assert printed.count(shown_line) == 1
    assert printed.count("tuning: WARNING: full disk") == 1


def test_of_a_failure_the_end_of_the_log_is_shown(shown, console, tmp_path):
    log = tmp_path / "impact.log"
    log.write_text("".join(f"line {k}\n" for k in range(100)) + "ValueError: [red] is no colour\n")
    shown.begin(1, "impact", log)
    shown.fail(1)
    shown.begin(1, "impact", tmp_path / "never.log")  # it is tried again, and writes nothing
    shown.fail(1)
    lines = console.file.getvalue()
    assert "impact: failed after 0 s" in lines
    assert "ValueError: [red] is no colour" in lines
    assert "line 99" in lines
    assert "line 50\n" not in lines


def test_time_left_is_that_of_the_work_done(shown, monkeypatch, console):
    now = time.monotonic()
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now + 600)
    shown.expect(4, done=1)
    shown.close()
    if console.is_terminal:
        assert "1 of 4, about 30 min left" in console.file.getvalue()

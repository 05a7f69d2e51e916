"""A chapter in JupyterLab: it runs from the top, and Python reads what the browser moves."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from explored_results import invented_catalogue
from jupyter_client import BlockingKernelClient
from jupyter_server.serverapp import list_running_servers

ROOT = Path(__file__).parents[2]
CHAPTER = "book/17_explorer.md"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """One chapter, JupyterLab's settings, and results and data where `make lab` has them."""
    folder = tmp_path_factory.mktemp("repository")
    invented_catalogue(folder)
    (folder / "book").mkdir()
    shutil.copy(ROOT / CHAPTER, folder / CHAPTER)
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / ".jupyter", folder / ".jupyter")
    return folder


@pytest.fixture
def lab(repository, browser, monkeypatch):
    """Address of JupyterLab with the chapter, and the folder of its kernels' files."""
    runtime = repository / "runtime"
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(runtime))
    environment = os.environ | {
        "BRAIN_TUNING_RESULTS": str(repository / "results"),
        "JUPYTER_CONFIG_PATH": str(repository / ".jupyter"),
    }
    command = [sys.executable, "-m", "jupyterlab", "--ServerApp.root_dir=.", CHAPTER]
    options = ["--no-browser", "--allow-root", "--port-retries=50"]
    server = subprocess.Popen([*command, *options], cwd=repository, env=environment)
    while not (running := list(list_running_servers(str(runtime)))):
        assert server.poll() is None, "JupyterLab has not started; its messages are above"
        time.sleep(0.2)
    address = f"{running[0]['url']}lab/tree/{CHAPTER}?token={running[0]['token']}"
    yield address, runtime
    server.send_signal(signal.SIGTERM)
    server.wait(timeout=60)


def text_of(chapter):
    """A chapter without its first lines, which name the kernel as it is installed."""
    _, head, text = chapter.read_text().split("---\n", 2)
    assert "version" not in head
    return text


def value_in(kernel, expression):
    """What an expression is in a kernel, as it is printed."""
    printed = []

    def keep(message):
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    kernel.execute_interactive(f"print(({expression}))", output_hook=keep, timeout=60)
    return "".join(printed).strip()


def test_a_chapter_runs_from_the_top_and_python_reads_what_is_moved(lab, page, repository):
    address, runtime = lab
    page.set_default_timeout(300_000)  # a machine may be busy
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.get_by_text("pinned: parcel:L_A1", exact=True).wait_for()  # what the last cell sets

    [connection] = runtime.glob("kernel-*.json")
    kernel = BlockingKernelClient(connection_file=str(connection))
    kernel.load_connection_file()
    kernel.start_channels()
    told = value_in(kernel, "explorer.condition, explorer.measure")
    assert told == "('brain-tuned', 'alignment')"
    unpin = page.get_by_role("button", name="Unpin")
    live = page.locator(".jp-OutputArea-child").filter(has=unpin)  # of the chapter's two explorers
    live.get_by_label("Condition", exact=True).select_option("block-permuted")
    live.get_by_role("slider", name="Layer").fill("2")  # after the mean, layers 0 and 1
    unpin.click()
    page.get_by_text("pinned: ", exact=True).wait_for()
    told = value_in(kernel, "explorer.condition, explorer.layer, explorer.selection")
    assert told == "('block-permuted', '1', '')"
    kernel.stop_channels()

    page.keyboard.press("Control+s")
    page.locator(".jp-mod-dirty").wait_for(state="detached")
    kept, shipped = (text_of(folder / CHAPTER) for folder in (repository, ROOT))
    assert kept == shipped
    assert all(url.startswith(("http://localhost", "data:", "blob:")) for url in asked)

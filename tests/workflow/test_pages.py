import json

from bthelpers.workflow.book import collect_pages


def notebook(path, title, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    source = [f"# {title}\n", "\n", "What it does."]
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": source},
        {"cell_type": "code", "metadata": {}, "source": text, "outputs": []},
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))


def test_pages_are_titled_by_their_run(tmp_path):
    notebook(tmp_path / "results/dataset.ipynb", "Dataset")
    notebook(tmp_path / "results/model/SIM01/brain-tuned/tuning.ipynb", "Tuning")
    pages = collect_pages(tmp_path / "results", tmp_path / "pages")
    assert [page.name for page in pages] == [
        "dataset.ipynb",
        "model-SIM01-brain-tuned-tuning.ipynb",
    ]
    titles = [json.loads(page.read_text())["cells"][0]["source"] for page in pages]
    assert titles[0] == "# Dataset\n\nWhat it does."
    assert titles[1] == "# Tuning: model, SIM01, brain-tuned\n\nWhat it does."


def test_only_changed_pages_are_written_and_old_ones_removed(tmp_path):
    results, folder = tmp_path / "results", tmp_path / "pages"
    notebook(results / "a.ipynb", "A")
    notebook(results / "b.ipynb", "B")
    collect_pages(results, folder)
    before = {page.name: page.stat().st_mtime_ns for page in folder.iterdir()}
    notebook(results / "b.ipynb", "B", "changed = True")
    notebook(results / "c.ipynb", "C")
    (results / "a.ipynb").touch()
    collect_pages(results, folder)
    after = {page.name: page.stat().st_mtime_ns for page in folder.iterdir()}
    assert after["a.ipynb"] == before["a.ipynb"]
    assert after["b.ipynb"] > before["b.ipynb"]
    (results / "a.ipynb").unlink()
    assert [page.name for page in collect_pages(results, folder)] == ["b.ipynb", "c.ipynb"]
    assert not (folder / "a.ipynb").exists()

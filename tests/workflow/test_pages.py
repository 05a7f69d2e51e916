"""Executed notebooks become pages of the book."""

import json
import sys

import pytest
from impact_results import SMOKE

from bthelpers.core.checksums import write_sum
from bthelpers.params.loading import load, to_dict
from bthelpers.workflow import book as sphinx_results
from bthelpers.workflow.book import collect_pages, run_pages
from bthelpers.workflow.runs.unfinished import unfinished


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


@pytest.mark.parametrize("content", ["", "{", "{}", '{"cells": []}', "[1]"])
def test_a_damaged_notebook_is_named(tmp_path, content):
    notebook(tmp_path / "results/dataset.ipynb", "Dataset")
    (tmp_path / "results/voxels.ipynb").write_text(content)
    with pytest.raises(SystemExit, match=r"results/voxels\.ipynb is truncated .*: delete it, and"):
        collect_pages(tmp_path / "results", tmp_path / "pages")


def test_a_notebook_with_another_number_than_its_run_wrote_is_named(tmp_path):
    path = tmp_path / "results/voxels.ipynb"
    notebook(path, "Voxels", "r = 0.1")
    write_sum(path)
    assert len(collect_pages(tmp_path / "results", tmp_path / "pages")) == 1
    path.write_text(path.read_text().replace("0.1", "0.7"))
    with pytest.raises(
        SystemExit, match=r"voxels\.ipynb is not as its run left it: delete it, and"
    ):
        collect_pages(tmp_path / "results", tmp_path / "pages")


def test_a_notebook_without_the_checksum_that_its_run_leaves_is_named(tmp_path):
    path = tmp_path / "results/voxels.ipynb"
    notebook(path, "Voxels")
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(SystemExit, match=r"results/voxels\.ipynb is not as its run left it"):
        collect_pages(tmp_path / "results", tmp_path / "pages")
    write_sum(path)
    assert len(collect_pages(tmp_path / "results", tmp_path / "pages")) == 1


def test_a_run_that_is_not_finished_has_no_page(tmp_path):
    executed = tmp_path / "results/mini/pretrained/probes.ipynb"
    notebook(executed, "Probes")
    notebook(unfinished(executed), "Probes", "1 /")
    [page] = collect_pages(tmp_path / "results", tmp_path / "pages")
    assert page.name == "mini-pretrained-probes.ipynb"


def test_every_data_file_has_the_page_of_the_run_that_made_it(tmp_path):
    results = tmp_path / "results/smoke"
    results.mkdir(parents=True)
    (results / "profile.json").write_text(json.dumps(to_dict(load(SMOKE))))
    for notebooks in ("SIM01/voxels", "hubert-mini/SIM01/block-permuted/tuning"):
        notebook(results / f"{notebooks}.ipynb", "A run")
    run = "hubert-mini/SIM01/block-permuted"
    page = "executed/hubert-mini-SIM01-block-permuted-tuning"
    assert run_pages(results) == {
        "../results/smoke/SIM01/voxels.nc": "executed/SIM01-voxels",
        f"../results/smoke/{run}/model/model.safetensors": page,
        f"../results/smoke/{run}/training.nc": page,
    }
    shown = {f"executed/{each.stem}" for each in collect_pages(results, tmp_path / "pages")}
    assert set(run_pages(results).values()) == shown


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


def test_pages_name_files_from_the_repository_or_the_environment(tmp_path):
    places = [f"{sphinx_results.LIBRARY}/a.py:1: careful", f"{sys.prefix}/lib/b.py:2: beware"]
    notebook(tmp_path / "results/dataset.ipynb", "Dataset", "; ".join(places))
    [page] = collect_pages(tmp_path / "results", tmp_path / "pages")
    assert '"bthelpers/a.py:1: careful; lib/b.py:2: beware"' in page.read_text()

from __future__ import annotations

import pytest
import xarray as xr
from alignment_results import MADE, MODEL, write_results
from huggingface_hub import HfApi, ModelCard

from bthelpers.cli import main
from bthelpers.core.errors import ResultsError
from bthelpers.publishing import hub
from bthelpers.publishing.hub import prepare, push
from bthelpers.results.store import write_dataset

CARD = "---\nlibrary_name: transformers\ntags: [fmri]\n---\n\n# A model\n"


def tuned(root, participant, condition):
    """A tuned model's folder in results, with alignment and, by hand, probes."""
    written = write_results(root, ["SIM01"], ["pretrained", "brain-tuned", "stimulus-tuned"])
    run = root.joinpath(MODEL, *([participant] if participant else []), condition)
    folder = run / "model"
    folder.mkdir(parents=True)
    for name, text in (
        ("README.md", CARD),
        ("model.safetensors", "weights"),
        ("config.json", "{}"),
    ):
        (folder / name).write_text(text)
    scores = xr.Dataset(
        {"f1_macro": (("task", "layer"), [[0.1, 0.2, 0.4, 0.6], [0.0, 0.3, 0.3, 0.3]])},
        coords={"task": ["emotion", "word"], "layer": range(4)},
    )
    write_dataset(scores, run / "probes.nc", MADE)
    return folder, written["SIM01", condition]["alignment"]


@pytest.fixture
def sent(monkeypatch):
    """What reached the hub, in place of sending it."""
    calls = []

    class Hub(HfApi):
        def create_repo(self, *arguments, **options):
            calls.append((arguments, options))

        def create_commit(self, repository, operations, commit_message):
            calls.append({one.path_in_repo: one.path_or_fileobj for one in operations})
            return type("Commit", (), {"commit_url": f"https://hub/{repository}"})

    monkeypatch.setattr(hub, "HfApi", Hub)
    return calls


@pytest.mark.parametrize(
    ("participant", "condition"), [("SIM01", "brain-tuned"), ("", "stimulus-tuned")]
)
def test_the_card_holds_the_scores_of_the_results(tmp_path, participant, condition):
    folder, alignment = tuned(tmp_path / "trial", participant, condition)
    upload = prepare(folder, "me/model")
    scores = {score.task_name: score.metric_value for score in upload.card.data.eval_results}
    over_layers = alignment[1:].mean("layer").sel(region="late_language").item()
    assert scores["late_language, SIM01"] == pytest.approx(over_layers, abs=1e-4)
    assert scores["emotion"] == pytest.approx(0.4)
    assert scores["word"] == pytest.approx(0.3)
    assert [file.name for file in upload.files] == ["config.json", "model.safetensors"]
    assert ModelCard(str(upload.card)).data.tags == ["fmri"]


def test_nothing_is_sent_unless_it_is_said(tmp_path, sent, capsys):
    folder, _ = tuned(tmp_path / "trial", "SIM01", "brain-tuned")
    assert main(["push", str(folder), "me/model"]) == 0
    shown = capsys.readouterr().out
    assert "model.safetensors" in shown
    assert "Nothing was sent; --yes sends it." in shown
    assert sent == []


def test_what_is_sent_is_one_commit_to_a_private_repository(tmp_path, sent, capsys):
    folder, _ = tuned(tmp_path / "trial", "SIM01", "brain-tuned")
    assert main(["push", str(folder), "me/model", "--yes"]) == 0
    (repository, options), files = sent
    assert repository == ("me/model",)
    assert options == {"private": True, "exist_ok": True}
    assert set(files) == {"README.md", "config.json", "model.safetensors"}
    card = ModelCard(files["README.md"].decode())
    assert {score.task_name for score in card.data.eval_results} >= {"emotion", "word"}
    assert "https://hub/me/model" in capsys.readouterr().out
    assert (folder / "README.md").read_text() == CARD


def test_results_without_scores_make_a_card_without(tmp_path, sent):
    folder, _ = tuned(tmp_path / "trial", "SIM01", "brain-tuned")
    for file in folder.parent.glob("*.nc"):
        file.unlink()
    upload = prepare(folder, "me/model")
    assert upload.card.data.eval_results is None
    push(upload)


@pytest.mark.parametrize("missing", ["README.md", "model.safetensors"])
def test_a_folder_that_holds_no_model_is_named(tmp_path, missing):
    folder, _ = tuned(tmp_path / "trial", "SIM01", "brain-tuned")
    (folder / missing).unlink()
    with pytest.raises(ResultsError, match=rf"{missing} is not there: name the folder `model`"):
        prepare(folder, "me/model")

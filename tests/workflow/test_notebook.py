import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
import yaml

from bthelpers.core.errors import ResultsError
from bthelpers.core.provenance import VERSIONS_OF
from bthelpers.models import devices
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.loading import load, to_dict
from bthelpers.results.store import read_dataset
from bthelpers.workflow.notebook import SNAPSHOT, RunContext
from bthelpers.workflow.parameters import parameter_files

SMOKE = Path(__file__).parents[2] / "params" / "smoke.yaml"
DATASET, ABSENT = "A dataset of no participants", {"SIM02": ["story02"]}


@pytest.fixture
def repository(tmp_path, monkeypatch, tiny_encoder_folder):
    """Stands for the repository's root: two profiles, and a dataset that has only a name."""
    (tmp_path / "params").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset_description.json").write_text(f'{{"Name": "{DATASET}"}}')
    simulated = {
        "extends": str(SMOKE),
        "dataset": {
            "root": "data",
            "cache": "cache",
            "participants": ["SIM01", "SIM02"],
            "absent": ABSENT,
        },
        "models": {"hubert-mini": {"path": str(tiny_encoder_folder)}},
    }
    published = {"extends": "simulated.yaml", "corpora": {"simulate": None}}
    for name, content in {"simulated": simulated, "published": published}.items():
        (tmp_path / "params" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_profile_and_what_it_names_are_opened(repository):
    run = RunContext("simulated", participant="SIM01")
    assert run.parameters.name == "simulated"
    assert run.dataset.name == DATASET
    assert (run.dataset.root, run.dataset.cache) == (Path("data"), Path("cache"))
    assert run.results.root == Path("results/simulated")


def test_a_profile_that_is_edited_while_a_workflow_runs_is_that_of_its_beginning(
    repository, monkeypatch
):
    (repository / "params" / "lexicons").symlink_to(SMOKE.parent / "lexicons")
    results, file = repository / "results/simulated", repository / "params/simulated.yaml"
    parameter_files(load(file), results / "parameters")
    file.write_text(file.read_text() + "seed: 5\n")
    assert RunContext("simulated").parameters.seed == 5
    monkeypatch.setenv(SNAPSHOT, "yes")
    assert RunContext("simulated").parameters.seed == 0


@pytest.mark.parametrize(
    ("which", "folder"),
    [
        ({"participant": "SIM01"}, "SIM01"),
        ({"model": "mini", "condition": "pretrained"}, "mini/pretrained"),
        (
            {"model": "mini", "participant": "SIM02", "condition": "brain-tuned"},
            "mini/SIM02/brain-tuned",
        ),
    ],
)
def test_each_run_has_a_folder(which, folder):
    run = RunContext("any", **which)
    assert run.folder == Path("results/any", folder)
    assert run.checkpoint == Path("results/any", folder, "checkpoint.pt")


def test_a_participant_has_the_stories_that_were_heard(repository):
    everybody, heard, missed = (
        RunContext("simulated", participant=participant).splits
        for participant in (None, "SIM01", "SIM02")
    )
    assert everybody == heard
    assert heard.train == ("story01", "story02", "story03")
    assert missed.train == ("story01", "story03")
    assert missed.stories == ("story01", "story03", "story04", "story05")


OF_EVERY_RESULT = {
    *("parameters", "parameters_digest", "platform", "commit", "device", "date"),
    *(f"version_{of}" for of in (*VERSIONS_OF, "python")),
}
MODEL = {"model": "hubert-mini", "condition": "pretrained"}


@pytest.mark.parametrize(
    ("which", "more", "expected"),
    [
        ({"participant": "SIM01"}, {}, {"dataset": DATASET, "participant": "SIM01"}),
        (MODEL, {}, {"dataset": DATASET, "participant": "all"} | MODEL),
        (
            MODEL | {"participant": "SIM02"},
            {"quantizer": "new"},
            {"dataset": DATASET, "participant": "SIM02", "quantizer": "new"} | MODEL,
        ),
        (MODEL, {"dataset": "corpora"}, {"dataset": "corpora", "participant": "all"} | MODEL),
    ],
)
def test_results_say_what_made_them(repository, which, more, expected):
    run = RunContext("simulated", **which)
    result = xr.Dataset({"r": ("voxel", [0.5, 0.25])}, attrs={"not_phones": "sp (3)"})
    run.write(result, "step", **more)
    read = read_dataset(run.folder / "step.nc")
    xr.testing.assert_equal(read, result)
    named = {key: value for key, value in read.attrs.items() if key not in OF_EVERY_RESULT}
    assert named == expected | {"not_phones": "sp (3)"}
    assert read.attrs.keys() > OF_EVERY_RESULT
    assert json.loads(read.attrs["parameters"]) == to_dict(run.parameters)


def test_results_on_corpora_need_no_dataset(repository):
    (repository / "data" / "dataset_description.json").unlink()
    for profile in ("simulated", "published"):
        run = RunContext(profile, **MODEL)
        run.write(xr.Dataset({"f1": 1.0}), "probes", dataset=run.corpora)
        assert run.open("probes").attrs["dataset"] == f"{profile} corpora"


def test_another_step_is_opened_where_it_is(repository):
    RunContext("simulated", **MODEL).write(xr.Dataset({"a": 1}), "representations")
    run = RunContext("simulated", participant="SIM01", **MODEL)
    assert run.open("representations")["a"] == 1  # those of all participants
    with pytest.raises(ResultsError, match=r"SIM01/pretrained/alignment.nc is not there"):
        run.open("alignment")


def tuned(folder):
    """Stands for the result of a tuning, whose model has other weights."""
    encoder = SpeechEncoder.load(folder)
    for weights in encoder.transformer_parameters():
        weights.data += 1
    return SimpleNamespace(
        encoder=encoder,
        training_loss=[3.0, 2.0],
        validation_loss=[2.5, 2.75],
        kept_epoch=0,
        pretrained_loss=None,
        undefined=7,
        adapted=None,
    )


def first_weights(encoder):
    return encoder.transformer_parameters()[0].detach().numpy()


def test_a_tuned_model_is_written_and_loaded(repository, tiny_encoder_folder):
    run = RunContext("simulated", "hubert-mini", "SIM01", "brain-tuned")
    run.folder.mkdir(parents=True)
    run.checkpoint.write_text("of all epochs")
    result = tuned(tiny_encoder_folder)
    run.write_training(result, quantizer="new")
    assert run.checkpoint.read_text() == "of all epochs"  # until the run has its receipt
    training = run.open("training")
    assert training["epoch"].values.tolist() == [1, 2]
    assert training["training_loss"].values.tolist() == [3.0, 2.0]
    assert training["validation_loss"].values.tolist() == [2.5, 2.75]
    assert training["kept_epoch"] == 0
    assert training["undefined"] == 7
    assert "pretrained_loss" not in training
    assert training.attrs["quantizer"] == "new"
    record = json.loads((run.folder / "model" / "provenance.json").read_text())
    assert record == training.attrs
    assert "# hubert-mini, brain-tuned, SIM01" in (run.folder / "model" / "README.md").read_text()
    np.testing.assert_array_equal(first_weights(run.encoder()), first_weights(result.encoder))
    untuned = SpeechEncoder.load(tiny_encoder_folder)
    np.testing.assert_array_equal(first_weights(run.pretrained()), first_weights(untuned))
    assert not np.array_equal(first_weights(run.encoder()), first_weights(untuned))
    pretrained = RunContext("simulated", **MODEL)
    np.testing.assert_array_equal(first_weights(pretrained.encoder()), first_weights(untuned))


def test_a_run_claims_one_device(repository, monkeypatch):
    claimed = []
    monkeypatch.setattr(devices, "claim_device", lambda: claimed.append("cpu") or "cpu")
    run = RunContext("simulated", **MODEL)
    assert claimed == []
    run.encoder()
    run.pretrained()
    assert run.device == "cpu"
    assert claimed == ["cpu"]


def test_torch_is_loaded_for_models_alone():
    """Provenance names a GPU only where PyTorch was loaded."""
    code = "import sys, bthelpers.workflow.notebook; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

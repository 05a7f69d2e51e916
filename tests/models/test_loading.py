import os
from pathlib import Path

import pytest
import torch
from huggingface_hub import errors as hub
from safetensors import SafetensorError

from bthelpers.core.checksums import SUMS, damaged, write_sums
from bthelpers.models.loading import ModelError, explained, require_sizes

CHECKPOINTS = Path(__file__).parents[2] / "bthelpers" / "checkpoints"


def test_a_folder_without_a_model_says_how_to_make_one(tmp_path):
    expected = (
        r"no model here \(config\.json is missing\); .* miniature some\.maker --output .*, or name"
    )
    with pytest.raises(ModelError, match=expected), explained(tmp_path, None, "some.maker"):
        pass


def test_loading_takes_the_revision_and_never_trusts_remote_code(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    for source, revision in ((tmp_path, None), ("x/y", "abc")):
        with explained(source, revision, "some.maker") as where:
            assert where == {"revision": revision, "trust_remote_code": False}


def test_a_model_that_is_not_as_it_was_saved_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    write_sums(tmp_path)
    with explained(tmp_path, None, "some.maker"):
        pass
    (tmp_path / "model.safetensors").write_bytes(b"wEights")
    expected = r"model\.safetensors is not as it was saved: .*delete .*SHA256SUMS if"
    with pytest.raises(ModelError, match=expected), explained(tmp_path, None, "some.maker"):
        pass


@pytest.mark.parametrize("folder", sorted(CHECKPOINTS.iterdir()), ids=lambda folder: folder.name)
def test_models_that_come_with_the_library_are_as_they_were_saved(folder):
    sums = folder / SUMS
    assert damaged(sums) == []
    assert len(sums.read_text().splitlines()) == len(list(folder.iterdir())) - 1


@pytest.mark.parametrize(
    ("cause", "remedy"),
    [
        (hub.GatedRepoError, "accept its terms.* `hf auth login`"),
        (hub.RepositoryNotFoundError, "correct its name"),
        (hub.RevisionNotFoundError, "correct its revision"),
        (hub.LocalEntryNotFoundError, "hf download NAME .*without a revision"),
    ],
)
def test_what_the_hub_refuses_comes_with_its_remedy(cause, remedy):
    expected = f"x/y at abc cannot be loaded .something long.: .*{remedy}"
    with pytest.raises(ModelError, match=expected), explained("x/y", "abc", "some.maker"):
        raise OSError("something long") from cause.__new__(cause)


@pytest.mark.parametrize("error", [OSError, TypeError, SafetensorError])
def test_what_is_wrong_in_a_folder_is_said_with_its_name(tmp_path, error):
    (tmp_path / "config.json").write_text("{}")
    expected = f"{tmp_path} cannot be loaded: {error.__name__}: cut off: copy"
    with pytest.raises(ModelError, match=expected), explained(tmp_path, None, "some.maker"):
        raise error("cut off")


def test_weights_that_hold_code_are_refused_without_advice_to_execute_it(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    torch.save({"weight": Path("code")}, tmp_path / "pytorch_model.bin")
    expected = f"{tmp_path} cannot be loaded: .* other things than tensors, .* as safetensors$"
    with pytest.raises(ModelError, match=expected) as caught, explained(tmp_path, None, "speech"):
        torch.load(tmp_path / "pytorch_model.bin")
    assert "weights_only" not in str(caught.value)


def test_what_cannot_be_read_of_the_hub_is_said_with_its_name():
    with pytest.raises(ModelError, match=r"^x/y cannot be loaded"), explained("x/y", "abc", "x"):
        raise KeyError("hidden_size")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "no configuration .*nested too deeply"),
        ('{"num_hidden_layers": 1001}', "num_hidden_layers is 1001, beyond 1,000"),
        ('{"text": {"sizes": [1, 2000000]}}', "sizes is 2000000, beyond 1,000,000"),
        ('{"vocab_size": NaN}', "NaN is no number"),
    ],
)
def test_sizes_that_no_weights_have(tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=message):
        require_sizes(tmp_path)


def test_larger_numbers_beside_larger_weights(tmp_path):
    (tmp_path / "config.json").write_text('{"vocab_size": 2000000, "num_hidden_layers": 1000}')
    (tmp_path / "model.safetensors").touch()
    os.truncate(tmp_path / "model.safetensors", 2_000_000)
    require_sizes(tmp_path)

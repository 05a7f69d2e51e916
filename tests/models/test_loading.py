import pytest
from huggingface_hub import errors as hub
from safetensors import SafetensorError

from bthelpers.models.loading import ModelError, explained


def test_a_folder_without_a_model_says_how_to_make_one(tmp_path):
    expected = r"no model here \(config\.json is missing\); .* -m some\.maker --output .*, or name"
    with pytest.raises(ModelError, match=expected), explained(tmp_path, None, "some.maker"):
        pass


def test_loading_takes_the_revision_and_never_trusts_remote_code(tmp_path):
    (tmp_path / "config.json").touch()
    for source, revision in ((tmp_path, None), ("x/y", "abc")):
        with explained(source, revision, "some.maker") as where:
            assert where == {"revision": revision, "trust_remote_code": False}


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


@pytest.mark.parametrize("error", [OSError, RuntimeError, ValueError, SafetensorError])
def test_what_is_wrong_in_a_folder_is_said_with_its_name(tmp_path, error):
    (tmp_path / "config.json").touch()
    expected = f"{tmp_path} cannot be loaded: cut off"
    with pytest.raises(ModelError, match=expected), explained(tmp_path, None, "some.maker"):
        raise error("cut off")


def test_other_errors_are_passed_on():
    with pytest.raises(KeyError), explained("x/y", "abc", "some.maker"):
        raise KeyError("of the caller")

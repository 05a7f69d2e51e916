"""Loading of models from a folder or from the hub, and what to do where it fails."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import errors as hub

from bthelpers.core.checksums import SUMS, damaged
from bthelpers.core.errors import parsing, reason
from bthelpers.core.files import parse_json

if TYPE_CHECKING:
    from torch import nn

REMEDIES = {
    hub.GatedRepoError: "accept its terms on its page, then log in with `hf auth login`",
    hub.RevisionNotFoundError: "correct its revision",
    hub.RepositoryNotFoundError: "correct its name",
}

OFFLINE = (
    "where the hub cannot be reached, fetch the model on a machine that can"
    " (`hf download NAME --revision REVISION --local-dir FOLDER`), and name that folder instead,"
    " without a revision"
)


SAVED = "copy the model again, or save it again where it was made"
MOST_LAYERS = 1_000
LARGEST_NUMBER = 1_000_000  # of a configuration, unless its weights have more bytes


class ModelError(ValueError):
    """A speech model that cannot be had; the message says what to do."""


def lacking(missing: Collection[str]) -> str:
    """Say that weights of a configuration are missing, and what to do."""
    return (
        f"the weights do not fit config.json: {len(missing)} are missing, such as {min(missing)};"
        " use the configuration that the weights were saved with"
    )


@contextmanager
def explained(source: str | Path, revision: str | None, maker: str) -> Iterator[dict[str, Any]]:
    """Give what loading takes, and say what to do where it fails.

    Parameters
    ----------
    source : str or path
        A folder, or a name on the hub.
    revision : str or None
        Commit on the hub; none for a folder.
    maker : str
        The kind of miniature that would do: "speech", "whisper" or "text".

    Raises
    ------
    ModelError
        If there is no such model, it cannot be fetched, or is not what it should be.
    """
    if revision is None and not (Path(source) / "config.json").is_file():
        raise ModelError(
            f"{source}: no model here (config.json is missing); make a miniature with"
            f" `bthelpers miniature {maker} --output {source}`, or name another path in the"
            " parameter file, with its revision if it is on the hub"
        )
    if revision is None:
        require_intact(Path(source))
        require_sizes(Path(source))
    try:
        yield {"revision": revision, "trust_remote_code": False}
    except ModelError as error:
        raise ModelError(f"{source} cannot be loaded: {error}") from error
    except pickle.UnpicklingError:  # PyTorch would advise to execute it
        raise ModelError(
            f"{source} cannot be loaded: its weights are truncated, or hold other things than"
            " tensors, which are never executed; get it with its weights as safetensors"
        ) from None
    except Exception as error:  # transformers fails in many ways on a malformed file
        if revision is None or not isinstance(error, OSError):
            raise ModelError(f"{source} cannot be loaded: {reason(error)}: {SAVED}") from error
        remedy = REMEDIES.get(type(error.__cause__), OFFLINE)
        raise ModelError(f"{source} at {revision} cannot be loaded ({error}): {remedy}") from error


def require_intact(folder: Path) -> None:
    """Refuse a model that is not as its checksums say, where it brings them.

    Raises
    ------
    ModelError
    """
    sums = folder / SUMS
    if sums.exists() and (files := damaged(sums)):
        raise ModelError(
            f"{files[0]} is not as it was saved: {SAVED}; or delete {sums} if it is meant to be"
        )


def require_sizes(folder: Path) -> None:
    """Refuse a configuration of more layers or larger numbers than its weights can have.

    transformers would try to make such a model, for hours or until the memory is full.

    Raises
    ------
    ModelError
        If there is such a number, or no configuration in ``config.json``.
    """
    path = folder / "config.json"
    with parsing(path, "configuration", SAVED, ModelError):
        numbers = list(_numbers(parse_json(path.read_bytes())))
    n_bytes = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    for key, number in numbers:
        most = MOST_LAYERS if "layers" in key else max(LARGEST_NUMBER, n_bytes)
        if not -most <= number <= most:
            raise ModelError(f"{path}: {key} is {number!s:.30}, beyond {most:,}: {SAVED}")


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """All numbers in a table of JSON, with the keys next to them."""
    if isinstance(value, int | float):
        yield key, value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _numbers(one, name)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for one in value:
            yield from _numbers(one, key)


def require_finite(model: nn.Module) -> None:
    """Refuse a model with a weight that is NaN or infinite.

    Raises
    ------
    ModelError
    """
    for name, weights in model.named_parameters():
        if not weights.isfinite().all():
            raise ModelError(f"{name} is not finite: {SAVED}")

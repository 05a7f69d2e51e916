"""Loading of models from a folder or from the hub, and what to do where it fails."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import errors as hub
from safetensors import SafetensorError

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
    try:
        yield {"revision": revision, "trust_remote_code": False}
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        if revision is None or not isinstance(error, OSError):
            raise ModelError(f"{source} cannot be loaded: {error}") from error
        remedy = REMEDIES.get(type(error.__cause__), OFFLINE)
        raise ModelError(f"{source} at {revision} cannot be loaded ({error}): {remedy}") from error

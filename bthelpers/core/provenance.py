"""What made a result: parameters, versions, commit, device and date."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

VERSIONS_OF = ("bthelpers", "torch", "transformers", "numpy")


def digest(value: Any) -> str:
    """SHA-256 of what JSON can hold; the order of keys does not matter."""
    return hashlib.sha256(_canonical(value).encode()).hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def provenance(parameters: Mapping[str, Any], **extra: Any) -> dict[str, str]:
    """Say what made a result: parameters, versions, commit, device and date.

    Parameters
    ----------
    parameters : mapping
        Everything that the result depends on, as JSON holds it.
    **extra
        More entries, such as ``dataset``, ``participant`` or ``model``; or a better ``device``.

    Returns
    -------
    dict of str
        Flat, for the attributes of a netCDF file.
    """
    return {
        "parameters": _canonical(parameters),
        "parameters_digest": digest(parameters),
        **{f"version_{package}": _version(package) for package in VERSIONS_OF},
        "version_python": platform.python_version(),
        "platform": platform.platform(),
        "commit": _commit(),
        "device": _device(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **{key: str(value) for key, value in extra.items()},
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _commit() -> str:
    """Commit of this library, with ``-dirty`` where tracked files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()


def _device() -> str:
    torch = sys.modules.get("torch")  # a process without it has computed on no GPU
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.processor() or platform.machine()} CPU"

"""RO-Crate of a results folder: what each file is, and what made it, for other programs.

A folder with ``ro-crate-metadata.json`` is a Research Object Crate, version 1.1
(https://w3id.org/ro/crate/1.1): JSON-LD in the words of schema.org.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bthelpers.core.errors import ResultsError
from bthelpers.core.files import write_if_changed
from bthelpers.core.provenance import file_digest
from bthelpers.results.store import MAKE, Results, Run

SPECIFICATION = "https://w3id.org/ro/crate/1.1"
METADATA = "ro-crate-metadata.json"
FORMATS = {
    ".nc": "application/x-netcdf",
    ".json": "application/json",
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".gii": "application/xml",
    ".sha256": "text/plain",
}
MORE_WORDS = {"sha256": "https://schema.org/sha256"}
RESULTS_LICENCE = "https://creativecommons.org/licenses/by/4.0/"


def crate(results: Results) -> dict[str, Any]:
    """Describe a results folder.

    Parameters
    ----------
    results : Results

    Returns
    -------
    dict
        JSON-LD: the folder; its files, with sizes, SHA-256 and formats; for each run, the action
        that made it, with model, participant, condition, date and commit.

    Raises
    ------
    ResultsError
        If there is no run.
    """
    runs = results.list()
    if not runs:
        raise ResultsError(f"{results.root} holds no run; {MAKE}")
    made = {run: results.open(*run).attrs for run in runs}
    files = sorted(file for file in results.root.rglob("*") if file.suffix in FORMATS)
    entries = [_file(results.root, file) for file in files if file.name != METADATA]
    actions = [_action(run, attributes) for run, attributes in made.items()]
    whole = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Brain-tuning of speech models, profile {results.profile().name}",
        "description": "; ".join(sorted({run["dataset"] for run in made.values()})),
        "datePublished": max(run["date"] for run in made.values()),
        "license": {"@id": RESULTS_LICENCE},
        "hasPart": [{"@id": entry["@id"]} for entry in entries],
        "mentions": [{"@id": action["@id"]} for action in actions],
    }
    library = {
        "@id": "#bthelpers",
        "@type": "SoftwareApplication",
        "name": "bthelpers",
        "softwareVersion": next(iter(made.values()))["version_bthelpers"],
    }
    root = {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": SPECIFICATION},
    }
    graph = [root, whole, library, *entries, *actions]
    return {"@context": [f"{SPECIFICATION}/context", MORE_WORDS], "@graph": graph}


def write_crate(results: Results) -> Path:
    """Write `crate` into its results folder; returns the file."""
    file = results.root / METADATA
    write_if_changed(file, json.dumps(crate(results), indent=1) + "\n")
    return file


def _file(root: Path, file: Path) -> dict[str, Any]:
    return {
        "@id": file.relative_to(root).as_posix(),
        "@type": "File",
        "encodingFormat": FORMATS[file.suffix],
        "contentSize": str(file.stat().st_size),
        "sha256": file_digest(file),
    }


def _action(run: Run, made: Mapping[str, str]) -> dict[str, Any]:
    named = "/".join(filter(None, run))
    return {
        "@id": f"#{named}",
        "@type": "CreateAction",
        "name": ", ".join(filter(None, run)),
        "instrument": {"@id": "#bthelpers"},
        "result": {"@id": f"{named}.nc"},
        "endTime": made["date"],
        "description": f"commit {made['commit']}, on {made['device']}",
    }

"""All readers of files of users, by name."""

from __future__ import annotations

from fuzz.of_anatomy import ANATOMY
from fuzz.of_corpora import CORPORA
from fuzz.of_datasets import DATASETS
from fuzz.of_models import MODELS
from fuzz.of_parameters import PARAMETERS
from fuzz.of_recordings import RECORDINGS
from fuzz.of_records import RECORDS
from fuzz.of_results import RESULTS
from fuzz.trial import Reader

READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (
        *PARAMETERS,
        *DATASETS,
        *MODELS,
        *CORPORA,
        *ANATOMY,
        *RECORDINGS,
        *RESULTS,
        *RECORDS,
    )
}

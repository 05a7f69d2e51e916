"""What every run notebook opens and writes: the profile, dataset, models and results of one run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bthelpers.core.provenance import provenance
from bthelpers.data.dataset import Dataset
from bthelpers.data.recordings.opening import open_dataset
from bthelpers.models.card import model_card
from bthelpers.params.loading import load, to_dict
from bthelpers.params.settings import Profile
from bthelpers.params.splits import Splits
from bthelpers.results.store import Results, write_dataset
from bthelpers.workflow.runs.unfinished import CHECKPOINTS

if TYPE_CHECKING:  # they take PyTorch along, which voxels and responses do without
    import torch

    from bthelpers.models.speech import SpeechEncoder
    from bthelpers.tuning.brain_tuning import TuningResult

SNAPSHOT = "BRAIN_TUNING_SNAPSHOT"  # set in runs of the workflow


@dataclass(frozen=True)
class RunContext:
    """One run of a step: of a participant, of a model in a condition, or of both.

    Files are found from the repository's root, where the workflow executes notebooks.

    Attributes
    ----------
    profile : str
        A file in ``params/``, without its ending.
    model : str, optional
        None for what concerns no model.
    participant : str, optional
        None where the run is one for all participants.
    condition : str, optional
        "pretrained", or what the model is tuned under.
    """

    profile: str
    model: str | None = None
    participant: str | None = None
    condition: str | None = None

    @cached_property
    def parameters(self) -> Profile:
        """All parameters of the profile: in a workflow, as they were when it began."""
        if SNAPSHOT in os.environ:
            return self.results.profile()
        return load(f"params/{self.profile}.yaml")

    @property
    def splits(self) -> Splits:
        """Stories that the participant heard; all stories where the run is one for all."""
        dataset, participant = self.parameters.dataset, self.participant
        return dataset.splits if participant is None else dataset.splits_of(participant)

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset, with the profile's cache of responses."""
        return open_dataset(self.parameters.dataset)

    @property
    def corpora(self) -> str:
        """What stands for the dataset in results on corpora."""
        return f"{'published' if self.parameters.corpora.simulate is None else 'simulated'} corpora"

    @property
    def results(self) -> Results:
        """All results of the profile."""
        return Results(f"results/{self.profile}")

    @property
    def folder(self) -> Path:
        """Folder of the run's own results."""
        return Path(
            self.results.root, *filter(None, (self.model, self.participant, self.condition))
        )

    @property
    def checkpoint(self) -> Path:
        """Where an interrupted tuning goes on from: it stays until the run has its receipt."""
        return self.folder / CHECKPOINTS["tuning"]

    @cached_property
    def device(self) -> torch.device:
        """A GPU that is claimed when it is first asked for, or the CPU.

        Each of several processes that execute the run's notebook has a GPU of its own.
        """
        from bthelpers.models.devices import claim_device, join_processes

        device = claim_device()
        join_processes(device)
        return device

    def pretrained(self) -> SpeechEncoder:
        """Load the model as it was before any tuning."""
        source = self.parameters.models[self.model]
        return self._load(source.path, source.revision)

    def encoder(self) -> SpeechEncoder:
        """Load the model as it is under the run's condition."""
        return (
            self.pretrained()
            if self.condition == "pretrained"
            else self._load(self.folder / "model")
        )

    def _load(self, source: str | Path, revision: str | None = None) -> SpeechEncoder:
        from bthelpers.models.speech import SpeechEncoder

        return SpeechEncoder.load(source, revision, self.device)

    def open(self, step: str) -> xr.Dataset:
        """Read what another step has computed of the same model, participant and condition."""
        return self.results.open(self.model, self.participant, self.condition, step)

    def provenance(self, dataset: str | None = None, **more: str) -> dict[str, str]:
        """Say what made a result of this run.

        Parameters
        ----------
        dataset : str, optional
            By default the name of the run's dataset.
        **more
            More entries.
        """
        which = {"condition": self.condition, "model": self.model}
        return provenance(
            to_dict(self.parameters),
            dataset=dataset or self.dataset.name,
            participant=self.participant or "all",
            **{key: value for key, value in which.items() if value is not None},
            **more,
        )

    def write(self, result: xr.Dataset, step: str, **more: str) -> None:
        """Write a step's result to the run's folder; ``more`` is for `provenance`."""
        write_dataset(result, self.folder / f"{step}.nc", self.provenance(**more))

    def write_training(self, result: TuningResult, **more: str) -> None:
        """Write a tuned model, its adapters and losses.

        Of several processes that tuned it, the first does so.
        """
        from bthelpers.models.devices import process_index

        if process_index() > 0:
            return
        record = self.provenance(**more)
        result.encoder.save(self.folder / "model", record, model_card(record))
        if result.adapted is not None:
            from bthelpers.tuning.adaptation import save_adapter

            save_adapter(result.adapted, self.folder / "adapter")
        # What only some trainings have.
        found = {"pretrained_loss": result.pretrained_loss, "undefined": result.undefined}
        training = xr.Dataset(
            {
                "training_loss": ("epoch", result.training_loss),
                "validation_loss": ("epoch", result.validation_loss),
                "kept_epoch": result.kept_epoch,
                **{name: value for name, value in found.items() if value is not None},
            },
            coords={"epoch": np.arange(1, len(result.training_loss) + 1)},
        )
        write_dataset(training, self.folder / "training.nc", record)

"""A tuned model on the Hugging Face hub, with its scores in its card.

`prepare` says what would be sent and touches no network; `push` sends it, in one commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import xarray as xr
from huggingface_hub import CommitOperationAdd, EvalResult, HfApi, ModelCard

from bthelpers.core.errors import ResultsError
from bthelpers.params.settings import PER_PARTICIPANT
from bthelpers.results.runs import over_layers
from bthelpers.results.store import Results, Run, result_folder

CARD = "README.md"
WEIGHTS = "model.safetensors"
SCORES = {  # of a step: the variable, its dim of names, the task's type and the metric
    "alignment": ("alignment", "region", "brain-alignment", "Normalised alignment, r / ceiling"),
    "probes": ("f1_macro", "task", "audio-classification", "F1, macro, linear probe"),
    "low_level_probes": ("r2", "task", "audio-regression", "R², linear probe"),
}


@dataclass(frozen=True)
class Upload:
    """What is sent.

    Parameters
    ----------
    repository : str
        On the hub, ``OWNER/NAME``.
    card : ModelCard
        The card with scores.
    files : tuple of Path
        Of the model's folder, without its card.
    """

    repository: str
    card: ModelCard
    files: tuple[Path, ...]

    def __str__(self) -> str:
        lines = [f"{file.stat().st_size / 1e6:8.1f} MB  {file.name}" for file in self.files]
        scores = [
            f"{score.metric_value:8.3f}  {score.metric_name}, {score.task_name}"
            for score in self.card.data.eval_results or ()
        ]
        return "\n".join(
            [f"to {self.repository}:", *lines, f"with {CARD} and its scores:", *scores]
        )


def prepare(folder: Path, repository: str) -> Upload:
    """Compose what is sent of a tuned model.

    Parameters
    ----------
    folder : Path
        ``results/<profile>/<model>/<participant>/<condition>/model``, or without the participant
        where the model is one for all.
    repository : str
        ``OWNER/NAME``.

    Returns
    -------
    Upload
        Scores are those that the results hold: means over transformer layers.

    Raises
    ------
    ResultsError
        If the folder holds no tuned model, or is not in a folder of results.
    """
    folder = folder.absolute()
    for name in (CARD, WEIGHTS):
        if not (folder / name).is_file():
            raise ResultsError(
                f"{folder / name} is not there: name the folder `model` of a tuning run, such as"
                " results/paper/hubert-base/UTS03/brain-tuned/model"
            )
    condition = folder.parent.name
    results = Results(folder.parents[3 if condition in PER_PARTICIPANT else 2])
    model, *participant, _ = folder.parent.relative_to(results.root).parts
    card = ModelCard.load(folder / CARD)
    card.data.model_name = f"{model}, {', '.join([condition, *participant])}"
    card.data.eval_results = list(_scores(results, model, participant, condition)) or None
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name != CARD)
    return Upload(repository, card, tuple(files))


def push(upload: Upload) -> str:
    """Send a model to the hub, in one commit; the repository is made, private, if there is none.

    Returns
    -------
    str
        Address of the commit.
    """
    api = HfApi()
    api.create_repo(upload.repository, private=True, exist_ok=True)
    files = [CommitOperationAdd(file.name, file) for file in upload.files]
    card = CommitOperationAdd(CARD, str(upload.card).encode())
    commit = api.create_commit(
        upload.repository, [*files, card], commit_message=f"Add {upload.card.data.model_name}"
    )
    return commit.commit_url


def _scores(
    results: Results, model: str, participant: list[str], condition: str
) -> Iterator[EvalResult]:
    whose = participant or results.profile().participants_of(model)
    for step, (variable, dim, task, metric) in SCORES.items():
        for who in whose:
            run = Run(model, who, condition, step)
            if not (results.root / result_folder(*run) / f"{step}.nc").is_file():
                continue
            found = results.open(*run)
            scores: xr.DataArray = over_layers(found[variable])
            for name in scores[dim].values:
                about = f"{name}, {who}" if step == "alignment" else str(name)
                yield EvalResult(
                    task_type=task,
                    task_name=about,
                    dataset_type=results.profile().name,
                    dataset_name=found.attrs["dataset"],
                    dataset_config=about,  # the hub tells scores of one task apart by it
                    metric_type=variable,
                    metric_name=f"{metric}, mean over layers",
                    metric_value=round(scores.sel({dim: name}).item(), 4),
                )
            if step != "alignment":
                break  # one for all participants, where the model is

"""Everything that a profile sets, as frozen dataclasses: names, types, ranges and units.

The first line of a docstring and the comment beside a field are what editors show (`json_schema`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, StrictInt

from bthelpers.core.timing import TR
from bthelpers.params.evaluations import (
    EncodingSettings,
    ImpactSettings,
    PreferenceSettings,
    ProbeSettings,
    RecognitionSettings,
    StagesSettings,
    StatisticsSettings,
    TransferSettings,
)
from bthelpers.params.recordings.settings import RecordingSettings
from bthelpers.params.schema import (
    Count,
    Distinct,
    Line,
    Name,
    Names,
    ParameterError,
    Positive,
    Precision,
    Problem,
    Share,
    Table,
    at_least,
)
from bthelpers.params.simulation import CorporaSpec, SimulationSpec
from bthelpers.params.splits import Splits
from bthelpers.params.tuning import Adaptation, StimulusSettings, TargetSettings, TuningSettings

PER_PARTICIPANT = ("brain-tuned", "block-permuted")  # the other conditions are one for all
Condition = Literal[
    "pretrained",
    "brain-tuned",
    "block-permuted",
    "big-slm",
    "text-lm",
    "big-text-lm",
    "stimulus-tuned",
    "jointly-tuned",
]
OF_RESPONSES = (
    "alignment",
    "impact",
    "similarity",
    "controls",
)  # evaluations on a participant's responses
Evaluation = Literal[
    "alignment",
    "impact",
    "similarity",
    "controls",
    "transfer",
    "minutes",
    "preference",
    "linguistic_probes",
    "probes",
    "recognition",
]


@dataclass(frozen=True)
class CorporaSettings:
    """Where the corpora of the downstream tasks are (ICLR paper, appendix B)."""

    root: Line  # folder of timit, slurp, speech_commands and crema_d, from the repository's root
    simulate: CorporaSpec | None  # null: the corpora are there


@dataclass(frozen=True)
class DatasetSettings:
    """Where the data are and which of them are used (ICLR paper, section 3.2)."""

    root: Line  # folder in the layout of ds003020, from the repository's root
    cache: Line | None  # folder for selected responses in float32; null: none is kept
    participants: Names  # UTS01 … of ds003020, or any names where the dataset is simulated
    splits: Splits
    absent: Table[Names] | None  # stories that a participant did not hear, out of the splits
    regions: Line | None  # YAML table of region sets (appendix A.1); null: the package's own
    simulate: SimulationSpec | None  # null: the dataset is there, or downloaded
    recording: RecordingSettings | None = None  # of sensors; null: fMRI, in the layout of ds003020

    def __post_init__(self):
        absent, known = self.absent or {}, set(self.splits.stories)
        problems = [
            Problem(f"in no split: {', '.join(sorted(unknown))}", ("absent", participant))
            for participant, stories in absent.items()
            if (unknown := set(stories) - known)
        ]
        if problems:
            raise ParameterError(*problems)
        for participant in absent:
            self.splits_of(participant)

    @property
    def interval(self) -> float:
        """Seconds from one response to the next."""
        return TR if self.recording is None else 1 / self.recording.rate

    @property
    def table(self) -> str:
        """A file that every dataset of the layout has, from its root."""
        return "derivative/respdict.json" if self.recording is None else "participants.tsv"

    def splits_of(self, participant: str) -> Splits:
        """The splits without the stories that a participant did not hear.

        Raises
        ------
        DatasetError
            If nothing is left of a split.
        """
        return self.splits.without((self.absent or {}).get(participant, ()))


@dataclass(frozen=True)
class ModelSettings:
    """Where a pretrained speech model is, and what is done with it."""

    path: Line  # folder, or name on the hub
    revision: Line | None  # commit on the hub; null for a folder
    participants: Names | None = None  # null: all of the dataset's
    conditions: Distinct[Condition] | None = None  # null: all of the profile's
    evaluations: Distinct[Evaluation] | None = None  # null: all of the profile's
    tuning_stories: Count | None = None  # tuned on the first ones of those for training; null: all
    variant_of: Name | None = None  # model that it is compared with in the studies of scale
    adaptation: Adaptation | None = None  # how it is tuned; null: as `tuning` says
    tuned_regions: Names | None = None  # region sets that it is tuned towards; null: of `voxels`


@dataclass(frozen=True)
class VoxelSettings:
    """The voxels that a model is tuned towards (ICLR paper, section 3.2)."""

    ceiling: Share  # noise ceiling that a voxel must exceed
    published: Line | None  # folder of ceilings, <participant>.npy; null: from the repeats
    regions: Names  # region sets whose voxels are taken
    minimum: Count = 1  # voxels above the ceiling that each region set must have, or it is an error


@dataclass(frozen=True)
class RepresentationSettings:
    """What a model represents at a TR (ICLR paper, section 3.2)."""

    window: Positive  # T, seconds of sound that a window holds
    stride: Positive  # W, seconds from one window to the next
    pooling: Literal["last", "mean", "stride"]  # of a window: last token, all, those of a stride
    precision: Precision  # of the transformer's arithmetic


@dataclass(frozen=True)
class Profile:
    """All parameters of a run."""

    # An unknown key is an error here and, as pydantic hands this on, in all sections.
    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    name: Name  # of the parameter file, without its ending
    seed: Annotated[StrictInt, *at_least(0)]  # of everything random
    dataset: DatasetSettings
    models: Table[ModelSettings]  # by the name that results and figures use
    conditions: Distinct[Condition]  # of each model and participant, unless the model names others
    evaluations: Distinct[Evaluation]  # of each of these, where the model names no others
    voxels: VoxelSettings
    tuning: TuningSettings
    targets: TargetSettings
    stimulus: StimulusSettings
    representation: RepresentationSettings
    encoding: EncodingSettings
    statistics: StatisticsSettings
    impact: ImpactSettings
    corpora: CorporaSettings
    probes: ProbeSettings
    recognition: RecognitionSettings
    preference: PreferenceSettings
    stages: StagesSettings = field(default_factory=StagesSettings)
    transfer: TransferSettings = field(default_factory=TransferSettings)
    gpus_per_tuning: Count = 1  # that share each step of a tuning, but not of stimulus-tuning

    def __post_init__(self):
        problems = [problem for name in self.models for problem in self._problems_of(name)]
        problems += [*self._missing_targets(), *self._unknown_in_tuning(), *self._unshared_steps()]
        if problems := [*problems, *self._unfit_responses()]:
            raise ParameterError(*problems)

    @property
    def simulated(self) -> list[str]:
        """Sections whose data are simulated, which are also the names of the steps that do it."""
        return [name for name in ("dataset", "corpora") if getattr(self, name).simulate is not None]

    def _unfit_responses(self) -> Iterator[Problem]:
        dataset, encoding = self.dataset, self.encoding
        try:
            encoding.sampled(dataset.interval)
        except ValueError as error:
            yield Problem(str(error), ("encoding", "delays"))
        if self.representation.stride > dataset.interval:
            text = f"must be at most {dataset.interval:g} s, the time between responses"
            yield Problem(text, ("representation", "stride"))
        if dataset.recording is not None:
            yield from dataset.recording.problems(
                {name for run in self.runs for name in (run[2], *self.evaluations_of(run[0]))},
                {
                    ("dataset", "regions"): dataset.regions,
                    ("dataset", "cache"): dataset.cache,
                    ("encoding", "delays"): encoding.delays,
                    ("tuning", "pooling"): self.tuning.pooling,
                },
            )

    def _unknown_in_tuning(self) -> Iterator[Problem]:
        train = self.dataset.splits.train
        known = {"participants": self.dataset.participants, "splits.train": train}
        asked = (
            ("jointly", "participants", self.jointly),
            ("unheard", "splits.train", self.unheard),
        )
        for key, where, names in asked:
            if unknown := set(names) - set(known[where]):
                text = f"not in dataset.{where}: {', '.join(sorted(unknown))}"
                yield Problem(text, ("tuning", key))

    def _unshared_steps(self) -> Iterator[Problem]:
        most, loss = self.tuning.segments_per_step, self.tuning.loss
        if self.gpus_per_tuning > 1 and loss != "squared_error":
            text = f"must be 1 where tuning.loss is {loss}, which is of all TRs of a step"
            yield Problem(text, ("gpus_per_tuning",))
        elif self.gpus_per_tuning > most:
            text = f"must be at most {most}, the windows or chunks of a step (tuning.batch_trs)"
            yield Problem(text, ("gpus_per_tuning",))

    def _missing_targets(self) -> Iterator[Problem]:
        asked = {condition for _, _, condition in self.runs}
        for condition, source in self.targets.text_models.items():
            if condition in asked and source is None:
                text = f"must name a text model, or `conditions` must do without {condition}"
                yield Problem(text, ("targets", condition.replace("-", "_")))

    def _problems_of(self, name: str) -> Iterator[Problem]:
        """What the model's settings and those of the dataset, or of other models, contradict."""
        model, place = self.models[name], ("models", name)
        if unknown := set(model.participants or ()) - set(self.dataset.participants):
            text = f"not in dataset.participants: {', '.join(sorted(unknown))}"
            yield Problem(text, (*place, "participants"))
        splits = map(self.dataset.splits_of, self.participants_of(name))
        heard = min(len(set(of_one.train) - set(self.unheard)) for of_one in splits)
        if (model.tuning_stories or 0) > heard:
            text = f"must be at most {heard}, the training stories that every participant heard"
            yield Problem(text, (*place, "tuning_stories"))
        if not heard:
            yield Problem("leaves a participant no story to tune on", ("tuning", "unheard"))
        chain = [name]
        while (base := self.models[chain[-1]].variant_of) is not None:
            chain.append(base)
            if base not in self.models or base in chain[:-1]:
                text = "must lead to a model of this profile that is no variant: "
                yield Problem(text + " -> ".join(chain), ("models", chain[-2], "variant_of"))
                return

    def participants_of(self, model: str) -> tuple[str, ...]:
        """Participants whose responses a model is tuned to and evaluated on."""
        return self.models[model].participants or self.dataset.participants

    def conditions_of(self, model: str) -> tuple[str, ...]:
        """Conditions in which a model is evaluated."""
        return self.models[model].conditions or self.conditions

    def tuning_of(self, model: str) -> TuningSettings:
        """How a model is tuned."""
        adaptation = self.models[model].adaptation or self.tuning.adaptation
        return replace(self.tuning, adaptation=adaptation)

    def tuned_regions_of(self, model: str) -> tuple[str, ...]:
        """Region sets whose voxels a model is tuned towards."""
        return self.models[model].tuned_regions or self.voxels.regions

    @property
    def jointly(self) -> tuple[str, ...]:
        """Participants to whom one model is tuned."""
        return self.tuning.jointly or self.dataset.participants

    @property
    def unheard(self) -> tuple[str, ...]:
        """Training stories that encoding models are fitted to, and that no model is tuned on."""
        return self.tuning.unheard or ()

    def evaluations_of(self, model: str) -> tuple[str, ...]:
        """Evaluations of a model, in each of its conditions."""
        return self.models[model].evaluations or self.evaluations

    def models_with(self, evaluation: str) -> list[str]:
        """Models of which an evaluation is made, without variants."""
        return [
            name
            for name, model in self.models.items()
            if model.variant_of is None and evaluation in self.evaluations_of(name)
        ]

    def variants_of(self, model: str) -> list[str]:
        """Models that are compared with this one in the studies of scale."""
        return [name for name, other in self.models.items() if other.variant_of == model]

    def tuning_splits(self, model: str, participant: str | None = None) -> Splits:
        """Stories that a model is tuned on; without a participant where none's responses count."""
        dataset = self.dataset
        splits = dataset.splits if participant is None else dataset.splits_of(participant)
        train = tuple(story for story in splits.train if story not in self.unheard)
        return replace(splits, train=train[: self.models[model].tuning_stories])

    @property
    def runs(self) -> list[tuple[str, str, str]]:
        """Model, participant and condition of every evaluation, of variants too."""
        return [
            (model, participant, condition)
            for model in self.models
            for participant in self.participants_of(model)
            for condition in self.conditions_of(model)
        ]

"""The one table of the workflow's steps, and the runs of a profile that follow from it.

The ``Snakefile`` makes its rules of `STEPS`. What a profile plans, what is checked before a run,
and what outdates its results follow the same table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bthelpers.params.settings import Profile
from bthelpers.results.store import result_folder


@dataclass(frozen=True)
class Step:
    """One step of the workflow: a notebook of ``book/runs``, executed for each of its runs.

    Attributes
    ----------
    name : str
    reads : tuple of str
        Steps whose files a run reads. A condition stands for the model in it, and 'model' for the
        one in the condition of the run.
    reads_all : tuple of str
        Steps per participant of whose runs all are read, those of others too.
    writes : tuple of str
        Files of a run, from its folder of results; of a step per profile, from the root that the
        profile names.
    parameters : tuple of str
        What it depends on otherwise: sections of the profile, or of `step_parameters`.
    per : str
        There is one run per profile (only where it simulates the section of that name), per
        participant, or per model and condition, with or without a participant as `result_folder`
        says.
    notebook : str, optional
        Its name without ending, where it is not the step's.
    tunes : tuple of str
        Conditions that it brings a model into.
    variant_of : str, optional
        The step that it replaces in these conditions: parameters of that one count too, and
        executed notebooks have its name.
    priority : int
        Of runs that could begin, those that most of the others wait for are taken first.
    gpu : bool
    shared : bool
        Whether as many processes execute a run as the profile gives GPUs to a tuning, one each.
    threads, megabytes, minutes : int
        Cores and main memory of each process, and time, that a cluster's scheduler has to grant.
    """

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    parameters: tuple[str, ...]
    per: Literal["profile", "participant", "model"] = "model"
    reads_all: tuple[str, ...] = ()
    notebook: str | None = None
    tunes: tuple[str, ...] = ()
    variant_of: str | None = None
    priority: int = 0
    gpu: bool = True
    shared: bool = False
    threads: int = 4
    megabytes: int = 16_000
    minutes: int = 240

    def processes(self, profile: Profile) -> int:
        """Processes that share the work of one run."""
        return profile.gpus_per_tuning if self.shared else 1


# Upper estimates for base-sized models and one participant of ds003020. Only the 20 GB that tuning
# holds are measured; 9,000 TRs of 50,000 voxels are 1.8 GB, and a model's representations of them
# 0.4 GB. They are for a cluster: on one machine nothing follows from them, nor from threads.
TUNING = Step(
    "tuning",
    reads=("pretrained", "voxels"),
    writes=("model/model.safetensors", "training.nc"),
    parameters=("tuning", "refit", "splits", "seed"),
    tunes=("brain-tuned",),
    priority=2,
    shared=True,
    megabytes=24_000,
    minutes=2880,
)
_OF_FITS = ("encoding", "statistics", "splits", "seed")
_STEPS = (
    Step("dataset", (), ("derivative/respdict.json",), (), per="profile", gpu=False),
    # One file stands for all corpora. (Snakemake removes what a rule will make, and the description
    # of a simulated corpus is what allows to replace it.)
    Step("corpora", (), ("speech_commands/testing_list.txt",), (), per="profile", gpu=False),
    Step(
        "voxels",
        reads=("dataset",),
        writes=("voxels.nc",),
        parameters=("dataset", "splits", "voxels", "test_rows", "published", "regions"),
        per="participant",
        priority=3,
        gpu=False,
    ),
    TUNING,
    # A control is trained for as many epochs as its treatment was kept after.
    replace(
        TUNING,
        name="control",
        reads=("pretrained", "voxels", "brain-tuned"),
        parameters=(),
        notebook="tuning",
        tunes=("block-permuted",),
        variant_of="tuning",
    ),
    replace(
        TUNING,
        name="targets",
        reads=("pretrained", "dataset"),
        parameters=("dataset", "targets", "others"),
        notebook="tuning",
        tunes=("big-slm", "text-lm", "big-text-lm"),
        variant_of="tuning",
    ),
    replace(
        TUNING,
        name="stimulus",
        reads=("pretrained", "dataset"),
        parameters=("dataset", "stimulus"),
        tunes=("stimulus-tuned",),
        variant_of="tuning",
        shared=False,
    ),
    # Vertices that all participants share are looked for in the run.
    replace(
        TUNING,
        name="joint",
        reads=("pretrained", "dataset"),
        parameters=("dataset", "regions", "voxels"),
        tunes=("jointly-tuned",),
        variant_of="tuning",
    ),
    Step(
        "representations",
        reads=("model", "dataset"),
        writes=("representations.nc",),
        parameters=("dataset", "splits", "representation"),
        priority=1,
    ),
    Step(
        "alignment",
        reads=("representations", "voxels"),
        writes=("alignment.nc",),
        parameters=_OF_FITS,
    ),
    Step(
        "impact",
        reads=("representations", "voxels", "alignment"),
        writes=("impact.nc",),
        parameters=("dataset", "impact", *_OF_FITS),
    ),
    Step(
        "similarity",
        reads=("representations", "voxels"),
        writes=("similarity.nc",),
        # Of `preference`, whose words have meanings.
        parameters=("dataset", "stages", "preference", *_OF_FITS),
        gpu=False,
    ),
    Step(
        "controls",
        reads=("representations", "voxels"),
        writes=("controls.nc",),
        parameters=("dataset", "stages", *_OF_FITS),
    ),
    # On all participants, whoever a model was tuned to.
    *(
        Step(
            name,
            reads=("representations",),
            reads_all=("voxels",),
            writes=(f"{name}.nc",),
            parameters=(*_OF_FITS, "participants", "transfer", "readout"),
        )
        for name in ("transfer", "minutes")
    ),
    Step(
        "preference",
        reads=("model", "dataset"),
        writes=("preference.nc",),
        parameters=("dataset", "splits", "preference", "statistics", "seed"),
    ),
    Step(
        "linguistic_probes",
        reads=("model", "dataset"),
        writes=("linguistic_probes.nc", "word_vectors.nc"),
        # Of `preference`, whose words have meanings; of `representation`, the window.
        parameters=(
            *("dataset", "splits", "representation", "probes", "preference", "statistics", "seed"),
        ),
    ),
    Step(
        "probes",
        reads=("model", "corpora"),
        writes=("probes.nc", "low_level_probes.nc"),
        parameters=("corpora", "probes", "statistics", "seed"),
    ),
    Step(
        "recognition",
        reads=("model", "corpora"),
        writes=("recognition.nc",),
        parameters=("corpora", "recognition", "statistics", "seed"),
    ),
)
STEPS = {step.name: step for step in _STEPS}
TUNED_BY = {condition: step.name for step in _STEPS for condition in step.tunes}
# By the depth of its folder, what names a run.
NAMES = ((), ("participant",), ("model", "condition"), ("model", "participant", "condition"))


@dataclass(frozen=True)
class PlannedRun:
    """One run of a step: what it is called, reads and writes.

    Attributes
    ----------
    step : str
        A key of `STEPS`.
    folder : str
        Of its data files, from the profile's folder of results: '', participant, model/condition
        or model/participant/condition.

    Examples
    --------
    >>> run = PlannedRun.of("impact", "hubert", "UTS01", "pretrained")
    >>> run.files
    ['hubert/UTS01/pretrained/impact.nc']
    >>> [needed.folder for needed in run.needs]
    ['hubert/pretrained', 'UTS01', 'hubert/UTS01/pretrained']
    """

    step: str
    folder: str

    @classmethod
    def of(
        cls, step: str, model: str = "", participant: str = "", condition: str = ""
    ) -> PlannedRun:
        """Run of a step that serves the evaluation of a model for a participant."""
        folders = {
            "profile": "",
            "participant": participant,
            "model": result_folder(model, participant, condition, step),
        }
        return cls(step, folders[STEPS[step].per])

    @property
    def names(self) -> dict[str, str]:
        """Model, participant and condition, as far as they name the run and its notebook."""
        parts = self.folder.split("/") if self.folder else []
        return dict(zip(NAMES[len(parts)], parts, strict=True))

    @property
    def files(self) -> list[str]:
        """Its data files, from the profile's folder of results."""
        return [f"{self.folder}/{file}" for file in STEPS[self.step].writes]

    @property
    def log(self) -> str:
        """Its executed notebook, from the profile's folder of results."""
        return Path(self.folder, f"{STEPS[self.step].variant_of or self.step}.ipynb").as_posix()

    @property
    def needs(self) -> list[PlannedRun]:
        """Runs whose files it reads."""
        return [
            PlannedRun.of(step, **self.names | {"condition": condition})
            for step, condition in self._sources
            if step in STEPS
        ]

    def all_needs(self, profile: Profile) -> list[PlannedRun]:
        """Runs whose files it reads, with those of all participants."""
        of_all = STEPS[self.step].reads_all
        participants = profile.dataset.participants
        return [*self.needs, *(PlannedRun(step, name) for step in of_all for name in participants)]

    @property
    def _sources(self) -> list[tuple[str, str]]:
        """Steps that it reads, and 'pretrained', each with the condition in which it does."""
        own = self.names.get("condition", "")
        read = [own if name == "model" else name for name in STEPS[self.step].reads]
        return [(TUNED_BY.get(name, name), name if name in TUNED_BY else own) for name in read]

    def outputs(self, profile: Profile) -> list[str]:
        """Its data files, from the repository's root."""
        if STEPS[self.step].per == "profile":
            section = getattr(profile, self.step)
            written = [section.table] if self.step == "dataset" else STEPS[self.step].writes
            return [f"{section.root}/{file}" for file in written]
        return [f"results/{profile.name}/{file}" for file in self.files]

    def inputs(self, profile: Profile, parameters: Mapping[str, str]) -> list[str]:
        """Its notebook, and files that it is outdated by, from the repository's root.

        Parameters
        ----------
        profile : Profile
        parameters : mapping of str
            As `parameter_files` returns.
        """
        kinds = [self.step, STEPS[self.step].variant_of]
        if "pretrained" in dict(self._sources):
            kinds.append(f"models/{self.names['model']}")
        needs = self.all_needs(profile)
        if profile.corpora.simulate is None:  # corpora that are linked anew are the same corpora
            needs = [needed for needed in needs if needed.step != "corpora"]
        files = [file for needed in needs for file in needed.outputs(profile)]
        notebook = f"book/runs/{STEPS[self.step].notebook or self.step}.md"
        return [notebook, *files, *(parameters[kind] for kind in kinds if kind)]


def evaluation_runs(profile: Profile) -> list[PlannedRun]:
    """Evaluations of a profile, each once."""
    runs = (
        PlannedRun.of(step, model, participant, condition)
        for model, participant, condition in profile.runs
        for step in profile.evaluations_of(model)
    )
    return list(dict.fromkeys(runs))


def planned_runs(profile: Profile) -> list[PlannedRun]:
    """All runs of a profile but the making of simulated data, in the order of their steps."""
    voxels = [PlannedRun("voxels", participant) for participant in profile.dataset.participants]
    wanted = voxels + evaluation_runs(profile)
    runs = dict.fromkeys(run for last in wanted for run in _with_needs(last) if run.folder)
    return sorted(runs, key=lambda run: list(STEPS).index(run.step))


def _with_needs(run: PlannedRun) -> Iterator[PlannedRun]:
    for needed in run.needs:
        yield from _with_needs(needed)
    yield run

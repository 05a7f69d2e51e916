"""What would stop a profile's run later, found before any work."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from bthelpers.core.errors import DatasetError, did_you_mean, look_up
from bthelpers.core.timing import n_respdict_for
from bthelpers.data.dataset import Dataset
from bthelpers.data.files import read_table, refuse_to_replace
from bthelpers.data.inventory import take_inventory
from bthelpers.data.recordings.opening import open_dataset, region_masks, region_table
from bthelpers.encoding.ceiling import load_published
from bthelpers.params.loading import places, to_dict
from bthelpers.params.schema import ParameterError
from bthelpers.params.settings import CorporaSettings, DatasetSettings, ModelSettings, Profile
from bthelpers.params.simulation import CorporaSpec, SimulationSpec
from bthelpers.workflow.steps import STEPS, planned_runs

# What the paper does with self-supervised models only: Whisper has neither losses nor letters.
NOT_OF_WHISPER = {"recognition", "stimulus-tuned"}
FEWEST_ROWS = 10  # of a test story: what fewer correlate by is chance
PUBLISHED_LENGTHS = Path(__file__).parents[1] / "data/ds003020/respdict.json"


def problems(profile: Profile, repository: Path) -> list[str]:
    """Check names and files that a profile points to.

    Of a dataset that is there, every file is looked at; of one that will be simulated, whether it
    will hold the profile's participants and stories. Models of the hub are fetched and loaded.

    Returns
    -------
    list of str
        A line for everything that is wrong, with its remedy.
    """
    return [
        *(
            f"{key}: results and pages would tell {place}, a place on this machine:"
            f" `ln -s {shlex.quote(place)} data/`, and name it data/{Path(place).name}"
            for key, place in places(to_dict(profile)).items()
        ),
        *_unknown_regions(profile, repository),
        *(
            problem
            for name, model in profile.models.items()
            for problem in _unusable_model(name, model, repository)
        ),
        *_unwritable_folders(profile, repository),
        *_unusable_ceilings(profile, repository),
        *_dataset_problems(profile.dataset, repository),
        *_unfit_lengths(profile, repository),
        *evaluation_problems(profile, repository),
    ]


def require(profile: Profile, repository: Path) -> None:
    """Raise a ParameterError that lists every problem of a profile, if there is any."""
    if found := problems(profile, repository):
        listed = "\n- ".join(found)
        raise ParameterError(f"profile {profile.name!r} cannot be run:\n- {listed}")


def _error_of(key: str, look: Callable[[], object]) -> list[str]:
    """What is wrong with that which a key of the profile names, if a look at it raises an error."""
    try:
        look()
    except (OSError, ValueError) as error:
        return [f"{key}: {error}"]
    return []


def _unknown_regions(profile: Profile, repository: Path) -> list[str]:
    try:
        known = region_table(profile.dataset, repository)
    except (OSError, ValueError) as error:
        return [f"dataset.regions: {error}"]
    wanted = {"voxels.regions": profile.voxels.regions}
    wanted |= {
        f"models.{name}.tuned_regions": model.tuned_regions or ()
        for name, model in profile.models.items()
    }
    evaluated = {name for model in profile.models for name in profile.evaluations_of(model)}
    if "impact" in evaluated:
        wanted["impact.regions"] = profile.impact.regions
    if evaluated & {"similarity", "controls"}:
        wanted["stages.regions"] = profile.stages.regions
    if evaluated & {"transfer", "minutes"}:
        wanted["transfer.regions"] = profile.transfer.regions
    return [
        f"{key}: no region {name!r}{did_you_mean(name, known)}"
        for key, names in wanted.items()
        for name in names
        if name not in known
    ]


def _empty_regions(dataset: Dataset, settings: DatasetSettings, repository: Path) -> list[str]:
    """Regions without a voxel, looked for once the participants' files are known to be there."""
    try:
        regions = region_table(settings, repository)
    except (OSError, ValueError):
        return []  # reported with the regions
    return [
        problem
        for participant in settings.participants
        for problem in _error_of(participant, partial(region_masks, dataset, participant, regions))
    ]


def _unusable_ceilings(profile: Profile, repository: Path) -> list[str]:
    """Published noise ceilings that a participant of the dataset lacks or that do not fit."""
    folder, found = profile.voxels.published, []
    if folder is None or profile.dataset.simulate is not None:
        return found
    dataset = open_dataset(profile.dataset, repository, cached=False)
    for participant in profile.dataset.participants:
        try:
            n_voxels = dataset.n_voxels(participant)
        except DatasetError:  # the dataset's own problems are listed with it
            continue
        array = repository / folder / f"{participant}.npy"
        found += _error_of("voxels.published", partial(load_published, array, n_voxels))
    return found


def _unusable_model(name: str, model: ModelSettings, repository: Path) -> list[str]:
    """What is wrong with a model, which is loaded as runs will."""
    from transformers.utils import logging

    from bthelpers.models.speech import SpeechEncoder  # slow

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # of weights that a model has beyond these
    source = repository / model.path if model.revision is None else model.path
    return _error_of(f"models.{name}", partial(SpeechEncoder.load, source, model.revision))


def _unwritable_folders(profile: Profile, repository: Path) -> list[str]:
    """Folders of results and of the cache that are files, or in which nothing can be written."""
    results = repository / "results" / profile.name
    folders = [results / "parameters", *(results / run.folder for run in planned_runs(profile))]
    if profile.dataset.cache is not None:
        folders.append(repository / profile.dataset.cache)
    nearest = dict.fromkeys(
        next(place for place in (folder, *folder.parents) if os.path.lexists(place))
        for folder in folders
    )
    return [
        f"{place} is no folder in which files can be written: allow it, or move away what is there"
        for place in nearest
        if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK))
    ]


def _dataset_problems(settings: DatasetSettings, repository: Path) -> list[str]:
    spec = settings.simulate
    if spec is None:
        if not (repository / settings.root / settings.table).is_file():
            return [
                f"dataset.root: {repository / settings.root} holds no dataset"
                f" ({settings.table} is missing);"
                f" `bthelpers download {repository / settings.root}` gets OpenNeuro ds003020; or"
                " name the folder that holds it"
            ]
        try:
            dataset = open_dataset(settings, repository, cached=False)
            found = take_inventory(
                dataset,
                settings.participants,
                settings.splits.stories,
                settings.splits.test,
                settings.absent,
            ).messages
        except DatasetError as error:
            return [str(error)]
        return found or _empty_regions(dataset, settings, repository)
    found = _error_of("dataset.root", partial(refuse_to_replace, repository / settings.root))
    found += _missing_lexicon("dataset", spec, repository)
    for key, names, simulated in (
        ("participants", settings.participants, spec.participant_names),
        ("splits", settings.splits.stories, spec.story_minutes),
    ):
        found += [
            f"dataset.{key}: {name!r} will not be simulated{did_you_mean(name, simulated)}"
            for name in names
            if name not in simulated
        ]
    return found


def story_rows(profile: Profile, repository: Path) -> dict[str, int]:
    """Response rows of each story, from the dataset or, before it is there, as it will be."""
    settings = profile.dataset
    if settings.simulate is not None:
        minutes = settings.simulate.story_minutes
        if settings.recording is not None:
            rate, skip = settings.recording.rate, settings.recording.skip
            return {story: int((60 * length - skip) * rate) for story, length in minutes.items()}
        return {story: n_respdict_for(60 * length) - 20 for story, length in minutes.items()}
    if settings.recording is not None:
        dataset = open_dataset(settings, repository)
        return {story: len(dataset.response_times(story)) for story in settings.splits.stories}
    own = repository / settings.root / settings.table
    respdict = read_table(own if own.is_file() else PUBLISHED_LENGTHS)
    return {story: look_up(story, respdict, "story") - 20 for story in settings.splits.stories}


def _unfit_lengths(profile: Profile, repository: Path) -> list[str]:
    """Training stories that are too few for folds, and test stories too short for statistics."""
    try:
        rows = story_rows(profile, repository)
    except (OSError, ValueError):
        return []  # reported with the dataset
    if not set(profile.dataset.splits.stories) <= set(rows):
        return []  # as well
    encoding, block, found = profile.encoding, profile.statistics.block, []
    for participant in profile.dataset.participants:
        splits = profile.dataset.splits_of(participant)
        left = {story: rows[story] - encoding.skip_test_rows for story in splits.test}
        found += [
            f"encoding.skip_test_rows: leaves {max(n_rows, 0)} rows of {story!r}: leave out fewer,"
            f" {FEWEST_ROWS} are needed"
            for story, n_rows in left.items()
            if n_rows < FEWEST_ROWS
        ]
        if round(sum(left.values()) / block) < 2:
            found.append(
                f"statistics.block: fewer than two blocks of {block} TRs are in the"
                f" {sum(left.values())} rows of test stories of {participant}: use shorter blocks"
            )
        if encoding.penalties == "training" and encoding.folds > len(splits.train):
            found.append(
                f"encoding.folds: must be at most {len(splits.train)}, the training stories of"
                f" {participant}"
            )
    return list(dict.fromkeys(found))


def _missing_lexicon(
    section: str, spec: SimulationSpec | CorporaSpec, repository: Path
) -> list[str]:
    lexicon = repository / spec.lexicon
    return [] if lexicon.is_file() else [f"{section}.simulate.lexicon: {lexicon} is not there"]


def evaluation_problems(profile: Profile, repository: Path) -> list[str]:
    """Check what evaluations and conditions need beyond the dataset and the models.

    Returns
    -------
    list of str
        A line for everything that is wrong, with its remedy.
    """
    steps = {run.step for run in planned_runs(profile)}
    found = _refused_by_whisper(profile, repository) + _missing_targets(profile, repository)
    if "preference" in steps:
        found += _missing_wordnet(profile)
    if "linguistic_probes" in steps:
        found += _missing_word_vectors(profile, repository)
    if any("corpora" in STEPS[step].reads for step in steps):
        found += _unusable_corpora(profile.corpora, repository)
    return found


def _refused_by_whisper(profile: Profile, repository: Path) -> list[str]:
    """Evaluations and conditions that a Whisper does not have."""
    found = []
    for name, model in profile.models.items():
        asked = {*profile.evaluations_of(name), *profile.conditions_of(name)} & NOT_OF_WHISPER
        if asked and _is_whisper(model, repository):
            found.append(
                f"models.{name}: a Whisper model has no {' and no '.join(sorted(asked))}: leave it"
                f" out of models.{name}.evaluations or models.{name}.conditions"
            )
    return found


def _is_whisper(model: ModelSettings, repository: Path) -> bool:
    from transformers import AutoConfig  # slow, and rarely needed here

    from bthelpers.models.loading import ModelError, explained

    source = repository / model.path if model.revision is None else model.path
    try:
        with explained(source, model.revision, "speech") as where:
            return AutoConfig.from_pretrained(source, **where).model_type == "whisper"
    except ModelError:
        return False  # what is wrong with it is listed with the models


def _missing_targets(profile: Profile, repository: Path) -> list[str]:
    """Other models that a model is tuned towards, loaded as the run will."""
    asked = {condition for _, _, condition in profile.runs} & {*STEPS["targets"].tunes}
    if not asked:
        return []
    from bthelpers.tuning.targets import load_big_slm, load_text_lm  # slow, and rarely needed here

    loaders = {"big-slm": load_big_slm} | dict.fromkeys(profile.targets.text_models, load_text_lm)
    found = []
    for condition in sorted(asked):
        key = condition.replace("-", "_")
        source = getattr(profile.targets, key)
        if source.revision is None:
            source = replace(source, path=str(repository / source.path))
        found += _error_of(f"targets.{key}", partial(loaders[condition], source, profile.tuning))
    return found


def _missing_wordnet(profile: Profile) -> list[str]:
    name = profile.preference.wordnet
    if name is None:
        if profile.dataset.simulate is not None:
            return []
        return ["preference.wordnet: words of a real dataset need one, such as omw-en:1.4"]
    from bthelpers.tasks.word_pairs import open_wordnet

    return _error_of("preference.wordnet", partial(open_wordnet, name))


def _missing_word_vectors(profile: Profile, repository: Path) -> list[str]:
    """Whether the file is there; what it holds, the run checks: it may have a gigabyte."""
    name = profile.probes.word_vectors
    if name is None or (repository / name).is_file():
        return []
    return [
        f"probes.word_vectors: {repository / name} is not there: get a file of GloVe from"
        " nlp.stanford.edu/projects/glove, or set it to null to do without"
    ]


def _unusable_corpora(settings: CorporaSettings, repository: Path) -> list[str]:
    """Corpora that are not there or not as published; or that cannot be simulated."""
    from bthelpers.tasks.corpora import CORPORA

    root, spec = repository / settings.root, settings.simulate
    found = [] if spec is None else _missing_lexicon("corpora", spec, repository)
    for name, read in CORPORA.items():
        look = read if spec is None else refuse_to_replace
        found += _error_of("corpora.root", partial(look, root / name))
    if found and spec is None:
        found.append(
            "corpora: to do without them, take probes and recognition out of `evaluations`"
        )
    return found

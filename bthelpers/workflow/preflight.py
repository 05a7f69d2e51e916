"""What would stop a profile's run later, found before any work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bthelpers.core.errors import DatasetError, did_you_mean
from bthelpers.data.dataset import Dataset
from bthelpers.data.files import refuse_to_replace
from bthelpers.data.regions import load_regions
from bthelpers.encoding.ceiling import load_published
from bthelpers.params.schema import ParameterError
from bthelpers.params.settings import CorporaSettings, DatasetSettings, ModelSettings, Profile

# What the paper does with self-supervised models only: Whisper has neither losses nor letters.
NOT_OF_WHISPER = {"recognition", "stimulus-tuned"}


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
        *_unknown_regions(profile, repository),
        *_missing_models(profile, repository),
        *_unusable_ceilings(profile, repository),
        *_dataset_problems(profile.dataset, repository),
        *evaluation_problems(profile, repository),
    ]


def require(profile: Profile, repository: Path) -> None:
    """Raise a ParameterError that lists every problem of a profile, if there is any."""
    if found := problems(profile, repository):
        listed = "\n- ".join(found)
        raise ParameterError(f"profile {profile.name!r} cannot be run:\n- {listed}")


def _unknown_regions(profile: Profile, repository: Path) -> list[str]:
    table = profile.dataset.regions
    try:
        known = load_regions(repository / table if table else None)
    except (OSError, ValueError) as error:
        return [f"dataset.regions: {error}"]
    wanted = {"voxels": profile.voxels.regions}
    if any("impact" in profile.evaluations_of(model) for model in profile.models):
        wanted["impact"] = profile.impact.regions
    return [
        f"{key}.regions: no region {name!r}{did_you_mean(name, known)}"
        for key, names in wanted.items()
        for name in names
        if name not in known
    ]


def _empty_regions(dataset: Dataset, settings: DatasetSettings, repository: Path) -> list[str]:
    """Regions without a voxel, looked for once the participants' files are known to be there."""
    from bthelpers.data.cortex import region_masks  # slow, and needed for real datasets only

    try:
        regions = load_regions(repository / settings.regions if settings.regions else None)
    except (OSError, ValueError):
        return []  # reported with the regions
    found = []
    for participant in settings.participants:
        try:
            region_masks(dataset, participant, regions)
        except (OSError, ValueError) as error:
            found.append(f"{participant}: {error}")
    return found


def _unusable_ceilings(profile: Profile, repository: Path) -> list[str]:
    """Published noise ceilings that a participant of the dataset lacks or that do not fit."""
    folder, found = profile.voxels.published, []
    if folder is None or profile.dataset.simulate is not None:
        return found
    dataset = Dataset(repository / profile.dataset.root)
    for participant in profile.dataset.participants:
        try:
            n_voxels = dataset.n_voxels(participant)
        except DatasetError:  # the dataset's own problems are listed with it
            continue
        try:
            load_published(repository / folder / f"{participant}.npy", n_voxels)
        except ValueError as error:
            found.append(f"voxels.published: {error}")
    return found


def _missing_models(profile: Profile, repository: Path) -> list[str]:
    found = (_missing_model(name, model, repository) for name, model in profile.models.items())
    return [problem for problem in found if problem]


def _missing_model(name: str, model: ModelSettings, repository: Path) -> str | None:
    """What is wrong with a model; of a folder here, only whether it holds one."""
    if model.revision is not None:
        from bthelpers.models.loading import ModelError
        from bthelpers.models.speech import SpeechEncoder  # slow, and rarely needed here

        try:
            SpeechEncoder.load(model.path, model.revision)
        except ModelError as error:
            return f"models.{name}: {error}"
    elif not (repository / model.path / "config.json").is_file():
        return (
            f"models.{name}.path: {repository / model.path} holds no model (config.json is"
            f" missing); `bthelpers miniature speech --output {model.path}` makes a miniature"
        )
    return None


def _dataset_problems(settings: DatasetSettings, repository: Path) -> list[str]:
    spec = settings.simulate
    if spec is None:
        if not (repository / settings.root / "derivative/respdict.json").is_file():
            return [
                f"dataset.root: {repository / settings.root} holds no dataset"
                " (derivative/respdict.json is missing);"
                f" `bthelpers download {repository / settings.root}` gets OpenNeuro ds003020; or"
                " name the folder that holds it"
            ]
        try:
            dataset = Dataset(repository / settings.root)
            found = dataset.check(
                settings.participants,
                settings.splits.stories,
                settings.splits.test,
                settings.absent,
            )
        except DatasetError as error:
            return [str(error)]
        return found or _empty_regions(dataset, settings, repository)
    found = []
    try:
        refuse_to_replace(repository / settings.root)
    except DatasetError as error:
        found.append(f"dataset.root: {error}")
    if not (repository / spec.lexicon).is_file():
        found.append(f"dataset.simulate.lexicon: {repository / spec.lexicon} is not there")
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


def evaluation_problems(profile: Profile, repository: Path) -> list[str]:
    """Check what evaluations and conditions need beyond the dataset and the models.

    Returns
    -------
    list of str
        A line for everything that is wrong, with its remedy.
    """
    asked = {evaluation for model in profile.models for evaluation in profile.evaluations_of(model)}
    found = _refused_by_whisper(profile, repository) + _missing_targets(profile, repository)
    if "preference" in asked:
        found += _missing_wordnet(profile)
    if asked & {"probes", "recognition"}:
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
    asked = {condition for _, _, condition in profile.runs} & {"big-slm", "text-lm"}
    if not asked:
        return []
    from bthelpers.models.loading import ModelError  # slow, and rarely needed here
    from bthelpers.tuning.targets import load_big_slm, load_text_lm

    loaders = {"big-slm": load_big_slm, "text-lm": load_text_lm}
    found = []
    for condition in sorted(asked):
        key = condition.replace("-", "_")
        source = getattr(profile.targets, key)
        if source.revision is None:
            source = replace(source, path=str(repository / source.path))
        try:
            loaders[condition](source, profile.tuning)
        except ModelError as error:
            found.append(f"targets.{key}: {error}")
    return found


def _missing_wordnet(profile: Profile) -> list[str]:
    name = profile.preference.wordnet
    if name is None:
        if profile.dataset.simulate is not None:
            return []
        return ["preference.wordnet: words of a real dataset need one, such as omw-en:1.4"]
    from bthelpers.tasks.word_pairs import open_wordnet

    try:
        open_wordnet(name)
    except ValueError as error:
        return [f"preference.wordnet: {error}"]
    return []


def _unusable_corpora(settings: CorporaSettings, repository: Path) -> list[str]:
    """Corpora that are not there or not as published; or that cannot be simulated."""
    from bthelpers.tasks.corpora import CORPORA

    root, found = repository / settings.root, []
    if settings.simulate is not None:
        lexicon = repository / settings.simulate.lexicon
        if not lexicon.is_file():
            found.append(f"corpora.simulate.lexicon: {lexicon} is not there")
    for name, read in CORPORA.items():
        try:
            if settings.simulate is None:
                read(root / name)
            else:
                refuse_to_replace(root / name)
        except ValueError as error:
            found.append(f"corpora.root: {error}")
    return found

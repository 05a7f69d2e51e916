"""What would stop a profile's run later, found before any work."""

from __future__ import annotations

from pathlib import Path

from bthelpers.dataset import Dataset, DatasetError
from bthelpers.formats import did_you_mean
from bthelpers.params import DatasetSettings, Profile
from bthelpers.regions import load_regions


def require(profile: Profile, repository: Path) -> None:
    """Check names and files that a profile points to.

    Of a dataset that is there, every file is looked at; of one that will be simulated, whether it
    will hold the profile's participants and stories.

    Raises
    ------
    ValueError
        With a line for everything that is wrong and its remedy.
    """
    problems = [
        *_unknown_regions(profile, repository),
        *_missing_models(profile, repository),
        *_dataset_problems(profile.dataset, repository),
    ]
    if problems:
        listed = "\n- ".join(problems)
        raise ValueError(f"profile {profile.name!r} cannot be run:\n- {listed}")


def _unknown_regions(profile: Profile, repository: Path) -> list[str]:
    table = profile.dataset.regions
    try:
        known = load_regions(repository / table if table else None)
    except (OSError, ValueError) as error:
        return [f"dataset.regions: {error}"]
    return [
        f"voxels.regions: no region {name!r}{did_you_mean(name, known)}"
        for name in profile.voxels.regions
        if name not in known
    ]


def _missing_models(profile: Profile, repository: Path) -> list[str]:
    """Local models that are not there; a model of the hub is looked for when it is loaded."""
    return [
        f"models.{name}.path: {repository / model.path} holds no model (config.json is missing);"
        f" `python -m bthelpers.miniatures --output {model.path}` makes a miniature"
        for name, model in profile.models.items()
        if model.revision is None and not (repository / model.path / "config.json").is_file()
    ]


def _dataset_problems(settings: DatasetSettings, repository: Path) -> list[str]:
    spec = settings.simulate
    if spec is None:
        if not (repository / settings.root / "derivative/respdict.json").is_file():
            return [
                f"dataset.root: {repository / settings.root} holds no dataset"
                " (derivative/respdict.json is missing); download OpenNeuro ds003020 to it, or name"
                " the folder that holds it"
            ]
        try:
            dataset = Dataset(repository / settings.root)
            return dataset.check(
                settings.participants, settings.splits.stories, settings.splits.test
            )
        except DatasetError as error:
            return [str(error)]
    problems = []
    if not (repository / spec.lexicon).is_file():
        problems.append(f"dataset.simulate.lexicon: {repository / spec.lexicon} is not there")
    for key, names, simulated in (
        ("participants", settings.participants, spec.participant_names),
        ("splits", settings.splits.stories, spec.story_minutes),
    ):
        problems += [
            f"dataset.{key}: {name!r} will not be simulated{did_you_mean(name, simulated)}"
            for name in names
            if name not in simulated
        ]
    return problems

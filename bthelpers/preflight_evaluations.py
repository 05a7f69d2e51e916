"""What would stop a profile's evaluations later: corpora, WordNet, other models, combinations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bthelpers.formats import refuse_to_replace
from bthelpers.settings import CorporaSettings, ModelSettings, Profile

# What the paper does with self-supervised models only: Whisper has neither losses nor letters.
NOT_OF_WHISPER = {"recognition", "stimulus-tuned"}


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

    from bthelpers.speech import ModelError, explained

    source = repository / model.path if model.revision is None else model.path
    try:
        with explained(source, model.revision, "bthelpers.miniatures") as where:
            return AutoConfig.from_pretrained(source, **where).model_type == "whisper"
    except ModelError:
        return False  # what is wrong with it is listed with the models


def _missing_targets(profile: Profile, repository: Path) -> list[str]:
    """Other models that a model is tuned towards, loaded as the run will."""
    asked = {condition for _, _, condition in profile.runs} & {"big-slm", "text-lm"}
    if not asked:
        return []
    from bthelpers.speech import ModelError  # slow, and rarely needed here
    from bthelpers.targets import load_big_slm, load_text_lm

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
    from bthelpers.word_pairs import open_wordnet

    try:
        open_wordnet(name)
    except ValueError as error:
        return [f"preference.wordnet: {error}"]
    return []


def _unusable_corpora(settings: CorporaSettings, repository: Path) -> list[str]:
    """Corpora that are not there or not as published; or that cannot be simulated."""
    from bthelpers.corpora import CORPORA

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

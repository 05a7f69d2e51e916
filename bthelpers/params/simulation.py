"""What a profile sets of simulated data: a dataset, and the corpora of downstream tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import StrictInt

from bthelpers.params.schema import (
    Band,
    Count,
    Distinct,
    Line,
    NonNegative,
    ParameterError,
    Positive,
    Problem,
    Quantiles,
    Share,
    Span,
    at_least,
    from_to,
)

# Quantiles (0, 5, …, 100 % of the voxels) of the published noise ceilings of ds003020, averaged
# over UTS01, UTS02 and UTS03.
PUBLISHED_CEILINGS = (
    0.0, 0.0, 0.0, 0.039, 0.109, 0.151, 0.218, 0.262, 0.298, 0.330, 0.359,
    0.388, 0.418, 0.448, 0.481, 0.517, 0.557, 0.603, 0.659, 0.731, 0.940,
)  # fmt: skip
VOICES = ("en-us", "en-us+f2", "en-us+m3", "en-us+f4", "en-us+m7")


@dataclass(frozen=True)
class SimulationSpec:
    """A simulated dataset: its speech, its participants and how well they can be predicted."""

    lexicon: Line  # YAML file of content words in semantic categories, from the repository's root
    # To each of the last participants, words mean what one of these says. They hear the same
    # stories: the files must hold the same content words, in other categories.
    other_lexicons: Distinct[Line] | None = None  # one for each; null: a word means the same to all
    # A control in which nothing can be learnt of meaning: each time that a content word is spoken,
    # it means what the one some way on in the story does. All else stays as it is.
    meanings: Literal["words", "occurrences"] = "words"  # what has one; occurrences: the control
    participants: Count = 3  # named SIM01, SIM02, …
    training_stories: Count = 16  # named story01, story02, …
    validation_stories: Count = 2  # named after those for training, and before the test story
    voices: Distinct[Line] = VOICES  # of espeak-ng
    rate: Span = (150, 190)  # words per minute
    pitch: Span = (30, 70)  # of espeak-ng, 0 to 99
    words_per_category: Count = 8  # content words that are used of each semantic category
    topic_sentences: Count = 5  # sentences that share a topic of two categories
    topic_probability: Share = 0.85  # that a content word is of the topic
    minutes_train: Positive = 4.0  # of each training story
    minutes_validation: Positive = 4.0  # of each validation story
    minutes_test: Positive = 8.0  # of the test story
    repeats: Annotated[StrictInt, *at_least(2)] = 10  # of the test story
    voxel_size_mm: Positive = 5.2  # edge of a voxel
    latent_dimensions: Count = 12  # of the meaning of a word
    word_idiosyncrasy: NonNegative = 0.6  # own meaning against category's
    acoustics_in_language: Share = 0.3  # weight of acoustics in late language voxels
    # Each voxel has one of several haemodynamic responses: in cortex their peaks differ by seconds
    # (Handwerker et al., 2004), and GLMsingle (Prince et al., 2022) has a library of 20.
    responses: Count = 20  # to a brief event; their peaks are equidistant, the rest is random
    response_peak: Band = (4.0, 7.0)  # s, from the event
    response_dispersion: Band = (0.8, 1.3)  # s, scale of its gamma densities; canonical: 1
    response_undershoot: Band = (0.05, 0.3)  # its share; canonical: 1/6
    noise_autocorrelation: Share = 0.4  # AR(1) coefficient from one TR to the next
    ceiling_quantiles: Quantiles = PUBLISHED_CEILINGS  # of the voxels' noise ceilings, equidistant
    # A voxel's rank in the order of noise ceilings is a random number from 0 to 1, plus this bonus.
    planted_ceiling_bonus: NonNegative = 0.5  # of late language and early auditory voxels, in rank

    def __post_init__(self):
        others, text = self.other_lexicons or (), None
        if len(others) >= self.participants:
            text = f"must be fewer than the participants, {self.participants}"
        elif self.lexicon in others:
            text = f"must be others than 'lexicon', {self.lexicon}"
        if text:
            raise ParameterError(Problem(text, ("other_lexicons",)))

    @property
    def lexicon_of(self) -> dict[str, str]:
        """The lexicon that says what words mean to each participant."""
        others = self.other_lexicons or ()
        lexicons = [self.lexicon] * (self.participants - len(others)) + [*others]
        return dict(zip(self.participant_names, lexicons, strict=True))

    @property
    def participant_names(self) -> list[str]:
        """SIM01, SIM02, …"""
        return [f"SIM{number:02d}" for number in range(1, self.participants + 1)]

    @property
    def story_minutes(self) -> dict[str, float]:
        """Length of each story: those for training, those for validation, the one for testing."""
        minutes = (
            [self.minutes_train] * self.training_stories
            + [self.minutes_validation] * self.validation_stories
            + [self.minutes_test]
        )
        return {f"story{number:02d}": length for number, length in enumerate(minutes, start=1)}


@dataclass(frozen=True)
class CorporaSpec:
    """Simulated corpora: how they are spoken and how many clips they hold."""

    lexicon: Line  # YAML file of content words in semantic categories, from the repository's root
    words_per_category: Count = 8  # content words that are used of each semantic category
    voices: Distinct[Line] = VOICES  # of espeak-ng
    rate: Span = (150, 190)  # words per minute
    pitch: Span = (30, 70)  # of espeak-ng, 0 to 99
    timit_speakers: Annotated[StrictInt, *from_to(5, 250)] = 60  # with ten sentences each
    slurp_actions: Annotated[StrictInt, *from_to(2, 46)] = 46  # kinds of request
    slurp_sentences: Annotated[StrictInt, *from_to(5, 1000)] = 20  # of each action
    commands_speakers: Annotated[StrictInt, *from_to(5, 1000)] = 25  # with 35 words each
    crema_d_actors: Annotated[StrictInt, *from_to(5, 91)] = 12  # with 82 clips each

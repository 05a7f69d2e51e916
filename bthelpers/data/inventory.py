"""What a dataset folder holds of what is needed: found from files' headers, laid out as a table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import pandas as pd

from bthelpers.core.errors import DatasetError, MissingError, listed
from bthelpers.data.dataset import Dataset
from bthelpers.data.files import RESTORE
from bthelpers.params.settings import Profile

COUNTS = ("there", "missing", "malformed")  # stories
DETAILS = ("absent", "repeats", "anatomy", "annotation")  # of a participant


@dataclass(frozen=True)
class Problem:
    """Something that is missing or malformed.

    Parameters
    ----------
    part : str
        ``dataset``, of which all is; ``story`` or ``participant`` where the dataset knows none of
        that name; else ``audio``, ``TextGrid``, ``responses``, ``repeats``, ``anatomy`` or
        ``annotation``.
    message : str
        What is wrong, in which file, and what to do.
    missing : bool
        Whether the file is not there; else it is malformed.
    participant : str or None
        Whom it concerns; None if all.
    stories : tuple of str
        Which stories it concerns; none if the problem is not one of stories.
    """

    part: str
    message: str
    missing: bool = False
    participant: str | None = None
    stories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inventory:
    """What was looked for in a dataset, and what is wrong with it.

    Parameters
    ----------
    participants, stories, test_stories : tuple of str
        Test stories are among the stories.
    absent : mapping of str to names
        Stories that a participant did not hear.
    problems : list of Problem
    n_repeats : dict of (participant, test story) to int
        Where they were found.
    n_overlaps : dict of story to int
        Overlaps below 1 ms in TextGrids that were read, which are clipped.
    """

    participants: tuple[str, ...]
    stories: tuple[str, ...]
    test_stories: tuple[str, ...]
    absent: Mapping[str, Collection[str]]
    problems: list[Problem]
    n_repeats: dict[tuple[str, str], int]
    n_overlaps: dict[str, int]

    @property
    def messages(self) -> list[str]:
        """One line per problem with its remedy; none twice."""
        return list(dict.fromkeys(problem.message for problem in self.problems))

    def table(self) -> pd.DataFrame:
        """Lay out what is there: a row per participant, and one each for audio and TextGrids.

        ``there``, ``missing``, ``malformed`` and ``absent`` (not looked for) count stories;
        ``repeats`` lists the number of repeats of each test story. A dash stands for what was not
        found or not looked at, as nothing is of an unknown participant.
        """
        rows = {name: self._participant(name) for name in self.participants}
        blank = dict.fromkeys(DETAILS, "")
        rows |= {name: self._counts(name, None) | blank for name in ("audio", "TextGrid")}
        return pd.DataFrame.from_dict(rows, orient="index")

    def _participant(self, participant: str) -> dict[str, object]:
        if self._of("participant", participant):
            return dict.fromkeys((*COUNTS, *DETAILS), "-")
        repeats = (self.n_repeats.get((participant, story), "-") for story in self.test_stories)
        return {
            **self._counts("responses", participant),
            "absent": len(self._absent(participant)),
            "repeats": " ".join(map(str, repeats)),
            **{part: self._state(part, participant) for part in ("anatomy", "annotation")},
        }

    def _absent(self, participant: str | None) -> set[str]:
        return set(self.absent.get(participant, ())) & set(self.stories)

    def _of(self, part: str, participant: str | None) -> list[Problem]:
        found = (problem for problem in self.problems if problem.part == part)
        return [problem for problem in found if problem.participant == participant]

    def _counts(self, part: str, participant: str | None) -> dict[str, int]:
        unknown = {story for problem in self._of("story", None) for story in problem.stories}
        missing, malformed = (
            {
                story
                for problem in self._of(part, participant)
                if problem.missing is is_missing
                for story in problem.stories
            }
            for is_missing in (True, False)
        )
        there = set(self.stories) - unknown - missing - malformed - self._absent(participant)
        return dict(zip(COUNTS, map(len, (there, missing, malformed)), strict=True))

    def _state(self, part: str, participant: str) -> str:
        states = {problem.missing for problem in self._of(part, participant)}
        return "malformed" if False in states else "missing" if states else "there"


def _attempt(problems: list[Problem], read, *names, part, participant=None, stories=()):
    """Return what ``read(*names)`` does, or None and one more problem."""
    try:
        return read(*names)
    except DatasetError as error:
        missing = isinstance(error, MissingError)
        problems.append(Problem(part, str(error), missing, participant, tuple(stories)))


def take_inventory(
    dataset: Dataset,
    participants: Iterable[str],
    stories: Iterable[str],
    test_stories: Iterable[str] = (),
    absent: Mapping[str, Collection[str]] | None = None,
) -> Inventory:
    """Look for what participants and stories need; of responses and sound, only headers are read.

    Parameters
    ----------
    dataset : Dataset
    participants, stories : iterable of str
    test_stories : iterable of str
        Stories that need the responses to every repeat.
    absent : mapping of str to names, optional
        Stories that a participant did not hear: their responses are not looked for.

    Returns
    -------
    Inventory
    """
    problems, n_repeats, n_overlaps, absent = [], {}, {}, absent or {}
    attempt = partial(_attempt, problems)
    test_stories = tuple(dict.fromkeys(test_stories))
    wanted = tuple(dict.fromkeys([*stories, *test_stories]))
    participants = tuple(dict.fromkeys(participants))
    attempt(getattr, dataset, "name", part="dataset")
    known = [
        story
        for story in wanted
        if attempt(dataset.n_respdict, story, part="story", stories=[story])
    ]
    for story in known:
        attempt(dataset.require_audio, story, part="audio", stories=[story])
        n = attempt(dataset.n_overlaps, story, part="TextGrid", stories=[story])
        n_overlaps |= {} if n is None else {story: n}
    for participant in participants:
        if attempt(dataset.transform, participant, part="participant", participant=participant):
            heard = [story for story in known if story not in absent.get(participant, ())]
            found = _search_participant(problems, dataset, participant, heard, test_stories)
            n_repeats |= {(participant, story): n for story, n in found.items()}
    return Inventory(participants, wanted, test_stories, absent, problems, n_repeats, n_overlaps)


def _search_participant(
    problems: list[Problem],
    dataset: Dataset,
    participant: str,
    stories: list[str],
    test_stories: tuple[str, ...],
) -> dict[str, int]:
    """Look for all of one participant; returns the number of repeats of each test story."""

    def attempt(part, read, *names, stories=()):
        facts = {"part": part, "participant": participant, "stories": stories}
        return _attempt(problems, read, participant, *names, **facts)

    attempt("anatomy", dataset.require_anatomy)
    attempt("annotation", dataset.vertex_parcels)
    n_voxels = attempt("anatomy", dataset.n_voxels)
    n_columns, n_repeats = {}, {}
    for story in stories:
        if shape := attempt("responses", dataset.response_shape, story, stories=[story]):
            n_columns[story] = shape[-1]
        repeated = story in test_stories and shape
        if repeated and (shape := attempt("repeats", dataset.repeats_shape, story)):
            n_repeats[story] = shape[0]
    odd = {story: n for story, n in n_columns.items() if n_voxels not in (None, n)}
    if odd:
        message = (
            f"{dataset.mask(participant)} has {n_voxels} voxels, but in "
            f"{dataset.response_folder(participant)} other numbers of columns are found: "
            f"{listed(f'{story}.hf5 ({n})' for story, n in odd.items())}: {RESTORE}"
        )
        problems.append(Problem("responses", message, participant=participant, stories=tuple(odd)))
    return n_repeats


def require(
    dataset: Dataset,
    participants: Iterable[str],
    stories: Iterable[str],
    test_stories: Iterable[str] = (),
) -> None:
    """Raise a DatasetError that lists every problem that `take_inventory` finds, if any."""
    if problems := take_inventory(dataset, participants, stories, test_stories).messages:
        raise DatasetError("\n- ".join([f"{dataset.root} has problems:", *problems]))


def print_check(dataset: Dataset, profile: Profile) -> bool:
    """Print what a dataset holds of what a profile needs; returns whether nothing is wrong."""
    settings = profile.dataset
    splits = settings.splits
    inventory = take_inventory(
        dataset, settings.participants, splits.stories, splits.test, settings.absent
    )
    print(
        f"{dataset.root}: {len(inventory.participants)} participants and {len(inventory.stories)}"
        f" stories of profile {profile.name!r}\n\n{inventory.table().to_string()}\n"
    )
    if overlapping := [f"{story} ({n})" for story, n in inventory.n_overlaps.items() if n]:
        print(
            f"In {len(overlapping)} of {len(inventory.n_overlaps)} TextGrids, neighbours overlap by"
            " less than 1 ms, and the earlier one is clipped; number of overlaps:"
            f" {listed(overlapping)}.\n"
        )
    messages = inventory.messages
    print("\n- ".join([f"{len(messages)} problem(s)" if messages else "No problem.", *messages]))
    return not messages

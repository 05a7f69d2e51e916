"""Which stories train, validate and test: declared once, and disjoint."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import astuple, dataclass, fields
from itertools import combinations

from bthelpers.core.errors import DatasetError, listed
from bthelpers.params.schema import Name, Some, same_but_for_case


@dataclass(frozen=True)
class Splits:
    """Names of the stories of each split.

    Raises
    ------
    DatasetError
        If a split is empty, a story occurs twice, or the names of two differ only in case.

    Examples
    --------
    >>> splits = Splits(train=("souls", "naked"), validation=("life",), test=("sloth",))
    >>> splits.without(["souls"]).stories
    ('naked', 'life', 'sloth')
    """

    train: Some[Name]  # models and ridges are fitted to
    validation: Some[Name]  # choose the epoch
    test: Some[Name]  # alignment and noise ceilings are measured on; they choose nothing

    def __post_init__(self):
        for field in fields(self):
            stories = getattr(self, field.name)
            if isinstance(stories, str) or not stories:
                raise DatasetError(f"split {field.name!r}: list its stories, not {stories!r}")
            if repeated := {story for story in stories if list(stories).count(story) > 1}:
                raise DatasetError(f"split {field.name!r} names twice: {listed(repeated)}")
            object.__setattr__(self, field.name, tuple(stories))
        for one, other in combinations(fields(self), 2):
            if shared := set(getattr(self, one.name)) & set(getattr(self, other.name)):
                raise DatasetError(
                    f"in both splits {one.name!r} and {other.name!r}: {listed(shared)}; "
                    "keep each story in one"
                )
        if problem := same_but_for_case(self.stories):
            raise DatasetError(f"stories {problem}")

    def without(self, absent: Collection[str]) -> Splits:
        """The splits without some stories.

        Raises
        ------
        DatasetError
            If nothing is left of a split.
        """
        return Splits(
            *(tuple(story for story in split if story not in absent) for split in astuple(self))
        )

    @property
    def stories(self) -> tuple[str, ...]:
        """All stories, training first."""
        return sum(astuple(self), ())

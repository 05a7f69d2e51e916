import pytest

from bthelpers.core.errors import DatasetError
from bthelpers.params.splits import Splits


def test_splits_are_tuples_in_order():
    splits = Splits(train=["a", "b"], validation=["c"], test=["d"])
    assert splits.train == ("a", "b")
    assert splits.stories == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ((["a", "b"], ["b"], ["c"]), "both splits 'train' and 'validation': b"),
        ((["a"], ["b"], ["a"]), "both splits 'train' and 'test': a"),
        ((["a"], ["b"], ["b"]), "both splits 'validation' and 'test': b"),
        ((["a"], ["b"], ["A"]), "stories 'a' and 'A' differ only in case"),
        ((["a", "a"], ["b"], ["c"]), "'train' names twice: a"),
        (([], ["b"], ["c"]), "'train': list its stories"),
        ((["a"], ["b"], "c"), "'test': list its stories, not 'c'"),
    ],
)
def test_wrong_splits(splits, message):
    with pytest.raises(DatasetError, match=message):
        Splits(*splits)

import pytest

from bthelpers.core.errors import DatasetError, did_you_mean, listed, look_up


def test_names_are_joined_and_none_is_called_nothing():
    assert listed(name for name in ("a", "b")) == "a, b"
    assert listed([]) == "nothing"


def test_the_nearest_name_is_offered_however_far_it_is():
    assert did_you_mean("UTS1", ["UTS01", "story"]) == "; the nearest is 'UTS01'"
    assert did_you_mean("UTS1", ["zzz"]) == "; the nearest is 'zzz'"
    assert did_you_mean("UTS1", []) == ""
    assert len(did_you_mean("UTS1", ["UTS" * 1000])) < 130


def test_a_key_that_is_not_there_is_an_error_with_the_nearest():
    assert look_up("a", {"a": 1}, "letter") == 1
    with pytest.raises(DatasetError, match=r"^'aa' is no letter; the nearest is 'a'$"):
        look_up("aa", {"a": 1, "b": 2}, "letter")

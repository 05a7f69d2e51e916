import numpy as np
import pytest

from bthelpers.core.errors import DatasetError, MissingError
from bthelpers.encoding.stages.word_vectors import read_word_vectors

ROWS = ["the 0.1 -0.2 3e-1", "dog 1 2 3", "caf\u00e9 4 5 6", "cat -1 -2 -3.5"]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "glove.3d.txt"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_vectors_are_those_of_the_words_that_the_file_has(file, end):
    file.write_bytes(end.join(ROWS).encode())
    found = read_word_vectors(file, ["cat", "caf\u00e9", "unicorn"])
    assert found.keys() == {"cat", "caf\u00e9"}
    np.testing.assert_array_equal(found["cat"], np.float32([-1, -2, -3.5]))
    assert read_word_vectors(file, []) == {}


@pytest.mark.parametrize(
    ("row", "line", "message"),
    [
        ("owl 1 2", 3, "3 fields, where the first line has 4"),
        ("owl 1 2 3 4", 3, "5 fields"),
        ("at name@domain.com 1 2 3", 3, "5 fields"),
        ("owl 1  3", 3, "4 fields"),
        ("", 3, "1 fields"),
        ("cat 1 x 3", 3, "no finite number"),
        ("cat 1 nan 3", 3, "no finite number"),
        ("cat 1 1e99 3", 3, "no finite number"),
        ("dog 1 2 3", 3, "'dog' stands twice"),
        ("owl 1 x 3", 3, "no finite number"),
        ("owl 1 nan 3", 3, "no finite number"),
        ("cat 1 2_0 3", 3, "no finite number"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_row_that_does_not_fit_is_named_by_file_and_line(file, row, line, message):
    file.write_text("\n".join([*ROWS[:2], row, *ROWS[3:]]))
    with pytest.raises(DatasetError, match=message) as raised:
        read_word_vectors(file, ["dog", "cat"])
    assert f"{file}, line {line}: " in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xff\xfe 1 2\n", "line 1: is not UTF-8"),
        (b"400000 3\nthe 1 2 3\n", "line 2: 4 fields, where the first line has 2"),
        (b"the\ndog\n", "line 1: 1 fields"),
    ],
)
def test_what_is_no_file_of_vectors_is_an_error(file, content, message):
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_word_vectors(file, ["the"])


def test_of_other_rows_only_the_form_is_checked(file):
    file.write_text("\n".join([*ROWS, "owl 1-2 1e99 3", "owl 1 2 3"]))
    assert read_word_vectors(file, ["the"]).keys() == {"the"}


def test_a_missing_file_is_an_error_that_says_where_to_get_it(file):
    with pytest.raises(MissingError, match=r"glove.3d.txt is not there: get a file of GloVe"):
        read_word_vectors(file, ["the"])

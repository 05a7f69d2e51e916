"""Vectors of words, as GloVe's text files hold them (Pennington et al., 2014)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bthelpers.core.errors import DatasetError, MissingError

REMEDY = "unpack it again, or name another file as probes.word_vectors"
OF_NUMBERS = b"0123456789+-.eE \r\n"


def read_word_vectors(path: str | Path, words: Collection[str]) -> dict[str, NDArray[np.float32]]:
    """Read the vectors of some words.

    Of the other rows, which are millions, only the form is checked: the number of fields, the
    encoding of the word, and that characters of decimal numbers follow it. What numbers these are,
    and whether the word stands twice, is not.

    Parameters
    ----------
    path : path
        A word and its numbers in each row, with single spaces between them, in UTF-8. (Of the files
        that GloVe comes in, that of 840B tokens has words with spaces in them: it is refused.)
    words : collection of str

    Returns
    -------
    dict of arrays of shape (dimension,)
        Of the words that the file has.

    Raises
    ------
    MissingError
        If the file is not there.
    DatasetError
        If it is empty, a word is not UTF-8, or a row has another number of fields than the first
        one, none at all, or what no decimal number has. If one of `words` stands there twice, or
        has a number that is none or not finite. The message names file and line.
    """
    path, wanted, vectors = Path(path), set(words), {}
    if not path.is_file():
        raise MissingError(
            f"{path} is not there: get a file of GloVe from nlp.stanford.edu/projects/glove, or"
            " name another one as probes.word_vectors"
        )
    n_fields = None
    with path.open("rb") as rows:
        for number, row in enumerate(rows, start=1):
            fields = row.rstrip(b"\r\n").split(b" ")
            n_fields = n_fields or len(fields)
            if len(fields) != n_fields or n_fields < 2 or b"" in fields:
                raise DatasetError(
                    f"{path}, line {number}: {len(fields)} fields, where the first line has"
                    f" {n_fields}: each needs a word and as many numbers; {REMEDY}"
                )
            if row.partition(b" ")[2].translate(None, OF_NUMBERS):
                raise _no_numbers(path, number)
            word = _text(fields[0], path, number)
            if word in wanted:
                if word in vectors:
                    raise DatasetError(f"{path}, line {number}: {word!r} stands twice; {REMEDY}")
                vectors[word] = _numbers(fields[1:], path, number)
    if n_fields is None:
        raise DatasetError(f"{path}: is empty; {REMEDY}")
    return vectors


def _text(field: bytes, path: Path, number: int) -> str:
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        raise DatasetError(f"{path}, line {number}: is not UTF-8; {REMEDY}") from None


def _numbers(fields: list[bytes], path: Path, number: int) -> NDArray[np.float32]:
    try:
        values = np.array([float(field) for field in fields], np.float32)
    except ValueError:
        values = np.array([np.nan])
    if not np.isfinite(values).all():
        raise _no_numbers(path, number)
    return values


def _no_numbers(path: Path, number: int) -> DatasetError:
    return DatasetError(f"{path}, line {number}: has what is no finite number; {REMEDY}")

"""Arrays in few bytes, as a page reads them: 12 bits a value, deflated."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STEPS = 2**12 - 2  # between the lowest and the highest value; one code more stands for NaN


class Quantized(NamedTuple):
    """Values as whole numbers: 0 is NaN, another code is ``low + (code - 1) * step``."""

    codes: NDArray[np.uint16]
    low: float
    step: float


def quantize(values: NDArray[np.floating]) -> Quantized:
    """Values in 12 bits, each within half a step; NaN is kept.

    Raises
    ------
    ValueError
        If a value is infinite.

    Examples
    --------
    >>> codes, low, step = quantize(np.array([0.0, np.nan, 1.0]))
    >>> codes
    array([   1,    0, 4095], dtype=uint16)
    """
    known = ~np.isnan(values)
    if np.isinf(values).any():
        raise ValueError(f"{np.isinf(values).sum()} of {values.size} values are infinite")
    low, high = (values[known].min(), values[known].max()) if known.any() else (0.0, 0.0)
    step = (high - low) / STEPS or 1.0  # all alike: any step will do
    codes = np.zeros(values.shape, np.uint16)
    codes[known] = 1 + np.rint((values[known] - low) / step)
    return Quantized(codes, float(low), float(step))


def pack(arrays: Mapping[str, NDArray]) -> bytes:
    """Join arrays of two dimensions to one deflated piece of bytes.

    It holds the length of a header (4 bytes, little-endian), the header (JSON: each array's
    ``shape``, its ``bits`` a number, and ``low`` and ``step`` where it is quantized), and the
    arrays. Of these, each row but the first is what it adds to the row before, modulo 2 to the
    power of the bits; numbers have 1, 2 or 4 bytes, and of all numbers the lowest bytes come first.
    Neighbours are alike, so most bytes are 0.

    Parameters
    ----------
    arrays : mapping of str to array of shape (row, column)
        Of numbers that are whole and not negative, as they are; of others, quantized.

    Returns
    -------
    bytes
        In the format of zlib, whose checksum tells a damaged piece.
    """
    header, content = {}, []
    for name, array in arrays.items():
        entry: dict = {"shape": array.shape}
        if array.dtype.kind == "f":
            array, entry["low"], entry["step"] = quantize(array)
        entry["bits"] = max(int(array.max(initial=0)).bit_length(), 1)
        array = array.astype(np.min_scalar_type(2 ** entry["bits"] - 1))
        rows = np.diff(array, axis=0, prepend=np.zeros_like(array[:1]))
        rows &= 2 ** entry["bits"] - 1
        header[name] = entry
        content.append(rows.astype(array.dtype.newbyteorder("<")).reshape(-1, 1).view(np.uint8).T)
    described = json.dumps(header).encode()
    pieces = [
        len(described).to_bytes(4, "little"),
        described,
        *(part.tobytes() for part in content),
    ]
    return zlib.compress(b"".join(pieces), level=9)

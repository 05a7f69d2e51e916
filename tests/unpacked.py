"""Reads what the explorer packs, as its documentation says, number by number."""

import json
import zlib

import numpy as np


def unpack(packed):
    raw = zlib.decompress(packed)
    length = int.from_bytes(raw[:4], "little")
    header, place, arrays = json.loads(raw[4 : 4 + length]), 4 + length, {}
    for name, entry in header.items():
        rows, columns = entry["shape"]
        size = next(n for n in (1, 2, 4) if 8 * n >= entry["bits"])
        planes = [raw[place + k * rows * columns :][: rows * columns] for k in range(size)]
        place += size * rows * columns
        numbers = np.array([int.from_bytes(b, "little") for b in zip(*planes, strict=True)], object)
        numbers = numbers.reshape(rows, columns).cumsum(axis=0) % 2 ** entry["bits"]
        if "step" in entry:
            known = entry["low"] + (numbers.astype(float) - 1) * entry["step"]
            arrays[name] = np.where(numbers == 0, np.nan, known)
        else:
            arrays[name] = numbers.astype(int)
    assert place == len(raw)
    return arrays

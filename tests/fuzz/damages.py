"""Damages to files: each takes a path and a Generator, and leaves something else there.

Those of places put no file there, or none that can be read. Those of bytes know nothing of the
format; the others read the file, change what it says, and write it again.
"""

from __future__ import annotations

import codecs
import copy
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

Damage = Callable[[Path, np.random.Generator], None]
DEEP = 100_000  # levels, more than any parser's stack
# What may stand in place of any value.
ODD_VALUES = (
    *(None, True, False, 0, -1, 1, 3, 0.5, -1.5, 1e308, 10**30, -(10**30), 10**10, 10**6),
    *(float("nan"), float("inf"), "", " ", "x", "x" * 10_000, "../../outside", "/etc/passwd"),
    *("$(touch outside)", "a\nb", "\0", "é\ud7ff", "nan", "1", [], {}, [[]], [None], {"": None}),
    *([0] * 1000, [1, 2], ["x"], {"x": {"x": "x"}}, {"_class": "os.system", "auto_map": "x--Y"}),
)
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
ODD_NUMBERS = (
    *(b"-1", b"0", b"1e999", b"nan", b"inf", b"1" * 5000, b"99999999999999999999", b"0x10"),
    *(b"1_000", b"1.5", b"", b"\xd9\xa3", b"-0", b"1e3", b"2000000000"),
)


# Of places


def missing(path, rng):
    path.unlink()


def folder(path, rng):
    path.unlink()
    path.mkdir()


def dangling_link(path, rng):
    path.unlink()
    path.symlink_to("content/that/was/never/fetched")


def circular_link(path, rng):
    path.unlink()
    path.symlink_to(path.name)


def fifo(path, rng):
    path.unlink()
    os.mkfifo(path)


# Of bytes


def on_bytes(change: Callable[[bytes, np.random.Generator], bytes]) -> Damage:
    """Make what changes bytes a damage."""

    def damage(path, rng):
        path.write_bytes(change(path.read_bytes(), rng))

    damage.__name__ = change.__name__
    return damage


def _position(content: bytes, rng) -> int:
    """Anywhere; every second time in the beginning, where headers are."""
    n = max(1, len(content))
    return int(rng.integers(n if rng.random() < 0.5 else min(n, 256)))


@on_bytes
def emptied(content, rng):
    return b""


@on_bytes
def truncated(content, rng):
    return content[: _position(content, rng)]


@on_bytes
def cut_short(content, rng):
    return content[: -int(rng.integers(1, 9))]


@on_bytes
def beheaded(content, rng):
    return content[_position(content, rng) + 1 :]


@on_bytes
def bits_flipped(content, rng):
    flipped = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        flipped[_position(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(flipped)


@on_bytes
def bytes_inserted(content, rng):
    k = _position(content, rng)
    return content[:k] + rng.bytes(int(rng.integers(1, 5))) + content[k:]


@on_bytes
def bytes_removed(content, rng):
    k = _position(content, rng)
    return content[:k] + content[k + int(rng.integers(1, 5)) :]


@on_bytes
def block_zeroed(content, rng):
    k, n = _position(content, rng), int(rng.integers(1, 513))
    return content[:k] + bytes(len(content[k : k + n])) + content[k + n :]


@on_bytes
def block_repeated(content, rng):
    k, n = _position(content, rng), int(rng.integers(1, 129))
    return content[: k + n] + content[k:]


@on_bytes
def ones_in_a_row(content, rng):
    """What sizes and counts of binary headers become huge or negative by."""
    k, n = _position(content, rng), int(rng.choice([1, 2, 4, 8]))
    return content[:k] + b"\xff" * len(content[k : k + n]) + content[k + n :]


@on_bytes
def noise_added(content, rng):
    return content + rng.bytes(int(rng.integers(1, 65)))


@on_bytes
def all_noise(content, rng):
    return rng.bytes(int(rng.integers(1, 2049)))


@on_bytes
def page_of_a_proxy(content, rng):
    return b"<!DOCTYPE html><html><title>Login</title></html>\n"


@on_bytes
def pointer_of_git_lfs(content, rng):
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


# Of text


@on_bytes
def other_encoding(content, rng):
    """The same text, and a letter that is not ASCII, in an encoding with or without its mark."""
    text = content.decode("latin-1") + str(rng.choice(["", "é", "字"]))
    name, mark = (
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16-le", b""),
        ("utf-32-le", codecs.BOM_UTF32_LE),
        ("latin-1", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-7", b""),
    )[rng.integers(7)]
    return mark + text.encode(name, "replace")


@on_bytes
def number_replaced(content, rng):
    numbers = list(NUMBER.finditer(content))
    if not numbers:
        return content
    number = numbers[rng.integers(len(numbers))]
    odd = ODD_NUMBERS[rng.integers(len(ODD_NUMBERS))]
    return content[: number.start()] + odd + content[number.end() :]


@on_bytes
def lines_moved(content, rng):
    """A line that is removed, repeated, put elsewhere or made long."""
    lines = content.splitlines(keepends=True) or [b""]
    k, other = (int(rng.integers(len(lines))) for _ in range(2))
    match rng.integers(4):
        case 0:
            del lines[k]
        case 1:
            lines.insert(other, lines[k])
        case 2:
            lines.insert(other, lines.pop(k))
        case 3:
            lines[k] = lines[k].rstrip(b"\n") * 1000 + b"\n"
    return b"".join(lines)


@on_bytes
def characters_of_control(content, rng):
    k = _position(content, rng)
    odd = [b"\0", b"\r", b"\n", b"\t", b'"', b"\x1b[2J", b"\xe2\x80\xae", b"{", b"\\", b"&", b"*"]
    return content[:k] + odd[rng.integers(len(odd))] + content[k:]


# Of tables: JSON and YAML


def _places(value, place=()):
    """All places below a value: keys and list positions that lead there."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        yield (*place, key)
        if isinstance(one, dict | list):
            yield from _places(one, (*place, key))


def changed(table, rng):
    """A table with another value, key or order somewhere."""
    table = copy.deepcopy(table)
    places = list(_places(table))
    if not places:
        return ODD_VALUES[rng.integers(len(ODD_VALUES))]
    *above, key = places[rng.integers(len(places))]
    parent = table
    for step in above:
        parent = parent[step]
    match rng.integers(8):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[f"{key}x"] = parent.pop(key)
        case 2 if isinstance(parent, dict):
            parent["unknown"] = ODD_VALUES[rng.integers(len(ODD_VALUES))]
        case 3:
            return parent
        case 4 if isinstance(parent[key], int | float):
            parent[key] = parent[key] * int(rng.choice([-1, 2, 1000, 10**9]))
        case _:
            parent[key] = copy.deepcopy(ODD_VALUES[rng.integers(len(ODD_VALUES))])
    return table


@on_bytes
def json_changed(content, rng):
    table = changed(json.loads(content), rng)
    return json.dumps(table, ensure_ascii=bool(rng.integers(2))).encode(errors="surrogatepass")


@on_bytes
def json_odd(content, rng):
    """No other value, but a form that parsers stumble over."""
    whole = content.strip()
    return [
        b"[" * DEEP,
        b'{"x":' * DEEP + b"1" + b"}" * DEEP,
        b"[" + whole + b"]",
        json.dumps(content.decode()).encode(),
        whole[:-1] + b"," + whole[1:],  # every key twice
        whole[:-1] + b', "\\ud800": 1}',
        whole.replace(b":", b": " + b"1" * 5000 + b", :", 1),
        whole + whole,
        b"null",
        b"[]",
        b"{}",
        b"1" * 5000,
        b"NaN",
        whole.replace(b'"', b"'"),
        b"// comment\n" + whole,
        whole[:-1] + b",}",
    ][rng.integers(16)]


@on_bytes
def yaml_changed(content, rng):
    table = changed(yaml.safe_load(content), rng)
    return yaml.safe_dump(table, allow_unicode=True).encode(errors="surrogatepass")


@on_bytes
def yaml_odd(content, rng):
    """Bombs, tags, repeated keys and values that the parser stumbles over."""
    lines = content.splitlines(keepends=True)
    keys = [line for line in lines if re.match(rb"\w+:", line)] or [b"x: 1\n"]
    key = bytes(keys[rng.integers(len(keys))]).split(b":")[0]
    laughs = b"".join(
        b"l%d: &l%d [%s]\n" % (k, k, b", ".join([b"*l%d" % (k - 1)] * 10)) for k in range(1, 20)
    )
    bomb = b"l0: &l0 [lol]\n" + laughs
    values = [
        b"[" * DEEP,
        b"{x: " * 2000 + b"1" + b"}" * 2000,
        b"&x [*x]",
        b"&x {x: *x}",
        b"1" * 5000,
        b"2001-02-30",
        b"!!python/object/apply:os.system ['touch outside']",
        b"!!timestamp x",
        b"!!int ''",
        b"!!bool x",
        b"!!binary x",
        b"!!set {x, y}",
        b"!!omap [x: 1]",
        b"{[1]: 2}",
        b"{1: 2, null: 3, true: 4, 1.5: 5}",
        b"0o8",
        b"1:60:60",
        b"=",
        b"<<",
        b"|\n  x",
        b"*nothing",
        b"\tx",
        b"2001-01-01",
    ]
    odd = key + b": " + values[rng.integers(len(values))] + b"\n"
    return [
        content + odd,  # a second time
        odd,
        b"".join(line for line in lines if not line.startswith(key)) + odd,
        b"".join(odd if line.startswith(key + b":") else line for line in lines),
        content + bomb,
        bomb + key + b": *l19\n",
        b"---\n" + content + b"---\n" + content,
        content.replace(b"\n", b"\r\n"),
        b"%YAML 9.9\n---\n" + content,
    ][rng.integers(9)]


PLACES = (missing, folder, dangling_link, circular_link, fifo)
BYTES = (
    *(emptied, truncated, truncated, cut_short, beheaded, bits_flipped, bits_flipped),
    *(bytes_inserted, bytes_removed, block_zeroed, block_repeated, ones_in_a_row, ones_in_a_row),
    *(noise_added, all_noise, page_of_a_proxy, pointer_of_git_lfs),
)
TEXT = (other_encoding, number_replaced, number_replaced, lines_moved, characters_of_control)
JSON = (json_changed,) * 8 + (json_odd,) * 4
YAML = (yaml_changed,) * 8 + (yaml_odd,) * 6

"""A sample of `make fuzz`, and damages that ended in another error, a hang or a wrong result."""

import gzip
import json
import os

import h5py
import numpy as np
import pytest
import torch
from fuzz.damages import (
    circular_link,
    fifo,
    folder,
    missing,
    on_bytes,
    page_of_a_proxy,
    pointer_of_git_lfs,
)
from fuzz.of_anatomy import SURFACE, TRANSFORM
from fuzz.of_corpora import ACTOR, STEM, VECTORS
from fuzz.of_datasets import RESPONSES, STORY
from fuzz.of_models import Hostile, pickled
from fuzz.of_records import EARLIER, HERE, OUTPUT, RECEIPT, RECORD, SUMS
from fuzz.of_results import NUMBERS, REPLY, RESULT
from fuzz.readers import READERS
from fuzz.trial import FINE, Trial
from safetensors.torch import load_file, save_file

SAMPLE = 2  # cases of each file


def replaced(content):
    return on_bytes(lambda *_: content)


def named(name):
    """A file under another name."""
    return lambda path, _: path.rename(path.with_name(name))


def with_value(key, value):
    """A table of JSON with another value."""
    return on_bytes(lambda content, _: json.dumps(json.loads(content) | {key: value}).encode())


def with_input(file):
    """A receipt with one more input."""

    def change(content, _):
        receipt = json.loads(content)
        receipt["inputs"][file] = receipt["outputs"].get(file, "0" * 64)
        return json.dumps(receipt).encode()

    return on_bytes(change)


def with_line(line):
    """A file of lines with one more."""
    return on_bytes(lambda content, _: content + b"\n" + line + b"\n")


def not_finite(path, rng):
    weights = load_file(path)
    path.unlink()
    name = min(weights)
    save_file({**weights, name: torch.full_like(weights[name], torch.nan)}, path, {"format": "pt"})


def flipped_number(path, rng):
    content, number = bytearray(path.read_bytes()), NUMBERS[1, 4].tobytes()
    content[content.index(number)] ^= 1
    path.write_bytes(bytes(content))


def array_lost(path, rng):
    with h5py.File(path, "r+") as file:
        del file["r"]


def row_of_a_path_outside(path, rng):
    row = f"../outside\t3\t{'0' * 32}\n".encode()
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + row))


def many_dimensions(path, rng):
    content = path.read_bytes().replace(b'ity="2"', b'ity="2000000000"')
    path.write_bytes(content)


def hostile_array(path, rng):
    np.save(path, np.array([Hostile()]), allow_pickle=True)


BOMB = b"".join(
    b"l%d: &l%d [%s]\n" % (k, k, b", ".join([b"*l%d" % (k - 1)] * 10)) for k in range(1, 12)
)
TABLES = "derivative/respdict.json"
LEXICON = b"categories: {a: b c, d: e f}\nverbs: x\ntemplates: [1]\n"
CONFIG, EXTRACTOR = "model/config.json", "model/preprocessor_config.json"
PAST = {
    "folder as a profile": ("profile", "smoke.yaml", folder),
    "pipe as a profile": ("profile", "smoke.yaml", fifo),
    "pipe that is extended": ("profile", "demo.yaml", fifo),
    "link to itself": ("profile", "smoke.yaml", circular_link),
    "invalid date": ("profile", "smoke.yaml", with_line(b"seed2: 2001-02-30")),
    "number of 5,000 digits": ("profile", "smoke.yaml", with_line(b"seed2: " + b"1" * 5000)),
    "key twice": ("profile", "smoke.yaml", with_line(b"conditions: [pretrained]")),
    "unreadable tag": ("profile", "smoke.yaml", with_line(b"x: !!bool x")),
    "pipe as regions": ("regions", "regions.yaml", fifo),
    "regions in Latin-1": ("regions", "regions.yaml", with_line(b"\xe9: [A1]")),
    "no YAML of regions": ("regions", "regions.yaml", with_line(b"x: [")),
    "bomb of aliases": ("regions", "regions.yaml", with_line(b"l0: &l0 [A1]\n" + BOMB)),
    "pipe as a lexicon": ("lexicon", "lexicon.yaml", fifo),
    "templates of numbers": ("lexicon", "lexicon.yaml", replaced(LEXICON)),
    "deep JSON": ("tables", TABLES, replaced(b"[" * 100_000)),
    "huge count": ("tables", TABLES, with_value(STORY, 10**10)),
    "count that is true": ("tables", TABLES, with_value(STORY, True)),
    "story twice": ("tables", TABLES, replaced(b'{"%s": 22, "%s": 24}' % ((STORY.encode(),) * 2))),
    "transform elsewhere": ("tables", "derivative/subject_xfms.json", with_value("UTS01", "../x")),
    "transform of no text": ("tables", "derivative/subject_xfms.json", with_value("UTS01", [1])),
    "dataset without a name": ("tables", "dataset_description.json", replaced(b"{}")),
    "pipe as a TextGrid": ("TextGrid", "long.TextGrid", fifo),
    "folder as a TextGrid": ("TextGrid", "short.TextGrid", folder),
    "pipe as responses": ("responses", RESPONSES, fifo),
    "pipe as ceilings": ("ceilings", "UTS01.npy", fifo),
    "pickle as ceilings": ("ceilings", "UTS01.npy", hostile_array),
    "configuration of a million layers": ("HuBERT", CONFIG, with_value("num_hidden_layers", 10**6)),
    "field of another type": ("HuBERT", CONFIG, with_value("conv_stride", {"x": 1})),
    "deep configuration": ("HuBERT", CONFIG, replaced(b"[" * 100_000)),
    "preprocessor for another rate": ("HuBERT", EXTRACTOR, with_value("sampling_rate", 8000)),
    "NaN weight": ("HuBERT", "model/model.safetensors", not_finite),
    "tokenizer without its class": ("text model", "model/tokenizer_config.json", missing),
    "deep list": ("SLURP", "dataset/slurp/train.jsonl", replaced(b"[" * 100_000)),
    "action of a list": ("SLURP", "dataset/slurp/train.jsonl", with_value("action", ["set"])),
    "list in UTF-16": ("Speech Commands", "testing_list.txt", replaced("bed/x".encode("utf-16"))),
    "folder as a list": ("Speech Commands", "testing_list.txt", folder),
    "folder as a transcription": ("TIMIT", f"{STEM}.PHN", folder),
    "phones out of order": ("TIMIT", f"{STEM}.PHN", replaced(b"600 1600 h#\n0 600 d\n")),
    "action of 10,000 letters": (
        "SLURP",
        "dataset/slurp/train.jsonl",
        with_value("action", "x" * 10_000),
    ),
    "actor in wide digits": ("CREMA-D", ACTOR, named("１００３_DFA_ANG_XX.wav")),
    "number with an underscore": ("GloVe", VECTORS, replaced(b"the 1 1_000\n")),
    "page of a proxy as vectors": ("GloVe", VECTORS, page_of_a_proxy),
    "pointer as vectors": ("GloVe", VECTORS, pointer_of_git_lfs),
    "vector of a word that is not asked for": ("GloVe", VECTORS, replaced(b"the 1 2\nx nan 1\n")),
    "line of 5,000 digits": ("TIMIT", f"{STEM}.PHN", replaced(b"0 " + b"1" * 5000 + b" h#")),
    "sentence with a tabulator": ("TIMIT", f"{STEM}.TXT", replaced(b"0 1600 D\ton't ask")),
    "phones beyond the sentence": ("TIMIT", f"{STEM}.PHN", replaced(b"0 600 d\n600 99999 h#\n")),
    "participant of 3,000 letters": (
        "recordings",
        "participants.tsv",
        replaced(b"participant_id\nsub-" + 3000 * b"A"),
    ),
    "deep parameters": ("results", "profile.json", replaced(b"[" * 100_000)),
    "pipe as parameters": ("results", "profile.json", fifo),
    "number of a result": ("earlier results", RESULT, flipped_number),
    "pipe as a checksum": ("records", f"{RECORD}.sha256", fifo),
    "all parameters missing": ("records", "profile.json", replaced(b"{}")),
    "pipe as a receipt": ("receipts", RECEIPT, fifo),
    "pipe as an input": ("receipts", "run.md", fifo),
    "pipe as an output": ("receipts", OUTPUT, fifo),
    "pipe as the checksum of an output": ("receipts", SUMS, fifo),
    "file without a name": ("receipts", RECEIPT, with_input("")),
    "pipe beside results": ("results by receipts", RECEIPT, fifo),
    "result that was made from itself": ("results by receipts", RECEIPT, with_input(OUTPUT)),
    "results that were made from each other": ("results by receipts", EARLIER, with_input(OUTPUT)),
    "input of a long name": ("results by receipts", RECEIPT, with_input(f"{HERE}/{'x' * 5000}")),
    "seconds of no number": ("benchmarks", "benchmarks.json", with_value("peaks", {"x": "x"})),
    "measurements of none": ("benchmarks", "benchmarks.json", with_value("measurements", [])),
    "provenance of none": ("benchmarks", "benchmarks.json", with_value("provenance", {})),
    "path that leads outside": ("manifest", "manifest.tsv.gz", row_of_a_path_outside),
    "length that is no number": ("server", "reply", replaced(REPLY.replace(b"760", b"x"))),
    "status of 5,000 digits": ("server", "reply", replaced(b"HTTP/1.1 " + b"1" * 5000 + b"\r\n")),
    "array in place of another": ("results", RESULT, array_lost),
    "transform of no numbers": ("anatomy", f"{TRANSFORM}/matrices.xfm", with_value("coord", "x")),
    "surface of many dimensions": ("anatomy", SURFACE, many_dimensions),
    "surface of no points": ("anatomy", SURFACE, replaced(b"<GIFTI/>")),
    "remote code": ("HuBERT", CONFIG, with_value("auto_map", {"AutoModel": "x--Y"})),
}  # fmt: skip

# What only these would tell is not needed: the numbers have checksums of their own.
UNNOTICED = ("remote code", *(failure for failure, (name, *_) in PAST.items() if "by rec" in name))


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    trials = {}

    def trial_of(name):
        if name not in trials:
            trials[name] = Trial(READERS[name], tmp_path_factory.mktemp("fuzz") / "files")
        return trials[name]

    return trial_of


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_end_in_errors_of_ours_or_in_what_they_say(trial, name):
    cases = [
        trial(name).case(file, seed) for file in READERS[name].damages for seed in range(SAMPLE)
    ]
    assert not [str(case) for case in cases if case.outcome not in FINE]


@pytest.mark.parametrize("failure", PAST)
def test_what_failed_once(trial, failure):
    name, file, damage = PAST[failure]
    outcome, detail = trial(name).outcome(file, damage, np.random.default_rng(0))
    assert outcome in FINE, detail
    assert outcome != "same" or failure in UNNOTICED, detail


@pytest.mark.parametrize("k", range(10))
def test_pickles_are_not_executed(trial, k):
    outcome, detail = trial("trainer's .pth").outcome(
        "tuned.pth", pickled, type("Always", (), {"integers": lambda *_: k})()
    )
    assert outcome == "own error", detail
    assert "weights_only" not in detail
    assert not os.path.exists("outside")

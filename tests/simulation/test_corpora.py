import hashlib
import json
import re
import subprocess
import sys
import warnings
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from bthelpers.core.timing import SILENCE, Interval
from bthelpers.params.simulation import CorporaSpec
from bthelpers.simulation import corpora as simulated_corpora
from bthelpers.simulation.corpora import (
    PROSODIES,
    act,
    distinct_sentences,
    make_corpora,
    slurp_requests,
    timit_phones,
    timit_prompts,
)
from bthelpers.simulation.espeak import CONSONANTS, VOWELS, arpabet
from bthelpers.simulation.lexicon import Lexicon, load_lexicon
from bthelpers.simulation.stories import Speaker
from bthelpers.tasks.clips import read_waveform
from bthelpers.tasks.corpora import COMMANDS, CORPORA, EMOTIONS
from bthelpers.tasks.timit import FOLDING

ENGLISH = str(Path(__file__).parents[2] / "params/lexicons/english.yaml")
SPEC = CorporaSpec(
    ENGLISH,
    timit_speakers=10,
    slurp_actions=16,
    slurp_sentences=5,
    commands_speakers=5,
    crema_d_actors=5,
)
LEXICON = load_lexicon(ENGLISH, SPEC.words_per_category)
CATEGORY = {word: name for name, words in LEXICON.categories.items() for word in words}
SPLITS = ["train", "train", "train", "validation", "test"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated")
    make_corpora(root, SPEC, seed=3)
    return root


@pytest.fixture(scope="module")
def corpora(root):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {name: read(root / name) for name, read in CORPORA.items()}


def categories_in(text):
    return [CATEGORY[word] for word in re.findall("[a-z']+", text.lower()) if word in CATEGORY]


# Layouts


def test_readers_find_all_clips_in_all_splits(corpora):
    expected = {
        "timit": {"train": 60, "validation": 20, "test": 20},
        "slurp": {"train": 48, "validation": 16, "test": 16},
        "speech_commands": {"train": 105, "validation": 35, "test": 35},
        "crema_d": {"train": 246, "validation": 82, "test": 82},
    }
    found = {name: Counter(clip.split for clip in clips) for name, clips in corpora.items()}
    assert found == expected


@pytest.mark.parametrize(
    ("name", "form"),
    [("timit", "NIST"), ("slurp", "FLAC"), ("speech_commands", "WAV"), ("crema_d", "WAV")],
)
def test_sounds_have_the_published_form(corpora, name, form):
    for clip in corpora[name]:
        info = soundfile.info(clip.path)
        assert (info.format, info.subtype) == (form, "PCM_16")
        assert (info.samplerate, info.channels) == (16_000, 1)
        waveform = read_waveform(clip.path)
        assert waveform.std() > 0.005
        assert np.abs(waveform).max() < 1  # nothing is cut off


@pytest.mark.parametrize("name", ["timit", "speech_commands", "crema_d"])
def test_speakers_are_in_one_split(corpora, name):
    splits = defaultdict(set)
    for clip in corpora[name]:
        splits[clip.speaker].add(clip.split)
    assert all(len(of_speaker) == 1 for of_speaker in splits.values())


def test_every_corpus_says_that_it_is_simulated(root):
    for name in CORPORA:
        description = json.loads((root / name / "dataset_description.json").read_text())
        assert description["Simulated"] is True
        assert description["Name"].startswith("Simulated stand-in for")
        assert description["seed"] == 3
        assert (
            CorporaSpec(
                **{
                    k: tuple(v) if isinstance(v, list) else v
                    for k, v in description["spec"].items()
                }
            )
            == SPEC
        )


# TIMIT


def test_timit_transcriptions_are_of_the_sound(corpora):
    for clip in corpora["timit"]:
        words = [word.label for word in clip.words]
        assert words == re.findall("[a-z']+", clip.text.lower())
        duration = len(read_waveform(clip.path)) / 16_000
        assert clip.phones[-1].stop == pytest.approx(duration, abs=1e-3)
        assert 0 <= clip.words[0].start < clip.words[-1].stop <= duration
        lines = clip.path.with_suffix(".TXT").read_text().splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"0 {len(read_waveform(clip.path))} ")


def test_timit_sentences_are_shared_as_in_timit(corpora):
    texts, readers, splits = defaultdict(dict), defaultdict(set), defaultdict(set)
    for clip in corpora["timit"]:
        sentence = clip.path.stem
        texts[clip.label].setdefault(sentence, clip.text)
        assert texts[clip.label][sentence] == clip.text  # a name, a text
        readers[sentence].add(clip.speaker)
        splits[sentence].add(clip.split == "train")
    assert {label: len(of_type) for label, of_type in texts.items()} == {
        "SA": 2,
        "SX": 10,  # five of training, five of the others
        "SI": 30,
    }
    assert len({text for of_type in texts.values() for text in of_type.values()}) == 42
    for sentence, of_sentence in readers.items():
        n_readers = {"SA": (10,), "SX": (4, 6), "SI": (1,)}[sentence[:2]]
        assert len(of_sentence) in n_readers
        assert sentence[:2] == "SA" or len(splits[sentence]) == 1
    assert min(int(name[2:]) for name in texts["SX"]) == 3
    assert min(int(name[2:]) for name in texts["SI"]) == 453


def test_timit_types_speak_of_different_categories(corpora):
    used = defaultdict(set)
    for clip in corpora["timit"]:
        used[clip.label].update(categories_in(clip.text))
    assert not used["SX"] & used["SI"]
    assert used["SX"] | used["SI"] == set(LEXICON.categories)


@settings(max_examples=20)
@given(st.integers(5, 60), st.integers(0, 5))
def test_every_speaker_has_ten_different_sentences(n_speakers, seed):
    splits = [SPLITS[number % 5] for number in range(n_speakers)]
    prompts = timit_prompts(splits, LEXICON, np.random.default_rng(seed))
    assert len(prompts) == n_speakers
    for of_speaker in prompts:
        assert Counter(name[:2] for name in of_speaker) == {"SA": 2, "SX": 5, "SI": 3}
        assert len(set(of_speaker.values())) == 10
    readers = Counter(name for of_speaker in prompts for name in of_speaker)
    assert max(n for name, n in readers.items() if name.startswith("SX")) <= 7


def test_phones_become_symbols_of_timit():
    labels = f"{SILENCE} DH AH0 K AE1 T {SILENCE} IH0 Z HH IH1 ER0 {SILENCE}".split()
    phones = [Interval(k, k + 1, label) for k, label in enumerate(labels)]
    expected = "h# dh ax k ae t pau ix z hh ih axr h#".split()  # noqa: SIM905
    assert timit_phones(phones) == [Interval(k, k + 1, s) for k, s in enumerate(expected)]


@pytest.mark.parametrize("phoneme", [*VOWELS, *CONSONANTS])
@pytest.mark.parametrize("stress", ["", "'"])
def test_every_phone_of_the_synthesiser_has_a_symbol(phoneme, stress):
    phones = [Interval(0, 1, label) for label in arpabet(stress + phoneme)]
    assert {phone.label for phone in timit_phones(phones)} <= set(FOLDING)


# SLURP


def test_slurp_action_follows_from_wording_and_category(root, corpora):
    meanings, actions, texts = defaultdict(set), defaultdict(set), []
    for path in (root / "slurp/dataset/slurp").glob("*.jsonl"):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            (category,) = categories_in(entry["sentence"])
            (word,) = (w for w in entry["sentence"].split() if w in CATEGORY)
            opening = r"^(please |now |could you |i want you to )?"
            wording = re.sub(opening, "", entry["sentence"]).replace(word, "")
            meanings[entry["action"]].add((wording, category))
            actions[wording, category].add(entry["action"])
            texts.append(entry["sentence"])
    assert len(texts) == len(set(texts)) == 80  # no sentence is in two splits
    assert len(meanings) == len(actions) == 16
    assert all(len(of_action) == 1 for of_action in meanings.values())
    assert len({wording for wording, _ in actions}) == 2  # 14 categories in one, 2 in another
    assert {clip.label for clip in corpora["slurp"]} == set(meanings)


def test_slurp_of_46_actions_in_every_split():
    requests = slurp_requests(CorporaSpec(ENGLISH), LEXICON, np.random.default_rng(0))
    counts = Counter((split, action) for split, _, action, _ in requests)
    assert len({action for _, action in counts}) == 46
    assert {n for (split, _), n in counts.items() if split == "train"} == {12}
    assert {n for (split, _), n in counts.items() if split != "train"} == {4}
    assert len(counts) == 3 * 46


# Speech Commands


def test_commands_last_a_second_and_are_never_silent(corpora):
    clips = corpora["speech_commands"]
    assert {clip.label for clip in clips} == set(COMMANDS)
    ratios = []
    for clip in clips:
        waveform = read_waveform(clip.path)
        assert len(waveform) == 16_000
        power = (waveform.reshape(-1, 400) ** 2).mean(axis=1)
        assert power.min() > 0
        ratios.append(10 * np.log10(power.max() / power.min()))
    assert min(ratios) > 5
    assert max(ratios) - min(ratios) > 10  # the noise differs


# CREMA-D


def mean_by_emotion(clips, measure):
    values = defaultdict(list)
    for clip in clips:
        values[clip.label].append(measure(read_waveform(clip.path)))
    return {label: np.mean(of_emotion) for label, of_emotion in values.items()}


def fundamental(waveform):
    """Median pitch in Hz, from the autocorrelation of loud frames."""
    frames = waveform[: len(waveform) // 800 * 800].reshape(-1, 800)
    loud = frames[(frames**2).mean(axis=1) > 0.3 * (frames**2).mean()]
    spectra = np.abs(np.fft.rfft(loud - loud.mean(axis=1, keepdims=True), 1600)) ** 2
    correlation = np.fft.irfft(spectra)[:, 40:230]
    return np.median(16_000 / (40 + correlation.argmax(axis=1)))


def test_crema_d_emotions_differ_in_rate_pitch_and_loudness(corpora):
    clips = corpora["crema_d"]
    assert {clip.label for clip in clips} == set(EMOTIONS)
    duration = mean_by_emotion(clips, len)
    assert duration["FEA"] < duration["NEU"] < duration["DIS"] < duration["SAD"]
    peak = mean_by_emotion(clips, lambda waveform: np.abs(waveform).max())
    assert peak["SAD"] < peak["NEU"] < peak["HAP"] < peak["ANG"]
    pitch = mean_by_emotion(clips, fundamental)
    assert pitch["DIS"] < pitch["NEU"] < pitch["FEA"]


def test_crema_d_has_one_sentence_at_three_levels(corpora):
    names = [clip.path.stem.split("_") for clip in corpora["crema_d"]]
    counts = Counter((code, emotion) for _, code, emotion, _ in names)
    assert len(counts) == 12 * 6
    for (code, emotion), n in counts.items():
        assert n == 5 * (3 if code == "IEO" and emotion != "NEU" else 1)
    levels = {level for _, code, emotion, level in names if (code, emotion) == ("IEO", "FEA")}
    assert levels == {"LO", "MD", "HI"}


@given(st.sampled_from(EMOTIONS), st.sampled_from([0.4, 0.7, 1.0]), st.integers(0, 1000))
def test_act_stays_within_the_variation_of_its_emotion(emotion, strength, seed):
    speaker, peak = act(Speaker("en-us", 160, 50), emotion, strength, np.random.default_rng(seed))
    rate, pitch, decibels = PROSODIES[emotion]
    assert abs(speaker.rate / 160 - 1 - strength * rate) <= 0.06 + 0.5 / 160
    assert abs(speaker.pitch - 50 - strength * pitch) <= 6.5
    assert abs(20 * np.log10(peak) + 9 - strength * decibels) <= 2 + 1e-9
    assert peak < 1


# Seeds and folders


def digests(root):
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_same_seed_makes_the_same_files_and_another_others(tmp_path, monkeypatch):
    monkeypatch.setattr(simulated_corpora, "WRITERS", {"timit": simulated_corpora.write_timit})
    spec = replace(SPEC, timit_speakers=5)
    for folder, seed in (("one", 3), ("same", 3), ("other", 4)):
        make_corpora(tmp_path / folder, spec, seed)
    one, same, other = (digests(tmp_path / folder) for folder in ("one", "same", "other"))
    assert one == same
    sounds = [name for name in one if name.endswith(".WAV")]
    assert not any(one[name] == other.get(name) for name in sounds)


MAKE_CREMA_D = """
import sys
from bthelpers.params.simulation import CorporaSpec
from bthelpers.simulation import corpora

for name in ("timit", "slurp", "speech_commands"):
    corpora.WRITERS[name] = lambda *_: None
spec = CorporaSpec(sys.argv[1], crema_d_actors=5)
for root in sys.argv[2:]:
    corpora.make_corpora(root, spec, seed=0)
"""


def test_same_sound_in_one_process_and_in_two(tmp_path):
    """Clips of this corpus and seed once ended in dither that followed the clock and addresses."""
    roots = [str(tmp_path / name) for name in "abc"]
    for process in (roots[:2], roots[2:]):
        command = [sys.executable, "-c", MAKE_CREMA_D, ENGLISH, *process]
        subprocess.run(command, check=True, capture_output=True)
    first, *others = (digests(root) for root in map(Path, roots))
    assert len(first) > 5 * 82
    assert all(other == first for other in others)


def test_corpus_does_not_depend_on_those_before_it(root, tmp_path, monkeypatch):
    """Each has a sequence of utterances and a generator of its own."""
    monkeypatch.setattr(
        simulated_corpora,
        "WRITERS",
        {"timit": lambda *_: None, "slurp": simulated_corpora.write_slurp},
    )
    make_corpora(tmp_path, SPEC, seed=3)
    assert digests(tmp_path / "slurp") == digests(root / "slurp")


@pytest.fixture
def writers(monkeypatch):
    """Writers that only leave a mark."""

    def write(root, spec, lexicon, rng):
        (root / "clip.wav").write_text("new")

    marks = dict.fromkeys(simulated_corpora.WRITERS, write)
    monkeypatch.setattr(simulated_corpora, "WRITERS", marks)
    return marks


def test_corpus_that_was_not_simulated_is_never_replaced(writers, tmp_path):
    real = tmp_path / "crema_d/AudioWAV/1001_DFA_ANG_XX.wav"
    real.parent.mkdir(parents=True)
    real.write_text("real")
    with pytest.raises(ValueError, match="crema_d holds files that were not simulated"):
        make_corpora(tmp_path, SPEC, seed=3)
    assert [path.name for path in tmp_path.rglob("*.*")] == [real.name]  # nothing was begun


def test_simulated_corpus_is_replaced(writers, tmp_path):
    make_corpora(tmp_path, SPEC, seed=3)
    (tmp_path / "slurp/old").touch()
    make_corpora(tmp_path, SPEC, seed=4)
    assert sorted(path.name for path in (tmp_path / "slurp").iterdir()) == [
        "SHA256SUMS",
        "clip.wav",
        "dataset_description.json",
    ]


def test_failure_leaves_what_was_there(writers, tmp_path):
    make_corpora(tmp_path, SPEC, seed=3)
    before = digests(tmp_path)

    def fail(root, spec, lexicon, rng):
        (root / "clip.wav").write_text("half")
        raise ValueError("no such voice")

    writers["timit"] = fail
    with pytest.raises(ValueError, match="no such voice"):
        make_corpora(tmp_path, SPEC, seed=4)
    assert digests(tmp_path) == before


# Lexicons that do not suffice

SMALL = Lexicon({"animal": ("dog", "cat"), "food": ("bread", "soup")}, ("saw",), ("the C V a C.",))


def test_sentences_are_distinct_until_there_are_no_more():
    texts = distinct_sentences(SMALL, 16, np.random.default_rng(0))
    assert len(set(texts)) == 16
    with pytest.raises(ValueError, match="gave 16 sentences, but 17 are needed: add words"):
        distinct_sentences(SMALL, 17, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"slurp_actions": 9, "slurp_sentences": 10}, "makes 8 actions of 10 sentences"),
        ({"slurp_actions": 8, "slurp_sentences": 11}, "slurp_sentences 11"),
    ],
)
def test_too_many_actions_or_sentences(changes, fragment):
    spec = replace(SPEC, words_per_category=2, **changes)
    with pytest.raises(ValueError, match=re.escape(spec.lexicon)) as caught:
        slurp_requests(spec, SMALL, np.random.default_rng(0))
    assert fragment in str(caught.value)

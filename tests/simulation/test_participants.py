import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
import xarray as xr
import yaml
from least_squares import explained
from praatio import textgrid
from scipy import stats
from scipy.signal import lfilter, resample_poly

from bthelpers.core.signals import double_gamma
from bthelpers.core.timing import Interval
from bthelpers.data.cortex import region_masks
from bthelpers.data.dataset import Dataset
from bthelpers.data.inventory import take_inventory
from bthelpers.encoding.acoustics import articulation, log_mel
from bthelpers.encoding.ceiling import noise_ceiling
from bthelpers.params.simulation import SimulationSpec
from bthelpers.simulation import participants as simulate
from bthelpers.simulation.espeak import Utterance
from bthelpers.simulation.lexicon import load_lexicon, sentence
from bthelpers.simulation.participants import make_dataset, make_surfaces, word_vectors
from bthelpers.simulation.stories import SHIFTS, Speaker, tell_story

REPOSITORY = Path(__file__).parents[2]
TR = 2.0045
STORIES = ["story01", "story02", "story03", "story04"]
TEST = "story04"
TEST_OF_NOISELESS = "story03"


def truth(dataset, participant):
    return xr.load_dataset(dataset.root / f"truth/{participant}.nc", engine="h5netcdf")


def arrays(dataset, participant, story):
    path = dataset.root / f"derivative/preprocessed_data/{participant}/{story}.hf5"
    with h5py.File(path) as file:
        return {name: array[:] for name, array in file.items()}


def lag(rows, k):
    """Correlation (column,) of rows with those k later."""
    centred = rows - rows.mean(axis=0)
    return (centred[k:] * centred[:-k]).sum(axis=0) / (centred**2).sum(axis=0)


# Layout


def test_dataset_is_complete(small_dataset):
    assert small_dataset.participants == ["SIM01", "SIM02"]
    assert small_dataset.stories == STORIES
    assert take_inventory(small_dataset, small_dataset.participants, STORIES, [TEST]).messages == []
    description = json.loads((small_dataset.root / "dataset_description.json").read_text())
    assert description["Simulated"] is True
    assert "Simulated" in small_dataset.name


@pytest.mark.parametrize("story", STORIES)
def test_stimuli_are_as_the_real_ones(small_dataset, small_spec, story):
    path = small_dataset.root / f"stimuli/{story}.wav"
    info = soundfile.info(path)
    assert (info.samplerate, info.subtype, info.channels) == (44_100, "PCM_16", 2)
    minutes = small_spec.minutes_test if story == TEST else small_spec.minutes_train
    assert 60 * minutes <= info.duration < 60 * minutes + 30
    stereo, _ = soundfile.read(path, dtype="int16")
    np.testing.assert_array_equal(stereo[:, 0], stereo[:, 1])
    assert stereo.std() > 500


@pytest.mark.parametrize("story", STORIES)
def test_transcriptions_are_as_the_real_ones(small_dataset, story):
    path = small_dataset.root / f"derivative/TextGrids/{story}.TextGrid"
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
    assert grid.tierNames == ("phone", "word")
    assert grid.maxTimestamp == pytest.approx(
        soundfile.info(small_dataset.root / f"stimuli/{story}.wav").duration, abs=1e-5
    )
    for name in grid.tierNames:
        assert "" not in [entry.label for entry in grid.getTier(name).entries]
    assert {phone.label for phone in small_dataset.phones(story)} >= {"sp", "DH", "AH0"}
    assert {word.label for word in small_dataset.words(story)} >= {"sp", "the"}


def test_rows_are_those_of_the_real_trims(small_dataset):
    for story in STORIES:
        duration = soundfile.info(small_dataset.root / f"stimuli/{story}.wav").duration
        n_triggers = round((duration + 10) / TR)  # from 10 s before the sound
        assert small_dataset.n_respdict(story) == n_triggers + 5
        for participant in small_dataset.participants:
            found = arrays(small_dataset, participant, story)
            assert found["data"].dtype == np.float64
            assert len(found["data"]) == n_triggers - 15
            assert found["data"].shape[1] == small_dataset.n_voxels(participant)


def test_only_the_test_story_is_repeated(small_dataset, small_spec):
    for story in STORIES[:-1]:
        assert list(arrays(small_dataset, "SIM01", story)) == ["data"]
    found = arrays(small_dataset, "SIM01", TEST)
    assert found["individual_repeats"].dtype == np.float64
    assert found["individual_repeats"].shape == (small_spec.repeats, *found["data"].shape)
    mean = found["individual_repeats"].mean(axis=0)
    np.testing.assert_allclose(found["data"], (mean - mean.mean(0)) / mean.std(0), atol=1e-10)


def test_labels_are_on_the_template_only_as_with_the_real_participants(small_dataset):
    surfaces = [f"{h}.{name}" for h in ("lh", "rh") for name in ("pial", "sphere.reg", "white")]
    expected = {f"{p}/surf/{name}" for p in small_dataset.participants for name in surfaces}
    for h in ("lh", "rh"):
        expected |= {f"fsaverage/label/{h}.HCPMMP1.annot", f"fsaverage/surf/{h}.sphere.reg"}
    assert set(tree(small_dataset.freesurfer_subjects, ".")) == expected


def test_responses_are_standardised_and_complete(small_dataset):
    for story in STORIES:
        data = arrays(small_dataset, "SIM02", story)["data"]
        assert np.isfinite(data).all()
        np.testing.assert_allclose(data.mean(axis=0), 0, atol=1e-10)
        np.testing.assert_allclose(data.std(axis=0), 1, atol=1e-10)


def test_participants_share_stories_but_not_voxels(small_dataset):
    assert small_dataset.n_voxels("SIM01") != small_dataset.n_voxels("SIM02")
    means = [
        small_dataset.responses(participant, TEST)[
            :, truth(small_dataset, participant).ceiling > 0.8
        ].mean(axis=1)
        for participant in small_dataset.participants
    ]
    assert len(means[0]) == len(means[1])
    assert not np.allclose(means[0], means[1], atol=0.1)


# Seeds


def tree(root, *folders):
    files = [file for folder in folders for file in (root / folder).rglob("*") if file.is_file()]
    assert files
    return {file.relative_to(root).as_posix(): file for file in files}


def test_same_seed_makes_the_same_dataset(small_dataset, small_spec, tmp_path):
    """And a participant does not depend on how many there are."""
    make_dataset(tmp_path / "again", replace(small_spec, participants=1), seed=0)
    again = Dataset(tmp_path / "again")
    for story in STORIES:
        first, second = (arrays(dataset, "SIM01", story) for dataset in (small_dataset, again))
        assert first.keys() == second.keys()
        assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    for path, file in tree(again.root, "stimuli", "derivative/TextGrids").items():
        assert file.read_bytes() == (small_dataset.root / path).read_bytes(), path
    assert truth(small_dataset, "SIM01").identical(truth(again, "SIM01"))
    np.testing.assert_array_equal(
        region_masks(small_dataset, "SIM01"), region_masks(again, "SIM01")
    )


def test_surfaces_alone_are_those_of_the_dataset(small_dataset, small_spec, tmp_path):
    make_surfaces(tmp_path / "surfaces", small_spec, seed=0)
    alone = Dataset(tmp_path / "surfaces")
    made, whole = (
        {path for path in tree(root, "derivative") if "pycortex" in path and "/cache/" not in path}
        for root in (alone.root, small_dataset.root)
    )
    assert made == whole
    for participant in small_spec.participant_names:
        np.testing.assert_array_equal(
            region_masks(alone, participant), region_masks(small_dataset, participant)
        )
    assert not (alone.root / "stimuli").exists()


@pytest.fixture
def stories_only(monkeypatch):
    monkeypatch.setattr(simulate, "write_participant", lambda *args: None)


SHORT = SimulationSpec(
    lexicon=str(REPOSITORY / "params/lexicons/english.yaml"),
    participants=1,
    training_stories=1,
    validation_stories=1,
    minutes_train=0.5,
    minutes_validation=0.5,
    minutes_test=0.5,
)


def told(root, spec=SHORT, seed=0):
    make_dataset(root, spec, seed)
    return [[word.label for word in Dataset(root).words(f"story0{k}")] for k in (1, 2, 3)]


def test_another_seed_or_lexicon_tells_other_stories(stories_only, tmp_path):
    second = str(REPOSITORY / "params/lexicons/english_second.yaml")
    datasets = [
        told(tmp_path / "a"),
        told(tmp_path / "b", seed=1),
        told(tmp_path / "c", replace(SHORT, lexicon=second)),
    ]
    starts = {tuple(story[:30]) for stories in datasets for story in stories}
    assert len(starts) == 9
    first, other = (set(load_lexicon(path, 8).words) for path in (SHORT.lexicon, second))
    assert not any(first & set(story) for story in datasets[2])
    assert all(other & set(story) for story in datasets[2])


def test_numbers_of_stories_follow_the_spec(stories_only, tmp_path, capsys):
    spec = replace(SHORT, training_stories=2, minutes_validation=0.8, minutes_test=0.7)
    make_dataset(tmp_path / "a", spec, 0)
    dataset = Dataset(tmp_path / "a")
    minutes = [len(dataset.audio(story)[0]) / 44_100 / 60 for story in dataset.stories]
    assert [story[-2:] for story in dataset.stories] == ["01", "02", "03", "04"]
    for found, asked in zip(minutes, (0.5, 0.5, 0.8, 0.7), strict=True):
        assert asked <= found < asked + 0.5
    printed = capsys.readouterr()
    assert printed.out == ""  # of a notebook, it would be in the page
    assert "simulated dataset: 5 of 5 SIM01" in printed.err


def test_failure_leaves_nothing_half_written(stories_only, tmp_path):
    root = tmp_path / "data"
    with pytest.raises(ValueError, match="nosuch"):
        make_dataset(root, replace(SHORT, voices=("nosuch",)), 0)
    assert list(tmp_path.iterdir()) == []
    make_dataset(root, SHORT, 0)
    before = {path: file.read_bytes() for path, file in tree(root, ".").items()}
    with pytest.raises(ValueError, match="nosuch"):
        make_dataset(root, replace(SHORT, voices=("nosuch",)), 0)
    assert {path: file.read_bytes() for path, file in tree(root, ".").items()} == before
    assert list(tmp_path.iterdir()) == [root]


@pytest.fixture
def heard(monkeypatch):
    """Latents by participant and story, of datasets that are made without responses."""
    found = {}

    def keep(root, participant, latents, *others):
        found[participant] = latents

    monkeypatch.setattr(simulate, "write_participant", keep)
    return found


SQUARES = [str(REPOSITORY / f"params/lexicons/{name}.yaml") for name in ("square", "square_second")]
TWO_SQUARES = replace(
    SHORT,
    lexicon=SQUARES[0],
    other_lexicons=(SQUARES[1],),
    words_per_category=14,
    participants=3,
)


def test_words_mean_something_else_to_the_last_participants(heard, tmp_path):
    make_dataset(tmp_path / "a", TWO_SQUARES, 0)
    for story, latents in heard["SIM01"].items():
        assert heard["SIM02"][story] is latents
        other = heard["SIM03"][story]
        for kind in ("spectral", "articulatory", "own"):
            np.testing.assert_array_equal(getattr(other, kind), getattr(latents, kind))
        assert other.semantic.shape == latents.semantic.shape
        flat = [array[0].ravel() for array in (other.semantic, latents.semantic)]
        assert abs(np.corrcoef(flat)[0, 1]) < 0.5
    make_dataset(tmp_path / "b", replace(TWO_SQUARES, participants=2), 0)
    np.testing.assert_array_equal(heard["SIM02"][story].semantic, other.semantic)


def test_other_meanings_of_a_square_are_independent_of_the_first_and_of_syllables():
    """Each pair of categories shares as many words; words differ in more than single syllables."""
    first, other = (load_lexicon(path, 14) for path in SQUARES)
    shared = [
        len(set(a) & set(b)) for a in first.categories.values() for b in other.categories.values()
    ]
    assert shared == [2] * 49
    for n_letters in (3, -3):  # enough to tell first, or last, syllables apart
        for words in other.categories.values():
            parts = [word[:n_letters] if n_letters > 0 else word[n_letters:] for word in words]
            assert sorted(parts.count(part) for part in set(parts)) == [2] * 7


def test_other_lexicons_hold_the_same_words(stories_only, tmp_path):
    other = str(REPOSITORY / "params/lexicons/english_second.yaml")
    message = r"english_second\.yaml gives other meanings to the words of .*english\.yaml, but.*dog"
    with pytest.raises(ValueError, match=message):
        make_dataset(tmp_path / "a", replace(SHORT, participants=2, other_lexicons=(other,)), 0)
    assert list(tmp_path.iterdir()) == []


def test_meanings_of_occurrences_leave_the_stories_as_they_are(heard, tmp_path):
    found = []
    for meanings in ("words", "occurrences"):
        make_dataset(tmp_path / meanings, replace(SHORT, meanings=meanings), 0)
        found.append((tree(tmp_path / meanings, "stimuli"), dict(heard["SIM01"])))
    (sounds, words), (again, occurrences) = found
    assert [file.read_bytes() for file in sounds.values()] == [
        file.read_bytes() for file in again.values()
    ]
    for story, latents in words.items():
        np.testing.assert_array_equal(occurrences[story].own, latents.own)
        np.testing.assert_array_equal(occurrences[story].spectral, latents.spectral)
        assert not np.allclose(occurrences[story].semantic, latents.semantic)


def silent_story(lexicon, seed, n_topics=16):
    """An utterance of words only: one each 0.4 s, in topics as `tell_story` has them."""
    rng, labels = np.random.default_rng(seed), []
    for _ in range(n_topics):
        topic = list(rng.choice(list(lexicon.categories), 2, replace=False))
        text = " ".join(sentence(lexicon, topic, 0.85, rng) for _ in range(5))
        labels += re.findall("[a-z]+", text)
    words = [Interval(0.4 * k, 0.4 * (k + 1), label) for k, label in enumerate(labels)]
    return Utterance(np.zeros(round(40 * len(words)), np.int16), 100, words, [])


def test_occurrences_have_the_statistics_of_words_and_nothing_to_learn():
    lexicon = load_lexicon(SQUARES[0], 14)
    vectors = word_vectors(lexicon, TWO_SQUARES, np.random.default_rng(0))
    one_hots = dict(zip(lexicon.words, np.eye(len(lexicon.words)), strict=True))
    stories = [silent_story(lexicon, seed) for seed in range(14)]
    canonical = np.array([[5, 1, 1 / 6]])
    words = [simulate.semantic_latents(story, one_hots, canonical)[0] for story in stories]
    words = [rows - rows.mean(axis=0) for rows in words]
    shifts = np.random.default_rng(1).uniform(*SHIFTS, len(stories))
    found = {}
    for name, moved in {"words": 0 * shifts, "occurrences": shifts}.items():
        meant = [
            simulate.semantic_latents(story, vectors, canonical, shift)[0]
            for story, shift in zip(stories, moved, strict=True)
        ]
        meant = [rows - rows.mean(axis=0) for rows in meant]
        train = np.concatenate(words[:10])
        penalty = 0.01 * len(train) * train.var(axis=0).mean() * np.eye(train.shape[1])
        fitted = np.linalg.solve(train.T @ train + penalty, train.T @ np.concatenate(meant[:10]))
        predicted, actual = np.concatenate(words[10:]) @ fitted, np.concatenate(meant[10:])
        r = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, actual.T, strict=True)])
        deviation = np.concatenate(meant).std()
        lags = [np.mean([lag(rows, k).mean() for rows in meant]) for k in (1, 2, 4, 8)]
        found[name] = (r, deviation, lags)
    assert found["words"][0] > 0.9
    assert abs(found["occurrences"][0]) < 0.1
    assert found["occurrences"][1] == pytest.approx(found["words"][1], rel=0.03)
    np.testing.assert_allclose(found["occurrences"][2], found["words"][2], atol=0.05)


def test_story_too_short_to_trim_is_an_error(stories_only, tmp_path):
    with pytest.raises(ValueError, match="trimming leaves none"):
        make_dataset(tmp_path / "a", replace(SHORT, topic_sentences=1, minutes_train=0.05), 0)


# Planted truth


def test_nothing_else_reads_the_truth():
    readers = {*REPOSITORY.glob("bthelpers/**/*.py"), *REPOSITORY.glob("book/**/*.md")}
    makers = ("participants.py", "recordings/datasets.py")
    writers = {REPOSITORY / "bthelpers/simulation" / name for name in makers}
    assert writers <= readers
    for path in {*readers, REPOSITORY / "Snakefile"} - writers:
        assert not re.search(r"""truth["'/]|["'/]truth""", path.read_text()), path


def test_truth_says_what_was_planted(small_dataset, small_spec):
    planted = truth(small_dataset, "SIM01")
    masks = region_masks(small_dataset, "SIM01")
    np.testing.assert_array_equal(planted.regions.astype(bool), masks)
    np.testing.assert_array_equal(planted.region, masks.region)
    assert planted.sizes["voxel"] == small_dataset.n_voxels("SIM01")
    assert planted.attrs["lexicon"] == small_spec.lexicon
    spec = json.loads((small_dataset.root / "truth/spec.json").read_text())
    assert spec["seed"] == 0
    assert spec["repeats"] == small_spec.repeats


@pytest.mark.parametrize("participant", ["SIM01", "SIM02"])
def test_planted_ceilings_have_the_published_distribution(small_dataset, small_spec, participant):
    ceilings = truth(small_dataset, participant).ceiling
    shares = np.linspace(0, 1, 21)
    np.testing.assert_allclose(
        np.quantile(ceilings, shares), small_spec.ceiling_quantiles, atol=5e-3
    )


@pytest.mark.parametrize("participant", ["SIM01", "SIM02"])
def test_estimated_ceilings_follow_the_planted_ones(small_dataset, participant):
    planted = truth(small_dataset, participant).ceiling.values
    repeats = small_dataset.repeats(participant, TEST).astype(float)
    high = planted > 0.6
    error = noise_ceiling(repeats)[high] - planted[high]
    assert abs(error.mean()) < 0.05
    # Low ceilings are estimated with a bias, because they cannot be negative; not so the power of
    # the signal, a share 1 / (1 + N (1 / ceiling^2 - 1)) of that of a repeat.
    n_repeats = len(repeats)
    total = repeats.var(axis=1).mean(axis=0)
    power = (n_repeats * repeats.mean(axis=0).var(axis=0) - total) / (n_repeats - 1)
    expected = 1 / (1 + n_repeats * (1 / np.maximum(planted, 1e-9) ** 2 - 1))
    for low in np.arange(0, 0.9, 0.1):
        voxels = (planted >= low) & (planted < low + 0.1)
        assert power[voxels].mean() == pytest.approx(expected[voxels].mean(), rel=0.15, abs=0.005)


def test_noise_in_the_data_has_the_planted_coefficient(small_dataset, small_spec):
    """Of voxels without signal, against naive noise of as many rows: short ones bias downwards."""
    silent = truth(small_dataset, "SIM01").ceiling.values == 0
    assert silent.sum() > 100
    found = np.mean([lag(repeat, 1) for repeat in small_dataset.repeats("SIM01", TEST, silent)])
    rng, naive = np.random.default_rng(0), []
    n_rows = len(small_dataset.responses("SIM01", TEST))
    innovations = rng.normal(size=(n_rows + 100, 5000))
    for coefficient in (0.3, small_spec.noise_autocorrelation, 0.5):
        noise = lfilter([1.0], [1.0, -coefficient], innovations, axis=0)[100:]
        naive.append(lag(noise, 1).mean())
    assert naive[0] < found < naive[2]
    assert found == pytest.approx(naive[1], abs=0.02)


def test_training_responses_are_as_noisy_as_one_repeat(small_dataset):
    """Signals are smooth and noise is not: their lag-one correlations tell them apart."""
    voxels = truth(small_dataset, "SIM01").ceiling.values > 0.6
    training, one_repeat, mean_of_repeats = (
        lag(rows[:30], 1).mean()  # as many rows of each
        for rows in (
            small_dataset.responses("SIM01", "story01", voxels),
            small_dataset.repeats("SIM01", TEST, voxels)[0],
            small_dataset.responses("SIM01", TEST, voxels),
        )
    )
    assert mean_of_repeats > one_repeat + 0.1
    assert abs(training - one_repeat) < 0.3 * (mean_of_repeats - one_repeat)


# Signals

SIX_WORDS = {
    "categories": {"animal": "dog cat horse", "food": "bread soup cheese"},
    "verbs": "saw found took",
    "templates": ["the C V the C.", "C and C and C.", "we V a C, a C, and the C."],
}


@pytest.fixture(scope="module")
def noiseless(tmp_path_factory):
    """Few words, no noise, no acoustics in language voxels."""
    root = tmp_path_factory.mktemp("noiseless")
    (root / "lexicon.yaml").write_text(yaml.safe_dump(SIX_WORDS))
    spec = SimulationSpec(
        lexicon=str(root / "lexicon.yaml"),
        participants=1,
        training_stories=1,
        validation_stories=1,
        words_per_category=3,
        minutes_train=1.5,
        minutes_validation=1.5,
        minutes_test=4,
        repeats=2,
        voxel_size_mm=8.0,
        acoustics_in_language=0.0,
        ceiling_quantiles=(1.0, 1.0),
    )
    make_dataset(root / "data", spec, seed=1)
    return Dataset(root / "data")


def word_regressors(dataset, story, response, shift=0.0):
    """Response (tr, word) to each content word at its middle, summed word by word."""
    content = " ".join(SIX_WORDS["categories"].values()).split()
    rows = len(dataset.responses("SIM01", story))
    regressors = np.zeros((rows, len(content)))
    for word in dataset.words(story):
        if word.label in content:
            middle = (word.start + min(word.stop, word.start + 0.8)) / 2 + shift
            ages = (np.arange(rows) + 10) * TR - 10 - middle
            regressors[:, content.index(word.label)] += double_gamma(ages, *response)
    return regressors


def planted_responses(dataset):
    """Peak, dispersion and undershoot of every voxel, shape (voxel, 3)."""
    planted = truth(dataset, "SIM01")
    return np.stack([planted[name] for name in ("peak", "dispersion", "undershoot")], axis=1)


def explained_by_words(dataset, story, planted, shift=0.0):
    """Share of each voxel's variance, by words through the response that is planted in it."""
    responses = dataset.responses("SIM01", story).astype(float)
    shares = np.empty(len(planted))
    for response in np.unique(planted, axis=0):
        voxels = (planted == response).all(axis=1)
        regressors = word_regressors(dataset, story, response, shift)
        shares[voxels] = explained(responses[:, voxels], regressors)
    return shares


def test_language_voxels_follow_word_times_and_nothing_else(noiseless):
    masks = truth(noiseless, "SIM01").regions.astype(bool)
    language = masks.sel(region="late_language").values
    auditory = masks.sel(region="early_auditory").values
    planted = planted_responses(noiseless)
    for story in noiseless.stories:
        by_words = explained_by_words(noiseless, story, planted)
        assert by_words[language].min() > 0.999
    assert np.median(by_words[auditory]) < 0.8  # in the test story, the longest
    assert np.median(by_words[~language & ~auditory]) < 0.5
    late = explained_by_words(noiseless, story, planted, shift=0.2)
    assert np.median(late[language]) < 0.998


# Haemodynamic responses


def test_truth_holds_each_voxels_response(noiseless):
    planted = planted_responses(noiseless)
    shapes, counts = np.unique(planted, axis=0, return_counts=True)
    assert len(shapes) == 20
    np.testing.assert_allclose(shapes[:, 0], np.linspace(4, 7, 20))
    for column, (low, high) in ((1, (0.8, 1.3)), (2, (0.05, 0.3))):
        assert low <= shapes[:, column].min() < shapes[:, column].max() <= high
    assert counts.min() > 0.5 * counts.mean()
    assert stats.chisquare(counts).pvalue > 1e-3


def test_no_response_is_the_kernel_that_models_pool_by(noiseless):
    ages = np.arange(0, 32, 0.04)
    kernel = double_gamma(ages)
    planted = planted_responses(noiseless)
    for response in np.unique(planted, axis=0):
        assert np.abs(double_gamma(ages, *response) - kernel).max() > 0.02 * kernel.max()
    language = truth(noiseless, "SIM01").regions.sel(region="late_language").values.astype(bool)
    canonical = np.tile([5, 1, 1 / 6], (len(planted), 1))
    by_kernel = explained_by_words(noiseless, TEST_OF_NOISELESS, canonical)
    assert np.median(by_kernel[language]) < 0.95


def test_responses_follow_their_bounds_and_their_generator():
    spec = replace(
        SHORT,
        responses=5,
        response_peak=(3.0, 5.0),
        response_dispersion=(1.0, 1.0),
        response_undershoot=(0.1, 0.2),
    )
    first, again, other = (
        simulate.haemodynamic_responses(spec, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_allclose(first[:, 0], [3, 3.5, 4, 4.5, 5])
    np.testing.assert_array_equal(first[:, 1], 1)
    assert ((first[:, 2] >= 0.1) & (first[:, 2] <= 0.2)).all()


def test_noiseless_repeats_are_equal(noiseless):
    repeats = noiseless.repeats("SIM01", "story03")
    np.testing.assert_allclose(repeats[0], repeats[1], atol=1e-6)


def test_latents_are_those_of_a_direct_sum():
    lexicon = load_lexicon(SHORT.lexicon, 8)
    vectors = word_vectors(lexicon, SHORT, np.random.default_rng(0))
    story = tell_story(lexicon, Speaker("en-us", 170, 50), 0.6, np.random.default_rng(0))
    shapes = np.array([[5, 1, 1 / 6], [6.5, 1.2, 0.1]])
    latents = simulate.story_latents(
        story,
        simulate.semantic_latents(story, vectors, shapes),
        shapes,
        np.random.default_rng(1),
    )
    times = (np.arange(latents.semantic.shape[1]) + 10) * TR - 10
    assert times[-1] == pytest.approx(story.duration - 6 * TR, abs=TR / 2)

    waveform = resample_poly(story.waveform / (2**15 - 1), 160, 441)  # to 16 kHz
    mel = log_mel(waveform, 16_000, 640)
    groups = [mel[:, k:stop] for k, stop in pairwise([0, 4, 8, 11, 14, 17, 20, 23, 26])]
    bands = np.stack([group.mean(axis=1) for group in groups], axis=1)
    phones = articulation(story.phones, len(bands), 25)
    for number, shape in enumerate(shapes):
        semantic = np.zeros_like(latents.semantic[number])
        for word in story.words:
            if word.label in vectors:
                middle = (word.start + min(word.stop, word.start + 0.8)) / 2
                response = double_gamma(times - middle, *shape)
                semantic += np.outer(response, vectors[word.label]) / 25
        spectral, articulatory = (
            sum(
                np.outer(double_gamma(times - k / 25, *shape), frame) / 25
                for k, frame in enumerate(frames)
            )
            for frames in (bands, phones)
        )
        # The product rounds the times of words and TRs to frames of 40 ms; towards 8 kHz, where
        # the last band ends, its resampling filter is another.
        for kind, expected, tolerance in (
            ("semantic", semantic, 0.05),
            ("spectral", spectral, np.array([0.05] * 7 + [0.1])),
            ("articulatory", articulatory, 0.05),
        ):
            found = getattr(latents, kind)[number]
            assert found.shape == expected.shape
            error = np.abs(found - expected).max(axis=0)
            assert (error < tolerance * expected.std(axis=0)).all(), kind
    assert latents.own.shape == latents.semantic.shape


def test_word_vectors_are_nearer_within_categories():
    lexicon = load_lexicon(SHORT.lexicon, 8)
    spec = replace(SHORT, latent_dimensions=40, word_idiosyncrasy=0.6)
    vectors = word_vectors(lexicon, spec, np.random.default_rng(0))
    assert list(vectors) == list(lexicon.words)
    matrix = np.array(list(vectors.values()))
    np.testing.assert_allclose(matrix.mean(axis=0), 0, atol=1e-12)
    similarity = np.corrcoef(matrix)
    same = np.kron(np.eye(14), np.ones((8, 8))).astype(bool)
    off_diagonal = ~np.eye(112, dtype=bool)
    assert similarity[same & off_diagonal].mean() == pytest.approx(1 / 1.36, abs=0.05)
    assert abs(similarity[~same].mean()) < 0.1
    identical = word_vectors(lexicon, replace(spec, word_idiosyncrasy=0), np.random.default_rng(0))
    np.testing.assert_allclose(identical["dog"], identical["cat"])


def test_a_dataset_that_was_not_simulated_is_never_replaced(tmp_path, small_spec):
    responses = "derivative/preprocessed_data/UTS01/buck.hf5"
    trees = {
        "real": {"dataset_description.json": '{"Name": "An fMRI dataset"}', responses: ""},
        "bare": {responses: ""},
        "parent": {f"ds003020/{responses}": ""},
    }
    for name, files in trees.items():
        for file, text in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        with pytest.raises(ValueError, match="files that were not simulated"):
            make_dataset(tmp_path / name, small_spec, 0)
        assert all((tmp_path / name / file).is_file() for file in files)

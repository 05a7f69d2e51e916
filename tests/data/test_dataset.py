import json
import shutil
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import soundfile
from tiny_dataset import RESPDICT, copy_tree, write_silence, write_transcription, write_tree

from bthelpers.core.errors import DatasetError
from bthelpers.core.timing import Interval, response_times
from bthelpers.data.dataset import MONO, Dataset
from bthelpers.data.files import spoken
from bthelpers.data.inventory import require, take_inventory
from bthelpers.data.manifest import read_manifest
from bthelpers.params.loading import load

ROOT = Path(__file__).parents[2]
STORIES = {"avatar": 30, "legacy": 27, "souls": 33}  # respdict: 10, 7 and 13 response rows
TEST = "souls"
PARTICIPANTS = ("UTS01", "UTS02")
N_VOXELS = 6


def response_array(participant, story, repeat=0):
    seed = [PARTICIPANTS.index(participant), sorted(STORIES).index(story), repeat]
    return np.random.default_rng(seed).standard_normal((STORIES[story] - 20, N_VOXELS))


def write_responses(file, participant, story):
    file["data"] = response_array(participant, story)
    if story == TEST:
        file["individual_repeats"] = np.stack(
            [response_array(participant, story, r) for r in range(3)]
        )


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    root = tmp_path_factory.mktemp("intact")
    write_tree(root, STORIES, dict.fromkeys(PARTICIPANTS, N_VOXELS), write_responses)
    return root


@pytest.fixture
def broken(intact, tmp_path):
    """Copy of the intact dataset to break."""
    return copy_tree(intact, tmp_path / "data")


def check(root):
    return take_inventory(Dataset(root), PARTICIPANTS, STORIES, [TEST]).messages


# What is read


def test_intact_dataset_has_no_problems(intact):
    assert check(intact) == []
    assert require(Dataset(intact), PARTICIPANTS, STORIES, [TEST]) is None
    assert Dataset(intact).stories == list(STORIES)
    assert Dataset(intact).participants == list(PARTICIPANTS)


def test_responses_are_those_written(intact):
    responses = Dataset(intact).responses("UTS02", "legacy")
    assert responses.dtype == np.float32
    np.testing.assert_array_equal(responses, response_array("UTS02", "legacy").astype(np.float32))


@pytest.mark.parametrize(
    "voxels", [np.array([4, 0, 4]), np.arange(N_VOXELS) % 2 == 0, np.zeros(N_VOXELS, bool)]
)
def test_selected_voxels_are_columns(intact, voxels):
    dataset = Dataset(intact)
    np.testing.assert_array_equal(
        dataset.responses("UTS01", TEST, voxels), dataset.responses("UTS01", TEST)[:, voxels]
    )
    np.testing.assert_array_equal(
        dataset.repeats("UTS01", TEST, voxels), dataset.repeats("UTS01", TEST)[..., voxels]
    )


def test_repeats_are_those_written(intact):
    repeats = Dataset(intact).repeats("UTS01", TEST)
    assert repeats.dtype == np.float32
    for number, repeat in enumerate(repeats):
        expected = response_array("UTS01", TEST, number).astype(np.float32)
        np.testing.assert_array_equal(repeat, expected)


def test_a_selection_of_other_responses_is_refused(intact):
    for voxels in (np.ones(N_VOXELS + 1, bool), np.ones(N_VOXELS - 1, bool), np.array([N_VOXELS])):
        with pytest.raises(ValueError, match=r"legacy\.hf5 has 6 voxels, and the selection") as e:
            Dataset(intact).responses("UTS01", "legacy", voxels)
        assert "make it again" in str(e.value)


def test_rows_and_times(intact):
    dataset = Dataset(intact)
    for story, n in STORIES.items():
        assert len(dataset.tr_times(story)) == n - 5
        assert len(dataset.response_times(story)) == n - 20
        assert len(dataset.responses("UTS01", story)) == n - 20
    assert dataset.n_voxels("UTS01") == N_VOXELS
    assert dataset.transform("UTS01") == "UTS01_auto"


@pytest.fixture
def tone(broken):
    """A dataset in which legacy is a tone of 440 Hz on the left channel."""
    path = broken / "stimuli/legacy.wav"
    left = 0.5 * np.sin(2 * np.pi * 440 * np.arange(soundfile.info(path).frames) / 44_100)
    path.unlink()
    soundfile.write(path, np.stack([left, 0 * left], 1), 44_100)
    return broken


def test_audio_is_the_mean_of_the_channels(tone):
    waveform, rate = Dataset(tone).audio("legacy")
    stereo, _ = soundfile.read(tone / "stimuli/legacy.wav")
    assert rate == 44_100
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, stereo.mean(1), atol=1e-6)


def test_waveform_is_resampled(tone):
    waveform = Dataset(tone).waveform("legacy", rate=16_000)
    duration = soundfile.info(tone / "stimuli/legacy.wav").duration
    assert len(waveform) == pytest.approx(duration * 16_000, abs=2)
    expected = 0.25 * np.sin(2 * np.pi * 440 * np.arange(len(waveform)) / 16_000)
    np.testing.assert_allclose(waveform[1000:-1000], expected[1000:-1000], atol=2e-3)


def test_transcription_keeps_silences_and_drops_blanks(intact):
    dataset = Dataset(intact)
    assert [i.label for i in dataset.phones("avatar")] == ["sp", "K", "AE1", "T", "sp"]
    word, silence = dataset.words("avatar")  # before the word, the tier is blank
    assert (word.start, word.stop, word.label) == (0.5, 1.25, "cat")
    assert (silence.start, silence.label) == (1.25, "sp")


def test_silences_and_noises_are_no_words():
    labels = ["The", "sp", "{BR}", "{ns}", "SENTENCE_START", "don't", "lg", "", "{LS} ", "cat"]
    words = [Interval(k, k + 1, label) for k, label in enumerate(labels)]
    assert [(word.start, word.label) for word in spoken(words)] == [
        (0, "the"),
        (5, "don't"),
        (9, "cat"),
    ]


# The cache


@pytest.mark.parametrize("voxels", [None, np.array([4, 0, 4]), np.arange(N_VOXELS) % 2 == 0])
def test_responses_come_from_the_cache_where_there_is_one(intact, tmp_path, voxels):
    plain, caching = Dataset(intact), Dataset(intact, tmp_path / "cache")
    for _ in range(2):
        responses = caching.responses("UTS01", "legacy", voxels)
        assert isinstance(responses.base, np.memmap)
        np.testing.assert_array_equal(responses, plain.responses("UTS01", "legacy", voxels))
    assert len(list((tmp_path / "cache").glob("UTS01-legacy-*.npy"))) == 1


def test_nothing_is_cached_unasked_and_repeats_never(intact, tmp_path):
    before = sorted(intact.rglob("*"))
    Dataset(intact).responses("UTS01", TEST)
    Dataset(intact, tmp_path / "cache").repeats("UTS01", TEST)
    assert sorted(intact.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []


def test_participants_and_stories_do_not_meet_in_the_cache(intact, tmp_path):
    caching = Dataset(intact, tmp_path)
    for _ in range(2):
        for participant in PARTICIPANTS:
            for story in STORIES:
                np.testing.assert_array_equal(
                    caching.responses(participant, story),
                    response_array(participant, story).astype(np.float32),
                )


def test_headers_are_checked_before_the_cache_is_asked(broken, tmp_path):
    caching = Dataset(broken, tmp_path / "cache")
    caching.responses("UTS01", "avatar")
    table = STORIES | {"avatar": 31}
    (broken / "derivative/respdict.json").write_text(json.dumps(table))
    with pytest.raises(DatasetError, match="has 10 rows, expected 11"):
        Dataset(broken, tmp_path / "cache").responses("UTS01", "avatar")
    with pytest.raises(ValueError, match="the selection does not fit"):
        caching.responses("UTS01", "avatar", np.ones(N_VOXELS + 1, bool))


# What is wrong: how to break a file, and what the message must say of it

AVATAR = "UTS01/avatar.hf5"
PUBLISHED = "44100 Hz, PCM_16, 2 channel(s)"
CONVERT = ["download it again", "ffmpeg -i IN.wav -ar 44100 -ac 2 -c:a pcm_s16le avatar.wav"]
REPEATS = ["download it again", "choose a test story", "dataset.splits.test"]
SUBJECT = "derivative/pycortex-db/UTS01"
TRANSFORM = f"{SUBJECT}/transforms/UTS01_auto"


def replace(path, content):
    path.unlink()
    path.write_bytes(content)


def cut(path, share=0.6):
    replace(path, path.read_bytes()[: int(share * path.stat().st_size)])


def reform(path, **form):
    write_silence(path, soundfile.info(path).duration, **form)


def rewrite(path, **changes):
    with h5py.File(path, "a") as file:
        for key, array in changes.items():
            if key in file:
                del file[key]
            if array is not None:
                file[key] = array


def resave(path, shape):
    nibabel.save(nibabel.Nifti1Image(np.ones(shape, np.uint8), np.eye(4)), path)


def with_lost_points(path):
    surface = nibabel.load(path)
    surface.get_arrays_from_intent("pointset")[0].data[1, 0] = np.nan
    nibabel.save(surface, path)


def rename_tier(path):
    path.write_text(path.read_text().replace('"word"', '"sentence"'))


def responses(root, name=AVATAR):
    return root / "derivative/preprocessed_data" / name


BREAKS = {
    "wav missing": (
        lambda root: (root / "stimuli/avatar.wav").unlink(),
        ["stimuli/avatar.wav", "missing"],
    ),
    "wav truncated": (
        lambda root: cut(root / "stimuli/avatar.wav"),
        ["stimuli/avatar.wav", "truncated", "bytes of sound"],
    ),
    "wav truncated in its header": (
        lambda root: replace(
            root / "stimuli/avatar.wav", (root / "stimuli/avatar.wav").read_bytes()[:30]
        ),
        ["stimuli/avatar.wav", "truncated before its sound"],
    ),
    "wav of something else": (
        lambda root: replace(root / "stimuli/avatar.wav", b"<html>404</html>"),
        ["stimuli/avatar.wav", "no wav file"],
    ),
    "wav in an unreadable coding": (
        lambda root: replace(
            root / "stimuli/avatar.wav",
            (root / "stimuli/avatar.wav").read_bytes()[:20]
            + b"\xaa\xaa"
            + (root / "stimuli/avatar.wav").read_bytes()[22:],
        ),
        ["stimuli/avatar.wav", "no wav file"],
    ),
    "wav shorter than its responses": (
        lambda root: write_silence(root / "stimuli/avatar.wav", 20),
        ["stimuli/avatar.wav", "lasts 20.0 s", "28.1 s", "download it again"],
    ),
    "wav of another rate": (
        lambda root: reform(root / "stimuli/avatar.wav", rate=16_000),
        ["avatar.wav is 16000 Hz, PCM_16, 2 channel", f"is {PUBLISHED}", *CONVERT],
    ),
    "wav in one channel": (
        lambda root: reform(root / "stimuli/avatar.wav", channels=1),
        ["avatar.wav is 44100 Hz, PCM_16, 1 channel", f"is {PUBLISHED}", *CONVERT],
    ),
    "wav of 24 bits": (
        lambda root: reform(root / "stimuli/avatar.wav", bits=24),
        ["avatar.wav is 44100 Hz, PCM_24, 2 channel", f"is {PUBLISHED}", *CONVERT],
    ),
    "TextGrid missing": (
        lambda root: (root / "derivative/TextGrids/avatar.TextGrid").unlink(),
        ["avatar.TextGrid", "missing"],
    ),
    "TextGrid truncated within a tier": (
        lambda root: cut(root / "derivative/TextGrids/avatar.TextGrid", 0.92),
        ["avatar.TextGrid", "truncated"],
    ),
    "TextGrid empty": (
        lambda root: (root / "derivative/TextGrids/avatar.TextGrid").write_text(""),
        ["avatar.TextGrid", "is truncated or no TextGrid"],
    ),
    "TextGrid of another story": (
        lambda root: write_transcription(root / "derivative/TextGrids/avatar.TextGrid", 99_000.0),
        ["avatar.TextGrid", "labels end at 99000.0 s", "of another story"],
    ),
    "TextGrid without word tier": (
        lambda root: rename_tier(root / "derivative/TextGrids/avatar.TextGrid"),
        ["avatar.TextGrid", "no tier 'word'", "phone (IntervalTier), sentence"],
    ),
    "HDF5 missing": (
        lambda root: responses(root).unlink(),
        [AVATAR, "missing", "no responses of UTS01 to 'avatar'", "dataset.absent"],
    ),
    "HDF5 truncated": (
        lambda root: cut(responses(root)),
        [AVATAR, "truncated"],
    ),
    "HDF5 without data": (
        lambda root: rewrite(responses(root), data=None, zscored=np.zeros((10, N_VOXELS))),
        [AVATAR, "no array 'data'", "zscored"],
    ),
    "HDF5 of wrong rank": (
        lambda root: rewrite(responses(root), data=np.zeros((1, 10, N_VOXELS))),
        [AVATAR, "3 dimensions", "expected 2"],
    ),
    "HDF5 of integers": (
        lambda root: rewrite(responses(root), data=np.zeros((10, N_VOXELS), int)),
        [AVATAR, "int64", "expected 2 of float64 (or float32)"],
    ),
    "HDF5 of half precision": (
        lambda root: rewrite(responses(root), data=np.zeros((10, N_VOXELS), np.float16)),
        [AVATAR, "float16", "expected 2 of float64 (or float32)"],
    ),
    "HDF5 of text": (
        lambda root: rewrite(responses(root), data=[["a"] * N_VOXELS] * 10),
        [AVATAR, "object", "expected 2 of float64 (or float32)"],
    ),
    "HDF5 of nothing": (
        lambda root: rewrite(responses(root), data=h5py.Empty("f8")),
        [AVATAR, "0 dimensions of float64", "expected 2"],
    ),
    "HDF5 of other rows": (
        lambda root: rewrite(responses(root), data=np.zeros((11, N_VOXELS))),
        [AVATAR, "11 rows", "expected 10"],
    ),
    "HDF5 of other columns": (
        lambda root: rewrite(responses(root), data=np.zeros((10, N_VOXELS + 1))),
        ["UTS01", "avatar.hf5 (7)", "6 voxels", "mask_thick.nii.gz"],
    ),
    "test story without repeats": (
        lambda root: rewrite(responses(root, "UTS02/souls.hf5"), individual_repeats=None),
        ["UTS02/souls.hf5", "no array 'individual_repeats', only data", *REPEATS],
    ),
    "test story with one repeat": (
        lambda root: rewrite(
            responses(root, "UTS02/souls.hf5"), individual_repeats=np.zeros((1, 13, N_VOXELS))
        ),
        ["UTS02/souls.hf5", "1 repeat(s)", "two or more", *REPEATS],
    ),
    "repeats of other rows": (
        lambda root: rewrite(
            responses(root, "UTS02/souls.hf5"), individual_repeats=np.zeros((2, 12, N_VOXELS))
        ),
        ["UTS02/souls.hf5", "12 rows", "expected 13"],
    ),
    "participant not downloaded": (
        lambda root: shutil.rmtree(root / "derivative/preprocessed_data/UTS01"),
        ["preprocessed_data/UTS01", "missing"],
    ),
    "no pycortex subject": (
        lambda root: shutil.rmtree(root / SUBJECT),
        [SUBJECT, "missing"],
    ),
    "no transform": (
        lambda root: shutil.rmtree(root / TRANSFORM),
        [TRANSFORM, "missing"],
    ),
    "transform truncated": (
        lambda root: cut(root / TRANSFORM / "matrices.xfm"),
        ["matrices.xfm", "truncated"],
    ),
    "transform without matrix": (
        lambda root: (root / TRANSFORM / "matrices.xfm").write_text('{"magnet": []}'),
        ["matrices.xfm", "'coord'"],
    ),
    "no mask": (
        lambda root: (root / TRANSFORM / "mask_thick.nii.gz").unlink(),
        ["mask_thick.nii.gz", "missing"],
    ),
    "mask truncated": (
        lambda root: cut(root / TRANSFORM / "mask_thick.nii.gz", 0.7),
        ["mask_thick.nii.gz", "truncated"],
    ),
    "mask of another grid": (
        lambda root: resave(root / TRANSFORM / "reference.nii.gz", (3, 4, 6)),
        ["mask_thick.nii.gz", "(2, 3, 4)", "(3, 4, 6)"],
    ),
    "mask of other voxels": (
        lambda root: resave(root / TRANSFORM / "mask_thick.nii.gz", (2, 3, 4)),
        ["mask_thick.nii.gz", "24 voxels", "avatar.hf5 (6)", "legacy.hf5 (6)"],
    ),
    "no surfaces": (
        lambda root: shutil.rmtree(root / SUBJECT / "surfaces"),
        [SUBJECT, "surfaces/wm_lh.gii is missing", "download it again"],
    ),
    "surface missing": (
        lambda root: (root / SUBJECT / "surfaces/flat_rh.gii").unlink(),
        ["flat_rh.gii", "missing"],
    ),
    **{
        f"{name} of points that are not finite": (
            lambda root, name=name: with_lost_points(root / SUBJECT / f"surfaces/{name}_lh.gii"),
            [f"{name}_lh.gii is no surface of triangles between finite points", "delete it"],
        )
        for name in ("flat", "inflated")
    },
    "annotation missing": (
        lambda root: (
            root / "derivative/freesurfer_subjdir/UTS01/label/rh.HCP-MMP1.annot"
        ).unlink(),
        ["rh.HCPMMP1.annot is missing", "fetch_hcp_mmp_parcellation"],
    ),
    "annotation truncated": (
        lambda root: cut(root / "derivative/freesurfer_subjdir/UTS01/label/rh.HCP-MMP1.annot"),
        ["rh.HCP-MMP1.annot", "truncated"],
    ),
    "surface truncated": (
        lambda root: cut(root / SUBJECT / "surfaces/wm_lh.gii"),
        ["wm_lh.gii", "truncated"],
    ),
    "respdict truncated": (
        lambda root: cut(root / "derivative/respdict.json"),
        ["respdict.json", "truncated"],
    ),
    "respdict of a story too short to trim": (
        lambda root: (root / "derivative/respdict.json").write_text(
            json.dumps({**STORIES, "avatar": 20})
        ),
        ["respdict.json", "'avatar'", "20"],
    ),
    "subject_xfms missing": (
        lambda root: (root / "derivative/subject_xfms.json").unlink(),
        ["subject_xfms.json", "missing"],
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_problem_is_found_and_named(broken, name):
    damage, fragments = BREAKS[name]
    damage(broken)
    problems = check(broken)
    found = [problem for problem in problems if all(part in problem for part in fragments)]
    assert len(found) == 1, problems
    assert len(problems) == 1, problems


def test_every_problem_is_listed_once(broken):
    (broken / "stimuli/avatar.wav").unlink()
    responses(broken).unlink()
    responses(broken, "UTS02/legacy.hf5").unlink()
    problems = check(broken)
    assert len(problems) == 3
    with pytest.raises(DatasetError) as caught:
        require(Dataset(broken), PARTICIPANTS, STORIES, [TEST])
    assert all(problem in str(caught.value) for problem in problems)


def test_unknown_names_come_with_the_nearest(intact):
    problems = take_inventory(Dataset(intact), ["UST01"], ["avatr"]).messages
    assert len(problems) == 2
    assert "'avatr' is no story" in problems[0]
    assert "the nearest is 'avatar'" in problems[0]
    assert "'UST01' is no participant" in problems[1]
    assert "the nearest is 'UTS01'" in problems[1]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("wav truncated", lambda dataset: dataset.audio("avatar")),
        ("wav shorter than its responses", lambda dataset: dataset.waveform("avatar")),
        ("wav in one channel", lambda dataset: dataset.waveform("avatar")),
        ("TextGrid truncated within a tier", lambda dataset: dataset.words("avatar")),
        ("HDF5 truncated", lambda dataset: dataset.responses("UTS01", "avatar")),
        ("HDF5 of other rows", lambda dataset: dataset.responses("UTS01", "avatar")),
        ("test story without repeats", lambda dataset: dataset.repeats("UTS02", TEST)),
        ("mask truncated", lambda dataset: dataset.n_voxels("UTS01")),
        ("respdict truncated", lambda dataset: dataset.stories),
    ],
)
def test_reading_says_the_same(broken, name, read):
    damage, fragments = BREAKS[name]
    damage(broken)
    with pytest.raises(DatasetError) as caught:
        read(Dataset(broken))
    assert all(part in str(caught.value) for part in fragments)


def test_a_story_that_is_silent_throughout_is_none(intact):
    with pytest.raises(DatasetError, match=r"stimuli/avatar\.wav is silent throughout"):
        Dataset(intact).waveform("avatar")


def test_stimuli_that_are_published_in_one_channel_are_so_expected(tmp_path):
    story = "metsmagic"
    assert story in MONO
    write_tree(tmp_path, {story: RESPDICT[story]}, {}, None)
    path = tmp_path / f"stimuli/{story}.wav"
    with pytest.raises(ValueError, match=r"is 44100 Hz, PCM_16, 2 channel.* is .* 1 channel"):
        Dataset(tmp_path).require_audio(story)
    write_silence(path, soundfile.info(path).duration, channels=1)
    assert Dataset(tmp_path).require_audio(story) == path


def test_the_stories_in_one_channel_are_those_whose_files_are_too_short_for_two():
    n_bytes = {file.path: file.n_bytes for file in read_manifest()}
    seconds = {
        story: n_bytes[f"stimuli/{story}.wav"] / (44_100 * 2 * 2) - response_times(n)[-1]
        for story, n in RESPDICT.items()
    }
    assert sorted(story for story, spare in seconds.items() if spare < 0) == sorted(MONO)


def test_no_story_of_the_papers_is_in_one_channel_and_all_are_published():
    stories = set(load(ROOT / "params/paper.yaml").dataset.splits.stories)
    assert not stories & set(MONO)
    assert stories < set(RESPDICT)

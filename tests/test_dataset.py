import json
import shutil
import tracemalloc

import h5py
import nibabel
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from praatio import textgrid

from bthelpers.ceiling import invalid_voxels
from bthelpers.dataset import Dataset, DatasetError, Splits
from bthelpers.formats import read_columns

STORIES = {"avatar": 30, "legacy": 27, "souls": 33}  # respdict: 10, 7 and 13 response rows
TEST = "souls"
PARTICIPANTS = ("UTS01", "UTS02")
N_VOXELS = 6
RATE = 8000


def write_story(root, story, duration):
    time = np.arange(int(duration * RATE)) / RATE
    left = 0.5 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(root / f"stimuli/{story}.wav", np.stack([left, 0 * left], 1), RATE)
    grid = textgrid.Textgrid()
    phones = [(0.0, 0.5, "sp"), (0.5, 0.75, "K"), (0.75, 1.0, "AE1"), (1.0, 1.25, "T")]
    grid.addTier(textgrid.IntervalTier("phone", phones, 0, duration))
    grid.addTier(textgrid.IntervalTier("word", [(0.5, 1.25, "cat")], 0, duration))
    path = str(root / f"derivative/TextGrids/{story}.TextGrid")
    grid.save(path, "short_textgrid", includeBlankSpaces=True)


def write_anatomy(root, participant):
    store = root / "derivative/pycortex-db" / participant
    transform = store / f"transforms/{participant}_auto"
    labels = root / f"derivative/freesurfer_subjdir/{participant}/label"
    for folder in (store / "surfaces", transform, labels):
        folder.mkdir(parents=True)
    for hemisphere in ("lh", "rh"):
        for surface in ("wm", "pia", "inflated", "flat"):
            (store / f"surfaces/{surface}_{hemisphere}.gii").touch()
        (labels / f"{hemisphere}.HCP-MMP1.annot").touch()
    (transform / "matrices.xfm").write_text(json.dumps({"coord": np.eye(4).tolist()}))
    mask = np.zeros((3, 4, 5), np.uint8)
    mask.flat[:N_VOXELS] = 1
    nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), transform / "mask_thick.nii.gz")
    nibabel.save(nibabel.Nifti1Image(0 * mask, np.eye(4)), transform / "reference.nii.gz")


def response_array(participant, story, repeat=0):
    seed = [PARTICIPANTS.index(participant), sorted(STORIES).index(story), repeat]
    return np.random.default_rng(seed).standard_normal((STORIES[story] - 20, N_VOXELS))


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    root = tmp_path_factory.mktemp("intact")
    for folder in ("stimuli", "derivative/TextGrids"):
        (root / folder).mkdir(parents=True)
    (root / "derivative/respdict.json").write_text(json.dumps(STORIES))
    transforms = {participant: f"{participant}_auto" for participant in PARTICIPANTS}
    (root / "derivative/subject_xfms.json").write_text(json.dumps(transforms))
    for story, n in STORIES.items():
        write_story(root, story, duration=(n - 5) * 2.0045 - 10)
    for participant in PARTICIPANTS:
        write_anatomy(root, participant)
        folder = root / "derivative/preprocessed_data" / participant
        folder.mkdir(parents=True)
        for story in STORIES:
            with h5py.File(folder / f"{story}.hf5", "w") as file:
                file["data"] = response_array(participant, story)
                if story == TEST:
                    file["individual_repeats"] = np.stack(
                        [response_array(participant, story, r) for r in range(3)]
                    )
    return root


@pytest.fixture
def broken(intact, tmp_path):
    """Copy of the intact dataset to break."""
    shutil.copytree(intact, tmp_path / "data")
    return tmp_path / "data"


def check(root):
    return Dataset(root).check(PARTICIPANTS, STORIES, [TEST])


# What is read


def test_intact_dataset_has_no_problems(intact):
    assert check(intact) == []
    assert Dataset(intact).require(PARTICIPANTS, STORIES, [TEST]) is None
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


@pytest.mark.parametrize("chunks", [None, (7, 50), (100, 33)])
@pytest.mark.parametrize("shape", [(131, 60), (3, 70, 60), (1, 1)])
def test_columns_do_not_depend_on_storage(tmp_path, shape, chunks):
    if chunks is not None:
        chunks = tuple(np.minimum((1,) * (len(shape) - 2) + chunks, shape))
    values = np.random.default_rng(0).standard_normal(shape)
    with h5py.File(tmp_path / "a.hf5", "w") as file:
        array = file.create_dataset("data", data=values, chunks=chunks)
        np.testing.assert_array_equal(read_columns(array, None), values.astype(np.float32))
        np.testing.assert_array_equal(
            read_columns(array, np.array([0])), values[..., :1].astype(np.float32)
        )


def test_reading_few_voxels_takes_little_memory(tmp_path):
    values = np.zeros((400, 4000))
    with h5py.File(tmp_path / "a.hf5", "w") as file:
        array = file.create_dataset("data", data=values)
        tracemalloc.start()
        read_columns(array, np.arange(10))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < values.nbytes / 4


def test_rows_and_times(intact):
    dataset = Dataset(intact)
    for story, n in STORIES.items():
        assert len(dataset.tr_times(story)) == n - 5
        assert len(dataset.response_times(story)) == n - 20
        assert len(dataset.responses("UTS01", story)) == n - 20
    assert dataset.n_voxels("UTS01") == N_VOXELS
    assert dataset.transform("UTS01") == "UTS01_auto"


def test_audio_is_the_mean_of_the_channels(intact):
    waveform, rate = Dataset(intact).audio("legacy")
    stereo, _ = soundfile.read(intact / "stimuli/legacy.wav")
    assert rate == RATE
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, stereo.mean(1), atol=1e-6)


def test_waveform_is_resampled(intact):
    waveform = Dataset(intact).waveform("legacy", rate=16_000)
    duration = soundfile.info(intact / "stimuli/legacy.wav").duration
    assert len(waveform) == pytest.approx(duration * 16_000, abs=2)
    expected = 0.25 * np.sin(2 * np.pi * 440 * np.arange(len(waveform)) / 16_000)
    np.testing.assert_allclose(waveform[1000:-1000], expected[1000:-1000], atol=2e-3)


def test_transcription_keeps_silences_and_drops_blanks(intact):
    dataset = Dataset(intact)
    assert [i.label for i in dataset.phones("avatar")] == ["sp", "K", "AE1", "T"]
    (word,) = dataset.words("avatar")
    assert (word.start, word.stop, word.label) == (0.5, 1.25, "cat")


# What is wrong: how to break a file, and what the message must say of it

AVATAR = "UTS01/avatar.hf5"
SUBJECT = "derivative/pycortex-db/UTS01"
TRANSFORM = f"{SUBJECT}/transforms/UTS01_auto"


def cut(path, share=0.6):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def rewrite(path, **changes):
    with h5py.File(path, "a") as file:
        for key, array in changes.items():
            if key in file:
                del file[key]
            if array is not None:
                file[key] = array


def resave(path, shape):
    nibabel.save(nibabel.Nifti1Image(np.ones(shape, np.uint8), np.eye(4)), path)


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
        lambda root: (root / "stimuli/avatar.wav").write_bytes(
            (root / "stimuli/avatar.wav").read_bytes()[:30]
        ),
        ["stimuli/avatar.wav", "truncated before its sound"],
    ),
    "wav of something else": (
        lambda root: (root / "stimuli/avatar.wav").write_text("<html>404</html>"),
        ["stimuli/avatar.wav", "no wav file"],
    ),
    "wav in an unreadable coding": (
        lambda root: (root / "stimuli/avatar.wav").write_bytes(
            (root / "stimuli/avatar.wav").read_bytes()[:20]
            + b"\xaa\xaa"
            + (root / "stimuli/avatar.wav").read_bytes()[22:]
        ),
        ["stimuli/avatar.wav", "cannot be read"],
    ),
    "wav shorter than its responses": (
        lambda root: write_story(root, "avatar", 20),
        ["stimuli/avatar.wav", "lasts 20.0 s", "28.1 s"],
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
        ["avatar.TextGrid", "truncated or no TextGrid"],
    ),
    "TextGrid without word tier": (
        lambda root: rename_tier(root / "derivative/TextGrids/avatar.TextGrid"),
        ["avatar.TextGrid", "no tier 'word'", "phone, sentence"],
    ),
    "HDF5 missing": (
        lambda root: responses(root).unlink(),
        [AVATAR, "missing"],
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
        [AVATAR, "int64", "floating-point"],
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
        ["UTS02/souls.hf5", "no array 'individual_repeats'"],
    ),
    "test story with one repeat": (
        lambda root: rewrite(
            responses(root, "UTS02/souls.hf5"), individual_repeats=np.zeros((1, 13, N_VOXELS))
        ),
        ["UTS02/souls.hf5", "one repeat"],
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
        ["mask_thick.nii.gz", "(3, 4, 5)", "(3, 4, 6)"],
    ),
    "mask of other voxels": (
        lambda root: resave(root / TRANSFORM / "mask_thick.nii.gz", (3, 4, 5)),
        ["mask_thick.nii.gz", "60 voxels", "avatar.hf5 (6)", "legacy.hf5 (6)"],
    ),
    "surface missing": (
        lambda root: (root / SUBJECT / "surfaces/flat_rh.gii").unlink(),
        ["flat_rh.gii", "missing"],
    ),
    "annotation missing": (
        lambda root: (
            root / "derivative/freesurfer_subjdir/UTS01/label/rh.HCP-MMP1.annot"
        ).unlink(),
        ["rh.HCP-MMP1.annot", "fetch_hcp_mmp_parcellation", "mri_surf2surf --hemi rh"],
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
        Dataset(broken).require(PARTICIPANTS, STORIES, [TEST])
    assert all(problem in str(caught.value) for problem in problems)


def test_unknown_names_come_with_the_nearest(intact):
    problems = Dataset(intact).check(["UST01"], ["avatr"])
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


# Splits


def test_splits_are_tuples_in_order():
    splits = Splits(train=["a", "b"], validation=["c"], test=["d"])
    assert splits.train == ("a", "b")
    assert splits.stories == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ((["a", "b"], ["b"], ["c"]), "both splits 'train' and 'validation': b"),
        ((["a"], ["b"], ["a"]), "both splits 'train' and 'test': a"),
        ((["a"], ["b"], ["b"]), "both splits 'validation' and 'test': b"),
        ((["a", "a"], ["b"], ["c"]), "'train' names twice: a"),
        (([], ["b"], ["c"]), "'train': list its stories"),
        ((["a"], ["b"], "c"), "'test': list its stories, not 'c'"),
    ],
)
def test_wrong_splits(splits, message):
    with pytest.raises(DatasetError, match=message):
        Splits(*splits)


# Voxels that cannot be modelled


@given(
    arrays(
        float,
        st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(1, 6)),
        elements=st.sampled_from([0.0, 1.0, np.nan, np.inf]),
    )
)
def test_invalid_voxels_by_loop(responses):
    expected = [
        any(
            not np.isfinite(repeat[:, voxel]).all() or len(set(repeat[:, voxel])) == 1
            for repeat in responses
        )
        for voxel in range(responses.shape[-1])
    ]
    np.testing.assert_array_equal(invalid_voxels(responses), expected)
    np.testing.assert_array_equal(invalid_voxels(responses[0]), invalid_voxels(responses[:1]))

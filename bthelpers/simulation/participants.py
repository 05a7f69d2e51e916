"""Simulated participants with a planted truth, in the layout of ds003020.

Late language voxels follow the meaning of content words at the time of the words, early auditory
ones follow spectrum and articulation (see `voxels`). The responses are these signals, convolved
with a haemodynamic response that differs from voxel to voxel, in autocorrelated noise that leaves
the noise ceilings of the published participants.
The truth is written beside the data, for tests: nothing in the pipeline reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import numpy as np
import soundfile
import soxr
import xarray as xr
from praatio import textgrid
from scipy.signal import fftconvolve

from bthelpers.core.checksums import write_sums
from bthelpers.core.errors import listed
from bthelpers.core.files import atomic_folder, write_json
from bthelpers.core.progress import Progress
from bthelpers.core.signals import double_gamma
from bthelpers.core.timing import SAMPLE_RATE, Interval, n_respdict_for, response_times, zscore
from bthelpers.data.cortex import region_masks
from bthelpers.data.dataset import Dataset
from bthelpers.data.files import refuse_to_replace
from bthelpers.data.regions import load_regions
from bthelpers.encoding.acoustics import articulation, log_mel
from bthelpers.params.simulation import SimulationSpec
from bthelpers.simulation.anatomy import write_atlas, write_participant_anatomy
from bthelpers.simulation.espeak import Utterance
from bthelpers.simulation.lexicon import Lexicon
from bthelpers.simulation.pronunciation import load_spoken_lexicon, warn_of_telling_phones
from bthelpers.simulation.stories import tell_stories
from bthelpers.simulation.voxels import (
    PLANTED_REGIONS,
    Latents,
    planted_ceilings,
    repeated_responses,
    signal_shares,
    voxel_signals,
    voxel_weights,
)

FRAME_RATE = 25  # latent frames per second
HRF_SECONDS = 32
SPECTRAL_BANDS = 8
LONGEST_WORD = 0.8  # s; a word's meaning is placed at its middle
TIME_DIGITS = 6  # of seconds in TextGrids, so that neighbours meet exactly
RESPONSE_PARAMETERS = ("peak", "dispersion", "undershoot")  # of `double_gamma`


def load_lexicons(spec: SimulationSpec) -> dict[str, Lexicon]:
    """Lexicons of all participants, by their files.

    Raises
    ------
    ValueError
        If a file is no lexicon, or another one's content words are not those of the stories.
    """
    paths = (spec.lexicon, *(spec.other_lexicons or ()))
    lexicons = {path: load_spoken_lexicon(path, spec.words_per_category) for path in paths}
    warn_of_telling_phones(spec.lexicon, lexicons[spec.lexicon])
    spoken = set(lexicons[spec.lexicon].words)
    for path, lexicon in lexicons.items():
        if differ := sorted(spoken ^ set(lexicon.words)):
            raise ValueError(
                f"{path} gives other meanings to the words of {spec.lexicon}, but content words"
                f" are in one of them only ({listed(differ)}): give both the same words"
            )
    return lexicons


def word_vectors(lexicon: Lexicon, spec: SimulationSpec, rng) -> dict[str, np.ndarray]:
    """Meaning of each content word: its category's centre and something of its own; mean zero."""
    centres = rng.normal(size=(len(lexicon.categories), spec.latent_dimensions))
    vectors = np.repeat(centres, spec.words_per_category, axis=0)
    vectors += spec.word_idiosyncrasy * rng.normal(size=vectors.shape)
    return dict(zip(lexicon.words, vectors - vectors.mean(axis=0), strict=True))


def planted_meanings(lexicon: Lexicon, spec: SimulationSpec, seed: int) -> dict[str, np.ndarray]:
    """The `word_vectors` of a dataset that is simulated with a seed."""
    return word_vectors(lexicon, spec, np.random.default_rng([seed, 0]))


def haemodynamic_responses(spec: SimulationSpec, rng) -> np.ndarray:
    """The responses that voxels have: `RESPONSE_PARAMETERS` of each, shape (response, 3)."""
    others = (spec.response_dispersion, spec.response_undershoot)
    drawn = [rng.uniform(low, high, spec.responses) for low, high in others]
    return np.stack([np.linspace(*spec.response_peak, spec.responses), *drawn], axis=1)


def haemodynamic(frames: np.ndarray, times: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Convolve latent frames (frame, dimension) with each response, and sample them at times (s).

    Returns
    -------
    array of shape (response, tr, dimension)
    """
    ages = np.arange(0, HRF_SECONDS, 1 / FRAME_RATE)
    sampled = np.floor(times * FRAME_RATE).astype(int)
    kernels = (double_gamma(ages, *response)[:, None] / FRAME_RATE for response in responses)
    return np.stack([fftconvolve(frames, kernel, axes=0)[sampled] for kernel in kernels])


def semantic_frames(
    words: Sequence[Interval],
    vectors: Mapping[str, np.ndarray],
    n_frames: int,
    shift: float = 0,
    rate: float = FRAME_RATE,
) -> np.ndarray:
    """Meanings of content words at the middle of each: shape (frame, dimension).

    Parameters
    ----------
    words : sequence of Interval
    vectors : mapping of str to array of shape (dimension,)
        As of `word_vectors`.
    n_frames : int
    shift : float
        Share of the story's content words by which meanings are moved on, in a circle: with their
        variance and, as topics stay together, their autocorrelation, but away from their words.
    rate : float
        Frames per second.
    """
    frames = np.zeros((n_frames, len(next(iter(vectors.values())))))
    content = [word for word in words if word.label in vectors]
    meant = np.roll([word.label for word in content], round(shift * len(content)))
    for word, label in zip(content, meant, strict=True):
        middle = (word.start + min(word.stop, word.start + LONGEST_WORD)) / 2
        frames[min(int(middle * rate), n_frames - 1)] += vectors[label]
    return frames


def semantic_latents(
    story: Utterance, vectors: Mapping[str, np.ndarray], responses: np.ndarray, shift: float = 0
) -> np.ndarray:
    """Meanings of one story at its response times, shape (response, tr, dimension).

    ``responses`` are of `haemodynamic_responses`, the others of `semantic_frames`.
    """
    frames = semantic_frames(story.words, vectors, int(story.duration * FRAME_RATE), shift)
    return haemodynamic(frames, _response_times(story), responses)


def story_latents(story: Utterance, semantic: np.ndarray, responses: np.ndarray, rng) -> Latents:
    """Latents of one story (see `Latents`), of which `semantic_latents` are given."""
    n_frames = int(story.duration * FRAME_RATE)
    waveform = soxr.resample(story.waveform.astype(np.float32), story.rate, SAMPLE_RATE)
    mel = log_mel(waveform / np.iinfo(np.int16).max, SAMPLE_RATE, SAMPLE_RATE // FRAME_RATE)
    bands = np.stack(
        [band.mean(axis=1) for band in np.array_split(mel[:n_frames], SPECTRAL_BANDS, axis=1)], 1
    )
    phones = articulation(story.phones, len(bands), FRAME_RATE)
    own = rng.normal(size=(n_frames, semantic.shape[2]))
    times = _response_times(story)
    heard = (haemodynamic(frames, times, responses) for frames in (bands, phones, own))
    return Latents(semantic, *heard)


def _response_times(story: Utterance) -> np.ndarray:
    return response_times(n_respdict_for(story.duration))


def write_story(sound: Path, transcription: Path, story: Utterance) -> None:
    """Write the stimulus (44.1 kHz, 16 bit, stereo) and its TextGrid (phone tier, word tier)."""
    stereo = np.stack([story.waveform, story.waveform], axis=1)
    soundfile.write(sound, stereo, story.rate, subtype="PCM_16")
    duration = round(story.duration, TIME_DIGITS)
    grid = textgrid.Textgrid(0, duration)
    for tier, intervals in (("phone", story.phones), ("word", story.words)):
        entries = [
            (round(i.start, TIME_DIGITS), round(i.stop, TIME_DIGITS), i.label) for i in intervals
        ]
        grid.addTier(textgrid.IntervalTier(tier, entries, 0, duration))
    grid.save(str(transcription), format="long_textgrid", includeBlankSpaces=True)


def write_responses(path, signals, ceilings, spec, n_repeats, rng) -> None:
    """Write the responses to a story, and each of its repeats where it was heard several times."""
    with h5py.File(path, "w") as file:
        heard = repeated_responses(signals, ceilings, spec, n_repeats, rng)
        if n_repeats == 1:
            file["data"] = next(heard)
            return
        shape = (n_repeats, *signals.shape)
        individual, total = file.create_dataset("individual_repeats", shape, np.float64), 0
        for number, repeat in enumerate(heard):
            individual[number] = repeat
            total += repeat
        file["data"] = zscore(total)


def write_participant(root, participant, latents, responses, spec, seed) -> None:
    """Write one participant's anatomy, responses and truth.

    Story by story and repeat by repeat: as arrays of all voxels, the draws follow from the seed
    alone, and none is larger than a story's.
    """
    rng = _anatomy_first(root, participant, spec, seed)
    masks = region_masks(Dataset(root), participant, load_regions())
    planted = masks.sel(region=list(PLANTED_REGIONS)).any("region").values
    ceilings = planted_ceilings(spec, planted, rng)
    response_of = rng.integers(len(responses), size=len(planted))
    shares = signal_shares(masks, spec)
    weights = voxel_weights(list(latents.values()), shares, response_of, rng)
    folder = root / "derivative" / "preprocessed_data" / participant
    folder.mkdir(parents=True)
    test_story = list(latents)[-1]
    for story, of_story in latents.items():
        signals = voxel_signals(of_story, weights, response_of)
        n_repeats = spec.repeats if story == test_story else 1
        write_responses(folder / f"{story}.hf5", signals, ceilings, spec, n_repeats, rng)
    by_voxel = dict(zip(RESPONSE_PARAMETERS, responses[response_of].T, strict=True))
    by_voxel["ceiling"] = ceilings
    truth = xr.Dataset(
        {"regions": masks.astype(np.int8)} | {k: ("voxel", v) for k, v in by_voxel.items()},
        attrs={"seed": str(seed), "lexicon": spec.lexicon_of[participant]},
    )
    truth.to_netcdf(root / "truth" / f"{participant}.nc", engine="h5netcdf")


def _anatomy_first(root, participant, spec, seed) -> np.random.Generator:
    """Write one participant's anatomy, and return what draws all that follows it."""
    rng = np.random.default_rng(seed)
    write_participant_anatomy(root, participant, spec.voxel_size_mm, seed=int(rng.integers(2**31)))
    return rng


def _participant_seeds(spec: SimulationSpec, seed: int) -> dict[str, list[int]]:
    return {name: [seed, 2, number] for number, name in enumerate(spec.participant_names)}


def write_stories(root, spec, seed, responses, progress) -> dict[str, dict[str, Latents]]:
    """Tell and write all stories and their table; latents by lexicon and story."""
    lexicons = load_lexicons(spec)
    vectors = {path: planted_meanings(lexicon, spec, seed) for path, lexicon in lexicons.items()}
    latents, respdict = {path: {} for path in lexicons}, {}
    for name, story, shift, rng in tell_stories(lexicons[spec.lexicon], spec, seed):
        grid = root / "derivative/TextGrids" / f"{name}.TextGrid"
        write_story(root / "stimuli" / f"{name}.wav", grid, story)
        respdict[name] = n_respdict_for(story.duration)
        semantic = {
            path: semantic_latents(story, meanings, responses, shift)
            for path, meanings in vectors.items()
        }
        told = story_latents(story, semantic[spec.lexicon], responses, rng)
        for path in lexicons:
            latents[path][name] = replace(told, semantic=semantic[path])
        progress.advance(name)
    write_json(root / "derivative/respdict.json", respdict)
    return latents


def make_dataset(root: str | Path, spec: SimulationSpec, seed: int) -> None:
    """Write a simulated dataset in the layout of ds003020.

    Parameters
    ----------
    root : path
        The folder to write. It appears when it is complete; one that is there is replaced.
    spec : SimulationSpec
        Stories, participants and the planted truth.
    seed : int
        Everything random follows from it.

    Raises
    ------
    ValueError
        If ``root`` holds files and is no simulated dataset, or as `load_lexicons`.
    """
    refuse_to_replace(Path(root))
    participants = spec.participant_names
    responses = haemodynamic_responses(spec, np.random.default_rng([seed, 3]))
    progress = Progress("simulated dataset", len(spec.story_minutes) + len(participants))
    with atomic_folder(root) as folder:
        for name in ("stimuli", "derivative/TextGrids", "truth"):
            (folder / name).mkdir(parents=True)
        latents = write_stories(folder, spec, seed, responses, progress)
        write_descriptions(folder, spec, seed)
        write_atlas(folder)
        for participant, own_seed in _participant_seeds(spec, seed).items():
            heard = latents[spec.lexicon_of[participant]]
            write_participant(folder, participant, heard, responses, spec, own_seed)
            progress.advance(participant)
        write_sums(folder)


def make_surfaces(root: str | Path, spec: SimulationSpec, seed: int) -> None:
    """Write the cortical surfaces of `make_dataset` alone, on which recorded results are drawn.

    Parameters
    ----------
    root : path
        The folder to write, in the layout of ds003020 without stories and responses. It appears
        when it is complete; one that is there is replaced.
    spec : SimulationSpec
    seed : int

    Raises
    ------
    ValueError
        If ``root`` holds files and is no simulated dataset.
    """
    refuse_to_replace(Path(root))
    with atomic_folder(root) as folder:
        for name in ("derivative", "truth"):
            (folder / name).mkdir()
        write_descriptions(folder, spec, seed)
        write_atlas(folder)
        for participant, own_seed in _participant_seeds(spec, seed).items():
            _anatomy_first(folder, participant, spec, own_seed)


def write_descriptions(root: Path, spec: SimulationSpec, seed: int) -> None:
    """Write the dataset's JSON tables."""
    documents = {
        "dataset_description.json": {
            "Name": "Simulated participants listening to synthetic stories",
            "BIDSVersion": "1.3.0",
            "License": "CC0",
            "Simulated": True,
        },
        "derivative/subject_xfms.json": {p: f"{p}_auto" for p in spec.participant_names},
        "truth/spec.json": {"seed": seed, **asdict(spec)},
    }
    for path, document in documents.items():
        write_json(root / path, document)

"""Simulated participants with a planted truth, in the layout of ds003020.

Late language voxels follow the meaning of content words at the time of the words, and a little of
the acoustics; early auditory voxels follow spectrum and articulation; the others follow a signal of
their own and weak mixtures of both. The responses are these signals, convolved with a haemodynamic
response that differs from voxel to voxel, in autocorrelated noise that leaves the noise ceilings of
the published participants.
The truth is written beside the data, for tests: nothing in the pipeline reads it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import h5py
import numpy as np
import soundfile
import soxr
import xarray as xr
from praatio import textgrid
from scipy.signal import fftconvolve

from bthelpers.core.files import atomic_folder, write_json
from bthelpers.core.progress import Progress
from bthelpers.core.signals import autocorrelated_noise, double_gamma
from bthelpers.core.timing import SAMPLE_RATE, Interval, n_respdict_for, response_times, zscore
from bthelpers.data.cortex import region_masks
from bthelpers.data.dataset import Dataset
from bthelpers.data.files import refuse_to_replace
from bthelpers.data.regions import load_regions
from bthelpers.encoding.acoustics import articulation, log_mel
from bthelpers.params.simulation import SimulationSpec
from bthelpers.simulation.anatomy import write_atlas, write_participant_anatomy
from bthelpers.simulation.espeak import Utterance, restart
from bthelpers.simulation.lexicon import Lexicon
from bthelpers.simulation.pronunciation import load_spoken_lexicon, warn_of_telling_phones
from bthelpers.simulation.stories import random_speaker, tell_story

FRAME_RATE = 25  # latent frames per second
HRF_SECONDS = 32
SPECTRAL_BANDS = 8
LONGEST_WORD = 0.8  # s; a word's meaning is placed at its middle
OWN_SHARE = 0.8  # of the signal's variance in voxels outside of the planted regions
RANK_BONUS = 0.5  # moves voxels of the planted regions up in the order of noise ceilings
TIME_DIGITS = 6  # of seconds in TextGrids, so that neighbours meet exactly
RESPONSE_PARAMETERS = ("peak", "dispersion", "undershoot")  # of `double_gamma`
PLANTED_REGIONS = ("late_language", "early_auditory")


@dataclass(frozen=True)
class Latents:
    """What drives the voxels during one story, at its response times: by haemodynamic response.

    Attributes
    ----------
    semantic : array of shape (response, tr, latent_dimensions)
    spectral : array of shape (response, tr, 8)
        Bands of the mel spectrum.
    articulatory : array of shape (response, tr, 22)
    own : array of shape (response, tr, latent_dimensions)
        Locked to the stimulus but not to its sound or meaning.
    """

    semantic: np.ndarray
    spectral: np.ndarray
    articulatory: np.ndarray
    own: np.ndarray


def word_vectors(lexicon: Lexicon, spec: SimulationSpec, rng) -> dict[str, np.ndarray]:
    """Meaning of each content word: its category's centre and something of its own; mean zero."""
    centres = rng.normal(size=(len(lexicon.categories), spec.latent_dimensions))
    vectors = np.repeat(centres, spec.words_per_category, axis=0)
    vectors += spec.word_idiosyncrasy * rng.normal(size=vectors.shape)
    return dict(zip(lexicon.words, vectors - vectors.mean(axis=0), strict=True))


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
    words: list[Interval], vectors: dict[str, np.ndarray], n_frames: int
) -> np.ndarray:
    """Meanings of words at the middle of each, at `FRAME_RATE`: shape (frame, dimension)."""
    frames = np.zeros((n_frames, len(next(iter(vectors.values())))))
    for word in words:
        if word.label in vectors:
            middle = (word.start + min(word.stop, word.start + LONGEST_WORD)) / 2
            frames[min(int(middle * FRAME_RATE), n_frames - 1)] += vectors[word.label]
    return frames


def story_latents(
    story: Utterance, vectors: dict[str, np.ndarray], responses: np.ndarray, rng
) -> Latents:
    """Latents of one story at its response times (see :class:`Latents`)."""
    n_frames = int(story.duration * FRAME_RATE)
    semantic = semantic_frames(story.words, vectors, n_frames)
    waveform = soxr.resample(story.waveform.astype(np.float32), story.rate, SAMPLE_RATE)
    mel = log_mel(waveform / np.iinfo(np.int16).max, SAMPLE_RATE, SAMPLE_RATE // FRAME_RATE)
    bands = np.stack(
        [band.mean(axis=1) for band in np.array_split(mel[:n_frames], SPECTRAL_BANDS, axis=1)], 1
    )
    phones = articulation(story.phones, len(bands), FRAME_RATE)
    times = response_times(n_respdict_for(story.duration))
    own = rng.normal(size=semantic.shape)
    kinds = (semantic, bands, phones, own)
    return Latents(*(haemodynamic(frames, times, responses) for frames in kinds))


def write_story(root: Path, name: str, story: Utterance) -> None:
    """Write the stimulus (44.1 kHz, 16 bit, stereo) and its TextGrid (phone tier, word tier)."""
    stereo = np.stack([story.waveform, story.waveform], axis=1)
    soundfile.write(root / "stimuli" / f"{name}.wav", stereo, story.rate, subtype="PCM_16")
    duration = round(story.duration, TIME_DIGITS)
    grid = textgrid.Textgrid(0, duration)
    for tier, intervals in (("phone", story.phones), ("word", story.words)):
        entries = [
            (round(i.start, TIME_DIGITS), round(i.stop, TIME_DIGITS), i.label) for i in intervals
        ]
        grid.addTier(textgrid.IntervalTier(tier, entries, 0, duration))
    path = root / "derivative" / "TextGrids" / f"{name}.TextGrid"
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)


def planted_ceilings(spec: SimulationSpec, planted: np.ndarray, rng) -> np.ndarray:
    """Noise ceilings with the published distribution, higher in planted regions, shape (voxel,)."""
    order = np.argsort(np.argsort(rng.random(len(planted)) + RANK_BONUS * planted))
    quantiles = np.linspace(0, 1, len(spec.ceiling_quantiles))
    return np.interp((order + 0.5) / len(planted), quantiles, spec.ceiling_quantiles)


def _mixture(story: np.ndarray, weights: np.ndarray, response_of: np.ndarray) -> np.ndarray:
    """Weighted sums (tr, voxel) of centred latents, of each voxel's own response."""
    mixed = np.empty((story.shape[1], len(response_of)))
    for number, latents in enumerate(story - story.mean(axis=1, keepdims=True)):
        voxels = response_of == number
        mixed[:, voxels] = latents @ weights[:, voxels]
    return mixed


def _unit_mixture(latents: list[np.ndarray], response_of: np.ndarray, rng) -> list[np.ndarray]:
    """Random weighted sums of latents, of unit variance over all stories, per story.

    Latents keep their relative variances, so that rare ones matter less. They are centred within
    each story, as responses are: what differs between stories, such as the speaker, drives no
    voxel.
    """
    weights = rng.normal(size=(latents[0].shape[2], len(response_of)))
    mixed = [_mixture(story, weights, response_of) for story in latents]
    scale = np.concatenate(mixed).std(axis=0)
    return [story / scale for story in mixed]


def signal_shares(masks: xr.DataArray, spec: SimulationSpec) -> np.ndarray:
    """Shares of each kind of latent in each voxel's variance, shape (kind, voxel)."""
    language, auditory = (masks.sel(region=region).values for region in PLANTED_REGIONS)
    acoustics = spec.acoustics_in_language**2
    mixed = (1 - OWN_SHARE) / 2
    shares = np.tile([[mixed], [mixed / 2], [mixed / 2], [OWN_SHARE]], masks.sizes["voxel"])
    shares[:, language] = [[1 - acoustics], [acoustics / 2], [acoustics / 2], [0]]
    shares[:, auditory] = [[0], [1 / 2], [1 / 2], [0]]
    return shares


def voxel_signals(
    latents: list[Latents],
    masks: xr.DataArray,
    response_of: np.ndarray,
    spec: SimulationSpec,
    rng,
) -> list[np.ndarray]:
    """Noise-free responses of unit variance over all stories: one array (tr, voxel) per story.

    Each voxel has the haemodynamic response whose number `response_of` (voxel,) holds.
    """
    shares = signal_shares(masks, spec)
    parts = [
        _unit_mixture([getattr(story, kind.name) for story in latents], response_of, rng)
        for kind in fields(Latents)
    ]
    signals = [
        sum(np.sqrt(share) * part for share, part in zip(shares, story, strict=True))
        for story in zip(*parts, strict=True)
    ]
    # The kinds of latent are correlated, so that their shares alone do not fix the variance.
    scale = np.concatenate(signals).std(axis=0)
    return [signal / scale for signal in signals]


def write_participant(root, participant, stories, latents, responses, spec, seed) -> None:
    """Write one participant's anatomy, responses and truth."""
    rng = np.random.default_rng(seed)
    write_participant_anatomy(root, participant, spec.voxel_size_mm, seed=int(rng.integers(2**31)))
    masks = region_masks(Dataset(root), participant, load_regions())
    planted = masks.sel(region=list(PLANTED_REGIONS)).any("region").values
    ceilings = planted_ceilings(spec, planted, rng)
    response_of = rng.integers(len(responses), size=len(planted))
    signals = voxel_signals(latents, masks, response_of, spec, rng)
    # CC_max of the mean of N repeats is 1 / sqrt(1 + noise / (N signal)).
    explained = np.clip(ceilings, 1e-3, None)
    noise_scale = np.sqrt(spec.repeats * (1 / explained**2 - 1))
    signal_scale = (ceilings > 0).astype(float)
    folder = root / "derivative" / "preprocessed_data" / participant
    folder.mkdir(parents=True)
    test_story = stories[-1]
    for story, signal in zip(stories, signals, strict=True):
        n_repeats = spec.repeats if story == test_story else 1
        noises = (
            autocorrelated_noise(signal.shape, spec.noise_autocorrelation, rng)
            for _ in range(n_repeats)
        )
        heard = signal * signal_scale
        repeats = np.stack([zscore(heard + noise_scale * noise) for noise in noises])
        with h5py.File(folder / f"{story}.hf5", "w") as file:
            file["data"] = zscore(repeats.mean(axis=0))
            if story == test_story:
                file["individual_repeats"] = repeats
    truth = xr.Dataset(
        {
            "ceiling": ("voxel", ceilings),
            "regions": masks.astype(np.int8),
            **{
                parameter: ("voxel", values)
                for parameter, values in zip(
                    RESPONSE_PARAMETERS, responses[response_of].T, strict=True
                )
            },
        },
        attrs={"seed": str(seed)},
    )
    truth.to_netcdf(root / "truth" / f"{participant}.nc", engine="h5netcdf")


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
        If ``root`` holds files and is no simulated dataset.
    """
    refuse_to_replace(Path(root))
    stories, participants = spec.story_minutes, spec.participant_names
    lexicon = load_spoken_lexicon(spec.lexicon, spec.words_per_category)
    warn_of_telling_phones(spec.lexicon, lexicon)
    vectors = word_vectors(lexicon, spec, np.random.default_rng([seed, 0]))
    responses = haemodynamic_responses(spec, np.random.default_rng([seed, 3]))
    progress = Progress("simulated dataset", len(stories) + len(participants))
    with atomic_folder(root) as folder:
        for name in ("stimuli", "derivative/TextGrids", "truth"):
            (folder / name).mkdir(parents=True)
        latents, respdict = [], {}
        restart()
        for number, (name, minutes) in enumerate(stories.items()):
            rng = np.random.default_rng([seed, 1, number])
            speaker = random_speaker(spec.voices, spec.rate, spec.pitch, rng)
            story = tell_story(
                lexicon, speaker, minutes, rng, spec.topic_sentences, spec.topic_probability
            )
            write_story(folder, name, story)
            respdict[name] = n_respdict_for(story.duration)
            latents.append(story_latents(story, vectors, responses, rng))
            progress.advance(name)
        write_descriptions(folder, respdict, participants, spec, seed)
        write_atlas(folder)
        for number, participant in enumerate(participants):
            write_participant(
                folder, participant, list(stories), latents, responses, spec, [seed, 2, number]
            )
            progress.advance(participant)


def write_descriptions(root: Path, respdict, participants, spec, seed) -> None:
    """Write the dataset's JSON tables."""
    documents = {
        "dataset_description.json": {
            "Name": "Simulated participants listening to synthetic stories",
            "BIDSVersion": "1.3.0",
            "License": "CC0",
            "Simulated": True,
        },
        "derivative/respdict.json": respdict,
        "derivative/subject_xfms.json": {p: f"{p}_auto" for p in participants},
        "truth/spec.json": {"seed": seed, **asdict(spec)},
    }
    for path, document in documents.items():
        write_json(root / path, document)

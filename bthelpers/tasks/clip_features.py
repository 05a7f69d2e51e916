"""What a speech model makes of short clips: the mean of their tokens, or some of the tokens.

Clips go through the model one length at a time, none is padded, and only tokens that hold sound
count: a clip's features do not depend on the clips beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
import xarray as xr

from bthelpers.core.progress import Progress
from bthelpers.core.timing import SAMPLE_RATE, zscore
from bthelpers.encoding.acoustics import log_mel, mfcc
from bthelpers.models.devices import BatchSize
from bthelpers.models.front_ends import MelFrontEnd
from bthelpers.models.speech import WAVEFORMS_AT_ONCE, SpeechEncoder
from bthelpers.tasks.clips import NAMES_SHOWN, Clip, read_waveform
from bthelpers.tuning.trainer import batched

LOW_LEVEL = {"mfcc": mfcc, "fbank": log_mel}
CLIPS_IN_MEMORY = 512


def problem_of(encoder: SpeechEncoder, waveform: np.ndarray) -> str | None:
    """Why a model cannot take a sound (mono, 16 kHz); None if it can."""
    front_end = encoder.front_end
    try:
        n_samples = len(front_end.prepare(waveform))
    except ValueError as error:
        return str(error)
    if front_end.n_frames(n_samples) < 1:
        return "it is shorter than one token"
    if isinstance(front_end, MelFrontEnd) and n_samples > front_end.max_samples:
        return f"it is longer than the {front_end.max_samples / SAMPLE_RATE:g} s of this Whisper"
    return None


def token_states(
    encoder: SpeechEncoder, clips: Sequence[Clip], precision: str
) -> Iterator[tuple[int, np.ndarray, torch.Tensor]]:
    """Each clip's position, waveform and states (layer, token, feature), in no order.

    Raises
    ------
    ValueError
        If the model cannot take some clips: the message counts and names them. The first of them
        stops the model, but not the search for more.
    """
    problems: dict[str, str] = {}
    progress = Progress("blocks of clips", math.ceil(len(clips) / CLIPS_IN_MEMORY))
    remedy = "set `probes.precision` to bfloat16, or take a smaller model"
    at_once = BatchSize(WAVEFORMS_AT_ONCE, "clips", remedy)
    encoder.model.eval()
    for first in range(0, len(clips), CLIPS_IN_MEMORY):
        block = clips[first : first + CLIPS_IN_MEMORY]
        waveforms = [read_waveform(clip.path) for clip in block]
        for clip, waveform in zip(block, waveforms, strict=True):
            if problem := problem_of(encoder, waveform):
                problems[clip.name] = problem
        if not problems:
            for k, states in _states(encoder, waveforms, precision, at_once):
                yield first + k, waveforms[k], states
        progress.advance()
    refuse_clips(problems, len(clips))


def refuse_clips(problems: Mapping[str, str], n_clips: int) -> None:
    """Raise a ValueError that names the clips that have problems, if there are any."""
    if problems:
        shown = "; ".join(f"{name}: {problems[name]}" for name in list(problems)[:NAMES_SHOWN])
        raise ValueError(
            f"the model cannot take {len(problems)} of {n_clips} clips: leave them out ({shown})"
        )


def _states(
    encoder: SpeechEncoder, waveforms: list[np.ndarray], precision: str, at_once: BatchSize
) -> Iterator[tuple[int, torch.Tensor]]:
    def states(batch: list[int], number: int) -> list[torch.Tensor]:
        found = []
        for part in batched(batch, number):
            with encoder.autocast(precision):
                layers, lengths = encoder.hidden_states([waveforms[k] for k in part])
            found += [
                torch.stack([layer[row, :length] for layer in layers]).cpu()
                for row, length in enumerate(lengths.tolist())
            ]
        return found

    order = sorted(range(len(waveforms)), key=lambda k: len(waveforms[k]))
    for batch in batched(order, at_once.number):
        yield from zip(batch, at_once.run(partial(states, batch)), strict=True)


def clip_features(encoder: SpeechEncoder, clips: Sequence[Clip], precision: str) -> xr.DataArray:
    """Every layer's mean over the tokens of each clip that hold sound.

    Parameters
    ----------
    encoder : SpeechEncoder
    clips : sequence of Clip
        Of any lengths.
    precision : str
        Of the model's arithmetic, its front end's too: "float32" or "bfloat16".

    Returns
    -------
    DataArray (layer, clip, feature), float32

    Raises
    ------
    ValueError
        If clips are shorter than one token, silent, not finite or, for Whisper, too long; the
        message counts and names them.
    DatasetError
        If a sound cannot be read.
    """
    features = np.empty((encoder.n_layers + 1, len(clips), encoder.hidden_size), np.float32)
    for position, _, states in token_states(encoder, clips, precision):
        features[:, position] = states.mean(dim=1)
    coords = {"layer": np.arange(encoder.n_layers + 1), "clip": [clip.name for clip in clips]}
    return xr.DataArray(features, coords, dims=("layer", "clip", "feature"))


def low_level_values(
    encoder: SpeechEncoder, waveform: np.ndarray, n_tokens: int
) -> dict[str, np.ndarray]:
    """Cepstra and filter-bank energies of sound around the centres of its tokens.

    The sound is standardised first: loudness is what most models' preprocessors take away.

    Returns
    -------
    dict of float32 arrays of shape (n_tokens, 26)
        ``mfcc``: 13 coefficients and their slopes; ``fbank``: log energies of mel bands.
    """
    # `log_mel` centres its first frame on half a hop.
    offset = encoder.token_centre - encoder.hop // 2
    sound = np.pad(zscore(waveform), (max(-offset, 0), encoder.hop))[max(offset, 0) :]
    return {
        name: values(sound, SAMPLE_RATE, encoder.hop)[:n_tokens]
        for name, values in LOW_LEVEL.items()
    }


def token_features(
    encoder: SpeechEncoder,
    clips: Sequence[Clip],
    tokens_per_clip: int,
    precision: str,
    seed: int,
) -> xr.Dataset:
    """Every layer's states, cepstra and filter-bank energies at random tokens of each clip.

    Parameters
    ----------
    encoder : SpeechEncoder
    clips : sequence of Clip
    tokens_per_clip : int
        At most; of a clip with fewer tokens, all are taken.
    precision : str
        Of the model's arithmetic, its front end's too: "float32" or "bfloat16".
    seed : int
        Of the choice of tokens.

    Returns
    -------
    Dataset
        ``features`` (layer, token, feature), ``mfcc`` (token, cepstrum) and ``fbank`` (token,
        band), float32, with the coordinate ``clip`` (token); clip after clip.

    Raises
    ------
    ValueError, DatasetError
        As `clip_features`.
    """
    pieces = {}
    for position, waveform, states in token_states(encoder, clips, precision):
        n_tokens = states.shape[1]
        rng = np.random.default_rng([seed, position])
        chosen = np.sort(rng.permutation(n_tokens)[:tokens_per_clip])
        values = low_level_values(encoder, waveform, n_tokens)
        pieces[position] = {name: value[chosen] for name, value in values.items()}
        pieces[position]["features"] = states[:, chosen].numpy().swapaxes(0, 1)
    ordered = [pieces[k] for k in range(len(clips))]
    dims = {
        "features": ("token", "layer", "feature"),
        "mfcc": ("token", "cepstrum"),
        "fbank": ("token", "band"),
    }
    lengths = [len(piece["features"]) for piece in ordered]
    return xr.Dataset(
        {name: (dims[name], np.concatenate([piece[name] for piece in ordered])) for name in dims},
        coords={
            "layer": np.arange(encoder.n_layers + 1),
            "clip": ("token", np.repeat([clip.name for clip in clips], lengths)),
        },
    ).transpose("layer", ...)

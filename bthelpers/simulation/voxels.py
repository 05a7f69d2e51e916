"""Voxels of simulated participants: what drives each of them, and how well it can be predicted.

Late language voxels follow the meaning of content words at the time of the words, and a little of
the acoustics; early auditory voxels follow spectrum and articulation; the others follow a signal of
their own and weak mixtures of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import xarray as xr

from bthelpers.core.signals import autocorrelated_noise
from bthelpers.core.timing import zscore
from bthelpers.params.simulation import SimulationSpec

OWN_SHARE = 0.8  # of the signal's variance in voxels outside of the planted regions
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

    @property
    def kinds(self) -> list[np.ndarray]:
        """The arrays, in the order of `signal_shares`."""
        return [getattr(self, kind.name) for kind in fields(self)]

    def centred(self) -> np.ndarray:
        """All latents, shape (response, tr, latent), of mean zero as responses are in a story.

        What differs between stories only, such as the speaker, thus drives no voxel.
        """
        joined = np.concatenate(self.kinds, axis=2)
        return joined - joined.mean(axis=1, keepdims=True)


def planted_ceilings(spec: SimulationSpec, planted: np.ndarray, rng) -> np.ndarray:
    """Noise ceilings with the published distribution, higher in planted regions, shape (voxel,)."""
    bonus = spec.planted_ceiling_bonus * planted
    order = np.argsort(np.argsort(rng.random(len(planted)) + bonus))
    quantiles = np.linspace(0, 1, len(spec.ceiling_quantiles))
    return np.interp((order + 0.5) / len(planted), quantiles, spec.ceiling_quantiles)


def signal_shares(masks: xr.DataArray, spec: SimulationSpec) -> np.ndarray:
    """Shares of each kind of latent in each voxel's variance, shape (kind, voxel)."""
    language, auditory = (masks.sel(region=region).values for region in PLANTED_REGIONS)
    acoustics = spec.acoustics_in_language**2
    mixed = (1 - OWN_SHARE) / 2
    shares = np.tile([[mixed], [mixed / 2], [mixed / 2], [OWN_SHARE]], masks.sizes["voxel"])
    shares[:, language] = [[1 - acoustics], [acoustics / 2], [acoustics / 2], [0]]
    shares[:, auditory] = [[0], [1 / 2], [1 / 2], [0]]
    return shares


def voxel_weights(
    latents: Sequence[Latents], shares: np.ndarray, response_of: np.ndarray, rng
) -> np.ndarray:
    """Draw the weights by which latents make up each voxel's signal.

    Latents of a kind keep their relative variances, so that rare ones matter less; the kinds have
    their shares of the variance, which is one over all stories.

    Parameters
    ----------
    latents : sequence of Latents
        Of all stories.
    shares : array of shape (kind, voxel)
        As of `signal_shares`.
    response_of : int array of shape (voxel,)
        Number of each voxel's haemodynamic response.
    rng : Generator

    Returns
    -------
    array of shape (latent, voxel)
        Of latents in the order of `Latents.centred`.
    """
    stories = np.concatenate([story.centred() for story in latents], axis=1)
    covariances = stories.transpose(0, 2, 1) @ stories / stories.shape[1]
    kind = np.repeat(np.arange(len(shares)), [array.shape[2] for array in latents[0].kinds])
    weights = rng.normal(size=(len(kind), len(response_of)))
    for number, share in enumerate(shares):
        of_kind = kind == number
        within = covariances[:, of_kind][:, :, of_kind]
        weights[of_kind] *= np.sqrt(share) / _deviations(weights[of_kind], within, response_of)
    # The kinds are correlated, so that their shares alone do not fix the variance.
    return weights / _deviations(weights, covariances, response_of)


def _deviations(weights, covariances, response_of) -> np.ndarray:
    """Standard deviations (voxel,) of weighted sums of latents, by these of their own response."""
    variances = np.empty(len(response_of))
    for number, covariance in enumerate(covariances):
        voxels = response_of == number
        variances[voxels] = (weights[:, voxels] * (covariance @ weights[:, voxels])).sum(axis=0)
    return np.sqrt(variances)


def voxel_signals(story: Latents, weights: np.ndarray, response_of: np.ndarray) -> np.ndarray:
    """Noise-free responses to one story, as float32 of shape (tr, voxel).

    Parameters
    ----------
    story : Latents
    weights : array of shape (latent, voxel)
        As of `voxel_weights`.
    response_of : int array of shape (voxel,)
    """
    latents, weights = story.centred().astype(np.float32), weights.astype(np.float32)
    signals = np.empty((latents.shape[1], len(response_of)), np.float32)
    for number, of_response in enumerate(latents):
        voxels = response_of == number
        signals[:, voxels] = of_response @ weights[:, voxels]
    return signals


def repeated_responses(
    signals: np.ndarray, ceilings: np.ndarray, spec: SimulationSpec, n_repeats: int, rng
) -> Iterator[np.ndarray]:
    """Hear a story several times: standardised responses to each, float64 of shape (tr, voxel).

    One repeat is in memory at a time, because all of them would be gigabytes.

    Parameters
    ----------
    signals : array of shape (tr, voxel)
        As of `voxel_signals`.
    ceilings : array of shape (voxel,)
        Noise ceilings of the mean over ``spec.repeats``; a voxel with 0 is noise alone.
    spec : SimulationSpec
    n_repeats : int
    rng : Generator
    """
    # CC_max of the mean of N repeats is 1 / sqrt(1 + noise / (N signal)).
    explained = np.clip(ceilings, 1e-3, None)
    noise_scale = np.sqrt(spec.repeats * (1 / explained**2 - 1)).astype(np.float32)
    heard = signals * (ceilings > 0).astype(np.float32)
    for _ in range(n_repeats):
        noise = autocorrelated_noise(heard.shape, spec.noise_autocorrelation, rng, np.float32)
        noise *= noise_scale
        noise += heard
        yield zscore(noise.astype(np.float64))

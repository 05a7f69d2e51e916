"""Noise ceiling from repeats of one story, and the voxels that can be modelled."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Voxels handled at once: ten repeats of 300 TRs are then 100 MB in float64.
_VOXELS_AT_ONCE = 4096


def noise_ceiling(repeats: ArrayLike) -> NDArray[np.float64]:
    """Noise ceiling CC_max of each voxel.

    The largest correlation between any prediction and the mean of N repeats (Schoppe et al. 2016)::

        TP = mean over repeats of the variance over time
        SP = (N Var(mean over repeats) - TP) / (N - 1)
        CC_max = 1 / sqrt(1 + (TP / SP - 1) / N)

    Only the ratio TP / SP enters, so the degrees of freedom of the variances cancel as long as
    both use the same; here both divide by the number of TRs.

    Parameters
    ----------
    repeats : array of shape (n_repeats, n_trs, n_voxels)
        Responses to each presentation of the story.

    Returns
    -------
    array of shape (n_voxels,)
        Between 0 and 1. Zero where the signal power SP is not positive, and for a voxel that is
        constant in every repeat or not finite somewhere: no correlation is explainable there.

    Raises
    ------
    ValueError
        If `repeats` has another number of dimensions, fewer than two repeats, or no TR.
    """
    repeats = np.asarray(repeats)
    if repeats.ndim != 3 or repeats.shape[0] < 2 or repeats.shape[1] < 1:
        raise ValueError(
            "a noise ceiling needs responses of shape (n_repeats, n_trs, n_voxels) with two or "
            f"more repeats, not {repeats.shape}"
        )
    ceiling = np.zeros(repeats.shape[2])
    for start in range(0, len(ceiling), _VOXELS_AT_ONCE):
        voxels = slice(start, start + _VOXELS_AT_ONCE)
        ceiling[voxels] = _cc_max(repeats[:, :, voxels].astype(np.float64))
    return ceiling


def _cc_max(repeats: NDArray[np.float64]) -> NDArray[np.float64]:
    n_repeats = len(repeats)
    with np.errstate(invalid="ignore"):  # inf - inf: not finite, so not explainable
        total_power = repeats.var(axis=1).mean(axis=0)
        mean_power = repeats.mean(axis=0).var(axis=0)
        varies = (np.ptp(repeats, axis=1) > 0).any(axis=0)
    signal_power = (n_repeats * mean_power - total_power) / (n_repeats - 1)
    explainable = varies & (signal_power > 0)
    # Var(mean) <= TP, hence SP <= TP; the maximum only removes rounding.
    ratio = np.maximum(total_power[explainable] / signal_power[explainable], 1)
    ceiling = np.zeros(len(explainable))
    ceiling[explainable] = 1 / np.sqrt(1 + (ratio - 1) / n_repeats)
    return ceiling


def select_voxels(
    ceiling: ArrayLike, threshold: float, mask: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """Voxels whose noise ceiling exceeds a threshold.

    Parameters
    ----------
    ceiling : array of shape (n_voxels,)
        Noise ceilings.
    threshold : float
        Voxels at or below it are left out; the papers use 0.4.
    mask : bool array of shape (n_voxels,), optional
        Voxels to choose from, such as a region; all by default.

    Returns
    -------
    bool array of shape (n_voxels,)

    Raises
    ------
    ValueError
        If a ceiling is NaN, or the mask is no boolean array of the ceiling's shape.
    """
    ceiling = np.asarray(ceiling)
    if np.isnan(ceiling).any():
        raise ValueError(f"{np.isnan(ceiling).sum()} of {ceiling.size} noise ceilings are NaN")
    selected = ceiling > threshold
    if mask is None:
        return selected
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != ceiling.shape:
        raise ValueError(
            f"the mask is {mask.dtype} of shape {mask.shape}: it must be bool {ceiling.shape}"
        )
    return selected & mask


def invalid_voxels(responses: np.ndarray) -> np.ndarray:
    """Find the voxels that cannot be modelled: not finite, or constant in time.

    Parameters
    ----------
    responses : array of shape (..., tr, voxel)
        Of one story; leading dimensions such as repeats are looked at one by one.

    Returns
    -------
    bool array of shape (voxel,)
        True where any value is NaN or infinite, or any time course is constant.
    """
    over = tuple(range(responses.ndim - 1))
    unfinite = ~np.isfinite(responses).all(axis=over)
    varies = (responses != responses[..., :1, :]).any(axis=-2)
    return unfinite | ~varies.all(axis=over[:-1])

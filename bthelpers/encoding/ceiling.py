"""Noise ceiling from repeats of one story, published noise ceilings, and voxels to be modelled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bthelpers.core.errors import DatasetError, parsing
from bthelpers.core.provenance import file_digest
from bthelpers.data.dataset import Dataset
from bthelpers.data.files import RESTORE
from bthelpers.data.recordings.opening import places, region_masks, region_table
from bthelpers.encoding.inputs import invalid_voxels
from bthelpers.params.settings import Profile, VoxelSettings

# Voxels handled at once: ten repeats of 300 TRs are then 100 MB in float64.
_VOXELS_AT_ONCE = 4096
PUBLISHED = Path(__file__).with_name("published_ceilings.json")
_HUNDREDTHS = np.arange(101) / 100


def noise_ceiling(repeats: ArrayLike) -> NDArray[np.float64]:
    """Noise ceiling CC_max of each voxel.

    The largest correlation between any prediction and the mean of N repeats (Schoppe et al. 2016)::

        TP = mean over repeats of the variance over time
        SP = (N Var(mean over repeats) - TP) / (N - 1)
        CC_max = 1 / sqrt(1 + (TP / SP - 1) / N) = sqrt(SP / Var(mean over repeats))

    Only ratios of powers enter: the degrees of freedom of the variances cancel as long as both use
    the same, and so do a factor common to a voxel's repeats and an offset of each repeat.

    For 5 or 10 repeats of 291 TRs of white noise, the median of the estimates is off by less than
    0.02 from a true ceiling of 0.2 on, their mean from 0.45 on. The mean is 0.04 too low around 0.3
    and 0.12 too high at 0: a root of a noisy number that cannot be negative is biased there.

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

    Examples
    --------
    Ten repeats of as much signal as noise, whose ceiling is the root of 10/11, and of noise alone:

    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(size=(10, 300, 2))
    >>> signal = rng.normal(size=(300, 1)) * [1, 0]
    >>> noise_ceiling(signal + noise).round(2)
    array([0.95, 0.  ])
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
        # Powers of tiny or huge responses leave the range of floating-point numbers: bring each
        # voxel to the order of one first, by a power of two, which rounds nothing.
        repeats = np.ldexp(repeats, -np.frexp(np.abs(repeats).max(axis=(0, 1)))[1])
        total_power = repeats.var(axis=1).mean(axis=0)
        mean_power = repeats.mean(axis=0).var(axis=0)
        varies = (np.ptp(repeats, axis=1) > 0).any(axis=0)
    signal_power = (n_repeats * mean_power - total_power) / (n_repeats - 1)
    explainable = varies & (signal_power > 0)
    # Var(mean) <= TP, hence SP <= Var(mean); the minimum only removes rounding.
    share = np.minimum(signal_power[explainable] / mean_power[explainable], 1)
    ceiling = np.zeros(len(explainable))
    ceiling[explainable] = np.sqrt(share)
    return ceiling


def split_half(repeats: ArrayLike) -> NDArray[np.float64]:
    """Noise ceilings by the odd and by the even repeats, of the mean over all of them.

    What one half estimates is independent of the noise by which the other one selects voxels. A
    half of n repeats gives the ceiling of their mean; the noise of the mean over all N is n / N of
    theirs (Spearman and Brown)::

        CC_N^2 = CC_n^2 / (CC_n^2 + n / N (1 - CC_n^2))

    Parameters
    ----------
    repeats : array of shape (n_repeats, n_trs, n_voxels)

    Returns
    -------
    array of shape (2, n_voxels)
        As of `noise_ceiling`; NaN for fewer than four repeats, because each half needs two.
    """
    repeats = np.asarray(repeats)
    if len(repeats) < 4:
        return np.full((2, repeats.shape[-1]), np.nan)
    ceilings = []
    for half in (repeats[::2], repeats[1::2]):
        share = noise_ceiling(half) ** 2
        ceilings.append(np.sqrt(share / (share + len(half) / len(repeats) * (1 - share))))
    return np.stack(ceilings)


def require_ceilings(ceiling: NDArray, where: str | Path) -> None:
    """Refuse noise ceilings that are NaN or outside of 0 to 1, naming where they are.

    Raises
    ------
    DatasetError
        If there is one.
    """
    wrong = ~((ceiling >= 0) & (ceiling <= 1))
    if wrong.any():
        raise DatasetError(
            f"{where}: {wrong.sum()} of {ceiling.size} noise ceilings are NaN or outside of 0 to 1;"
            " a voxel in which nothing is explainable has 0"
        )


def load_published(path: str | Path, n_voxels: int) -> NDArray[np.float64]:
    """Read the noise ceilings that were published for a participant.

    Parameters
    ----------
    path : path
        A ``.npy`` file of floating-point numbers, one per voxel in the order of the responses.
    n_voxels : int
        Voxels of the participant.

    Returns
    -------
    array of shape (n_voxels,)

    Raises
    ------
    DatasetError
        If the file is missing, no whole ``.npy`` file, or holds anything but noise ceilings of
        that many voxels.
    """
    remedy = "fetch the published array again, or have noise ceilings estimated from the repeats"
    if not Path(path).is_file():
        raise DatasetError(f"{path} is missing or no file: {remedy}")
    with parsing(path, "whole .npy file", remedy):
        # Mapped: this format alone is read, no pickle, and no more than the file holds.
        ceiling = np.lib.format.open_memmap(path, mode="r")
    if ceiling.dtype.kind != "f" or ceiling.shape != (n_voxels,):
        raise DatasetError(
            f"{path} holds {ceiling.dtype} of shape {ceiling.shape}, not floating-point numbers of"
            f" shape ({n_voxels},), one per voxel of the participant: name the file of this"
            " participant"
        )
    require_ceilings(ceiling, path)
    return np.array(ceiling, dtype=np.float64)


def ceiling_counts(ceiling: ArrayLike) -> xr.DataArray:
    """Count voxels by noise ceiling, rounded up to hundredths.

    Returns
    -------
    DataArray of int (ceiling,)
        At coordinate 0 the voxels at exactly 0, at 0.01 those in (0, 0.01], and so on to 1.

    Raises
    ------
    ValueError
        If a ceiling is NaN or outside of 0 to 1.
    """
    ceiling = np.asarray(ceiling)
    require_ceilings(ceiling, "counting voxels")
    counts = np.bincount(np.searchsorted(_HUNDREDTHS, ceiling), minlength=len(_HUNDREDTHS))
    return xr.DataArray(counts, coords={"ceiling": _HUNDREDTHS})


def voxels_above(counts: xr.DataArray) -> xr.DataArray:
    """Voxels whose noise ceiling exceeds each hundredth, from `ceiling_counts` (..., ceiling)."""
    return counts.sum("ceiling") - counts.cumsum("ceiling").assign_coords(counts.coords)


def count_published(files: Iterable[Path]) -> dict[str, dict]:
    """Counts of published arrays ``<participant>.npy``: the table of ``published_ceilings.json``.

    That file holds counts because the arrays' release names no licence.
    """
    return {
        file.stem: {
            "sha256": file_digest(file),
            "counts": ceiling_counts(np.load(file, allow_pickle=False)).values.tolist(),
        }
        for file in sorted(files)
    }


def published_counts() -> xr.DataArray:
    """Published noise ceilings of ds003020, counted by `ceiling_counts` (participant, ceiling)."""
    arrays = json.loads(PUBLISHED.read_text(encoding="utf-8"))["arrays"]
    return xr.DataArray(
        [array["counts"] for array in arrays.values()],
        coords={"participant": list(arrays), "ceiling": _HUNDREDTHS},
    )


def invalid_in_stories(
    dataset: Dataset, participant: str, stories: Sequence[str]
) -> NDArray[np.bool_]:
    """Voxels of a participant (voxel,) that cannot be modelled in one of the stories.

    Raises
    ------
    DatasetError
        If a row of a story has no finite value, by which it would be all of them.
    """
    found = []
    for story in stories:
        responses = dataset.responses(participant, story)
        if len(lost := np.flatnonzero(~np.isfinite(responses).any(axis=1))):
            raise DatasetError(
                f"{dataset.response_folder(participant)}: the responses to {story!r} have"
                f" {len(lost)} of {len(responses)} rows without a finite value, the first of them"
                f" {lost[0]}, counted from 0: {RESTORE}"
            )
        found.append(invalid_voxels(responses))
    return np.any(found, axis=0)


def participant_voxels(dataset: Dataset, participant: str, parameters: Profile) -> xr.Dataset:
    """Noise ceilings, regions and selected voxels of a participant (ICLR paper, section 3.2).

    Noise ceilings are means over test stories, from the rows that predictions are correlated with
    (``encoding.skip_test_rows``), unless the profile names a folder of published ones, which are of
    all rows. Voxels that are not finite or constant in a story are not selected.

    Parameters
    ----------
    dataset : Dataset
    participant : str
    parameters : Profile

    Returns
    -------
    Dataset
        ``ceiling`` (voxel), and ``ceiling_half`` (half, voxel) of `split_half`; ``invalid``,
        ``above`` (the threshold) and ``tuned`` (those above it in regions that models are tuned
        towards), bool (voxel); ``regions``, bool (region, voxel); of electrodes also ``electrode``
        and ``position``. The attribute ``ceilings`` says where the noise ceilings come from.

    Raises
    ------
    ValueError
        If a region has fewer than ``voxels.minimum`` voxels above the threshold, or published
        noise ceilings do not fit.
    DatasetError
        If a file of the dataset is missing or malformed.
    """
    settings, splits = parameters.voxels, parameters.dataset.splits_of(participant)
    invalid = invalid_in_stories(dataset, participant, splits.stories)
    skipped = parameters.encoding.skip_test_rows
    ceiling, *halves = _from_repeats(dataset, participant, splits.test, skipped, len(invalid))
    origin = f"estimated from the repeats, without their first {skipped} rows"
    if settings.published is not None:
        origin = f"published, {settings.published}"
        ceiling = load_published(f"{settings.published}/{participant}.npy", len(invalid))
    regions = region_masks(dataset, participant, region_table(parameters.dataset))
    above = (ceiling > settings.ceiling) & ~invalid
    _require_voxels(participant, regions & above, settings, invalid)
    tuned = above & regions.sel(region=list(settings.regions)).any("region").values
    by_voxel = {"ceiling": ceiling, "invalid": invalid, "above": above, "tuned": tuned}
    voxels = {name: ("voxel", values) for name, values in by_voxel.items()}
    halves = xr.DataArray(halves, {"half": ["odd", "even"]}, ("half", "voxel"))
    voxels |= {"ceiling_half": halves, "regions": regions, **places(dataset, participant)}
    return xr.Dataset(voxels, attrs={"ceilings": origin})


def _require_voxels(
    participant: str, above: xr.DataArray, settings: VoxelSettings, invalid: NDArray[np.bool_]
) -> None:
    """Refuse regions of which too few voxels are above the threshold, bool (region, voxel)."""
    counts = above.sum("voxel").to_series()
    if few := counts[counts < settings.minimum].to_dict():
        told = ", ".join(f"{region} has {count}" for region, count in few.items())
        raise ValueError(
            f"{participant}: of voxels with a noise ceiling above {settings.ceiling}, {told}"
            f" ({invalid.sum()} of {invalid.size} voxels are masked as NaN or constant);"
            f" voxels.minimum asks for {settings.minimum}: lower voxels.ceiling, leave the region"
            " out of dataset.regions, or, of simulated participants, lower simulate.voxel_size_mm"
            " or raise simulate.planted_ceiling_bonus"
        )


def _from_repeats(
    dataset: Dataset, participant: str, stories: Sequence[str], skipped: int, n_voxels: int
) -> NDArray[np.float64]:
    """Means over stories of noise ceilings by all, odd and even repeats, shape (3, voxel)."""
    blocks = np.array_split(np.arange(n_voxels), 8)  # bounds memory

    def ceilings(story: str, block: NDArray[np.integer]) -> NDArray[np.float64]:
        repeats = dataset.repeats(participant, story, block)[:, skipped:]
        return np.vstack([noise_ceiling(repeats), split_half(repeats)])

    by_story = [np.hstack([ceilings(story, block) for block in blocks]) for story in stories]
    for story, (of_all, *_) in zip(stories, by_story, strict=True):
        if not of_all.any():
            raise DatasetError(
                f"{dataset.response_folder(participant)}: the repeats of {story!r} are NaN"
                f" somewhere or unlike each other in every voxel: {RESTORE}"
            )
    return np.mean(by_story, axis=0)


def voxels_to_model(voxels: xr.Dataset, regions: Sequence[str] | None = None) -> xr.Dataset:
    """Voxels above the noise ceiling, labelled by their numbers among the participant's.

    Parameters
    ----------
    voxels : Dataset
        As of `participant_voxels`.
    regions : sequence of str, optional
        Regions whose voxels are taken, and which are kept; by default all voxels and regions.
    """
    voxels = voxels.assign_coords(voxel=np.arange(voxels.sizes["voxel"]))
    chosen = voxels["above"]
    if regions is not None:
        voxels = voxels.sel(region=list(regions))
        chosen = chosen & voxels["regions"].any("region")
    return voxels.isel(voxel=chosen.values)

"""How often tests find what is not there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bthelpers.core.signals import autocorrelated_noise
from bthelpers.encoding.alignment import bootstrap_alignment
from bthelpers.encoding.ceiling import require_ceilings
from bthelpers.statistics.correlation import pearson_r
from bthelpers.statistics.intervals import interval
from bthelpers.statistics.permutation import LEVEL
from bthelpers.statistics.wilcoxon import wilcoxon_over_participants, wilcoxon_over_voxels

# Of simulated comparisons: TRs of a story (8 minutes), AR(1) coefficients of signals and of noise
# from one TR to the next, and the share of variance that voxels have in common.
N_TRS, SMOOTH, NOISE, COMMON = 240, 0.8, 0.4, 0.3


def simulated_repeats(
    ceiling: ArrayLike, n_repeats: int, n_trs: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Responses of voxels whose noise ceilings are known.

    A signal that all repeats share and noise of each repeat, both white and Gaussian, such that
    the mean over repeats has unit variance and correlates with the signal as the ceiling says.

    Parameters
    ----------
    ceiling : array of shape (n_voxels,)
        True noise ceilings for the mean over the repeats.
    n_repeats, n_trs : int
    rng : Generator

    Returns
    -------
    array of shape (n_repeats, n_trs, n_voxels)

    Raises
    ------
    ValueError
        If a ceiling is NaN or outside of 0 to 1.
    """
    ceiling = np.asarray(ceiling)
    require_ceilings(ceiling, "simulated voxels")
    signal = rng.standard_normal((n_trs, len(ceiling)))
    noise = rng.standard_normal((n_repeats, n_trs, len(ceiling)))
    return ceiling * signal + np.sqrt(n_repeats * (1 - ceiling**2)) * noise


def simulated_alignment(
    ceiling: ArrayLike, alignment: float, n_repeats: int, n_trs: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Responses of voxels whose noise ceilings are known, and predictions of known alignment.

    As of `simulated_repeats`, but AR(1) in time (0.8, noise 0.4). Predictions are the signal and an
    error, such that their correlation with the mean over repeats is `alignment` times the ceiling.

    Returns
    -------
    repeats : array of shape (n_repeats, n_trs, n_voxels)
    predicted : array of shape (n_trs, n_voxels)
    """
    ceiling = np.asarray(ceiling)
    require_ceilings(ceiling, "simulated voxels")
    shape = (n_trs, len(ceiling))
    signal, error = (autocorrelated_noise(shape, SMOOTH, rng) for _ in range(2))
    noise = np.stack([autocorrelated_noise(shape, NOISE, rng) for _ in range(n_repeats)])
    repeats = ceiling * signal + np.sqrt(n_repeats * (1 - ceiling**2)) * noise
    return repeats, alignment * signal + np.sqrt(1 - alignment**2) * error


def rejection_rates(rejected: Mapping[str, ArrayLike]) -> pd.DataFrame:
    """How often tests reject, in per cent, with 95 % binomial (Clopper-Pearson) intervals.

    Parameters
    ----------
    rejected : mapping of str to bool array of shape (n_trials,)
        Whether each of a test's independent trials rejects, by the test's name.

    Returns
    -------
    DataFrame
        A row per test: ``rate``, ``low``, ``high`` in per cent, and ``trials``.
    """
    rows = {}
    for name, trials in rejected.items():
        trials = np.asarray(trials)
        result = stats.binomtest(int(trials.sum()), trials.size)
        bounds = result.proportion_ci(0.95, method="exact")
        percent = 100 * np.array([result.statistic, bounds.low, bounds.high])
        rows[name] = dict(zip(("rate", "low", "high"), percent, strict=True), trials=trials.size)
    return pd.DataFrame.from_dict(rows, orient="index")


def attainable_level(n: int) -> float:
    """Rate at which a two-sided exact Wilcoxon test of n pairs without a difference has p <= 0.05.

    Below 0.05, because the p-value of a few pairs takes few values.
    """
    counts = np.ones(1)  # of the 2**n choices of signs, by their sum of positive ranks
    for rank in range(1, n + 1):
        counts = np.convolve(counts, np.bincount([0, rank]))
    p = 2 * np.cumsum(counts) / 2**n
    return float(p[p <= LEVEL].max(initial=0))


def equal_models(
    n_participants: int,
    n_voxels: int,
    one_story: bool,
    rng: np.random.Generator,
    varied: float = 0,
    n_models: int = 2,
) -> NDArray[np.float64]:
    """Simulate responses, and predictions of two models that are equally good.

    Responses are signal and noise, predictions are the signal and an error of the model, in equal
    parts of the variance: either model's true correlation with the responses is 0.5. All parts are
    AR(1) in time (0.8, noise 0.4), and voxels of a participant have 0.3 of each in common.

    Parameters
    ----------
    n_participants, n_voxels : int
    one_story : bool
        Whether all participants share signal and errors, as where all hear one story, or each has
        its own. Noise is always their own.
    rng : Generator
    varied : float
        Standard deviation over participants of a model's share of the signal, 0.71 on average, at
        most 0.16: models are then equal over participants, but not for each of them.
    n_models : int

    Returns
    -------
    array of shape (n_models + 1, 240, n_participants, n_voxels)
        Predictions of each model, and responses; 240 TRs.
    """

    def series(coefficient: float, n_series: int) -> NDArray[np.float64]:
        common, own = (
            autocorrelated_noise((N_TRS, n_series, n), coefficient, rng) for n in (1, n_voxels)
        )
        return np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * own

    n_stories = 1 if one_story else n_participants
    signal = series(SMOOTH, n_stories)
    errors = [series(SMOOTH, n_stories) for _ in range(n_models)]
    others = np.stack(np.broadcast_arrays(*errors, series(NOISE, n_participants)))
    share = np.full((n_models + 1, 1, n_participants, 1), np.sqrt(0.5))
    share[:-1] += varied * np.sqrt(3) * rng.uniform(-1, 1, (n_models, 1, n_participants, 1))
    return share * signal + np.sqrt(1 - share**2) * others


def null_over_voxels(n_studies: int, n_voxels: int, rng: np.random.Generator) -> NDArray:
    """p-values (study,) of Wilcoxon tests of `equal_models` over one participant's voxels."""
    studies = (_correlations(equal_models(1, n_voxels, False, rng)) for _ in range(n_studies))
    return np.array([wilcoxon_over_voxels(a[0], b[0]).p for a, b in studies])


def null_over_participants(
    n_studies: int, n_participants: int, one_story: bool, rng: np.random.Generator
) -> NDArray:
    """p-values (study,) of Wilcoxon tests of `equal_models` over participants of ten voxels."""
    studies = (
        _correlations(equal_models(n_participants, 10, one_story, rng)).mean(axis=-1)
        for _ in range(n_studies)
    )
    return np.array([wilcoxon_over_participants(a, b).p for a, b in studies])


def _correlations(study: NDArray) -> NDArray[np.float64]:
    """Correlations (model, participant, voxel) of `equal_models`."""
    *predicted, actual = study.reshape(len(study), N_TRS, -1)
    r = [pearson_r(of_model, actual) for of_model in predicted]
    return np.reshape(r, (len(r), *study.shape[2:]))


def null_intervals(
    n_studies: int,
    n_participants: int,
    block: int,
    n_draws: int,
    rng: np.random.Generator,
    varied: float = 0.1,
) -> NDArray[np.bool_]:
    """Whether intervals of the difference of `equal_models` leave out 0: (study,).

    Of participants of ten voxels who hear one story, with `n_draws` draws of blocks of `block` TRs.
    A single participant stands for itself: models are then equal for it.
    """
    missed = []
    for seed in range(n_studies):
        study = equal_models(n_participants, 10, True, rng, varied * (n_participants > 1))
        a, b = alignments(study, block, n_draws, seed)
        low, high = interval(a - b, "participant", 1 - LEVEL)
        missed.append(not low <= 0 <= high)
    return np.array(missed)


def alignments(study: NDArray, block: int, n_draws: int, seed: int) -> list[xr.Dataset]:
    """Estimate (participant) of each model's alignment in a study of `equal_models`.

    All ceilings are 1.
    """
    region = xr.DataArray(np.ones((1, study.shape[-1]), bool), dims=("region", "voxel"))
    ceiling = np.ones(study.shape[-1])
    r = _correlations(study)
    found = []
    for of_model, predicted in zip(r, study[:-1], strict=True):
        draws = [
            bootstrap_alignment(
                predicted[:, k], study[-1, :, k], ceiling, region, block, n_draws, seed
            ).squeeze("region")
            for k in range(study.shape[2])
        ]
        joined = xr.concat(draws, "participant", coords="minimal", compat="equals")
        value = ("participant", of_model.mean(axis=-1))
        found.append(xr.Dataset({"value": value, "draws": joined}))
    return found

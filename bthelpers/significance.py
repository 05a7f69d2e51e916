"""Significance of brain alignment: a null for each voxel, and simulated nulls that check the tests.

Section 3.4.1 of Moussa et al. (ICLR 2025) tests with the Wilcoxon signed-rank test, which is in
`bthelpers.alignment` with the bootstrap. Here is the test of single voxels, which the paper lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy import fft, stats

from bthelpers.alignment import (
    bootstrap_alignment,
    interval,
    wilcoxon_over_participants,
    wilcoxon_over_voxels,
)
from bthelpers.encoding import pearson_r
from bthelpers.results import MAKE, Results, ResultsError, Run
from bthelpers.summary import LAYERS
from bthelpers.timing import zscore

LEVEL = 0.05  # of every test, and of the false discovery rate
# Voxels handled at once: two thousand draws of them are 16 MB in float64.
_VOXELS_AT_ONCE = 1024
# Of simulated comparisons: TRs of a story (8 minutes), AR(1) coefficients of signals and of noise
# from one TR to the next, and the share of variance that voxels have in common.
N_TRS, SMOOTH, NOISE, COMMON = 240, 0.8, 0.4, 0.3


def permutation_p(
    predicted: ArrayLike, actual: ArrayLike, block: int, n_draws: int, seed: int
) -> NDArray[np.float64]:
    """p-value of each voxel's correlation, against responses whose blocks of TRs are permuted.

    The responses are closed to a circle and cut, from a random TR on, into blocks of about `block`
    TRs, which take each other's places at random. With r' the correlation after that::

        p = (1 + number of r' >= r) / (1 + n_draws)

    Successive TRs are alike, but not across the border of two blocks. Hence r' varies less than r
    does by chance: with short blocks, which have many borders, too many voxels seem aligned. One
    block, turned around the circle, has a single border but no more arrangements than the story
    has TRs. Blocks of about 50 TRs find 5 % of unrelated voxels (`book/significance.md`), and five
    of them have thousands of arrangements.

    Parameters
    ----------
    predicted, actual : array of shape (n_trs, n_voxels)
        Predictions and responses.
    block : int
        TRs of a block. The story is cut into the number of nearly equal blocks that comes nearest:
        one if it is short.
    n_draws : int
        Number of arrangements drawn, the same ones for all voxels.
    seed : int
        Seed of the draws.

    Returns
    -------
    array of shape (n_voxels,)
        One-sided: small where prediction and response are positively correlated. NaN where
        `pearson_r` is: either is constant, or NaN somewhere.

    Raises
    ------
    ValueError
        If the shapes differ, or `block` or `n_draws` is below 1.
    """
    predicted, actual = np.asarray(predicted), np.asarray(actual)
    if min(block, n_draws) < 1:
        raise ValueError(f"{n_draws} draws of blocks of {block} TRs: give one or more of each")
    undefined = np.isnan(pearson_r(predicted, actual))
    n_trs = len(actual)
    n_blocks = max(round(n_trs / block), 1)
    lengths = np.diff(np.linspace(0, n_trs, n_blocks + 1).astype(int))
    lags = _block_lags(lengths, n_draws, np.random.default_rng(seed))
    p = np.empty(predicted.shape[1])
    for first in range(0, len(p), _VOXELS_AT_ONCE):
        some = slice(first, first + _VOXELS_AT_ONCE)
        x, y = (zscore(series[:, some].astype(np.float64)) for series in (predicted, actual))
        products = _lagged_products(x, y, lengths, lags)
        p[some] = (products >= products[0]).mean(axis=0)
    return np.where(undefined, np.nan, p)


def _block_lags(lengths: NDArray, n_draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How many TRs after a block of predictions its responses are found: (1 + draw, block).

    The first row is of the responses as they are. In the others, responses from a random TR on are
    dealt to the blocks in random order: to each as many as it has predictions.
    """
    n_trs, starts = lengths.sum(), np.cumsum(lengths) - lengths
    order = rng.permuted(np.tile(np.arange(len(lengths)), (n_draws, 1)), axis=1)
    dealt = lengths[order]
    found = rng.integers(n_trs, size=(n_draws, 1)) + np.cumsum(dealt, axis=1) - dealt
    lags = np.zeros((1 + n_draws, len(lengths)), dtype=np.int64)
    np.put_along_axis(lags[1:], order, (found - starts[order]) % n_trs, axis=1)
    return lags


def _lagged_products(
    x: NDArray, y: NDArray, lengths: NDArray, lags: NDArray
) -> NDArray[np.float64]:
    """Sums (draw, voxel) of x times y where each block of x meets y at a lag, on a circle.

    For each block of x, one Fourier transform gives the sums at all lags, of which draws take one.
    """
    edges = np.concatenate([[0], np.cumsum(lengths)])
    spectrum = fft.rfft(y, axis=0)
    sums = np.zeros((len(lags), x.shape[1]))
    for (start, stop), lag in zip(pairwise(edges), lags.T, strict=True):
        of_block = np.zeros_like(x)
        of_block[start:stop] = x[start:stop]
        at_lags = fft.irfft(fft.rfft(of_block, axis=0).conj() * spectrum, n=len(x), axis=0)
        sums += at_lags[lag]
    return sums


def significance_table(results: Results, model: str, region: str) -> pd.DataFrame:
    """Share of a region's voxels with significant alignment, per condition, layers and participant.

    In each layer, the false discovery rate is held at 5 % (Benjamini and Hochberg, 1995) over all
    voxels of the participant that were modelled, in this region or not.

    Returns
    -------
    DataFrame
        ``voxels`` of the region that have a p-value in every layer, ``without p`` the number of
        the others, ``significant (%)`` of the former, mean over layers.

    Raises
    ------
    ResultsError
        If a run is missing or holds no p-values.
    """
    profile = results.profile()
    rows = []
    for condition in profile.conditions_of(model):
        found = {
            participant: _significant(results, Run(model, participant, condition, "alignment"))
            for participant in profile.participants_of(model)
        }
        for name, layers in LAYERS.items():
            for participant, significant in found.items():
                regions = results.voxels(participant)["regions"].sel(region=region).astype(bool)
                inside = significant[:, regions.values[significant["voxel"]]]
                tested = inside.dropna("voxel")
                rows.append(
                    {
                        "condition": condition,
                        "layers": name,
                        "participant": participant,
                        "voxels": tested.sizes["voxel"],
                        "without p": inside.sizes["voxel"] - tested.sizes["voxel"],
                        "significant (%)": 100 * tested.isel(layer=layers).mean().item(),
                    }
                )
    return pd.DataFrame(rows).set_index(["condition", "layers", "participant"])


def _significant(results: Results, run: Run) -> xr.DataArray:
    """1 where a voxel of a layer is significant, 0 where not, NaN where some layer has no p."""
    alignment = results.open(*run)
    if "p" not in alignment:
        raise ResultsError(
            f"{results.root.joinpath(*run)}.nc holds no p-values, as an earlier version made it;"
            f" delete it, then {MAKE}"
        )
    p = alignment["p"].transpose("layer", "voxel")
    tested = p.dropna("voxel")
    adjusted = stats.false_discovery_control(tested, axis=1)
    significant = tested.copy(data=(adjusted <= LEVEL).astype(float))
    return significant.reindex(voxel=p["voxel"])


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
    n_participants: int, n_voxels: int, one_story: bool, rng: np.random.Generator
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

    Returns
    -------
    array of shape (3, 240, n_participants, n_voxels)
        Predictions of the one model, of the other, and responses; 240 TRs.
    """
    # Imported here, since it comes with the synthesiser, which an evaluation does not need.
    from bthelpers.simulate import autocorrelated_noise

    def series(coefficient: float, n_series: int) -> NDArray[np.float64]:
        common, own = (
            autocorrelated_noise((N_TRS, n_series, n), coefficient, rng) for n in (1, n_voxels)
        )
        return np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * own

    n_stories = 1 if one_story else n_participants
    signal = series(SMOOTH, n_stories)
    errors = [series(SMOOTH, n_stories) for _ in range(2)]
    others = np.broadcast_arrays(*errors, series(NOISE, n_participants))
    return (signal + np.stack(others)) / np.sqrt(2)


def null_over_voxels(n_studies: int, n_voxels: int, rng: np.random.Generator) -> NDArray:
    """p-values (study,) of Wilcoxon tests of `equal_models` over one participant's voxels."""
    p = []
    for _ in range(n_studies):
        a, b = _correlations(equal_models(1, n_voxels, False, rng))
        p.append(wilcoxon_over_voxels(a[0], b[0]).p)
    return np.array(p)


def null_over_participants(
    n_studies: int, n_participants: int, one_story: bool, rng: np.random.Generator
) -> NDArray:
    """p-values (study,) of Wilcoxon tests of `equal_models` over participants of ten voxels."""
    p = []
    for _ in range(n_studies):
        a, b = _correlations(equal_models(n_participants, 10, one_story, rng)).mean(axis=-1)
        p.append(wilcoxon_over_participants(a, b).p)
    return np.array(p)


def _correlations(study: NDArray) -> NDArray[np.float64]:
    """Correlations (model, participant, voxel) of `equal_models`."""
    *predicted, actual = study.reshape(len(study), N_TRS, -1)
    r = [pearson_r(of_model, actual) for of_model in predicted]
    return np.reshape(r, (len(r), *study.shape[2:]))


def null_intervals(
    n_studies: int, block: int, n_draws: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Whether bootstrap intervals of the difference of `equal_models` leave out 0: (study,).

    Of one participant's ten voxels, with `n_draws` draws of blocks of `block` TRs.
    """
    region = xr.DataArray(np.ones((1, 10), bool), dims=("region", "voxel"))
    missed = []
    for seed in range(n_studies):
        *predicted, actual = equal_models(1, 10, False, rng)[:, :, 0]
        a, b = (
            bootstrap_alignment(of_model, actual, np.ones(10), region, block, n_draws, seed)
            for of_model in predicted
        )
        low, high = interval(a - b, 1 - LEVEL).squeeze()
        missed.append(not low <= 0 <= high)
    return np.array(missed)

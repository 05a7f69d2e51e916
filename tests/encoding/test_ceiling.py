from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from bthelpers.claims.null_studies import simulated_repeats
from bthelpers.core.errors import DatasetError
from bthelpers.encoding import ceiling
from bthelpers.encoding.ceiling import (
    ceiling_counts,
    count_published,
    load_published,
    noise_ceiling,
    participant_voxels,
    published_counts,
    split_half,
    voxels_above,
    voxels_to_model,
)
from bthelpers.params.loading import load
from bthelpers.params.simulation import PUBLISHED_CEILINGS


def ceiling_by_loops(repeats, ddof):
    """CC_max of Schoppe et al. (2016), voxel by voxel."""
    n_repeats, n_trs, n_voxels = repeats.shape

    def variance(series):
        mean = math.fsum(series) / n_trs
        return math.fsum((value - mean) ** 2 for value in series) / (n_trs - ddof)

    result = []
    for voxel in range(n_voxels):
        total = sum(variance(repeat[:, voxel]) for repeat in repeats) / n_repeats
        of_mean = variance([math.fsum(column) / n_repeats for column in repeats[:, :, voxel].T])
        signal = (n_repeats * of_mean - total) / (n_repeats - 1)
        result.append(1 / math.sqrt(1 + (total / signal - 1) / n_repeats) if signal > 0 else 0)
    return np.array(result)


def simulated(share, n_repeats=10, n_trs=291, n_voxels=400, seed=0):
    """Voxels of unit variance of which `share` is a signal that all repeats have in common."""
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((n_trs, n_voxels))
    noise = rng.standard_normal((n_repeats, n_trs, n_voxels))
    return np.sqrt(share) * signal + np.sqrt(1 - share) * noise


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("shape", [(2, 2, 1), (3, 7, 5), (10, 31, 4), (5, 16, 9)])
def test_agrees_with_loops_whichever_the_degrees_of_freedom(shape, ddof):
    rng = np.random.default_rng(1)
    repeats = rng.standard_normal(shape) + rng.standard_normal(shape[1:]) * rng.random(shape[2])
    np.testing.assert_allclose(
        noise_ceiling(repeats), ceiling_by_loops(repeats, ddof), rtol=0, atol=1e-12
    )


def share_for(true, n_repeats):
    """Share of signal in one repeat that makes `true` the ceiling for the mean of all."""
    power = true**2 / (1 - true**2) / n_repeats
    return power / (1 + power)


@pytest.mark.parametrize("n_repeats", [2, 5, 10])
@pytest.mark.parametrize("true", [0.55, 0.7, 0.85, 0.97])
def test_recovers_a_known_signal_share(true, n_repeats):
    estimated = noise_ceiling(simulated(share_for(true, n_repeats), n_repeats, n_voxels=2000))
    assert estimated.mean() == pytest.approx(true, abs=0.02)
    assert np.median(estimated) == pytest.approx(true, abs=0.02)


@pytest.mark.parametrize("n_repeats", [5, 10])
@pytest.mark.parametrize("true", [0.2, 0.3, 0.4])
def test_low_ceilings_are_right_in_the_median_and_low_in_the_mean(true, n_repeats):
    estimated = noise_ceiling(simulated(share_for(true, n_repeats), n_repeats, n_voxels=4000))
    assert np.median(estimated) == pytest.approx(true, abs=0.02)
    assert true - 0.05 < estimated.mean() < true


def test_is_the_correlation_of_the_true_signal_with_the_mean_of_the_repeats():
    rng = np.random.default_rng(2)
    signal = rng.standard_normal((2000, 1))
    repeats = signal + 2 * rng.standard_normal((10, 2000, 1))
    r = np.corrcoef(signal[:, 0], repeats.mean(0)[:, 0])[0, 1]
    assert noise_ceiling(repeats)[0] == pytest.approx(r, abs=0.02)


def test_pure_noise_is_finite_and_zero_for_about_half_of_the_voxels():
    estimated = noise_ceiling(simulated(0.0, n_voxels=2000))
    assert np.isfinite(estimated).all()
    assert 0.4 < (estimated == 0).mean() < 0.65
    assert estimated.max() < 0.6


def test_the_same_response_to_every_repeat_is_fully_explainable():
    repeats = np.repeat(np.random.default_rng(3).standard_normal((1, 50, 300)), 10, axis=0)
    estimated = noise_ceiling(repeats)
    np.testing.assert_allclose(estimated, 1)
    assert estimated.max() <= 1


def test_voxels_without_a_ceiling_are_zero():
    repeats = simulated(0.5, n_voxels=7)
    repeats[3, 100, 0] = np.nan
    repeats[:, :, 1] = np.nan
    repeats[0, 0, 2] = np.inf
    repeats[:, :, 3] = 0.1  # constant: its variance rounds to more than zero
    repeats[:, :, 4] = np.arange(10)[:, None] + 0.1  # constant in each repeat
    estimated = noise_ceiling(repeats)
    np.testing.assert_array_equal(estimated[:5], 0)
    np.testing.assert_allclose(estimated[5:], ceiling_by_loops(repeats[:, :, 5:], 1), atol=1e-12)


def test_one_repeat_that_is_constant_is_an_ordinary_repeat():
    repeats = simulated(0.8, n_repeats=4, n_trs=30, n_voxels=3)
    repeats[2] = 0
    np.testing.assert_allclose(noise_ceiling(repeats), ceiling_by_loops(repeats, 1), atol=1e-12)


def test_one_tr_explains_nothing():
    np.testing.assert_array_equal(noise_ceiling(np.random.default_rng(4).random((3, 1, 5))), 0)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 999),
    exponents=st.lists(st.integers(-295, 295), min_size=6, max_size=6),
    offsets=st.lists(st.floats(-10, 10), min_size=4, max_size=4),
)
def test_is_invariant_to_scale_sign_offsets_and_order(seed, exponents, offsets):
    repeats = simulated(0.3, n_repeats=4, n_trs=20, n_voxels=6, seed=seed)
    scale = -(10.0 ** np.array(exponents))
    estimated = noise_ceiling(repeats)
    assert ((estimated >= 0) & (estimated <= 1)).all()
    moved = (repeats + np.array(offsets)[:, None, None]) * scale
    np.testing.assert_allclose(noise_ceiling(moved), estimated, atol=1e-6)
    np.testing.assert_allclose(noise_ceiling(repeats[::-1, ::-1]), estimated, atol=1e-9)


def test_a_power_of_two_changes_no_bit():
    repeats = simulated(0.3, n_repeats=3, n_trs=31, n_voxels=5)
    estimated = noise_ceiling(repeats)
    for exponent in (-900, 900):
        np.testing.assert_array_equal(noise_ceiling(np.ldexp(repeats, exponent)), estimated)


def test_float32_is_summed_in_float64():
    repeats = simulated(0.4, n_voxels=20).astype(np.float32)
    estimated = noise_ceiling(repeats)
    assert estimated.dtype == np.float64
    np.testing.assert_allclose(estimated, noise_ceiling(repeats.astype(np.float64)), atol=1e-15)


def test_voxels_do_not_depend_on_how_many_are_handled_at_once(monkeypatch):
    repeats = simulated(0.4, n_repeats=3, n_trs=20, n_voxels=11)
    whole = noise_ceiling(repeats)
    monkeypatch.setattr(ceiling, "_VOXELS_AT_ONCE", 4)
    np.testing.assert_allclose(noise_ceiling(repeats), whole, rtol=1e-12)
    assert noise_ceiling(repeats[:, :, :0]).shape == (0,)


@pytest.mark.parametrize("shape", [(1, 30, 4), (30, 4), (3, 0, 4)])
def test_refuses_what_has_no_repeats(shape):
    with pytest.raises(ValueError, match="two or more repeats"):
        noise_ceiling(np.zeros(shape))


@pytest.mark.parametrize("n_repeats", [4, 5, 7, 10])
def test_halves_are_converted_to_all_repeats_by_their_powers(n_repeats):
    repeats = simulated(0.6, n_repeats, n_trs=40, n_voxels=6)
    for found, first in zip(split_half(repeats), (0, 1), strict=True):
        half = [repeats[k] for k in range(first, n_repeats, 2)]
        total = np.mean([repeat.var(axis=0) for repeat in half], axis=0)
        signal = (len(half) * np.var(sum(half) / len(half), axis=0) - total) / (len(half) - 1)
        expected = np.sqrt(signal / (signal + (total - signal) / n_repeats))
        np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("n_repeats", [5, 10])
@pytest.mark.parametrize("true", [0.6, 0.75, 0.9])
def test_either_half_recovers_a_known_ceiling_of_all_repeats(true, n_repeats):
    rng = np.random.default_rng(0)
    repeats = simulated_repeats(np.full(3000, true), n_repeats, 291, rng)
    np.testing.assert_allclose(np.median(split_half(repeats), axis=1), true, atol=0.02)


def test_halves_without_signal_or_repeats_have_no_ceiling():
    silent = np.zeros((4, 20, 3))
    np.testing.assert_array_equal(split_half(silent), np.zeros((2, 3)))
    assert np.isnan(split_half(simulated(0.5, n_repeats=3, n_voxels=5))).all()


def saved(folder, content):
    path = folder / "UTS01.npy"
    np.save(path, content, allow_pickle=True)
    return path


@pytest.mark.parametrize("dtype", ["<f8", "<f4", ">f8", "<f2"])
def test_published_ceilings_are_read_as_float64(tmp_path, dtype):
    ceilings = np.array([0, 0.25, 1, 0.4]).astype(dtype)
    loaded = load_published(str(saved(tmp_path, ceilings)), 4)
    assert loaded.dtype == np.float64
    assert loaded.flags.writeable
    np.testing.assert_array_equal(loaded, ceilings)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.array([0, 1, 1]), r"int64 of shape \(3,\).*floating-point.*this participant"),
        (np.zeros((3, 1)), r"float64 of shape \(3, 1\).*shape \(3,\)"),
        (np.float64(0.5), r"of shape \(\)"),
        (np.zeros(4), r"of shape \(4,\).*shape \(3,\).*voxel of the participant"),
        (np.array([0.1, np.nan, 0.3]), "1 of 3 noise ceilings are NaN"),
        (np.array([0.1, 1.01, -0.1]), "2 of 3 noise ceilings .* outside of 0 to 1"),
        (np.array([0.1, np.inf, 0.3]), "1 of 3 noise ceilings .* outside of 0 to 1"),
        (np.array([print, 1, 2], dtype=object), "whole .npy file .*Python objects.*fetch"),
        (np.array(["0.1", "0.2", "0.3"]), "<U3 of shape"),
    ],
)
def test_published_ceilings_that_are_none_are_refused(tmp_path, content, message):
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*{message}"):
        load_published(path, 3)


def test_published_files_that_are_no_array_are_refused(tmp_path):
    whole = saved(tmp_path, np.full(9, 0.5)).read_bytes()
    np.savez(tmp_path / "several.npz", np.full(9, 0.5))
    contents = {
        "absent": None,
        "empty": b"",
        "text": b"0.1\n0.2\n",
        "archive": (tmp_path / "several.npz").read_bytes(),
        "pickle": b"\x80\x04cbuiltins\nprint\n)R.",
        "damaged header": whole.replace(b"}", b" "),
        **{f"cut at {length}": whole[:length] for length in (3, 9, 60, 128, len(whole) - 1)},
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}.npy"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{re.escape(str(path))} is .*fetch .* again"):
            load_published(path, 9)


hundredths_and_others = st.one_of(
    st.integers(0, 100).map(lambda k: k / 100), st.floats(0, 1), st.just(0.0)
)


@given(st.lists(hundredths_and_others, max_size=40))
def test_counts_are_of_ceilings_rounded_up_to_hundredths(ceilings):
    expected = [0] * 101
    for value in ceilings:
        expected[next(k for k in range(101) if value <= k / 100)] += 1
    counts = ceiling_counts(ceilings)
    assert counts.values.tolist() == expected
    assert counts["ceiling"].values.tolist() == [k / 100 for k in range(101)]
    above = voxels_above(counts)
    for k in range(101):
        threshold = k / 100
        assert above.sel(ceiling=threshold) == sum(value > threshold for value in ceilings)


@pytest.mark.parametrize("wrong", [np.nan, -0.01, 1.5])
def test_what_is_no_ceiling_is_neither_counted_nor_simulated(wrong):
    with pytest.raises(ValueError, match="1 of 2 noise ceilings"):
        ceiling_counts([0.5, wrong])
    with pytest.raises(ValueError, match="simulated voxels: 1 of 2 noise ceilings"):
        simulated_repeats([0.5, wrong], 2, 3, np.random.default_rng(0))


def test_counts_of_published_arrays_are_read_as_they_were_counted(tmp_path, monkeypatch):
    rng = np.random.default_rng(6)
    arrays = {f"UTS0{k}": rng.random(50 + k) * (rng.random(50 + k) > 0.2) for k in (2, 1)}
    for participant, array in arrays.items():
        np.save(tmp_path / f"{participant}.npy", array)
    table = count_published(tmp_path.glob("*.npy"))
    assert table["UTS01"]["sha256"] != table["UTS02"]["sha256"]
    monkeypatch.setattr(ceiling, "PUBLISHED", tmp_path / "counts.json")
    ceiling.PUBLISHED.write_text(json.dumps({"arrays": table}))
    counts = published_counts()
    assert counts.dims == ("participant", "ceiling")
    assert counts["participant"].values.tolist() == ["UTS01", "UTS02"]
    for participant, array in arrays.items():
        chosen = counts.sel(participant=participant)
        assert chosen.sum() == len(array)
        assert chosen.sel(ceiling=0) == (array == 0).sum()
        assert voxels_above(chosen).sel(ceiling=0.4) == (array > 0.4).sum()


def test_shipped_counts_are_those_of_the_published_participants():
    counts = published_counts()
    assert counts["participant"].values.tolist() == ["UTS01", "UTS02", "UTS03"]
    assert counts.sum("ceiling").values.tolist() == [81_126, 94_251, 95_556]
    assert voxels_above(counts).sel(ceiling=0.4).values.tolist() == [23_539, 43_613, 50_732]
    # The quantiles that simulated participants get are of the same arrays; rounding up adds < 0.01.
    quantiles = [
        np.quantile(np.repeat(counts["ceiling"], row), np.linspace(0, 1, 21)) for row in counts
    ]
    excess = np.mean(quantiles, axis=0) - PUBLISHED_CEILINGS
    assert ((excess > -0.001) & (excess < 0.0105)).all()
    assert set(json.loads(ceiling.PUBLISHED.read_text())) >= {"source", "licence", "content"}


# Two test stories of 600 voxels, whose regions are the first, second and last third.
SMOKE = Path(__file__).parents[2] / "params" / "smoke.yaml"
N_VOXELS = 600
REGIONS = xr.DataArray(
    np.arange(N_VOXELS) // 200 == [[0], [1], [2]],
    {"region": ["late_language", "auditory", "primary_auditory"]},
    ("region", "voxel"),
)


class Repeated:
    """Stands for a dataset: signals of all strengths, and voxels that cannot be modelled."""

    def __init__(self, shares):
        self.shares = shares

    def responses(self, participant, story, voxels=slice(None)):
        values = np.random.default_rng(len(story)).normal(size=(30, N_VOXELS))
        values[3, 10], values[:, 20] = np.nan, 0.5
        if story == "story02":
            values[:, 30] = 0
        return values[:, voxels]

    def repeats(self, participant, story, voxels=slice(None)):
        return simulated(self.shares, n_trs=80, n_voxels=N_VOXELS, seed=int(story[-1]))[..., voxels]


@pytest.fixture
def profile(monkeypatch):
    """Two test stories, of which SIM02 heard one."""
    monkeypatch.setattr(ceiling, "region_masks", lambda *_: REGIONS)
    splits = {
        "train": ["story01", "story02"],
        "validation": ["story03"],
        "test": ["story04", "story05"],
    }
    changed = {f"dataset.splits.{split}": stories for split, stories in splits.items()}
    changed |= {"dataset.participants": ["SIM01", "SIM02"], "voxels.regions": ["late_language"]}
    return load(SMOKE, changed | {"dataset.absent": {"SIM02": ["story04"]}})


@pytest.mark.parametrize(
    ("participant", "stories"), [("SIM01", ["story04", "story05"]), ("SIM02", ["story05"])]
)
def test_voxels_of_a_participant(profile, participant, stories):
    dataset = Repeated(np.tile(np.linspace(0, 0.5, 200), 3))
    voxels = participant_voxels(dataset, participant, profile)
    assert voxels.attrs == {"ceilings": "estimated from the repeats, without their first 0 rows"}
    by_story = [noise_ceiling(dataset.repeats(participant, story)) for story in stories]
    np.testing.assert_allclose(voxels["ceiling"], np.mean(by_story, axis=0), atol=1e-12)
    halves = [split_half(dataset.repeats(participant, story)) for story in stories]
    np.testing.assert_allclose(voxels["ceiling_half"], np.mean(halves, axis=0), atol=1e-12)
    assert voxels["ceiling_half"]["half"].values.tolist() == ["odd", "even"]
    assert np.flatnonzero(voxels["invalid"]).tolist() == [10, 20, 30]
    above = (voxels["ceiling"].values > profile.voxels.ceiling) & ~voxels["invalid"].values
    assert 0 < above.sum() < N_VOXELS - 3
    np.testing.assert_array_equal(voxels["above"], above)
    np.testing.assert_array_equal(voxels["tuned"], above & (np.arange(N_VOXELS) < 200))
    xr.testing.assert_identical(voxels["regions"].drop_attrs(), REGIONS.rename("regions"))


class Interrupted(Repeated):
    """Something else than the story is heard in the first 40 TRs, at another time each repeat."""

    def repeats(self, participant, story, voxels=slice(None)):
        repeats = super().repeats(participant, story)
        repeats[:, :40] = 20 * np.random.default_rng(9).standard_normal((10, 40, N_VOXELS))
        return repeats[..., voxels]


def test_ceilings_are_of_the_rows_that_predictions_are_correlated_with(profile):
    """Of all rows, the mean ceiling would be below 0.2 where it is 0.93."""
    dataset = Interrupted(0.4)
    settings = {"encoding.skip_test_rows": 40, "dataset.splits.test": ["story05"]}
    voxels = participant_voxels(dataset, "SIM01", load(SMOKE, settings))
    undisturbed = Repeated(0.4).repeats("SIM01", "story05")[:, 40:]
    np.testing.assert_allclose(voxels["ceiling"], noise_ceiling(undisturbed), atol=1e-12)
    np.testing.assert_allclose(voxels["ceiling_half"], split_half(undisturbed), atol=1e-12)
    assert voxels["ceiling"].mean() > 0.9
    assert noise_ceiling(dataset.repeats("SIM01", "story05")).mean() < 0.2
    assert voxels.attrs["ceilings"].endswith("without their first 40 rows")


def test_published_ceilings_take_the_place_of_estimates(profile, tmp_path):
    published = np.tile(np.linspace(0, 1, 200), 3)
    np.save(tmp_path / "SIM01.npy", published)
    given = load(SMOKE, {"voxels.published": str(tmp_path), "voxels.regions": ["auditory"]})
    voxels = participant_voxels(Repeated(0.0), "SIM01", given)
    np.testing.assert_array_equal(voxels["ceiling"], published)
    assert voxels.attrs == {"ceilings": f"published, {tmp_path}"}
    assert voxels["tuned"].sum() == voxels["above"][200:400].sum() == (published > 0.4).sum() / 3


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"voxels.ceiling": 0.9},
            r"0\.9, auditory has 0, primary_auditory has 0 \(3 of 600 voxels are masked as NaN or"
            r" constant\); .* 1: lower",
        ),
        (  # of 200 voxels of late language, three are invalid
            {"voxels.ceiling": 0.0, "voxels.minimum": 197},
            r"0\.0, auditory has \d+, primary_auditory has \d+ .*; voxels\.minimum asks for 197:"
            r" lower .* simulate\.voxel_size_mm or raise simulate\.planted_ceiling_bonus",
        ),
        ({"voxels.ceiling": 0.0, "voxels.minimum": 198}, r"0\.0, late_language has 197, auditory"),
    ],
)
def test_a_region_with_too_few_voxels_above_the_threshold_is_an_error(profile, settings, told):
    shares = np.where(np.arange(N_VOXELS) < 200, 0.5, 0.0)
    with pytest.raises(ValueError, match="SIM01: of voxels with a noise ceiling above " + told):
        participant_voxels(Repeated(shares), "SIM01", load(SMOKE, settings))


class Lost(Repeated):
    """A dataset in which nothing of a time is known of any voxel."""

    def response_folder(self, participant):
        return Path("preprocessed_data", participant)

    def responses(self, participant, story, voxels=slice(None)):
        values = super().responses(participant, story)
        values[[4, 7] if story == "story03" else []] = np.nan
        return values[:, voxels]


def test_a_row_without_a_value_is_named_where_it_would_mask_all_voxels(profile):
    told = (
        r"preprocessed_data/SIM01: the responses to 'story03' have 2 of 30 rows without a finite"
        r" value, the first of them 4, counted from 0: download it again"
    )
    with pytest.raises(DatasetError, match=told):
        participant_voxels(Lost(0.5), "SIM01", profile)


class LostRepeats(Lost):
    responses = Repeated.responses

    def repeats(self, participant, story, voxels=slice(None)):
        repeats = super().repeats(participant, story)
        repeats[2, 5] = np.nan if story == "story05" else repeats[2, 5]
        return repeats[..., voxels]


def test_repeats_without_any_ceiling_are_named(profile):
    told = r"preprocessed_data/SIM01: the repeats of 'story05' are NaN somewhere or unlike"
    with pytest.raises(DatasetError, match=told):
        participant_voxels(LostRepeats(0.5), "SIM01", profile)


def test_voxels_to_model_are_numbered_among_all():
    rng = np.random.default_rng(0)
    voxels = xr.Dataset(
        {
            "ceiling": ("voxel", rng.uniform(size=N_VOXELS)),
            "above": ("voxel", rng.uniform(size=N_VOXELS) < 0.5),
            "regions": REGIONS,
        }
    )
    above = np.flatnonzero(voxels["above"])
    chosen = voxels_to_model(voxels)
    np.testing.assert_array_equal(chosen["voxel"], above)
    np.testing.assert_array_equal(chosen["ceiling"], voxels["ceiling"].values[above])
    assert chosen.sizes["region"] == 3
    some = voxels_to_model(voxels, ("primary_auditory", "late_language"))
    numbers = [voxel for voxel in above if not 200 <= voxel < 400]
    np.testing.assert_array_equal(some["voxel"], numbers)
    assert some["region"].values.tolist() == ["primary_auditory", "late_language"]
    np.testing.assert_array_equal(
        some["regions"].sel(region="late_language"), np.less(numbers, 200)
    )

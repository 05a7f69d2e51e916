import numpy as np
import pytest
import xarray as xr
from alignment_results import MADE, MODEL, write_results

from bthelpers.claims.null_studies import simulated_repeats
from bthelpers.encoding.ceiling import split_half
from bthelpers.results.selection import ALL, alignment_by_half, selected_by_half, selection_bias
from bthelpers.results.store import Results, write_dataset

THRESHOLD = 0.4
REGIONS = ["first", "second"]


def as_voxels(halves, invalid=()):
    n_voxels = halves.shape[1]
    masks = np.stack([np.arange(n_voxels) < n_voxels // 2, np.arange(n_voxels) >= n_voxels // 2])
    return xr.Dataset(
        {
            "ceiling": ("voxel", halves.mean(axis=0)),
            "ceiling_half": (("half", "voxel"), halves),
            "invalid": ("voxel", np.isin(np.arange(n_voxels), invalid)),
            "regions": (("region", "voxel"), masks),
        },
        coords={"half": ["odd", "even"], "region": REGIONS},
    )


def test_the_table_is_what_loops_find():
    halves = np.random.default_rng(0).uniform(size=(2, 40))
    table = selection_bias(as_voxels(halves, invalid=[3, 30]), THRESHOLD)
    rows = {ALL: range(40), "first": range(20), "second": range(20, 40)}
    assert table.index.tolist() == list(rows)
    for name, members in rows.items():
        counts, also, same, other = [], [], [], []
        for one, two in (halves, halves[::-1]):
            chosen = [v for v in members if one[v] > THRESHOLD and v not in (3, 30)]
            counts.append(len(chosen))
            also.append(100 * np.mean([two[v] > THRESHOLD for v in chosen]))
            same.append(np.mean([one[v] ** 2 for v in chosen]) ** 0.5)
            other.append(np.mean([two[v] ** 2 for v in chosen]) ** 0.5)
        valid = [v for v in members if v not in (3, 30)]
        expected = [np.corrcoef(halves[:, valid])[0, 1]]
        expected += [np.mean(column) for column in (counts, also, same, other)]
        np.testing.assert_allclose(table.loc[name], expected)


@pytest.mark.parametrize("n_repeats", [5, 10])
@pytest.mark.parametrize(("low", "high"), [(0.3, 0.6), (0.4, 0.9)])
def test_the_other_half_knows_the_true_ceilings_of_what_noise_has_selected(low, high, n_repeats):
    rng = np.random.default_rng(0)
    true = rng.uniform(low, high, 4000)
    voxels = as_voxels(split_half(simulated_repeats(true, n_repeats, 291, rng)))
    selected = selected_by_half(voxels, THRESHOLD)["selected"].sel(region=ALL)
    selected = selected.transpose("half", "voxel")
    truth = np.mean([np.mean(true[mask] ** 2) ** 0.5 for mask in selected.values])
    table = selection_bias(voxels, THRESHOLD).loc[ALL]
    assert abs(table["ceiling, other half"] - truth) < 0.015
    if high < 0.7:  # near the threshold, noise decides
        assert table["ceiling, same half"] - truth > 0.05


@pytest.fixture
def results(tmp_path):
    """Twenty of thirty voxels are evaluated."""
    written = write_results(tmp_path / "smoke", ["SIM01"], ["pretrained"])
    halves = np.random.default_rng(1).uniform(0.2, 0.9, (2, 30))
    halves[1, 10] = 0  # no ceiling to divide by
    write_dataset(as_voxels(halves), tmp_path / "smoke/SIM01/voxels.nc", MADE)
    return Results(tmp_path / "smoke"), written["SIM01", "pretrained"], halves


def test_alignment_is_normalised_by_either_half(results):
    results, run, halves = results
    table = alignment_by_half(results, MODEL, "SIM01", "pretrained")
    r = dict(zip(run["voxel"].values.tolist(), run["r"].values[1:].mean(axis=0), strict=True))
    for name, members in {ALL: range(30), "first": range(15), "second": range(15, 30)}.items():
        shares, rs, same, other = [], [], [], []
        for one, two in (halves, halves[::-1]):
            chosen = [v for v in members if one[v] > THRESHOLD]
            evaluated = [v for v in chosen if v in r]
            shares.append(100 * len(evaluated) / len(chosen))
            rs.append(np.mean([r[v] for v in evaluated]))
            same.append(rs[-1] / np.mean([one[v] ** 2 for v in evaluated]) ** 0.5)
            other.append(rs[-1] / np.mean([two[v] ** 2 for v in evaluated]) ** 0.5)
        expected = [np.mean(column) for column in (shares, rs, same, other)]
        np.testing.assert_allclose(table.loc[name], expected, rtol=1e-6)


def test_of_records_without_halves_nothing_is_selected(results):
    results, *_ = results
    voxels = results.voxels("SIM01").drop_vars(["ceiling_half", "half"])
    write_dataset(voxels, results.root / "SIM01/voxels.nc", MADE)
    table = selection_bias(voxels, THRESHOLD)
    assert (table["selected"] == 0).all()
    assert table["ceiling, other half"].isna().all()
    assert alignment_by_half(results, MODEL, "SIM01", "pretrained").isna().all(axis=None)

"""Results that are kept in the repository, and runs made again to compare."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from bthelpers.cli import main
from bthelpers.core.errors import ResultsError
from bthelpers.core.provenance import digest
from bthelpers.params.loading import load, to_dict
from bthelpers.params.settings import ModelSettings
from bthelpers.results.store import Results, Run, read_dataset, write_dataset
from bthelpers.workflow import recorded
from bthelpers.workflow.recorded import (
    compact,
    differences,
    essential,
    record,
    verify,
    write_record,
)
from bthelpers.workflow.steps import evaluation_runs

ROOT = Path(__file__).parents[2]
RUN = Run("mini", "SIM01", "brain-tuned", "alignment")
COMMIT = "0123456789abcdef"


def alignment():
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "alignment": (("layer", "region"), rng.normal(size=(3, 2))),
            "draws": (("layer", "region", "draw"), rng.normal(size=(3, 2, 40))),
            "r": (("layer", "voxel"), rng.uniform(-1, 1, size=(3, 50))),
            "epochs": 4,
            "neighbours": ("region", ["cat, dog", "rain"]),
        },
        coords={"layer": [0, 1, 2], "region": ["a", "b"], "voxel": np.arange(50)},
    )


def voxels():
    rng = np.random.default_rng(1)
    return xr.Dataset(
        {
            "ceiling": ("voxel", rng.uniform(size=60)),
            "above": ("voxel", np.arange(60) < 50),
            "regions": (("region", "voxel"), rng.uniform(size=(2, 60)) < 0.3),
        },
        coords={"region": ["a", "b"]},
    )


@pytest.fixture
def repository(tmp_path):
    """A repository whose profile ``english`` has one run, and representations of it."""
    english = load(ROOT / "params/english.yaml", {"dataset.participants": ["SIM01"]})
    only = ModelSettings("mini", None, ("SIM01",), ("brain-tuned",), ("alignment",))
    profile = replace(english, models={"mini": only})
    again = replace(profile, dataset=replace(profile.dataset, root="data/again"))
    (tmp_path / "params").mkdir()
    for name, parameters in (("english", to_dict(profile)), ("verify", to_dict(again))):
        del parameters["name"]
        (tmp_path / f"params/{name}.yaml").write_text(yaml.safe_dump(parameters))
    results = tmp_path / "results/english"
    made = {"commit": COMMIT, "parameters_digest": digest(to_dict(profile))}
    for step in ("alignment", "representations"):
        write_dataset(alignment(), results / recorded._file(RUN._replace(step=step)), made)
    write_dataset(voxels(), results / "SIM01/voxels.nc", made)
    (results / "profile.json").write_text(json.dumps(to_dict(profile)))
    return tmp_path


def test_a_record_holds_correlations_of_voxels_with_its_provenance(repository):
    kept = Results(record(repository, "english"))
    assert kept.list() == [RUN]
    run = kept.open(*RUN)
    assert run.attrs["commit"] == COMMIT
    xr.testing.assert_identical(
        run.drop_attrs().drop_vars(["r", "voxel"]), alignment().drop_dims("voxel")
    )
    assert_within_half_a_step(run["r"], alignment()["r"])
    assert run["r"].attrs["coding"] == "rounded to multiples of 0.0001, in 16 bit"
    xr.testing.assert_identical(kept.voxels("SIM01").drop_attrs(), voxels())
    assert kept.profile().name == "english"


def assert_within_half_a_step(read, written):
    assert read.dtype == np.float32
    assert read.dims == written.dims
    xr.testing.assert_equal(read.coords.to_dataset(), written.coords.to_dataset())
    np.testing.assert_array_equal(np.isnan(read), np.isnan(written))
    half = recorded.STEP / 2 + 1e-7  # of float32's rounding near 1
    assert np.abs(read - written.astype(float)).max() <= half


def recorded_r(r, path):
    """Correlations of some features, layers and voxels, as a record gives them back."""
    voxels = 3 * np.arange(r.shape[2]) + 1  # not all of a participant's
    coordinates = {"feature": np.arange(len(r)), "voxel": voxels}
    run = xr.Dataset({"r": (("feature", "layer", "voxel"), r)}, coordinates)
    write_record(compact(run), path)
    return read_dataset(path)["r"], run["r"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 5, 7), (1, 1, 1), (1, 3, 0)])
def test_correlations_are_read_within_half_a_step(tmp_path, dtype, shape):
    r = np.random.default_rng(0).uniform(-1, 1, shape).astype(dtype)
    r.flat[:3] = [1, -1, np.nan][: r.size]
    read, written = recorded_r(r, tmp_path / "record.nc")
    assert read.shape == shape
    if read.size:
        assert_within_half_a_step(read, written)


def test_what_is_no_correlation_is_not_recorded(tmp_path):
    r = np.array([[[0.2, 1.3, -4.0]]])
    with pytest.raises(ResultsError, match=r"record\.nc: 2 correlations are beyond -1 and 1"):
        recorded_r(r, tmp_path / "record.nc")


def test_correlations_of_many_voxels_take_little_room(tmp_path):
    """Those of 50,000 voxels in five layers."""
    rng = np.random.default_rng(0)
    r = 0.2 * rng.standard_normal(50_000) + 0.05 * rng.standard_normal((1, 5, 50_000))
    recorded_r(np.tanh(r), tmp_path / "record.nc")
    assert (tmp_path / "record.nc").stat().st_size < 500_000


def test_means_over_regions_are_recorded_as_they_are(tmp_path):
    r = np.random.default_rng(0).uniform(-1, 1, (2, 3))
    run = xr.Dataset({"r": (("participant", "region"), r)})
    write_record(compact(run), tmp_path / "record.nc")
    np.testing.assert_array_equal(read_dataset(tmp_path / "record.nc")["r"], r)


def test_a_record_needs_the_voxels(repository):
    (repository / "results/english/SIM01/voxels.nc").unlink()
    with pytest.raises(ResultsError, match=r"SIM01/voxels\.nc is not there"):
        record(repository, "english")


def test_a_record_is_smaller_and_replaces_the_one_before(repository):
    folder = record(repository, "english")
    (folder / "left over").touch()
    record(repository, "english")
    assert not (folder / "left over").exists()
    many = xr.Dataset({"draws": (("layer", "draw"), np.arange(2400.0).reshape(3, 800))})
    np.testing.assert_array_equal(compact(many)["draws"], many["draws"][:, :500])


def test_records_are_compressed(repository):
    path = repository / "results/english" / recorded._file(RUN)
    alike = xr.Dataset({"draws": (("layer", "draw"), np.zeros((6, 500)))})
    write_dataset(alike, path, read_dataset(path).attrs)
    folder = record(repository, "english")
    assert (
        (folder / recorded._file(RUN)).stat().st_size < alike["draws"].nbytes < path.stat().st_size
    )


@pytest.mark.parametrize("commit", [f"{COMMIT}-dirty", "unknown"])
def test_results_of_changed_code_are_not_recorded(repository, commit):
    path = repository / "results/english" / recorded._file(RUN)
    write_dataset(alignment(), path, {"commit": commit})
    with pytest.raises(ResultsError, match=f"was made by commit {commit}"):
        record(repository, "english")
    assert not (repository / recorded.RECORDED / "english").exists()


def test_results_of_other_parameters_are_not_recorded(repository):
    path = repository / "results/english" / recorded._file(RUN)
    write_dataset(alignment(), path, {"commit": COMMIT, "parameters_digest": "another"})
    with pytest.raises(ResultsError, match="was made with other parameters than"):
        record(repository, "english")


def test_results_that_are_not_complete_are_not_recorded(repository):
    (repository / "results/english" / recorded._file(RUN)).unlink()
    missing = r"lacks mini/SIM01/brain-tuned/alignment\.nc: `make results PROFILE=english"
    with pytest.raises(ResultsError, match=missing):
        record(repository, "english")


def test_differences_are_the_largest_of_each_variable():
    old = alignment()
    assert differences(old, old) == {"alignment": 0, "draws": 0, "r": 0, "epochs": 0}
    new = old.copy(deep=True)
    new["alignment"][1, 1] += 0.25
    new["alignment"][0, 0] -= 0.5
    assert differences(old, new)["alignment"] == 0.5
    old["draws"][0, 0, 0] = new["draws"][0, 0, 0] = np.nan
    assert differences(old, new)["draws"] == 0


def test_what_cannot_be_compared_is_an_error():
    old = alignment()
    with pytest.raises(ResultsError, match="draws: recorded with other labels"):
        differences(old, old.drop_vars("draws"))
    with pytest.raises(ResultsError, match="recorded with other labels"):
        differences(old, old.isel(layer=[0, 1]))
    with pytest.raises(ResultsError, match="neighbours: recorded with another text"):
        differences(old, old.assign(neighbours=("region", ["cat, dog", "snow"])))
    new = old.copy(deep=True)
    new["r"][0, 3] = np.nan
    with pytest.raises(ResultsError, match="r: NaN in other places"):
        differences(old, new)


@pytest.fixture
def workflow(monkeypatch):
    """In place of Snakemake: writes the asked file; its variables are off by what ``off`` says."""
    off = {}

    def run(repository, profile, cores, gpus, targets, anew):
        [target] = targets
        assert (profile, anew) == ("verify", True)
        changed = alignment()
        for name, difference in off.items():
            changed[name] += difference
        write_dataset(changed, repository / target, {})

    monkeypatch.setattr(recorded, "run_workflow", run)
    return off


def test_a_recorded_run_is_made_again_and_compared(repository, workflow):
    record(repository, "english")
    found = verify(repository, RUN)
    assert 0 < found.pop("r") <= recorded.STEP / 2 + 1e-7
    assert found == {"alignment": 0, "draws": 0, "epochs": 0}
    workflow["alignment"] = 0.125
    assert verify(repository, RUN)["alignment"] == pytest.approx(0.125)


def test_a_record_of_other_parameters_is_not_verified(repository, workflow):
    folder = record(repository, "english")
    changed = json.loads((folder / "profile.json").read_text())
    changed["tuning"]["epochs"] += 1
    (folder / "profile.json").write_text(json.dumps(changed))
    with pytest.raises(ResultsError, match="has changed since"):
        verify(repository, RUN)


@pytest.mark.parametrize(
    ("changed", "shown", "difference", "status"),
    [
        ("alignment", "alignment", 0.001, None),
        ("alignment", "alignment", 0.1, "alignment differs by more than 0.02"),
        ("r", "r", 0.05, None),
        ("r", "r", 0.2, "r differs by more than 0.1"),
    ],
)
def test_the_command_fails_where_results_differ(
    repository, workflow, monkeypatch, capsys, changed, shown, difference, status
):
    monkeypatch.chdir(repository)
    assert main(["record", "english"]) == 0
    workflow[changed] = difference
    assert main(["verify", "--seed", "0"]) == (0 if status is None else 1)
    output = capsys.readouterr()
    assert (status or "") in output.err
    assert f"{shown}: largest difference {difference}" in output.out
    assert "verifying mini/SIM01/brain-tuned/alignment" in output.err


def test_nothing_to_verify_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["verify"]) == 1
    assert "holds no records: `make results PROFILE=english`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "folder",
    sorted(file.parent for file in (ROOT / recorded.RECORDED).glob("*/profile.json")),
    ids=lambda folder: folder.name,
)
def test_shipped_records_belong_to_the_shipped_parameters(folder):
    """So that a change of parameters without new results is noticed."""
    shipped = Results(folder)
    profile = load(ROOT / f"params/{folder.name}.yaml")
    assert essential(shipped.profile()) == essential(profile)
    files = {recorded._file(run) for run in shipped.list()}
    assert files >= {file for run in evaluation_runs(profile) for file in run.files}
    for run in shipped.list():
        assert read_dataset(shipped.root / recorded._file(run)).attrs["commit"]


def test_a_run_is_verified_under_the_recorded_parameters():
    english, again = (load(ROOT / f"params/{name}.yaml") for name in ("english", "verify"))
    assert essential(english) == essential(again)
    assert english.dataset.root != again.dataset.root

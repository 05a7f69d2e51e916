import json
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from full_disk import largest_file

from bthelpers.core.checksums import sums_beside
from bthelpers.core.errors import ResultsError
from bthelpers.core.files import atomic_write_text
from bthelpers.params import loading as params
from bthelpers.results import store
from bthelpers.results.runs import several_families
from bthelpers.results.store import Results, Run, read_dataset, result_folder, write_dataset
from bthelpers.workflow.runs.receipts import digests, write_receipt

DEMO = Path(__file__).parents[2] / "params" / "demo.yaml"


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "ceiling": ("voxel", rng.random(5).astype(np.float32)),
            "regions": (("region", "voxel"), rng.random((2, 5)) > 0.5),
            "r": ("voxel", [np.nan, 0.0, 1.0, -1.0, 0.5]),
        },
        coords={"region": ["late_language", "primary_auditory"]},
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_dataset_comes_back_as_it_was_with_its_provenance(tmp_path, dataset):
    path = tmp_path / "SIM01" / "voxels.nc"
    write_dataset(dataset, path, {"commit": "abc"})
    read = read_dataset(path)
    xr.testing.assert_identical(read.drop_attrs(), dataset)
    assert read["regions"].dtype == bool
    assert read.attrs == {"commit": "abc"}
    assert names(path.parent) == ["voxels.nc", "voxels.nc.sha256"]
    assert dataset.attrs == {}


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, dataset):
    path = tmp_path / "alignment.nc"
    write_dataset(dataset, path, {})
    large = xr.Dataset({"draws": ("draw", np.random.default_rng(0).random(10_000))})
    with largest_file(40_000), pytest.raises(ResultsError) as caught:
        write_dataset(large, path, {})
    assert str(caught.value).startswith(f"{path} was not written: ")
    assert "make room; then run the same command again" in str(caught.value)
    assert names(tmp_path) == ["alignment.nc", "alignment.nc.sha256"]
    xr.testing.assert_identical(read_dataset(path).drop_attrs(), dataset)


def test_a_failed_rename_leaves_nothing(tmp_path, dataset, monkeypatch):
    def full(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ResultsError, match="No space left on device"):
        write_dataset(dataset, tmp_path / "voxels.nc", {})
    assert names(tmp_path) == []


def test_a_missing_file_names_the_command_that_makes_it(tmp_path):
    path = tmp_path / "voxels.nc"
    with pytest.raises(ResultsError) as caught:
        read_dataset(path)
    assert str(caught.value).startswith(f"{path} is not there; `bthelpers run")


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, 0.99])
def test_a_truncated_file_is_an_error(tmp_path, dataset, kept):
    path = tmp_path / "voxels.nc"
    write_dataset(dataset, path, {})
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(ResultsError, match=r"voxels\.nc is not as it was written: delete it, then"):
        read_dataset(path)
    sums_beside(path).unlink()  # as of earlier versions
    with pytest.raises(
        ResultsError,
        match=r"voxels\.nc is truncated or no netCDF file .*: delete it, then `bthelpers run",
    ):
        read_dataset(path)


def test_a_flipped_bit_is_an_error_wherever_it_is(tmp_path, dataset):
    """Also in numbers of one value, labels and attributes, which HDF5 does not check."""
    path = tmp_path / "voxels.nc"
    write_dataset(dataset.assign(kept_epoch=3), path, {"commit": "abc"})
    whole = path.read_bytes()
    for position in np.random.default_rng(0).integers(len(whole), size=100):
        changed = bytearray(whole)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ResultsError, match="is not as it was written"):
            read_dataset(path)
    path.write_bytes(whole)
    assert read_dataset(path)["kept_epoch"] == 3


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that are decoded, with nothing kept before."""
    names, decode = [], xr.load_dataset
    monkeypatch.setattr(store, "_kept", {})
    monkeypatch.setattr(
        store.xr, "load_dataset", lambda path, **how: names.append(path.name) or decode(path, **how)
    )
    return names


def test_what_is_read_again_is_decoded_once_and_each_readers_own(tmp_path, dataset, decoded):
    path = tmp_path / "alignment.nc"
    whole = dataset.assign_coords(voxel=np.arange(5))
    write_dataset(whole, path, {"commit": "abc"})
    for _ in range(3):
        read = read_dataset(path)
        xr.testing.assert_identical(read, whole.assign_attrs(commit="abc"))
        for variable in (read["ceiling"], read["regions"], read["voxel"], read["region"]):
            if variable.values.flags.writeable:
                variable.values[...] = variable.values[..., ::-1].copy()
        read["ceiling"].attrs["unit"] = read.attrs["commit"] = "another"
        read["ceiling"].encoding.clear()
        read["more"] = "voxel", np.zeros(5)
        del read["r"]
    assert decoded == ["alignment.nc"]


def test_a_file_of_other_bytes_is_decoded_whatever_its_date_and_size(tmp_path, dataset, decoded):
    path = tmp_path / "alignment.nc"
    write_dataset(dataset, path, {"commit": "abc"})
    read_dataset(path)
    before = path.stat()
    write_dataset(dataset, path, {"commit": "xyz"})
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert read_dataset(path).attrs == {"commit": "xyz"}
    whole = path.read_bytes()
    sums_beside(path).unlink()  # as of earlier versions
    path.write_bytes(whole[:100])
    with pytest.raises(ResultsError, match="is truncated or no netCDF file"):
        read_dataset(path)
    path.unlink()
    with pytest.raises(ResultsError, match="is not there"):
        read_dataset(path)
    path.write_bytes(whole)
    assert read_dataset(path).attrs == {"commit": "xyz"}
    assert decoded == 3 * ["alignment.nc"]


def test_what_is_kept_is_bounded_and_what_was_read_last_stays(tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(store, "KEPT_BYTES", 8_000)
    for name, size in (("large.nc", 126), *((f"{number}.nc", 125) for number in range(10))):
        write_dataset(xr.Dataset({"r": ("voxel", np.zeros(size))}), tmp_path / name, {})

    def decoded_of(*names):
        decoded.clear()
        for name in names:
            read_dataset(tmp_path / f"{name}.nc")
        return [name.removesuffix(".nc") for name in decoded]

    assert decoded_of("large", "large") == ["large", "large"]
    assert decoded_of(*"0123456701") == [*"01234567"]
    assert decoded_of(*"8901") == [*"89"]
    assert decoded_of(*"23") == [*"23"]
    assert sum(dataset.nbytes for dataset in store._kept.values()) == 8_000


@pytest.fixture
def root(tmp_path, dataset):
    """A results folder of two runs, the parameters, a model and something unfinished."""
    root = tmp_path / "results" / "demo"
    write_dataset(dataset, root / "SIM01" / "voxels.nc", {})
    for condition in ("pretrained", "brain-tuned"):
        run = root / "hubert-mini" / "SIM01" / condition
        write_dataset(dataset.assign_attrs(condition=condition), run / "alignment.nc", {})
    (run / ".training.nc.part").write_text("half")
    (run / "model").mkdir()
    (run / "model" / "config.json").write_text("{}")
    parameters = params.to_dict(params.load(DEMO))
    atomic_write_text(root / "profile.json", json.dumps(parameters))
    return root


def test_runs_are_listed_and_opened(root):
    here = Results(root)
    assert here.list() == [
        Run("hubert-mini", "SIM01", "brain-tuned", "alignment"),
        Run("hubert-mini", "SIM01", "pretrained", "alignment"),
    ]
    for run in here.list():
        assert here.open(*run).attrs["condition"] == run.condition
    assert set(here.voxels("SIM01")) == {"ceiling", "regions", "r"}


def test_runs_without_a_participants_responses_are_one_for_all(root, dataset):
    here = Results(root)
    write_dataset(dataset, root / "hubert-mini" / "pretrained" / "probes.nc", {"condition": "p"})
    shared = Run("hubert-mini", "", "pretrained", "probes")
    assert here.list()[0] == shared
    for participant in ("", "SIM01", "SIM02"):
        assert here.open("hubert-mini", participant, "pretrained", "probes").attrs == {
            "condition": "p"
        }


@pytest.mark.parametrize(
    ("condition", "step", "folder"),
    [
        ("pretrained", "representations", "m/pretrained"),
        ("pretrained", "alignment", "m/SIM01/pretrained"),
        ("brain-tuned", "representations", "m/SIM01/brain-tuned"),
        ("block-permuted", "probes", "m/SIM01/block-permuted"),
        ("big-slm", "training", "m/big-slm"),
        ("text-lm", "impact", "m/SIM01/text-lm"),
        ("stimulus-tuned", "recognition", "m/stimulus-tuned"),
    ],
)
def test_folders_name_a_participant_whose_responses_took_part(condition, step, folder):
    assert result_folder("m", "SIM01", condition, step) == folder


def make(step, number, *inputs):
    """A run of a step, from parameters and results of others, that leaves a receipt."""
    folder = Path("results/demo/hubert-mini/SIM01/pretrained")
    before = digests(f"results/demo/{name}" for name in (f"parameters/{step}.json", *inputs))
    result = folder / f"{step}.nc"
    write_dataset(xr.Dataset({"r": number}), result, {})
    write_receipt(folder / f"{step}.json", before, [str(result)])


def test_a_result_of_other_parameters_is_an_error_until_it_is_made_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parameters = Path("results/demo/parameters")
    for step in ("representations", "alignment"):
        atomic_write_text(parameters / f"{step}.json", "1")
    read = "hubert-mini/SIM01/pretrained/representations.nc"
    run = ("hubert-mini", "SIM01", "pretrained", "alignment")
    here = Results("results/demo")

    def refused(name):
        told = rf"alignment\.nc was made with another {name} than .*: `bthelpers run demo` makes it"
        with pytest.raises(ResultsError, match=told):
            here.open(*run)
        with pytest.raises(ResultsError):
            Results(tmp_path / "results/demo").open(*run)

    make("representations", 1)
    make("alignment", 1, read)
    assert here.open(*run)["r"] == 1
    (parameters / "alignment.json").write_text("2")
    refused(r"parameters/alignment\.json")
    make("alignment", 2, read)
    assert here.open(*run)["r"] == 2
    (parameters / "representations.json").write_text("2")
    refused(r"parameters/representations\.json")
    make("representations", 2)
    refused(read)
    make("alignment", 3, read)
    assert here.open(*run)["r"] == 3
    (parameters / "alignment.json").unlink()  # results that were copied alone
    assert here.open(*run)["r"] == 3


def test_chapters_show_recorded_results_where_a_profile_has_none(root, monkeypatch):
    monkeypatch.setenv("BRAIN_TUNING_RESULTS", str(root))
    assert Results.holding("alignment").root == root
    assert not Results.holding("alignment").recorded
    assert not Results.holding("alignment", condition="pretrained").recorded
    assert Results.holding("alignment", condition="big-slm").recorded
    assert Results.holding("alignment", models=several_families).recorded
    assert Results.holding("recognition").root == Path("recorded/english")
    assert Results.holding("recognition").recorded


def test_of_recorded_results_the_first_that_hold_an_evaluation_are_shown(
    tmp_path, root, monkeypatch
):
    monkeypatch.setenv("BRAIN_TUNING_RESULTS", str(root))
    monkeypatch.chdir(tmp_path)
    parameters = params.to_dict(params.load(DEMO, {"evaluations": ["probes"]}))
    atomic_write_text(tmp_path / "recorded/simulation/profile.json", json.dumps(parameters))
    assert Results.holding("probes").root == Path("recorded/simulation")
    assert Results.holding("probes", condition="big-slm").root == Path("recorded/english")
    assert Results.holding("recognition").root == Path("recorded/english")


def test_what_is_not_there_is_named_with_the_nearest(root):
    with pytest.raises(ResultsError) as caught:
        Results(root).open("hubert-mini", "SIM01", "brain-tune", "alignment")
    path = root / "hubert-mini" / "SIM01" / "brain-tune" / "alignment.nc"
    assert str(caught.value).startswith(f"{path} is not there; `bthelpers run")
    assert str(caught.value).endswith("is: hubert-mini/SIM01/brain-tuned/alignment")
    with pytest.raises(ResultsError, match="nearest there is: none"):
        Results(root / "empty").open("hubert-mini", "SIM01", "pretrained", "alignment")
    with pytest.raises(ResultsError, match=r"SIM02/voxels\.nc is not there"):
        Results(root).voxels("SIM02")


def test_the_recorded_parameters_are_a_profile(root):
    assert Results(root).profile() == params.load(DEMO)
    file = root / "profile.json"
    file.write_text(file.read_text().replace('"epochs"', '"epoch"'))
    with pytest.raises(
        ResultsError, match=r"tuning\.epoch: unknown key.*delete it, then `bthelpers"
    ):
        Results(root).profile()
    file.write_text("{")
    with pytest.raises(ResultsError, match=r"profile\.json does not fit this version"):
        Results(root).profile()
    file.unlink()
    with pytest.raises(ResultsError, match=r"profile\.json is not there; `bthelpers run"):
        Results(root).profile()


def test_the_fingerprint_follows_contents_and_names_but_not_dates(root, dataset):
    here = Results(root)
    first = here.fingerprint()
    file = root / "SIM01" / "voxels.nc"
    os.utime(file, ns=(1, 1))
    (root / "SIM01" / ".voxels.nc.part").write_text("unfinished")
    assert here.fingerprint() == first

    seen = {first}
    before = file.stat()
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    file.write_bytes(changed)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same date
    seen.add(here.fingerprint())
    (root / "profile.json").write_text("{}")
    seen.add(here.fingerprint())
    file.rename(file.with_name("other.nc"))
    seen.add(here.fingerprint())
    file.with_name("other.nc").unlink()
    seen.add(here.fingerprint())
    assert len(seen) == 5


def test_the_current_results_are_those_of_the_environment_or_the_demos(root, monkeypatch):
    monkeypatch.setenv("BRAIN_TUNING_RESULTS", str(root))
    assert Results.current().root == root
    monkeypatch.setenv("BRAIN_TUNING_RESULTS", str(root / "nowhere"))
    with pytest.raises(
        ResultsError, match=r"no results in .*nowhere; `bthelpers run.*BRAIN_TUNING"
    ):
        Results.current()
    monkeypatch.delenv("BRAIN_TUNING_RESULTS")
    book = root.parent.parent / "book"
    book.mkdir()
    monkeypatch.chdir(book)
    assert Results.current().root.resolve() == root.resolve()

import pytest
import xarray as xr
from alignment_results import CONDITIONS, MODEL, PARTICIPANTS, write_results

from bthelpers.core.errors import ResultsError
from bthelpers.results.alignment import load_alignment
from bthelpers.results.runs import source
from bthelpers.results.store import Results, write_dataset


def test_runs_become_one_labelled_array(alignments, written):
    assert alignments["alignment"].dims == ("participant", "condition", "layer", "region")
    assert alignments["draws"].dims == ("participant", "condition", "layer", "region", "draw")
    assert list(alignments["participant"].values) == PARTICIPANTS
    assert list(alignments["condition"].values) == CONDITIONS
    assert "r" not in alignments  # participants have different voxels
    for (participant, condition), run in written.items():
        chosen = alignments.sel(participant=participant, condition=condition, drop=True)
        xr.testing.assert_equal(chosen, run[["alignment", "draws"]])


def test_a_missing_run_is_an_error_that_names_it(tmp_path):
    write_results(tmp_path / "smoke")
    missing = tmp_path / "smoke" / MODEL / "SIM01" / "brain-tuned" / "alignment.nc"
    missing.unlink()
    with pytest.raises(ResultsError) as caught:
        load_alignment(Results(tmp_path / "smoke"), MODEL)
    assert str(missing) in str(caught.value)
    assert "`bthelpers run" in str(caught.value)


@pytest.mark.parametrize("odd_one", [("SIM01", "brain-tuned"), ("SIM02", "pretrained")])
def test_runs_of_other_regions_are_never_filled_up(tmp_path, odd_one):
    written = write_results(tmp_path / "smoke")
    run = written[odd_one].isel(region=[0])
    write_dataset(run, tmp_path / "smoke" / MODEL / "/".join(odd_one) / "alignment.nc", {})
    with pytest.raises(ValueError, match="region"):
        load_alignment(Results(tmp_path / "smoke"), MODEL)


def test_the_source_of_a_figure_is_said(results):
    said = "Invented (SIM02, SIM01); model hubert-mini; profile smoke"
    assert str(source(results, MODEL)) == said
    recorded = Results(results.root, recorded=True)
    assert str(source(recorded, MODEL)) == f"{said}; recorded 2026-01-31 from commit 0123456"


def test_the_source_of_a_figure_names_its_files(results, monkeypatch):
    """As seen from the current folder: what pages are made of holds no path of a machine."""
    monkeypatch.chdir(results.root)
    found = source(results, MODEL)
    runs = [f"{MODEL}, {who}, {condition}" for who in PARTICIPANTS for condition in CONDITIONS]
    assert set(found.files["alignment"]) == set(runs)
    assert set(found.files["voxels"]) == set(PARTICIPANTS)
    for file in [found.parameters, *found.files["alignment"].values()]:
        assert file.startswith("./")
        assert (results.root / file).is_file()
    assert source(results, MODEL)._repr_mimebundle_()["text/plain"] == str(found)

import numpy as np
import xarray as xr
from alignment_results import CONDITIONS, MODEL, N_DRAWS, N_LAYERS, PARTICIPANTS, REGIONS
from alignment_results import write_results as write_alignment

from bthelpers.results.stages.controls import (
    against_baseline,
    baseline_table,
    load_controls,
    split_table,
)
from bthelpers.results.store import Results, write_dataset

SPLITS = ["whole stories", "shuffled rows"]


def test_the_baseline_and_the_splits_are_means_over_layers_and_participants(tmp_path):
    root, rng = tmp_path / "smoke", np.random.default_rng(0)
    aligned, written = write_alignment(root), {}
    labels = {"region": REGIONS, "split": SPLITS, "layer": np.arange(N_LAYERS + 1)}
    for run in aligned:
        written[run] = xr.Dataset(
            {
                "baseline_alignment": ("region", rng.uniform(0, 0.1, 2)),
                "baseline_draws": (("region", "draw"), rng.uniform(0, 0.1, (2, N_DRAWS))),
                "r": (("split", "layer", "region"), rng.uniform(0, 0.3, (2, N_LAYERS + 1, 2))),
                "baseline_r": (("split", "region"), rng.uniform(0, 0.1, (2, 2))),
            },
            labels | {"draw": np.arange(N_DRAWS)},
        )
        write_dataset(written[run], root.joinpath(MODEL, *run, "controls.nc"), {})
    results, region = Results(root), REGIONS[0]
    compared = against_baseline(results, MODEL).sel(region=region, condition="brain-tuned")
    runs = [(participant, "brain-tuned") for participant in PARTICIPANTS]
    model = np.mean([aligned[run]["alignment"][1:].sel(region=region) for run in runs])
    baseline = np.mean([written[run]["baseline_alignment"].sel(region=region) for run in runs])
    np.testing.assert_allclose(
        [compared["value"], compared["baseline"], compared["change"]],
        [model, baseline, model - baseline],
    )
    assert compared["low"] < compared["change"] < compared["high"]
    assert len(baseline_table(against_baseline(results, MODEL))) == len(REGIONS) * len(CONDITIONS)
    table = split_table(load_controls(results, MODEL))
    r = np.mean([written[run]["r"][:, 1:].sel(region=region).mean("layer") for run in runs], axis=0)
    np.testing.assert_allclose(table.loc[(region, "brain-tuned")], r)
    assert (region, "baseline") in table.index

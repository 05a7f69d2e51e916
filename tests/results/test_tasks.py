import shutil
from itertools import product

import numpy as np
import pandas as pd
import preference_results
import pytest
import xarray as xr
from intervals_by_hand import by_hand, of_one
from scipy import stats
from task_results import CONDITIONS, LOADERS, PARTICIPANTS, TASKS, write_results

from bthelpers.core.errors import ResultsError
from bthelpers.results.runs import over_layers
from bthelpers.results.store import Results, read_dataset, write_dataset
from bthelpers.results.tasks import (
    accuracy_table,
    by_task,
    change_table,
    in_families,
    late_change_table,
    load_downstream,
    load_linguistic_probes,
    load_low_level,
    load_preferences,
    load_recognition,
    outer_thirds,
    power_table,
)
from bthelpers.statistics.bootstrap import resampling_counts


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Results of one model, and the runs that were written there, by file. To be read only."""
    return write_results(tmp_path_factory.mktemp("results"))


@pytest.fixture
def copied(written, tmp_path):
    """The same results, to be broken."""
    results, model, _ = written
    return Results(shutil.copytree(results.root, tmp_path / "results")), model


def run_of(written, participant, condition, step):
    results, model, runs = written
    of_each = condition == "brain-tuned"
    folder = [model, participant, condition] if of_each else [model, condition]
    return runs[results.root.joinpath(*folder, f"{step}.nc")]


def test_runs_of_probes_become_one_labelled_array(written):
    results, model, runs = written
    assert sum(file.stem == "probes" for file in runs) == 2 + 2
    loaded = load_downstream(results, model)
    assert loaded["f1_macro"].dims == ("participant", "condition", "task", "layer")
    assert loaded["f1_macro_draws"].dims == (*loaded["f1_macro"].dims, "draw")
    assert list(loaded["participant"].values) == PARTICIPANTS
    assert list(loaded["condition"].values) == CONDITIONS
    assert loaded.attrs["dataset"] == "invented corpora"
    varying = ["f1_macro", "f1_weighted", "f1_macro_draws", "f1_weighted_draws"]
    for participant, condition in product(PARTICIPANTS, CONDITIONS):
        chosen = loaded.sel(participant=participant, condition=condition, drop=True)
        run = run_of(written, participant, condition, "probes")
        for name in [*varying, "n_constant_features", "naive_f1_macro", "n_clips", "n_untested"]:
            xr.testing.assert_equal(chosen[name], run[name])
    assert loaded["naive_f1_weighted"].dims == ("task",)
    assert loaded["n_clips"].dims == ("task", "split")


def test_low_level_probes_have_r2_and_no_naive_model(written):
    results, model, _ = written
    loaded = load_low_level(results, model)
    assert "naive_r2" not in loaded
    for participant, condition in product(PARTICIPANTS, CONDITIONS):
        chosen = loaded.sel(participant=participant, condition=condition, drop=True)
        run = run_of(written, participant, condition, "low_level_probes")
        xr.testing.assert_equal(chosen[["r2", "r2_draws"]], run[["r2", "r2_draws"]])


def test_accuracy_of_recognition_is_one_minus_the_error_rate(written):
    results, model, _ = written
    loaded = load_recognition(results, model)
    assert loaded["accuracy"].dims == ("participant", "condition")
    assert (int(loaded["n_words"]), int(loaded["n_infeasible"])) == (210, 1)
    assert loaded["n_clips"].sel(split="test") == 30
    for participant, condition in product(PARTICIPANTS, CONDITIONS):
        chosen = loaded.sel(participant=participant, condition=condition)
        run = run_of(written, participant, condition, "recognition")
        assert chosen["accuracy"] == 1 - run["wer"]
        np.testing.assert_allclose(chosen["accuracy_draws"], 1 - run["wer_draws"], atol=1e-7)


@pytest.mark.parametrize("step", LOADERS)
def test_a_missing_run_is_an_error_that_names_it(copied, step):
    results, model = copied
    (results.root / model / "SIM01" / "brain-tuned" / f"{step}.nc").unlink()
    with pytest.raises(ResultsError, match=rf"SIM01/brain-tuned/{step}\.nc is not there"):
        LOADERS[step](results, model)


def other_clips(run):
    return run.assign(n_clips=run["n_clips"] + 1)


def other_naive(run):
    return run.assign(naive_f1_macro=run["naive_f1_macro"] + 0.01)


def other_draws(run):
    return run.isel(draw=slice(1, None))


def fewer_tasks(run):
    return run.isel(task=[0])


@pytest.mark.parametrize(
    ("step", "condition", "altered"),
    [
        ("probes", "pretrained", other_clips),
        ("probes", "SIM01/brain-tuned", other_clips),
        ("probes", "big-slm", other_naive),
        ("probes", "SIM02/brain-tuned", other_draws),
        ("low_level_probes", "pretrained", other_draws),
        ("low_level_probes", "SIM01/brain-tuned", fewer_tasks),
        ("recognition", "SIM01/brain-tuned", other_clips),
        ("recognition", "big-slm", other_draws),
    ],
)
def test_runs_of_other_clips_are_no_pair(copied, step, condition, altered):
    results, model = copied
    file = results.root / model / condition / f"{step}.nc"
    write_dataset(altered(read_dataset(file)), file, {})
    with pytest.raises(ResultsError, match=rf"{step}\.nc are not all of the same.*make them again"):
        LOADERS[step](results, model)


@pytest.mark.parametrize("step", ["probes", "low_level_probes"])
def test_the_input_of_the_transformer_is_no_layer(written, step):
    results, model, _ = written
    score = {"probes": "f1_weighted", "low_level_probes": "r2"}[step]
    means = over_layers(LOADERS[step](results, model))
    for participant, condition in product(PARTICIPANTS, CONDITIONS):
        run = run_of(written, participant, condition, step)
        chosen = means.sel(participant=participant, condition=condition)
        for name in (score, f"{score}_draws"):
            np.testing.assert_allclose(
                chosen[name], run[name].values[:, 1:].mean(axis=1), rtol=1e-6
            )


def expected_change(written, step, condition, reduced):
    """Pretrained, tuned, change and interval by plain NumPy, of arrays (…) and (…, draw)."""
    tuned = [reduced(run_of(written, participant, condition, step)) for participant in PARTICIPANTS]
    values, draws = (np.array(pair) for pair in zip(*tuned, strict=True))
    baseline, baseline_draws = reduced(run_of(written, "SIM01", "pretrained", step))
    bounds = by_hand(values - baseline, draws - baseline_draws)
    return [baseline, values.mean(), values.mean() - baseline, *bounds]


def test_changes_are_paired_means_over_layers_and_participants(written):
    results, model, _ = written
    scores = {"f1_macro": "F1 (macro)", "f1_weighted": "F1 (weighted)"}
    table = change_table(over_layers(load_downstream(results, model)), *scores)
    assert list(table.index) == list(product(TASKS, CONDITIONS[1:]))
    assert list(table["F1 (macro)"].columns) == ["pretrained", "tuned", "change", "low", "high"]
    for (number, task), condition, score in product(enumerate(TASKS), CONDITIONS[1:], scores):

        def reduced(run, score=score, number=number):
            return [run[n].values[number, 1:].mean(axis=0) for n in (score, f"{score}_draws")]

        np.testing.assert_allclose(
            table.loc[(task, condition), scores[score]].astype(float),
            expected_change(written, "probes", condition, reduced),
            rtol=1e-5,
        )


def test_changes_of_recognition_have_no_task(written):
    results, model, _ = written
    table = change_table(load_recognition(results, model), "accuracy")
    assert list(table.index) == CONDITIONS[1:]

    def reduced(run):
        return run["accuracy"].values, 1 - run["wer_draws"].values

    for condition in CONDITIONS[1:]:
        np.testing.assert_allclose(
            table.loc[condition].astype(float),
            expected_change(written, "recognition", condition, reduced),
            rtol=1e-5,
        )


def test_what_clips_do_to_all_conditions_alike_is_no_uncertainty_of_the_change(written):
    results, model, _ = written
    run = over_layers(load_downstream(results, model))
    shift = xr.DataArray([0.0, 0.3, -0.1], {"condition": CONDITIONS}, dims="condition")
    for name in ("f1_macro", "f1_macro_draws"):
        run[name] = run[name].sel(condition="pretrained") + shift
    table = change_table(run, "f1_macro")["F1 (macro)"].loc["emotion"]
    for column in ("change", "low", "high"):
        np.testing.assert_allclose(table[column].astype(float), [0.3, -0.1], atol=1e-6)


@pytest.fixture
def preferences(tmp_path):
    """Results of one model, and the runs that were written there."""
    return preference_results.write_preferences(tmp_path)


def test_runs_of_preference_become_one_labelled_array(preferences):
    results, model, runs = preferences
    loaded = load_preferences(results, model)
    assert loaded["preference"].dims == ("participant", "condition", "layer")
    assert list(loaded["participant"].values) == PARTICIPANTS
    for participant, condition in product(PARTICIPANTS, preference_results.CONDITIONS):
        run = runs["pretrained" if condition == "pretrained" else participant]
        chosen = loaded.sel(participant=participant, condition=condition, drop=True)
        xr.testing.assert_equal(chosen[["preference", "draws"]], run[["preference", "draws"]])
        for k, kind in enumerate(("semantic", "phonetic")):
            np.testing.assert_allclose(
                chosen["relative"].sel(kind=kind),
                run["distance"][:, k].mean("word") / run["distance"][:, 2].mean("word"),
            )
            np.testing.assert_allclose(
                chosen["relative_draws"].sel(kind=kind),
                run["distance_draws"][:, k] / run["distance_draws"][:, 2],
            )


def test_a_missing_run_of_preference_is_an_error_that_names_it(preferences):
    results, model, _ = preferences
    missing = results.root / model / "SIM01" / "brain-tuned" / "preference.nc"
    missing.unlink()
    with pytest.raises(ResultsError, match=r"SIM01/brain-tuned/preference\.nc"):
        load_preferences(results, model)
    (results.root / model / "pretrained" / "preference.nc").unlink()
    with pytest.raises(ResultsError, match=r"pretrained/preference\.nc"):
        results.open(model, "SIM01", "pretrained", "preference")


def test_runs_of_other_words_are_no_pair(preferences):
    results, model, _ = preferences
    other = preference_results.invented_run(np.random.default_rng(1), ["cat", "dog", "rain"])
    write_dataset(other, results.root / model / "SIM01" / "brain-tuned" / "preference.nc", {})
    with pytest.raises(ValueError, match="word"):
        load_preferences(results, model)


def test_change_in_late_layers_is_paired(preferences):
    """Seven transformer layers: the last three are late."""
    results, model, runs = preferences
    loaded = load_preferences(results, model)
    table = late_change_table(loaded["preference"], loaded["draws"])
    assert list(table.index) == [("brain-tuned", participant) for participant in PARTICIPANTS]
    for participant in PARTICIPANTS:
        row = table.loc[("brain-tuned", participant)]
        before, after = (runs[name] for name in ("pretrained", participant))
        late = [run["preference"].values[5:].mean() for run in (before, after)]
        draws = after["draws"].values[5:].mean(axis=0) - before["draws"].values[5:].mean(axis=0)
        expected = [*late, late[1] - late[0], *of_one(late[1] - late[0], draws)]
        np.testing.assert_allclose(
            row[["pretrained", "tuned", "change", "low", "high"]].astype(float), expected
        )


def test_families_are_joined_in_what_they_share(written):
    results, model, _ = written
    run = over_layers(load_downstream(results, model))
    fewer = run.sel(participant=["SIM01"], condition=["brain-tuned", "pretrained"])
    families = in_families({"large": run, "small": fewer})
    assert list(families["model"].values) == ["large", "small"]
    assert list(families["participant"].values) == ["SIM01"]
    assert list(families["condition"].values) == ["pretrained", "brain-tuned"]
    for name in ("f1_macro", "f1_macro_draws"):
        xr.testing.assert_equal(
            families[name].sel(model="large", drop=True),
            run[name].sel(participant=["SIM01"], condition=["pretrained", "brain-tuned"]),
        )
    assert families["naive_f1_macro"].dims == ("task",)


@pytest.mark.parametrize(
    "altered",
    [
        lambda run: run.assign(n_clips=run["n_clips"] + 1),
        lambda run: run.isel(draw=slice(1, None)),
        lambda run: run.isel(task=[0]),
    ],
    ids=["clips", "draws", "tasks"],
)
def test_families_must_be_tested_alike(written, altered):
    results, model, _ = written
    run = over_layers(load_downstream(results, model))
    with pytest.raises(ResultsError, match="large, small: not tested on the same tasks, clips"):
        in_families({"large": run, "small": altered(run)})


def test_recognition_is_a_task_beside_those_of_probes(written):
    results, model, _ = written
    probes, recognition = load_downstream(results, model), load_recognition(results, model)
    tasks = by_task(probes, recognition)
    assert list(tasks) == [*TASKS, "speech recognition"]
    assert tasks["speech recognition"] is recognition
    assert list(by_task(probes)) == TASKS


@pytest.mark.parametrize(("n_layers", "third"), [(12, 4), (5, 2), (3, 1)])
def test_outer_thirds_are_without_the_transformers_input(n_layers, third):
    layers = xr.Dataset(coords={"layer": np.arange(n_layers + 1)})
    found = {
        name: list(layers["layer"].values[third_of])
        for name, third_of in outer_thirds(layers).items()
    }
    assert found == {
        "first third": list(range(1, third + 1)),
        "last third": list(range(n_layers + 1 - third, n_layers + 1)),
    }


# What models know, and what tests can show


def test_accuracies_are_in_percent_and_absent_where_there_are_no_categories(written):
    results, model, _ = written
    run = load_linguistic_probes(results, model)
    for condition in ("pretrained", "brain-tuned"):
        table = accuracy_table(run, condition)
        runs = [run_of(written, who, condition, "linguistic_probes") for who in PARTICIPANTS]
        expected = np.mean([each["accuracy"].sel(probe="phone") for each in runs], axis=0)
        np.testing.assert_allclose(table.loc["phone", [0, 1, 2, 3]].astype(float), 100 * expected)
        assert table.loc["phone", ["classes", "chance"]].tolist() == [46, 3]
        assert table.loc["category"].isna().all()


def speakers_of_probes(n_speakers, sd):
    """Probes whose change from pretrained differs between speakers, as means over them."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0.5, 0.1, (1, 2, 1, n_speakers))
    scores[:, 1] = scores[:, 0] + rng.normal(0.1, sd, (1, 1, n_speakers))
    draws = scores @ resampling_counts(n_speakers, 4000, seed=0).T / n_speakers
    dims = ("participant", "condition", "task")
    return scores[:, 1] - scores[:, 0], xr.Dataset(
        {
            "f1_macro": (dims, scores.mean(axis=-1)),
            "f1_macro_draws": ((*dims, "draw"), draws),
            "n_clips": (("task", "split"), [[9, 3, 30]]),
        },
        {
            **{"participant": ["SIM01"], "condition": ["pretrained", "brain-tuned"]},
            **{"task": ["word"], "split": ["train", "validation", "test"]},
            "n_drawn": ("draw", np.full(4000, n_speakers)),
        },
    )


def studies_of(mean, sd, n_speakers):
    return np.random.default_rng(1).normal(mean, sd, (10_000, n_speakers))


@pytest.mark.parametrize("n_speakers", [2, 12])
def test_power_is_that_of_a_paired_t_test_over_speakers(n_speakers):
    change, run = speakers_of_probes(n_speakers, sd=0.05)
    row = power_table({"mini": run}, difference=0.02).loc["word"]
    error = stats.sem(change.ravel())
    assert (row["speakers"], row["clips"]) == (n_speakers, 30)
    half = stats.t(n_speakers - 1).ppf(0.975) * error
    assert row["half width"] == pytest.approx(half, rel=0.05)
    studies = studies_of(row["smallest"], error * np.sqrt(n_speakers), n_speakers)
    found = stats.ttest_1samp(studies, 0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.05)
    assert row["speakers needed"] > n_speakers


def test_models_without_a_tuned_condition_count_for_nothing():
    _, run = speakers_of_probes(5, sd=0.05)
    only = run.sel(condition=["pretrained"])
    expected = power_table({"mini": run}, 0.02)
    pd.testing.assert_frame_equal(power_table({"mini": run, "other": only}, 0.02), expected)
    with pytest.raises(ResultsError, match="other: probed in one condition only"):
        power_table({"other": only}, 0.02)

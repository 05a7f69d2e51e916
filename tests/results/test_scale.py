import json
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from intervals_by_hand import by_hand, of_one

from bthelpers.core.errors import ResultsError
from bthelpers.params.loading import load, to_dict
from bthelpers.params.settings import ModelSettings
from bthelpers.results import scale
from bthelpers.results.comparison import CHANGES, tuned_and_pretrained
from bthelpers.results.scale import (
    COMPARED,
    DIFFERENCE,
    against_large_table,
    amounts,
    compare_gains,
    gain_table,
    load_against_large,
    load_gains,
    n_parameters,
    sizes,
)
from bthelpers.results.store import ENVIRONMENT, Results, result_folder, write_dataset

SMOKE = Path(__file__).parents[2] / "params" / "smoke.yaml"
PARTICIPANTS = ("SIM02", "SIM01")
EVALUATIONS = ("alignment", "impact", "probes", "recognition")
REGIONS = ["primary_auditory", "late_language"]
FEATURES = ["joint", "diphones"]
TASKS = ["action", "emotion"]
N_LAYERS, N_DRAWS, N_CLIPS = 3, 60, 9
BOTH = ("pretrained", "brain-tuned")
ALL = ("wide", "narrow", "wide-1", "narrow-2")
PARAMETERS = {"wide": 800, "narrow": 200, "wide-1": 800, "narrow-2": 200}


def model(path, base=None, stories=None, participants=None, conditions=BOTH):
    return ModelSettings(path, None, participants, conditions, EVALUATIONS, stories, base)


MODELS = {
    "wide": model("a"),
    "narrow": model("b", "wide"),
    "wide-1": model("a", "wide", 1, ("SIM01",), ("brain-tuned",)),
    "narrow-2": model("b", "narrow", 2, None, ("brain-tuned",)),
    "other": model("c"),
}


def profile_of(models):
    smoke = load(SMOKE)
    dataset = replace(smoke.dataset, participants=PARTICIPANTS)
    return replace(smoke, dataset=dataset, models=models)


PROFILE = profile_of(MODELS)


def invented(rng, step):
    """A run's file: values above 0, and draws around no common mean."""
    if step == "recognition":
        return xr.Dataset(
            {
                "accuracy": rng.uniform(0.2, 0.6),
                "wer_draws": ("draw", rng.uniform(0.2, 0.6, N_DRAWS)),
                "n_clips": ("split", [N_CLIPS]),
                **{f"n_{count}": 0 for count in ("words", "infeasible", "infeasible_training")},
            },
            {"draw": range(N_DRAWS)},
        )
    layers = ("layer",), (N_LAYERS,)
    extra = {
        "alignment": (("region",), (2,)),
        "impact": (("feature", "region"), (2, 2)),
        "probes": (("task",), (2,)),
    }
    dims, shape = (a + b for a, b in zip(layers, extra[step], strict=True))
    coords = {"region": REGIONS, "feature": FEATURES, "task": TASKS, "layer": range(N_LAYERS)}
    coords = {dim: coords[dim] for dim in dims}
    value, draws = (rng.uniform(0.2, 0.6, size) for size in (shape, (*shape, N_DRAWS)))
    if step != "probes":
        run = {"alignment": (dims, value), "draws": ((*dims, "draw"), draws)}
    else:
        run = {
            f"{score}{end}": (where, array)
            for score in ("f1_macro", "f1_weighted")
            for end, where, array in (("", dims, value), ("_draws", (*dims, "draw"), draws))
        }
        run |= {"n_constant_features": (dims, np.zeros(shape, int))}
        run |= {f"naive_f1_{kind}": ("task", [0.1, 0.2]) for kind in ("macro", "weighted")}
        run |= {name: ("task", [1, 1]) for name in ("n_outputs", "n_constant", "n_untested")}
        run |= {"n_clips": (("task", "split"), [[N_CLIPS], [N_CLIPS]])}
    return xr.Dataset(run, coords | {"draw": range(N_DRAWS)})


def write(results, which, run):
    model, _, _, step = which
    if step == "alignment":
        run = run.assign(n_parameters=PARAMETERS[model])
    write_dataset(run, results.root / result_folder(*which) / f"{step}.nc", {})


def write_profile(results, profile):
    (results.root / "profile.json").write_text(json.dumps(to_dict(profile)))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Results of four models that are compared, and the runs there. To be read only."""
    results, rng, runs = Results(tmp_path_factory.mktemp("scale")), np.random.default_rng(0), {}
    write_profile(results, PROFILE)
    for name in ALL:
        for participant, condition, step in product(
            PROFILE.participants_of(name), PROFILE.conditions_of(name), EVALUATIONS
        ):
            which = name, participant, condition, step
            shared = name, PARTICIPANTS[0], condition, step
            same = result_folder(*which) == result_folder(*shared) and shared in runs
            runs[which] = runs[shared] if same else invented(rng, step)
            write(results, which, runs[which])
    return results, runs


@pytest.fixture
def copied(written, tmp_path):
    """The same results, to be changed."""
    results, runs = written
    return Results(shutil.copytree(results.root, tmp_path / "results")), runs


def measured(runs, name, condition, step, participants, task=None):
    """Values and draws of participants by hand: mean over layers, then impact."""
    pairs = []
    for participant in sorted(participants):
        if step == "recognition":
            run = runs[name, participant, condition, step]
            pairs.append([run["accuracy"].item(), 1 - run["wer_draws"].values])
            continue

        def mean(of, name_of, of_run=participant, **labels):
            run = runs[name, of_run, condition, of][name_of]
            chosen = run.sel(**labels)
            return chosen.transpose("layer", ...).values[1:].mean(axis=0)

        if step == "probes":
            pairs.append([mean(step, n, task=task) for n in ("f1_macro", "f1_macro_draws")])
            continue
        before = [mean("alignment", n, region="late_language") for n in ("alignment", "draws")]
        if step == "impact":
            where = {"region": "late_language", "feature": "joint"}
            after = [mean("impact", n, **where) for n in ("alignment", "draws")]
            before = [100 * (b - a) / b for b, a in zip(before, after, strict=True)]
        pairs.append(before)
    return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])


def cases():
    whole = [(evaluation, None) for evaluation in ("alignment", "impact", "recognition")]
    return [*whole, *(("probes", task) for task in TASKS)]


def without(models, name, **changes):
    return profile_of(models | {name: replace(models[name], **changes)})


def test_sizes_are_of_other_checkpoints_and_amounts_of_the_same():
    for condition in BOTH:
        assert sizes(PROFILE, "wide", "probes", condition) == ["wide", "narrow"]
        assert sizes(PROFILE, "narrow", "probes", condition) == ["narrow"]
    assert amounts(PROFILE, "wide", "probes") == ["wide", "wide-1"]
    assert amounts(PROFILE, "narrow", "probes") == ["narrow", "narrow-2"]
    assert amounts(PROFILE, "other", "probes") == ["other"]


def test_what_is_tuned_in_another_way_is_no_amount():
    others = {"adaptation": "lora"}, {"tuned_regions": ("primary_auditory",)}
    for change in others:
        other = profile_of(MODELS | {"wide-1": replace(MODELS["wide-1"], **change)})
        assert amounts(other, "wide", "probes") == ["wide"]


def test_only_what_is_evaluated_is_studied():
    studies = (scale.with_sizes, scale.with_tuned_sizes, scale.with_amounts)
    assert [study(PROFILE, "alignment") for study in studies] == [["wide"]] * 3
    assert [study(PROFILE, "preference") for study in studies] == [[]] * 3
    untuned = without(MODELS, "narrow", conditions=("pretrained",))
    assert [study(untuned, "impact") for study in studies] == [["wide"], [], ["wide"]]
    assert amounts(untuned, "narrow", "impact") == ["narrow-2"]
    aligned = without(MODELS, "wide-1", evaluations=("alignment",))
    assert [study(aligned, "impact") for study in studies] == [["wide"], ["wide"], []]


def test_chapters_show_recorded_studies_where_the_profile_has_none(copied, monkeypatch):
    results, _ = copied
    monkeypatch.setenv(ENVIRONMENT, str(results.root))
    assert Results.holding("probes", models=scale.with_sizes).root == results.root
    alone = profile_of({"wide": MODELS["wide"]})
    write_profile(results, alone)
    assert Results.holding("probes", models=scale.with_sizes).recorded
    assert not Results.holding("probes").recorded


@pytest.mark.parametrize(("evaluation", "task"), cases())
def test_a_tuned_smaller_model_is_compared_with_a_larger_one(written, evaluation, task):
    results, runs = written
    found = load_against_large(results, "wide", evaluation)
    found = found if task is None else found.sel(task=task, drop=True)
    assert list(found["compared"].values) == list(COMPARED)
    pairs = [("narrow", "pretrained"), ("narrow", "brain-tuned"), ("wide", "pretrained")]
    expected = [measured(runs, *pair, evaluation, PARTICIPANTS, task) for pair in pairs]
    for name, (value, draws) in zip(COMPARED, expected, strict=True):
        np.testing.assert_allclose(found["value"].sel(compared=name), value)
        np.testing.assert_allclose(found["draws"].sel(compared=name), draws)
    _, (tuned, tuned_draws), (large, large_draws) = expected
    row = against_large_table(found).loc[DIFFERENCE]
    assert row["value"] == pytest.approx((tuned - large).mean())
    bounds = by_hand(tuned - large, tuned_draws - large_draws)
    np.testing.assert_allclose(row[["value, low", "value, high"]], bounds)


def test_the_table_has_intervals_of_values_and_of_their_paired_difference(written):
    results, runs = written
    table = against_large_table(load_against_large(results, "wide", "alignment"))
    assert list(table.index) == [*COMPARED, DIFFERENCE]
    tuned = measured(runs, "narrow", "brain-tuned", "alignment", PARTICIPANTS)
    large = measured(runs, "wide", "pretrained", "alignment", PARTICIPANTS)
    rows = {COMPARED[1]: tuned, DIFFERENCE: (tuned[0] - large[0], tuned[1] - large[1])}
    for name, (value, draws) in rows.items():
        expected = [value.mean(), *by_hand(value, draws)]
        np.testing.assert_allclose(
            table.loc[name, ["value", "value, low", "value, high"]], expected
        )
    of_tasks = against_large_table(load_against_large(results, "wide", "probes"))
    assert list(of_tasks.index) == list(product(TASKS, [*COMPARED, DIFFERENCE]))


def test_size_is_the_number_of_parameters(copied):
    """Not which of the two is a variant of the other."""
    results, _ = copied
    assert n_parameters(results, "wide-1") == 800
    first = load_against_large(results, "wide", "alignment")
    turned = profile_of(
        {
            "narrow": replace(MODELS["narrow"], variant_of=None),
            "wide": replace(MODELS["wide"], variant_of="narrow"),
        }
    )
    write_profile(results, turned)
    xr.testing.assert_identical(load_against_large(results, "narrow", "alignment"), first)


@pytest.mark.parametrize(("evaluation", "task"), cases())
@pytest.mark.parametrize(
    ("models", "references", "stories", "participants"),
    [
        (["wide", "wide-1"], ["wide", "wide"], [3, 1], ["SIM01"]),
        (["narrow", "narrow-2"], ["narrow", "narrow"], [3, 2], PARTICIPANTS),
        (["wide", "narrow"], ["wide", "narrow"], [3, 3], PARTICIPANTS),
    ],
    ids=["amounts", "amounts of a variant", "sizes"],
)
def test_gains_are_over_the_pretrained_model_of_that_size(
    written, evaluation, task, models, references, stories, participants
):
    results, runs = written
    found = load_gains(results, models, evaluation)
    found = found if task is None else found.sel(task=task)
    assert list(found["stories"].values) == stories
    assert list(found["parameters"].values) == [PARAMETERS[name] for name in models]
    for name, reference in zip(models, references, strict=True):
        tuned, draws = measured(runs, name, "brain-tuned", evaluation, participants, task)
        before, draws_before = measured(
            runs, reference, "pretrained", evaluation, participants, task
        )
        gain = found.sel(model=name)
        for condition, value in (("pretrained", before), ("brain-tuned", tuned)):
            np.testing.assert_allclose(gain["value"].sel(condition=condition), value)
        expected = {"difference": (tuned - before, draws - draws_before)}
        if evaluation != "impact":  # which may be negative
            percent = 100 * (tuned - before) / before, 100 * (draws - draws_before) / draws_before
            expected["percent"] = percent
        for kind, (value, draws_of_kind) in expected.items():
            changed = CHANGES[kind](*tuned_and_pretrained(gain)).squeeze("condition")
            np.testing.assert_allclose(changed["value"], value, err_msg=kind)
            np.testing.assert_allclose(changed["draws"], draws_of_kind, err_msg=kind)
            compared = compare_gains(gain, kind)
            assert compared["baseline"] == pytest.approx(before.mean())
            assert compared["value"] == pytest.approx(tuned.mean())
            assert compared["change"] == pytest.approx(value.mean())
            bounds = by_hand(value, draws_of_kind)
            np.testing.assert_allclose([compared["low"], compared["high"]], bounds)


def test_gains_are_listed_with_their_intervals(written):
    results, _ = written
    gains = load_gains(results, ["wide", "wide-1"], "alignment")
    table = gain_table(gains, "difference", "percent")
    assert list(table.index) == [("wide", 3, 800), ("wide-1", 1, 800)]
    for column, condition in (("pretrained", "pretrained"), ("tuned", "brain-tuned")):
        expected = gains["value"].sel(condition=condition, participant="SIM01")
        np.testing.assert_allclose(table[column], expected)
    for kind in ("difference", "percent"):
        gain = CHANGES[kind](*tuned_and_pretrained(gains)).squeeze(["condition", "participant"])
        low, high = of_one(gain["value"], gain["draws"].transpose("model", "draw"))
        np.testing.assert_allclose(table[kind], gain["value"])
        np.testing.assert_allclose(table[f"{kind}, low"], low)
        np.testing.assert_allclose(table[f"{kind}, high"], high)
    of_tasks = gain_table(load_gains(results, ["wide", "wide-1"], "probes"), "difference")
    assert of_tasks.index.names == ["task", "model", "stories", "parameters"]
    assert "percent" not in of_tasks


def test_an_impact_without_a_ratio_is_no_number(copied):
    results, runs = copied
    which = "narrow", "SIM01", "brain-tuned", "alignment"
    run = runs[which]
    write(results, which, run.assign(draws=run["draws"].where(run["draw"] > 0, -1.0)))
    table = against_large_table(load_against_large(results, "wide", "impact"))
    assert table.loc[[COMPARED[1], DIFFERENCE]].isna().all(axis=None)
    assert table.loc[[COMPARED[0], COMPARED[2]]].notna().all(axis=None)


def test_the_smaller_model_must_be_tuned(copied):
    results, _ = copied
    untuned = without(MODELS, "narrow", conditions=("pretrained",))
    write_profile(results, untuned)
    message = "narrow, the smallest of wide, narrow, is not brain-tuned: add this to models.narrow"
    with pytest.raises(ValueError, match=message):
        load_against_large(results, "wide", "alignment")


def test_models_must_share_a_participant(copied):
    results, _ = copied
    apart = without(
        MODELS | {"wide": replace(MODELS["wide"], participants=("SIM02",))},
        "narrow",
        participants=("SIM01",),
    )
    write_profile(results, apart)
    with pytest.raises(ValueError, match="wide, narrow share no participant; change"):
        load_gains(results, ["wide", "narrow"], "alignment")


@pytest.mark.parametrize(
    ("altered", "message"),
    [
        (lambda run: run.assign(n_clips=run["n_clips"] + 1), "n_clips"),
        (lambda run: run.isel(draw=slice(N_DRAWS - 1)), "draw"),
        (lambda run: run.assign_coords(task=["action", "word"]), "task"),
    ],
)
def test_models_must_be_tested_alike(copied, altered, message):
    results, runs = copied
    for participant, condition in product(PARTICIPANTS, BOTH):
        which = "narrow", participant, condition, "probes"
        write(results, which, altered(runs[which]))
    with pytest.raises(ValueError, match=message):
        load_against_large(results, "wide", "probes")


def test_missing_results_are_errors_that_name_them(copied):
    results, runs = copied
    folder = results.root / "wide-1" / "SIM01" / "brain-tuned"
    write_dataset(runs["wide-1", "SIM01", "brain-tuned", "alignment"], folder / "alignment.nc", {})
    with pytest.raises(ResultsError, match=r"alignment\.nc does not say how many parameters"):
        n_parameters(results, "wide-1")
    (folder / "probes.nc").unlink()
    with pytest.raises(ResultsError, match=r"wide-1/SIM01/brain-tuned/probes\.nc is not there"):
        load_gains(results, ["wide", "wide-1"], "probes")


@pytest.mark.parametrize("order", [("narrow", "wide", "middle"), ("wide", "middle", "narrow")])
def test_of_any_number_of_sizes_the_smallest_is_compared_with_the_largest(copied, order):
    results, runs = copied
    first, *_ = order
    others = MODELS | {"middle": MODELS["narrow"]}
    bases = {name: None if name == first else first for name in order}
    models = {
        name: replace(others[name], path=f"own {name}", variant_of=bases[name]) for name in order
    }
    before = load_against_large(results, "wide", "alignment")
    write_profile(results, profile_of(models))
    for participant, condition in product(PARTICIPANTS, BOTH):
        run = runs["narrow", participant, condition, "alignment"].assign(n_parameters=300)
        write_dataset(run, results.root / "middle" / participant / condition / "alignment.nc", {})
    xr.testing.assert_identical(load_against_large(results, first, "alignment"), before)
    found = sizes(results.profile(), first, "alignment", "brain-tuned")
    gains = load_gains(results, found, "alignment")
    assert dict(zip(gains["model"].values, gains["parameters"].values, strict=True)) == {
        "narrow": 200,
        "middle": 300,
        "wide": 800,
    }

from itertools import product

import numpy as np
import pytest
import xarray as xr
from claim_results import (
    CONDITIONS,
    FEATURES,
    FEW,
    HALF,
    MODEL,
    N_DRAWS,
    PARTICIPANTS,
    REGIONS,
    TASKS,
)
from scipy import stats

from bthelpers.claims.claim import Claim, Statement
from bthelpers.claims.margins import ALIGNMENT, SCORE
from bthelpers.claims.quantities import (
    BY_SIZE,
    BY_STORIES,
    CONTRASTS,
    EARLY_LOW_LEVEL,
    LARGE,
    LATE_LOW_LEVEL,
    LATE_PREFERENCE,
    LATE_PREFERENCE_GAIN,
    LOW_LEVEL,
    NAIVE,
    NEIGHBOURS,
    PROBES,
    RECOGNITION,
    SIZE_SLOPE,
    STORY_SLOPE,
    TUNED_SMALL,
    VOXEL_COUNT,
    VOXELS,
    alignment_with,
    impact_on,
    in_two_sizes,
)
from bthelpers.claims.verdicts import evaluate_claims
from bthelpers.encoding.low_level import JOINT
from bthelpers.results.impact import SINGLE
from bthelpers.results.store import read_dataset, write_dataset


def over_participants(results, model, condition, step, number):
    """What a function computes of each participant's run, by plain NumPy."""
    runs = (results.open(model, participant, condition, step) for participant in PARTICIPANTS)
    return np.array([number(run) for run in runs])


def of_condition(found, condition, **labels):
    """Values or draws (participant, ...) of a condition, in the order of `PARTICIPANTS`."""
    chosen = found.sel(condition=condition, participant=PARTICIPANTS, **labels)
    return chosen.transpose("participant", ...)


def naive_alignment(results, condition, name, region):
    changes = []
    for participant in PARTICIPANTS:
        new, old = (
            results.open(MODEL, participant, which, "alignment")[name]
            .values[1:, REGIONS.index(region)]
            .mean(axis=0)
            for which in (condition, "pretrained")
        )
        changes.append(100 * (new - old) / old)
    return np.array(changes)


@pytest.mark.parametrize("region", REGIONS)
def test_alignment_is_relative_to_each_participants_own(written, region):
    found = alignment_with(region, "somewhere").load(written, MODEL)
    for condition, (mine, name) in product(
        CONDITIONS, {"value": "alignment", "draws": "draws"}.items()
    ):
        expected = naive_alignment(written, condition, name, region)
        np.testing.assert_allclose(of_condition(found[mine], condition), expected, atol=1e-9)


def test_the_four_features_are_those_that_are_joint():
    assert SINGLE == JOINT


@pytest.mark.parametrize("features", [JOINT, ("joint",)])
def test_impact_is_the_mean_of_single_features(written, features):
    measure = impact_on("late_language", "there", features)
    assert measure.needs == ("late_language", *features)
    found = measure.load(written, MODEL)
    for condition, (mine, name) in product(
        CONDITIONS, {"value": "alignment", "draws": "draws"}.items()
    ):
        expected = []
        for participant in PARTICIPANTS:
            original = written.open(MODEL, participant, condition, "alignment")[name].values
            residual = written.open(MODEL, participant, condition, "impact")[name].values
            before = original[1:, 0].mean(axis=0)
            some = [FEATURES.index(feature) for feature in features]
            after = residual[some, 1:, 0].mean(axis=1)
            expected.append(np.mean(100 * (before - after) / before, axis=0))
        np.testing.assert_allclose(of_condition(found[mine], condition), expected)


def test_impact_without_a_ratio_has_no_value(copied):
    file = copied.root / MODEL / "SIM01" / "brain-tuned" / "alignment.nc"
    run = read_dataset(file)
    run["draws"][:, 0, 3] = -1
    write_dataset(run, file, {})
    impact = impact_on("late_language", "there")
    found = impact.load(copied, MODEL)
    tuned = found.sel(condition="brain-tuned")
    assert tuned.sel(participant="SIM01").isnull().all().to_array().all()
    assert tuned.sel(participant="SIM02").notnull().all().to_array().all()
    assert found.sel(condition="pretrained").notnull().all().to_array().all()
    below = Statement(impact, ("brain-tuned", "pretrained"), "below", families=("HuBERT",))
    verdicts = evaluate_claims(copied, {"a": [Claim("less", "3", (below,))]})
    [claim], [row] = (table.to_dict("records") for table in (verdicts.claims, verdicts.rows))
    assert claim["verdict"] == "cannot be tested"
    assert claim["remark"] == f"no value in up to {N_DRAWS} draws of a row"
    assert np.isnan([row["value"], row["low"], row["high"], row["p"]]).all()


def test_scores_are_means_over_layers_and_participants(written):
    probes = PROBES.load(written, MODEL)
    low_level = LOW_LEVEL.load(written, MODEL)
    for condition, task in product(CONDITIONS, ["phones", "action"]):
        for mine, name in {"value": "f1_macro", "draws": "f1_macro_draws"}.items():

            def of_layers(run, name=name, task=task):
                return run[name].values[TASKS.index(task), 1:].mean(axis=0)

            expected = over_participants(written, MODEL, condition, "probes", of_layers)
            found = of_condition(probes[mine], condition, task=task)
            np.testing.assert_allclose(found, expected)
    for mine, name in {"value": "r2", "draws": "r2_draws"}.items():

        def of_fbank(run, name=name):
            return run[name].values[1, 1:].mean(axis=0)

        expected = over_participants(written, MODEL, "big-slm", "low_level_probes", of_fbank)
        found = of_condition(low_level[mine], "big-slm", task="fbank")
        np.testing.assert_allclose(found, expected)
    naive = probes.sel(condition=NAIVE)
    exact = written.open(MODEL, "", "pretrained", "probes")["naive_f1_macro"]
    for participant in PARTICIPANTS:
        np.testing.assert_allclose(naive["value"].sel(participant=participant), exact)
    assert (naive["draws"] == naive["value"]).all()


def test_recognition_is_accuracy(written):
    found = of_condition(RECOGNITION.load(written, MODEL), "stimulus-tuned")
    expected = over_participants(
        written, MODEL, "stimulus-tuned", "recognition", lambda run: 1 - run["wer"].values
    )
    np.testing.assert_allclose(found["value"], expected)
    draws = over_participants(
        written, MODEL, "stimulus-tuned", "recognition", lambda run: 1 - run["wer_draws"].values
    )
    np.testing.assert_allclose(found["draws"], draws)


def test_late_layers_are_the_last_third(written):
    """Of five transformer layers, two are late, and three come before."""
    for mine, name in {"value": "preference", "draws": "draws"}.items():

        def late(run, name=name):
            return run[name].values[4:6].mean(axis=0)

        def rise(run, name=name):
            return run[name].values[4:6].mean(axis=0) - run[name].values[1:4].mean(axis=0)

        for measure, number in ((LATE_PREFERENCE, late), (LATE_PREFERENCE_GAIN, rise)):
            found = of_condition(measure.load(written, MODEL)[mine], "brain-tuned")
            expected = over_participants(written, MODEL, "brain-tuned", "preference", number)
            np.testing.assert_allclose(found, expected)


def of_action(name):
    return lambda run: run[name].values[0, 1:].mean(axis=0)


@pytest.mark.parametrize(
    ("measure", "condition", "tuned", "pretrained", "amounts"),
    [
        (STORY_SLOPE, BY_STORIES, (MODEL, FEW), (MODEL, MODEL), (3, 2)),
        (SIZE_SLOPE, BY_SIZE, (MODEL, HALF), (MODEL, HALF), (4000, 1500)),
    ],
)
def test_slopes_are_least_squares_per_doubling(
    written, measure, condition, tuned, pretrained, amounts
):
    def gains(name):
        return [
            over_participants(written, new, "brain-tuned", "probes", of_action(name))
            - over_participants(written, old, "pretrained", "probes", of_action(name))
            for new, old in zip(tuned, pretrained, strict=True)
        ]

    def slope(pair):
        return stats.linregress(np.log2(amounts), pair).slope

    found = of_condition(measure.load(written, MODEL), condition, task="action")
    for mine, name in {"value": "f1_macro", "draws": "f1_macro_draws"}.items():
        expected = np.apply_along_axis(slope, 0, gains(name))
        np.testing.assert_allclose(found[mine], expected)


def test_a_smaller_model_is_compared_with_a_larger_one(written):
    measure = in_two_sizes("F1", "F1", "probes", SCORE)
    found = measure.load(written, MODEL).sel(task="action")
    for condition, run in ((TUNED_SMALL, (HALF, "brain-tuned")), (LARGE, (MODEL, "pretrained"))):
        expected = over_participants(written, *run, "probes", of_action("f1_macro"))
        np.testing.assert_allclose(of_condition(found["value"], condition), expected)
    profile = written.profile()
    assert list(measure.conditions(profile, MODEL)) == [TUNED_SMALL, LARGE]
    assert not measure.conditions(profile, "whisper-mini")


def test_alignment_of_two_sizes_is_in_percent_of_the_larger(written):
    measure = in_two_sizes("alignment", "% of the larger", "alignment", ALIGNMENT)
    found = measure.load(written, MODEL)

    def late(run):
        return run["alignment"].values[1:, 0].mean(axis=0)

    small = over_participants(written, HALF, "brain-tuned", "alignment", late)
    large = over_participants(written, MODEL, "pretrained", "alignment", late)
    expected = 100 * (small / large - 1)
    np.testing.assert_allclose(of_condition(found["value"], TUNED_SMALL), expected)
    assert (of_condition(found["value"], LARGE) == 0).all()


def test_contrasts_are_of_phones_and_sentence_type_with_each_other_task(written):
    found = CONTRASTS.load(written, MODEL)
    pairs = list(product(("phones", "sentence type"), ("action", "word", "emotion")))
    assert list(found["task"].values) == [f"{one} less {other}" for one, other in pairs]
    # Seven speakers of some corpora, and six of others: the fewer count.
    fewest = found["n_drawn"].transpose("task", "draw").values[:, 0]
    assert fewest.tolist() == [7, 6, 7, 6, 6, 6]
    for mine, name in {"value": "f1_macro", "draws": "f1_macro_draws"}.items():

        def apart(run, name=name):
            of_tasks = run[name].values[:, 1:].mean(axis=1)
            return of_tasks[TASKS.index("phones")] - of_tasks[TASKS.index("word")]

        expected = over_participants(written, MODEL, "brain-tuned", "probes", apart)
        chosen = of_condition(found[mine], "brain-tuned", task="phones less word")
        np.testing.assert_allclose(chosen, expected)


def test_early_and_late_layers_are_thirds(written):
    """Of five transformer layers, the first two and the last two."""
    for measure, layers in ((EARLY_LOW_LEVEL, slice(1, 3)), (LATE_LOW_LEVEL, slice(4, 6))):

        def third(run, layers=layers):
            return run["r2"].values[0, layers].mean(axis=0)

        found = measure.load(written, MODEL)["value"]
        expected = over_participants(written, MODEL, "pretrained", "low_level_probes", third)
        np.testing.assert_allclose(of_condition(found, "pretrained", task="mfcc"), expected)


def test_neighbours_are_compared_with_random_words(written):
    found = NEIGHBOURS.load(written, MODEL)["value"]

    def phonetic(run):
        means = run["distance"].values.mean(axis=-1)  # semantic, phonetic, random
        return (means[:, 1] / means[:, 2])[1:].mean()

    expected = over_participants(written, MODEL, "pretrained", "preference", phonetic)
    np.testing.assert_allclose(of_condition(found, "pretrained", task="phonetic"), expected)


def test_voxels_are_counted_and_exact(copied):
    counts = dict(zip(PARTICIPANTS, (31_000, 52_000), strict=True))
    for participant, count in counts.items():
        above = xr.Dataset({"above": ("voxel", np.arange(60_000) < count)})
        write_dataset(above, copied.root / participant / "voxels.nc", {})
    found = VOXEL_COUNT.load(copied, MODEL).sel(condition=VOXELS).isel(participant=0)
    assert dict(zip(found["task"].values, found["value"].values, strict=True)) == counts
    assert (found["draws"] == found["value"]).all()
    published = Statement(VOXEL_COUNT, (VOXELS,), "equal to", 40_000, families=())
    verdicts = evaluate_claims(copied, {"a": [Claim("some", "3.2", (published,))]})
    assert verdicts.claims["verdict"].item() == "does not"
    assert list(verdicts.rows["p"] < 0.05) == [True, False]

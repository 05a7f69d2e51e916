from itertools import product

import numpy as np
import pytest
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

from bthelpers.claims.quantities import (
    BY_SIZE,
    BY_STORIES,
    LARGE,
    LATE_PREFERENCE,
    LATE_PREFERENCE_GAIN,
    LOW_LEVEL,
    NAIVE,
    PROBES,
    RECOGNITION,
    SIZE_SLOPE,
    STORY_SLOPE,
    TUNED_SMALL,
    alignment_with,
    impact_on,
    in_two_sizes,
)
from bthelpers.claims.verdicts import Claim, evaluate_claims
from bthelpers.encoding.low_level import JOINT
from bthelpers.results.store import read_dataset, write_dataset


def over_participants(results, model, condition, step, number):
    """Mean over participants of what a function computes of a run, by plain NumPy."""
    runs = (results.open(model, participant, condition, step) for participant in PARTICIPANTS)
    return np.mean([number(run) for run in runs], axis=0)


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
    return np.mean(changes, axis=0)


@pytest.mark.parametrize("region", REGIONS)
def test_alignment_is_relative_to_each_participants_own(written, region):
    found = alignment_with(region, "somewhere").load(written, MODEL)
    for condition, (mine, name) in product(
        CONDITIONS, {"value": "alignment", "draws": "draws"}.items()
    ):
        expected = naive_alignment(written, condition, name, region)
        np.testing.assert_allclose(found[mine].sel(condition=condition), expected, atol=1e-9)


@pytest.mark.parametrize("features", [JOINT, ("joint",)])
def test_impact_is_the_mean_of_single_features(written, features):
    measure = impact_on("late_language", "there", features)
    assert measure.needs == ("late_language", *features)
    found = measure.load(written, MODEL)
    for condition, (mine, name) in product(
        CONDITIONS, {"value": "alignment", "draws": "draws"}.items()
    ):
        shares = []
        for participant, feature in product(PARTICIPANTS, features):
            original = written.open(MODEL, participant, condition, "alignment")[name].values
            residual = written.open(MODEL, participant, condition, "impact")[name].values
            before = original[1:, 0].mean(axis=0)
            after = residual[FEATURES.index(feature), 1:, 0].mean(axis=0)
            shares.append(100 * (before - after) / before)
        expected = np.mean(shares, axis=0)
        np.testing.assert_allclose(found[mine].sel(condition=condition), expected)


def test_impact_without_a_ratio_has_no_value(copied):
    file = copied.root / MODEL / "SIM01" / "brain-tuned" / "alignment.nc"
    run = read_dataset(file)
    run["draws"][:, 0, 3] = -1
    write_dataset(run, file, {})
    impact = impact_on("late_language", "there")
    found = impact.load(copied, MODEL)
    assert found.sel(condition="brain-tuned").isnull().all().to_array().all()
    assert found.sel(condition="pretrained").notnull().all().to_array().all()
    claim = Claim("less", "3", impact, ("brain-tuned", "pretrained"), "below", families=("HuBERT",))
    [row] = evaluate_claims(copied, {"a": [claim]}).to_dict("records")
    assert row["verdict"] == f"cannot be tested: no value in {N_DRAWS} of {N_DRAWS} draws"
    assert np.isnan([row["value"], row["low"], row["high"]]).all()


def test_scores_are_means_over_layers_and_participants(written):
    probes = PROBES.load(written, MODEL)
    low_level = LOW_LEVEL.load(written, MODEL)
    for condition, task in product(CONDITIONS, ["phones", "action"]):
        for mine, name in {"value": "f1_macro", "draws": "f1_macro_draws"}.items():

            def of_layers(run, name=name, task=task):
                return run[name].values[TASKS.index(task), 1:].mean(axis=0)

            expected = over_participants(written, MODEL, condition, "probes", of_layers)
            found = probes[mine].sel(condition=condition, task=task)
            np.testing.assert_allclose(found, expected)
    for mine, name in {"value": "r2", "draws": "r2_draws"}.items():

        def of_fbank(run, name=name):
            return run[name].values[1, 1:].mean(axis=0)

        expected = over_participants(written, MODEL, "big-slm", "low_level_probes", of_fbank)
        np.testing.assert_allclose(low_level[mine].sel(condition="big-slm", task="fbank"), expected)
    naive = probes.sel(condition=NAIVE)
    exact = written.open(MODEL, "", "pretrained", "probes")["naive_f1_macro"]
    np.testing.assert_allclose(naive["value"], exact)
    assert (naive["draws"] == naive["value"]).all()


def test_recognition_is_accuracy(written):
    found = RECOGNITION.load(written, MODEL).sel(condition="stimulus-tuned")
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
            found = measure.load(written, MODEL)[mine].sel(condition="brain-tuned")
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

    found = measure.load(written, MODEL).sel(condition=condition, task="action")
    assert found["value"].item() == pytest.approx(slope(gains("f1_macro")))
    draws = [slope(pair) for pair in np.transpose(gains("f1_macro_draws"))]
    np.testing.assert_allclose(found["draws"], draws)


def test_a_smaller_model_is_compared_with_a_larger_one(written):
    measure = in_two_sizes("F1", "F1", "probes")
    found = measure.load(written, MODEL).sel(task="action")
    for condition, run in ((TUNED_SMALL, (HALF, "brain-tuned")), (LARGE, (MODEL, "pretrained"))):
        expected = over_participants(written, *run, "probes", of_action("f1_macro"))
        np.testing.assert_allclose(found["value"].sel(condition=condition), expected)
    profile = written.profile()
    assert list(measure.conditions(profile, MODEL)) == [TUNED_SMALL, LARGE]
    assert not measure.conditions(profile, "whisper-mini")

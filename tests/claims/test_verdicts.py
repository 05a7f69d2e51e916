import json
import shutil
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from bthelpers.claims.iclr2025 import CLAIMS
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
from bthelpers.claims.verdicts import (
    COLUMNS,
    FAMILIES,
    SIMULATED,
    UNCLEAR,
    VERDICTS,
    Claim,
    Claimed,
    count_verdicts,
    evaluate_claims,
    family_of,
    judge,
    readable,
)
from bthelpers.core.errors import ResultsError
from bthelpers.encoding.low_level import JOINT
from bthelpers.params.loading import load, to_dict
from bthelpers.params.settings import Condition, ModelSettings
from bthelpers.results.store import Results, read_dataset, result_folder, write_dataset

REPOSITORY = Path(__file__).parents[2]
PARTICIPANTS = ["SIM02", "SIM01"]
CONDITIONS = list(get_args(Condition))
TASKS = ["action", "sentence type", "phones", "word", "emotion"]
REGIONS = ["late_language", "primary_auditory"]
FEATURES = [*JOINT, "joint"]
N_LAYERS, N_DRAWS = 5, 40  # transformer layers; with their input, one more
MODEL, HALF, FEW = "hubert-mini", "hubert-half", "hubert-few"
PARAMETERS = {MODEL: 4000, FEW: 4000, HALF: 1500, "whisper-mini": 4000}
MODELS = {
    MODEL: ModelSettings("a", None),
    HALF: ModelSettings(
        "b",
        None,
        conditions=("pretrained", "brain-tuned"),
        evaluations=("alignment", "impact", "probes"),
        variant_of=MODEL,
    ),
    FEW: ModelSettings(
        "a",
        None,
        conditions=("brain-tuned",),
        evaluations=("alignment", "probes"),
        tuning_stories=2,
        variant_of=MODEL,
    ),
    "whisper-mini": ModelSettings(
        "c", None, conditions=("pretrained", "brain-tuned"), evaluations=("alignment",)
    ),
}


class ReadOnce(Results):
    """Results that do not change: each file is read once."""

    open = cache(Results.open)


def drawn(rng, name, draws, dims, low=0.3, high=0.6):
    """Values and draws about them, under two names."""
    values = rng.uniform(low, high, [len(names) for names in dims.values()])
    around = values[..., None] + rng.normal(0, 0.02, (*values.shape, N_DRAWS))
    return xr.Dataset({name: (tuple(dims), values), draws: ((*dims, "draw"), around)}, coords=dims)


def invented(step, model, rng):
    layers = {"layer": np.arange(N_LAYERS + 1)}
    if step == "alignment":
        run = drawn(rng, "alignment", "draws", layers | {"region": REGIONS})
        return run.assign(n_parameters=PARAMETERS[model])
    if step == "impact":
        return drawn(
            rng, "alignment", "draws", {"feature": FEATURES} | layers | {"region": REGIONS}, 0, 0.2
        )
    if step == "preference":
        kinds, words = ["semantic", "phonetic", "random"], ["cat", "dog"]
        distances = drawn(rng, "distance", "draws", layers | {"kind": kinds, "word": words})
        return drawn(rng, "preference", "draws", layers).assign(
            distance=distances["distance"],
            distance_draws=distances["draws"].mean("word"),
            n_spoken=("word", [3, 4]),
        )
    if step == "recognition":
        counts = dict.fromkeys(["n_words", "n_infeasible", "n_infeasible_training"], 9)
        run = drawn(rng, "wer", "wer_draws", {})
        return run.assign(accuracy=1 - run["wer"], n_clips=("split", [5, 5, 5]), **counts)
    of_probes = {"probes": ("f1_macro", TASKS), "low_level_probes": ("r2", ["mfcc", "fbank"])}
    score, tasks = of_probes[step]
    run = drawn(rng, score, f"{score}_draws", {"task": tasks} | layers)
    if step == "probes":
        run = run.assign(f1_weighted=run["f1_macro"], f1_weighted_draws=run["f1_macro_draws"])
        naive = ("task", np.linspace(0.05, 0.25, len(tasks)))
        run = run.assign(naive_f1_macro=naive, naive_f1_weighted=naive)
    counts = dict.fromkeys(["n_outputs", "n_constant", "n_untested"], ("task", [4] * len(tasks)))
    return run.assign(
        n_constant_features=(("task", "layer"), np.zeros((len(tasks), N_LAYERS + 1), int)),
        n_clips=(("task", "split"), np.full((len(tasks), 3), 7)),
        **counts,
    )


def write_profile(root, models):
    changes = {
        "dataset.participants": PARTICIPANTS,
        "conditions": CONDITIONS,
        "impact.features": FEATURES,
        "impact.regions": REGIONS,
        "evaluations": ["alignment", "impact", "preference", "probes", "recognition"],
    }
    profile = replace(load(REPOSITORY / "params" / "smoke.yaml", changes), models=models)
    (root / "profile.json").write_text(json.dumps(to_dict(profile)))
    return profile


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Results in which every claim can be tested of HuBERT. To be read only."""
    root = tmp_path_factory.mktemp("results")
    rng = np.random.default_rng(0)
    profile = write_profile(root, MODELS)
    for model, participant, condition in profile.runs:
        steps = list(profile.evaluations_of(model))
        for step in [*steps, *(["low_level_probes"] if "probes" in steps else [])]:
            file = root / result_folder(model, participant, condition, step) / f"{step}.nc"
            if not file.is_file():
                made = {"dataset": "Simulated by a test"}
                write_dataset(invented(step, model, rng), file, made)
    return ReadOnce(root)


@pytest.fixture
def copied(written, tmp_path):
    """The same results, to be changed."""
    return Results(shutil.copytree(written.root, tmp_path / "results"))


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


@pytest.mark.parametrize(
    ("claimed", "beside", "expected"),
    [
        ("above", "above", "holds"),
        ("above", "around", UNCLEAR),
        ("above", "below", "does not"),
        ("below", "above", "does not"),
        ("below", "around", UNCLEAR),
        ("below", "below", "holds"),
        ("equal to", "above", "does not"),
        ("equal to", "around", "holds"),
        ("equal to", "below", "does not"),
        ("not above", "above", "does not"),
        ("not above", "around", "holds"),
        ("not above", "below", "holds"),
        ("not below", "above", "holds"),
        ("not below", "around", "holds"),
        ("not below", "below", "does not"),
    ],
)
def test_verdicts_follow_from_where_the_interval_is(claimed, beside, expected):
    place = {"below": -3, "around": 0, "above": 3}[beside]
    draws = xr.DataArray(np.random.default_rng(0).normal(place, 1, 500), dims="draw")
    bounds = np.percentile(draws, [2.5, 97.5])
    for bound in (0, -0.05, 30):
        low, high, verdict = judge(draws + bound, claimed, bound)
        assert verdict == expected
        np.testing.assert_allclose([low, high], bounds + bound)


def test_verdicts_are_of_all_that_can_be_claimed():
    assert set(VERDICTS) == set(get_args(Claimed))


def test_an_interval_that_ends_at_the_bound_is_not_clear_of_it():
    draws = xr.DataArray(np.zeros(50), dims="draw")
    assert judge(draws, "above", 0)[2] == judge(draws, "below", 0)[2] == UNCLEAR
    assert judge(draws, "equal to", 0)[2] == "holds"


@pytest.mark.parametrize("claimed", VERDICTS)
@pytest.mark.parametrize("n_undefined", [1, 50])
def test_draws_without_a_value_are_counted(claimed, n_undefined):
    draws = xr.DataArray(np.ones(50), dims="draw")
    draws[:n_undefined] = np.nan
    low, high, verdict = judge(draws, claimed, 0)
    assert verdict == f"cannot be tested: no value in {n_undefined} of 50 draws"
    assert np.isnan([low, high]).all()


LATE = alignment_with("late_language", "late language")
GAIN = ("brain-tuned", "pretrained")


def test_a_difference_is_of_paired_draws(written):
    claim = Claim("more", "4.1", LATE, ("brain-tuned", "big-slm"), "above", families=("HuBERT",))
    table = evaluate_claims(written, {"Alignment": [claim]})
    assert list(table.columns) == COLUMNS
    [row] = table.to_dict("records")
    pair = [
        [naive_alignment(written, which, name, "late_language") for name in ("alignment", "draws")]
        for which in claim.compared
    ]
    value, draws = (tuned - other for tuned, other in zip(*pair, strict=True))
    assert row["value"] == pytest.approx(value)
    assert [row["low"], row["high"]] == pytest.approx(list(np.percentile(draws, [2.5, 97.5])))
    said = [row[name] for name in ("topic", "claim", "source", "model", "unit", "claimed")]
    assert said == ["Alignment", "more", "4.1", MODEL, "% of pretrained", "above 0"]
    assert row["statistic"] == "alignment with late language, brain-tuned minus big-slm"


def test_a_claim_is_tested_once_for_each_task_and_model(written):
    probes = Claim("a", "4.3", PROBES, ("pretrained", NAIVE), "above", 0.1)
    probes = replace(probes, tasks=("word", "emotion"))
    both = Claim("b", "4.1", LATE, ("pretrained",), "equal to")
    table = evaluate_claims(written, {"a": [probes], "b": [both]})
    of_tasks = table[(table["topic"] == "a") & table["value"].notna()]
    assert [said.split(":")[0] for said in of_tasks["statistic"]] == ["word", "emotion"]
    assert set(of_tasks["claimed"]) == {"above 0.1"}
    assert list(table[table["topic"] == "b"]["model"]) == [MODEL, "whisper-mini", ""]


def test_what_models_lack_is_named(written):
    needs = impact_on("elsewhere", "there", ("mfcc", "joint"))
    claims = [
        Claim("a", "4.3", RECOGNITION, GAIN, "above"),
        Claim("b", "4.1", LATE, ("big-slm", "text-lm"), "above"),
        Claim("c", "4.2", needs, GAIN, "below", families=("HuBERT",)),
        Claim("d", "E.2", STORY_SLOPE, (BY_STORIES,), "above", families=("Whisper",)),
        Claim("e", "4.1", LATE, GAIN, "above", families=("HuBERT",)),
    ]
    table = evaluate_claims(written, {"all": claims})
    lacking = table[table["model"] == ""].set_index("claim")["verdict"]
    start = "cannot be tested with these runs: "
    assert dict(lacking) == {
        "a": f"{start}no Wav2vec2 with recognition; no Whisper with recognition",
        "b": f"{start}no Wav2vec2 with alignment; whisper-mini without big-slm and text-lm",
        "c": f"{start}{MODEL} without elsewhere and mfcc",
        "d": f"{start}no Whisper with probes",
    }
    assert list(table[table["model"] == MODEL]["claim"]) == ["a", "b", "e"]


def test_variants_are_no_models_of_a_family(written):
    claim = Claim("a", "4.1", LATE, GAIN, "above", families=("HuBERT",))
    assert list(evaluate_claims(written, {"a": [claim]})["model"]) == [MODEL]


@pytest.mark.parametrize(
    ("dataset", "simulated"),
    [("Simulated participants", True), ("simulated corpora", True), ("LeBel et al.", False)],
)
def test_a_simulation_has_no_bearing_on_claims_about_published_models(copied, dataset, simulated):
    for participant in PARTICIPANTS:
        file = copied.root / MODEL / participant / "pretrained" / "alignment.nc"
        write_dataset(read_dataset(file), file, {"dataset": dataset})
    claim = Claim("a", "4.1", LATE, GAIN, "not above", 99, ("HuBERT", "Wav2vec2"))
    table = evaluate_claims(copied, {"a": [claim, replace(claim, of_published=True)]})
    tested = ["holds", "cannot be tested with these runs: no Wav2vec2 with alignment"]
    assert list(table["verdict"]) == [*tested, *(SIMULATED if simulated else v for v in tested)]
    assert np.isfinite(table["value"][[0, 2]]).all()


def test_without_any_run_nothing_is_known_of_its_data(copied):
    write_profile(copied.root, {"whisper-mini": MODELS["whisper-mini"]})
    claim = Claim("a", "4", PROBES, ("pretrained", NAIVE), "equal to", families=("Whisper",))
    claim = replace(claim, of_published=True)
    [verdict] = evaluate_claims(copied, {"a": [claim]})["verdict"]
    assert verdict == "cannot be tested with these runs: no Whisper with probes"


def test_a_changed_value_changes_the_verdict(copied):
    claim = Claim("a", "4.1", LATE, GAIN, "above", families=("HuBERT",))
    found = []
    for shift in (-0.15, 0, 0.15):
        for participant in PARTICIPANTS:
            before, after = (
                copied.root / MODEL / participant / condition / "alignment.nc"
                for condition in ("pretrained", "brain-tuned")
            )
            run = read_dataset(before)
            noise = np.random.default_rng(1).normal(0, 0.02, N_DRAWS)
            tuned = run.assign(
                alignment=run["alignment"] + shift, draws=run["draws"] + shift + noise
            )
            write_dataset(tuned, after, {"dataset": "invented"})
        found.append(evaluate_claims(copied, {"a": [claim]})["verdict"].item())
    assert found == ["does not", UNCLEAR, "holds"]


def test_a_missing_file_is_an_error_that_names_it(copied):
    (copied.root / MODEL / "SIM01" / "brain-tuned" / "alignment.nc").unlink()
    with pytest.raises(ResultsError, match=r"SIM01/brain-tuned/alignment\.nc"):
        evaluate_claims(copied, {"a": [Claim("a", "4.1", LATE, GAIN, "above")]})


@pytest.mark.parametrize(
    ("model", "path", "family"),
    [
        ("hubert-mini", "bthelpers/checkpoints/hubert-mini", "HuBERT"),
        ("base", "facebook/wav2vec2-base", "Wav2vec2"),
        ("mine", "hubert-models/whisper-small", "Whisper"),
        ("wavlm-mini", "bthelpers/checkpoints/wavlm-mini", None),
    ],
)
def test_a_family_is_read_off_the_names(model, path, family):
    assert family_of(model, path) == family


@pytest.fixture(scope="module")
def published(written):
    return evaluate_claims(written, CLAIMS)


def test_every_published_claim_is_tested(written, published):
    """The results hold everything of HuBERT, and Whisper's alignment."""
    for topic, claims in CLAIMS.items():
        for claim in claims:
            rows = published[(published["topic"] == topic) & (published["claim"] == claim.text)]
            if "HuBERT" in claim.families or claim.measure.evaluation == "alignment":
                assert rows["value"].notna().any(), claim.text
            assert set(claim.families) <= set(FAMILIES)
            assert claim.source
    assert not published["verdict"].isna().any()
    assert not published["verdict"].str.contains(f"{MODEL} without").any()


def test_the_chapter_shows_every_topic():
    chapter = (REPOSITORY / "book" / "13_claims.md").read_text(encoding="utf-8")
    for topic in CLAIMS:
        assert f'of_topic["{topic}"]' in chapter


def test_verdicts_are_counted_by_topic():
    verdicts = ["holds", "holds", UNCLEAR, "does not", SIMULATED, "cannot be tested: no value in 1"]
    table = pd.DataFrame({"topic": ["b", "a", "a", "a", "b", "b"], "verdict": verdicts})
    counts = count_verdicts(table)
    assert list(counts.index) == ["b", "a", "all"]
    columns = ["holds", "does not", UNCLEAR, "cannot be tested"]
    assert counts[columns].values.tolist() == [[1, 0, 0, 2], [1, 1, 1, 0], [2, 1, 1, 2]]


def test_tables_are_short_and_whole(published):
    html = readable(published).to_html()
    for claim in published["claim"]:
        assert claim.replace("'", "&#x27;") in html or claim in html
    assert "nan" not in html
    row = published.iloc[0]
    assert f"{row['value']:+.3g}" in html
    assert f"[{row['low']:+.3g}, {row['high']:+.3g}]" in html

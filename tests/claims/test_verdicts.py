from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from claim_results import MODEL, MODELS, N_DRAWS, PARTICIPANTS, REGIONS, write_profile

from bthelpers.claims.quantities import (
    BY_STORIES,
    NAIVE,
    PROBES,
    RECOGNITION,
    STORY_SLOPE,
    alignment_with,
    impact_on,
)
from bthelpers.claims.verdicts import (
    COLUMNS,
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
from bthelpers.results.store import read_dataset, write_dataset

LATE = alignment_with("late_language", "late language")
GAIN = ("brain-tuned", "pretrained")


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

from dataclasses import replace
from html import unescape

import numpy as np
import pandas as pd
import pytest
from claim_results import MODEL, MODELS, N_DRAWS, PARTICIPANTS, REGIONS, write_profile
from intervals_by_hand import by_hand

from bthelpers.claims.claim import Claim, Statement
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
    FAILS,
    HOLDS,
    SIMULATED,
    UNCLEAR,
    UNTESTED,
    count_verdicts,
    decide,
    evaluate_claims,
    readable_claims,
    readable_rows,
    rows_alone,
)
from bthelpers.core.errors import ResultsError
from bthelpers.results.store import read_dataset, write_dataset

LATE = alignment_with("late_language", "late language")
GAIN = ("brain-tuned", "pretrained")
HUBERT = ("HuBERT",)


def claim(*statements, **changes):
    return Claim("a", "4.1", statements, **changes)


def naive_alignment(results, condition, name):
    changes = []
    for participant in PARTICIPANTS:
        new, old = (
            results.open(MODEL, participant, which, "alignment")[name]
            .values[1:, REGIONS.index("late_language")]
            .mean(axis=0)
            for which in (condition, "pretrained")
        )
        changes.append(100 * (new - old) / old)
    return np.array(changes)


def test_a_claim_is_as_sure_as_its_least_sure_row():
    p, opposite = np.array([0.001, 0.03, 0.004]), np.array([0.9, 0.4, 0.002])
    found = decide(p, opposite, np.array([0, 0, 1]), ["a", "b"])
    np.testing.assert_allclose(found[0], [0.03, 0.004])
    np.testing.assert_allclose(found[1], [0.8, 0.002])


def test_p_values_are_adjusted_within_a_topic():
    p = np.array([0.01, 0.02, 0.03, 0.04])
    found, _ = decide(p, np.ones(4), np.arange(4), ["a", "b", "a", "a"])
    np.testing.assert_allclose(found, [0.03, 0.02, 0.06, 0.06])
    both, _ = decide(np.stack([p, p[::-1]], axis=1), np.ones((4, 2)), np.arange(4), ["a"] * 4)
    np.testing.assert_allclose(both[:, 0], both[::-1, 1])


def test_a_difference_is_of_paired_draws(written):
    compared = ("brain-tuned", "big-slm")
    verdicts = evaluate_claims(
        written, {"Alignment": [claim(Statement(LATE, compared, "above", families=HUBERT))]}
    )
    [row] = verdicts.rows.to_dict("records")
    pair = [
        [naive_alignment(written, which, name) for name in ("alignment", "draws")]
        for which in compared
    ]
    values, draws = (tuned - other for tuned, other in zip(*pair, strict=True))
    assert row["value"] == pytest.approx(values.mean())
    assert [row["low"], row["high"]] == pytest.approx(list(by_hand(values, draws)))
    said = [row[name] for name in ("model", "unit", "claimed")]
    assert said == [MODEL, "% of pretrained", "above 0"]
    assert row["statistic"] == "alignment with late language, brain-tuned minus big-slm"


def test_a_claim_has_a_row_for_each_task_and_model(written):
    probes = Statement(PROBES, ("pretrained", NAIVE), "above", 0.1, tasks=("word", "emotion"))
    both = Statement(LATE, ("pretrained",), "equal to")
    found = evaluate_claims(written, {"a": [claim(probes)], "b": [claim(both)]})
    of_tasks = found.rows[found.rows["claim"] == 0]
    assert [said.split(":")[0] for said in of_tasks["statistic"]] == ["word", "emotion"]
    assert set(of_tasks["claimed"]) == {"above 0.1"}
    assert list(found.rows.loc[found.rows["claim"] == 1, "model"]) == [MODEL, "whisper-mini"]
    assert list(found.claims["rows"]) == [2, 2]
    assert list(found.claims["participants"]) == [2, 2]


def test_what_models_lack_is_named(written):
    needs = impact_on("elsewhere", "there", ("mfcc", "joint"))
    claims = [
        claim(Statement(RECOGNITION, GAIN, "above")),
        claim(Statement(LATE, ("big-slm", "text-lm"), "above")),
        claim(Statement(needs, GAIN, "below", families=HUBERT)),
        claim(Statement(STORY_SLOPE, (BY_STORIES,), "above", families=("Whisper",))),
        claim(Statement(LATE, GAIN, "above", families=HUBERT)),
    ]
    found = evaluate_claims(written, {"all": claims}).claims
    assert list(found["remark"]) == [
        "not tested: no Wav2vec2 with recognition, no Whisper with recognition",
        "not tested: no Wav2vec2 with alignment, whisper-mini without big-slm and text-lm",
        f"not tested: {MODEL} without elsewhere and mfcc",
        "not tested: no Whisper with probes",
        "",
    ]
    assert list(found["rows"]) == [1, 1, 0, 0, 1]
    assert list(found["verdict"] == UNTESTED) == [False, False, True, True, False]


@pytest.mark.parametrize(
    ("dataset", "simulated"),
    [("Simulated participants", True), ("simulated corpora", True), ("LeBel et al.", False)],
)
def test_a_simulation_has_no_bearing_on_claims_about_published_models(copied, dataset, simulated):
    for participant in PARTICIPANTS:
        file = copied.root / MODEL / participant / "pretrained" / "alignment.nc"
        write_dataset(read_dataset(file), file, {"dataset": dataset})
    said = claim(Statement(LATE, GAIN, "below", 900, HUBERT))
    found = evaluate_claims(copied, {"a": [said, replace(said, of_published=True)]})
    assert list(found.claims["verdict"]) == [HOLDS, UNTESTED if simulated else HOLDS]
    assert list(found.claims["remark"]) == ["", SIMULATED if simulated else ""]
    assert np.isfinite(found.rows["value"]).all()


def test_without_any_run_nothing_is_known_of_its_data(copied):
    write_profile(copied.root, {"whisper-mini": MODELS["whisper-mini"]})
    near = Statement(PROBES, ("pretrained", NAIVE), "equal to", families=("Whisper",))
    found = evaluate_claims(copied, {"a": [claim(near, of_published=True)]}).claims
    assert found["verdict"].item() == UNTESTED
    assert found["remark"].item() == "not tested: no Whisper with probes"


def tuned_by(copied, shifts):
    """Let brain-tuned alignments be pretrained ones and a share of these, by participant."""
    for participant, shift in zip(PARTICIPANTS, shifts, strict=True):
        before, after = (
            copied.root / MODEL / participant / condition / "alignment.nc"
            for condition in ("pretrained", "brain-tuned")
        )
        run = read_dataset(before)
        noise = np.random.default_rng(1).normal(0, 0.02, N_DRAWS)
        tuned = run[["alignment", "draws"]] * (1 + shift)
        tuned = run.assign(alignment=tuned["alignment"], draws=tuned["draws"] + noise)
        write_dataset(tuned, after, {"dataset": "invented"})


def test_a_changed_value_changes_the_verdict(copied):
    statement, found = Statement(LATE, GAIN, "above", families=HUBERT), []
    for shift in (-0.15, 0, 0.15):
        tuned_by(copied, [shift, shift])
        found.append(evaluate_claims(copied, {"a": [claim(statement)]}).claims["verdict"].item())
    assert found == [FAILS, UNCLEAR, HOLDS]


def test_two_participants_who_disagree_show_nothing(copied):
    """The rule before took the participants for all there are: both claims held."""
    above = claim(Statement(LATE, GAIN, "above", families=HUBERT))
    level = claim(Statement(LATE, GAIN, "not above", families=HUBERT))
    for shifts, claimed in (([0.02, 0.2], above), ([-0.08, 0.05], level)):
        tuned_by(copied, shifts)
        assert evaluate_claims(copied, {"a": [claimed]}).claims["verdict"].item() == UNCLEAR


def test_one_row_that_is_elsewhere_refutes_a_claim(copied):
    tuned_by(copied, [0.15, 0.15])
    higher = Statement(LATE, GAIN, "above", families=HUBERT)
    lower = replace(higher, claimed="below")
    found = evaluate_claims(copied, {"a": [claim(higher), claim(higher, lower)]})
    assert list(found.claims["verdict"]) == [HOLDS, FAILS]
    assert list(found.claims["rows"]) == [1, 2]
    alone = rows_alone(found)
    assert alone.to_dict("list") == {"topic": ["a"] * 3, "verdict": [HOLDS, HOLDS, FAILS]}


def test_a_missing_file_is_an_error_that_names_it(copied):
    (copied.root / MODEL / "SIM01" / "brain-tuned" / "alignment.nc").unlink()
    with pytest.raises(ResultsError, match=r"SIM01/brain-tuned/alignment\.nc"):
        evaluate_claims(copied, {"a": [claim(Statement(LATE, GAIN, "above"))]})


def test_verdicts_are_counted_by_topic():
    verdicts = [HOLDS, HOLDS, UNCLEAR, FAILS, UNTESTED, UNTESTED]
    counts = count_verdicts(pd.DataFrame({"topic": list("baaabb"), "verdict": verdicts}))
    assert list(counts.index) == ["b", "a", "all"]
    columns = [HOLDS, FAILS, UNCLEAR, UNTESTED]
    assert counts[columns].values.tolist() == [[1, 0, 0, 2], [1, 1, 1, 0], [2, 1, 1, 2]]


def test_tables_show_text_and_no_html(published):
    hostile = "<script>alert(1)</script>"
    claims, rows = published.claims, published.rows
    changed = replace(published, claims=claims.assign(claim=hostile, remark=hostile))
    changed = replace(changed, rows=rows.assign(model=hostile, statistic=hostile))
    for table in (readable_claims, readable_rows):
        shown = table(changed, claims["topic"].iloc[0]).to_html()
        assert "<script" not in shown
        assert "&lt;script" in shown


def test_tables_are_short_and_whole(published):
    html = unescape(
        "".join(
            table(published, topic).to_html()
            for topic in published.claims["topic"].unique()
            for table in (readable_claims, readable_rows)
        )
    )
    for text in published.claims["claim"]:
        assert text in html
    assert "nan" not in html
    row = published.rows[published.rows["low"].notna()].iloc[0]
    assert f"{row['value']:+.3g} [{row['low']:+.3g}, {row['high']:+.3g}] {row['unit']}" in html

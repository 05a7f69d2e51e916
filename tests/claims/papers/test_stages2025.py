import numpy as np
import pytest
from claim_results import MODEL, N_LAYERS, PARTICIPANTS, REGIONS, REPOSITORY

from bthelpers.claims.papers import iclr2025, stages2025
from bthelpers.claims.papers.stages2025 import BEST_LATE, FIRST, LAST, LATE, LATE_LESS_EARLY, ORDER
from bthelpers.claims.verdicts import evaluate_claims
from bthelpers.results.store import read_dataset, write_dataset

N_LATE = -(-N_LAYERS // 3)


@pytest.fixture(scope="module")
def verdicts(written):
    return evaluate_claims(written, stages2025.CLAIMS)


def percent(results, participant, condition):
    """Late language alignment of the transformer layers, in percent of the pretrained mean."""
    of_condition, pretrained = (
        results.open(MODEL, participant, name, "alignment")["alignment"].values[1:, 0]
        for name in (condition, "pretrained")
    )
    return 100 * of_condition / pretrained.mean()


def value(results, measure, participant, condition):
    found = measure.load(results, MODEL)["value"]
    return found.sel(participant=participant, condition=condition).item()


@pytest.mark.parametrize("condition", ["pretrained", "brain-tuned"])
@pytest.mark.parametrize("participant", PARTICIPANTS)
def test_shapes_of_the_alignment_curve_are_those_of_plain_numpy(written, participant, condition):
    assert REGIONS[0] == "late_language"
    curve = percent(written, participant, condition)
    expected = {
        LAST: curve[-1] - curve[:-1].max(),
        FIRST: curve[0] - curve[1:].max(),
        LATE: curve[-N_LATE:].mean(),
        LATE_LESS_EARLY: curve[-N_LATE:].mean() - curve[:N_LATE].mean(),
    }
    for measure, number in expected.items():
        found = value(written, measure, participant, condition)
        assert found == pytest.approx(number), measure.words


def test_the_best_late_layer_is_compared_with_the_best_before_it(written):
    scores = written.open(MODEL, "SIM01", "brain-tuned", "probes")["f1_macro"].sel(task="phones")
    scores = scores.values[1:]
    found = BEST_LATE.load(written, MODEL)["value"].sel(task="phones", condition="brain-tuned")
    expected = scores[-N_LATE:].max() - scores[:-N_LATE].max()
    assert found.sel(participant="SIM01").item() == pytest.approx(expected)


def test_every_claim_is_tested_of_hubert(verdicts):
    assert (verdicts.claims["verdict"] != "cannot be tested").all()
    assert set(verdicts.rows["model"]) == {MODEL}
    assert verdicts.claims["source"].astype(bool).all()


def test_a_planted_rise_to_the_last_layer_is_found(copied):
    """And in a copy in which the pretrained curve is a bell, that is found as well."""
    shapes = {"pretrained": [1, 1, 3, 5, 3, 1], "brain-tuned": [1, 1, 2, 3, 5, 7]}
    for participant in PARTICIPANTS:
        for condition, shape in shapes.items():
            file = copied.root / MODEL / participant / condition / "alignment.nc"
            run, curve = read_dataset(file), np.array(shape) / 10
            around = run["draws"] - run["alignment"]
            run["alignment"][:, 0] = curve
            run["draws"][:, 0] = curve[:, None] + around[:, 0] / 10
            write_dataset(run, file, run.attrs)
    claims = evaluate_claims(copied, stages2025.CLAIMS).claims.set_index("claim")["verdict"]
    for words in ("bell-shaped", "rises to the last layer", "gain more than early"):
        assert claims[claims.index.str.contains(words)].tolist() == ["holds"], words


def test_the_order_of_tasks_has_draws_for_every_participant(written):
    order = ORDER.load(written, MODEL)
    assert set(order["value"].dims) == {"participant", "condition"}
    assert order["draws"].notnull().all()


def test_topics_are_those_of_one_paper_each_and_are_shown():
    assert not set(stages2025.CLAIMS) & set(iclr2025.CLAIMS)
    chapter = (REPOSITORY / "book" / "13_claims.md").read_text(encoding="utf-8")
    for topic in stages2025.CLAIMS:
        assert f'readable_claims(verdicts, "{topic}")' in chapter
        assert f'readable_rows(verdicts, "{topic}")' in chapter

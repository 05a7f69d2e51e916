"""What evaluations need is checked before any work."""

from dataclasses import replace
from pathlib import Path

import pytest

from bthelpers.params import load
from bthelpers.preflight_evaluations import evaluation_problems

ROOT = Path(__file__).parents[1]


def problems(overrides, profile="smoke"):
    return evaluation_problems(load(ROOT / f"params/{profile}.yaml", overrides), ROOT)


def test_what_can_be_made_is_no_problem():
    assert problems({}) == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"models.whisper-mini.evaluations": ["recognition", "alignment"]},
            "models.whisper-mini: a Whisper model has no recognition: leave it out of",
        ),
        (
            {"models.whisper-mini.conditions": ["pretrained", "stimulus-tuned"]},
            "models.whisper-mini: a Whisper model has no stimulus-tuned",
        ),
        (
            {"conditions": ["text-lm"], "targets.text_lm.path": "no/model"},
            "targets.text_lm: ",
        ),
        (
            {"conditions": ["big-slm"], "targets.big_slm.path": "no/model"},
            "no/model: no model here (config.json is missing)",
        ),
        ({"preference.wordnet": "none:1"}, "preference.wordnet: there is no WordNet 'none:1'"),
        ({"corpora.simulate.lexicon": "none.yaml"}, "none.yaml is not there"),
        ({"corpora.root": "no/corpora", "corpora.simulate": None}, "corpora.root: "),
    ],
)
def test_what_is_missing_is_said_with_its_remedy(overrides, message):
    assert any(message in problem for problem in problems(overrides))


def test_files_that_were_not_simulated_are_not_replaced_by_corpora(tmp_path):
    (tmp_path / "timit").mkdir()
    (tmp_path / "timit/SA1.WAV").touch()
    [problem] = problems({"corpora.root": str(tmp_path)})
    assert "corpora.root: " in problem
    assert "timit holds files that were not simulated" in problem


def test_words_of_a_real_dataset_need_a_wordnet():
    paper = load(ROOT / "params/paper.yaml", {"preference.wordnet": None})
    assert "preference.wordnet: words of a real dataset need one, such as omw-en:1.4" in (
        evaluation_problems(paper, ROOT)
    )


def test_what_no_evaluation_asks_for_is_not_looked_at():
    profile = load(ROOT / "params/smoke.yaml", {"corpora.root": "no/corpora"})
    hubert = replace(profile.models["hubert-mini"], evaluations=("alignment",))
    only = replace(profile, models={"hubert-mini": hubert})
    absent = replace(only, corpora=replace(profile.corpora, simulate=None))
    assert evaluation_problems(absent, ROOT) == []

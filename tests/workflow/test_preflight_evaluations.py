"""What evaluations need is checked before any work."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import AutoConfig

from bthelpers.params.loading import load
from bthelpers.workflow.preflight import evaluation_problems

ROOT = Path(__file__).parents[2]


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


WHISPER_OF_THE_HUB = {
    "models.whisper-mini.path": "openai/whisper-x",
    "models.whisper-mini.revision": "abc",
    "models.whisper-mini.evaluations": ["recognition"],
    "models.whisper-mini.conditions": ["pretrained", "stimulus-tuned"],
}


def test_a_whisper_of_the_hub_is_refused_too(monkeypatch):
    def config(source, **where):
        is_whisper = source == "openai/whisper-x"
        assert where == {"revision": "abc" if is_whisper else None, "trust_remote_code": False}
        return SimpleNamespace(model_type="whisper" if is_whisper else "hubert")

    monkeypatch.setattr(AutoConfig, "from_pretrained", config)
    [problem] = [one for one in problems(WHISPER_OF_THE_HUB) if "whisper-mini:" in one]
    assert "whisper-mini: a Whisper model has no recognition and no stimulus-tuned" in problem


def test_a_hub_that_cannot_be_reached_is_no_problem_of_evaluations(monkeypatch):
    """It is one of the models."""

    def unreachable(*args, **where):
        raise OSError

    monkeypatch.setattr(AutoConfig, "from_pretrained", unreachable)
    assert not any("whisper-mini:" in one for one in problems(WHISPER_OF_THE_HUB))


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

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bthelpers.params.loading import load

PARAMS = Path(__file__).parents[2] / "params"


def test_the_demo_has_three_participants_and_an_hour_of_training():
    demo = load(PARAMS / "demo.yaml")
    assert demo.dataset.participants == ("SIM01", "SIM02", "SIM03")
    minutes = len(demo.dataset.splits.train) * demo.dataset.simulate.minutes_train
    assert minutes >= 64


def test_llama_takes_the_place_of_gpt2_for_one_model():
    llama, paper = load(PARAMS / "paper_llama.yaml"), load(PARAMS / "paper.yaml")
    assert list(llama.models) == ["wav2vec2-base"]
    assert llama.targets.text_lm.layer_step == 3
    assert llama.targets.text_lm.epochs == paper.targets.text_lm.epochs
    assert len(llama.targets.text_lm.revision) == 40


def test_the_paper_profile_has_the_published_settings():
    paper = load(PARAMS / "paper.yaml")
    splits = paper.dataset.splits
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [24, 2, 1]
    assert len(paper.dataset.participants) == 8
    tuning = paper.tuning
    assert (tuning.transformer_lr, tuning.head_lr, tuning.warmup) == (5e-5, 1e-4, 0.1)
    assert (tuning.sharing, tuning.pooling, tuning.standardize) == ("window", "mean", False)
    assert (paper.representation.window, paper.representation.stride) == (16.0, 0.1)
    assert paper.encoding.skip_test_rows == 40
    assert paper.dataset.simulate is None
    assert {model.path.split("/")[1].split("-")[0] for model in paper.models.values()} == {
        "hubert",
        "wav2vec2",
        "wavlm",
        "whisper",
    }
    assert all(len(model.revision) == 40 for model in paper.models.values())


def test_models_are_tuned_on_the_first_stories_that_a_participant_heard(demo):
    def fewer(content):
        content["dataset"]["absent"] = {"SIM02": ["story02", "story17"]}
        content["models"]["hubert-mini"]["tuning_stories"] = 2

    profile = load(demo(fewer))
    splits = profile.dataset.splits
    for participant in (None, "SIM01"):
        chosen = profile.tuning_splits("hubert-mini", participant)
        assert chosen == replace(splits, train=("story01", "story02"))
    chosen = profile.tuning_splits("hubert-mini", "SIM02")
    assert (chosen.train, chosen.validation) == (("story01", "story03"), ("story18",))
    assert profile.tuning_splits("wav2vec2-mini", "SIM01") == splits


def test_variants_are_computed_but_shown_only_where_scale_is_studied(demo):
    def vary(content):
        smaller = {"path": "smaller", "revision": None, "variant_of": "hubert-mini"}
        fewer = smaller | {"variant_of": "smaller", "tuning_stories": 16}
        content["models"] |= {"smaller": smaller, "fewer": fewer}

    before, profile = load(PARAMS / "demo.yaml"), load(demo(vary))
    assert profile.models_with("alignment") == list(before.models)
    assert profile.models_with("alignment") == before.models_with("alignment")
    assert profile.variants_of("hubert-mini") == ["smaller"]
    assert profile.variants_of("smaller") == ["fewer"]
    assert profile.variants_of("fewer") == []
    assert {model for model, _, _ in profile.runs} == {*before.models, "smaller", "fewer"}


@pytest.mark.parametrize("section", ["voxels", "tuning", "representation", "encoding", "impact"])
def test_the_published_settings_are_those_of_the_paper(section):
    """But for the arithmetic of representations, which the paper does not mention."""
    published, paper = (
        asdict(getattr(load(PARAMS / f"{name}.yaml"), section))
        for name in ("as_published", "paper")
    )
    if section == "representation":
        del published["precision"], paper["precision"]
    assert published == paper


def test_the_published_settings_are_shown_on_the_demos_data():
    published, demo = (load(PARAMS / f"{name}.yaml") for name in ("as_published", "demo"))
    assert published.dataset == replace(demo.dataset, participants=("SIM01",))
    assert [condition for _, _, condition in published.runs] == [
        "pretrained",
        "brain-tuned",
        "block-permuted",
    ]


def test_the_simulation_studies_two_sizes_and_four_amounts_of_each():
    simulation = load(PARAMS / "simulation.yaml")
    assert [model for model in simulation.models if simulation.variants_of(model)] == [
        "hubert-mini",
        "hubert-mini-half",
    ]
    for model in ("hubert-mini", "hubert-mini-half"):
        path = simulation.models[model].path
        amounts = [
            len(simulation.tuning_splits(name).train)
            for name in (*simulation.variants_of(model), model)
            if simulation.models[name].path == path
        ]
        assert amounts == [2, 4, 8, 16]


def test_stories_that_a_participant_did_not_hear_are_in_none_of_its_splits():
    dataset = load(PARAMS / "paper.yaml").dataset
    assert dataset.splits_of("UTS04").validation == ("stagefright",)
    assert dataset.splits_of("UTS04").train == dataset.splits.train
    assert dataset.splits_of("UTS01") == dataset.splits

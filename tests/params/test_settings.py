from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bthelpers.data.manifest import read_manifest
from bthelpers.data.regions import load_regions
from bthelpers.params.loading import load
from bthelpers.params.schema import ParameterError
from bthelpers.results.scale import sizes, with_amounts, with_sizes, with_tuned_sizes

PARAMS = Path(__file__).parents[2] / "params"


def test_the_demo_has_one_participant_and_the_simulation_three_with_an_hour_of_training():
    demo, simulation = (load(PARAMS / f"{name}.yaml") for name in ("demo", "simulation"))
    assert demo.dataset.participants == ("SIM01",)
    assert simulation.dataset.participants == ("SIM01", "SIM02", "SIM03")
    assert simulation.dataset.splits == demo.dataset.splits
    minutes = len(demo.dataset.splits.train) * demo.dataset.simulate.minutes_train
    assert minutes >= 64


# Of appendix D.2: every layer of GPT2-medium, one in three of Llama2-7B.
PUBLISHED_TEXT_MODELS = {"text-lm": ("gpt2-medium", 1), "big-text-lm": ("Llama-2-7b-hf", 3)}


def test_the_paper_tunes_towards_both_text_models_for_200_epochs():
    text_models = load(PARAMS / "paper.yaml").targets.text_models
    named = {c: (m.path.split("/")[1], m.layer_step) for c, m in text_models.items()}
    assert named == PUBLISHED_TEXT_MODELS
    assert {model.epochs for model in text_models.values()} == {200}
    assert all(len(model.revision) == 40 for model in text_models.values())


def test_a_condition_without_its_text_model_is_refused():
    load(PARAMS / "demo.yaml")  # where none is asked for
    with pytest.raises(ParameterError, match=r"targets\.big_text_lm: must name a text model, or"):
        load(PARAMS / "demo.yaml", {"conditions": ["pretrained", "big-text-lm"]})


# By figure: models, conditions and evaluations that it shows.
FAMILIES = ("hubert-base", "wav2vec2-base", "whisper-small")
MAIN = ("pretrained", "brain-tuned", "block-permuted", "big-slm")
ALL = (*MAIN, "text-lm", "big-text-lm", "stimulus-tuned")
SIZES = {
    "hubert-base": ("hubert-large",),
    "whisper-small": ("whisper-tiny", "whisper-base", "whisper-medium"),
}
FIGURES = {
    "2, 6, 7": (FAMILIES, MAIN, ("alignment",)),
    "3": (FAMILIES, MAIN, ("impact",)),
    "4": (FAMILIES, MAIN, ("probes",)),
    "4a": (FAMILIES[:2], MAIN, ("recognition",)),
    "8": (FAMILIES[:2], ("pretrained", "brain-tuned"), ("preference",)),
    "9": (FAMILIES, ("pretrained", "brain-tuned", "big-slm"), ("probes",)),
    "10": (("wav2vec2-base",), ALL, ("probes", "recognition")),
    "5": (("hubert-large",), ("pretrained",), ("alignment", "impact")),
    "11": (("hubert-large",), ("pretrained",), ("probes", "recognition")),
    **{
        f"12a, {base}": ((base, *others), ("pretrained", "brain-tuned"), ("alignment", "probes"))
        for base, others in SIZES.items()
    },
    "12b": (
        ("wav2vec2-base-3", "wav2vec2-base-6", "wav2vec2-base-12", "wav2vec2-base"),
        ("brain-tuned",),
        ("probes",),
    ),
}


@pytest.mark.parametrize("figure", FIGURES)
def test_the_paper_profile_computes_what_a_figure_shows(figure):
    paper = load(PARAMS / "paper.yaml")
    models, conditions, evaluations = FIGURES[figure]
    for model in models:
        assert set(conditions) <= set(paper.conditions_of(model))
        assert set(evaluations) <= set(paper.evaluations_of(model))


def test_the_paper_profile_studies_sizes_and_amounts():
    paper = load(PARAMS / "paper.yaml")
    for base, others in SIZES.items():
        assert tuple(sizes(paper, base, "probes", "brain-tuned")) == (base, *others)
    assert with_tuned_sizes(paper, "probes") == [*SIZES]
    assert with_sizes(paper, "impact") == ["hubert-base"]  # against the large one
    assert with_amounts(paper, "probes") == ["wav2vec2-base"]
    three = {paper.participants_of(name) for others in SIZES.values() for name in others}
    assert [len(participants) for participants in three] == [3]


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


def test_gpus_share_steps_that_can_be_shared():
    """Of 128 windows in the paper; of BrainWavLM, a step is one chunk."""
    assert load(PARAMS / "paper.yaml", {"gpus_per_tuning": 128}).gpus_per_tuning == 128
    for changes, text in (
        ({"gpus_per_tuning": 129}, r"gpus_per_tuning: must be at most 128, the windows or chunks"),
        ({"gpus_per_tuning": 0}, "gpus_per_tuning: must be at least 1, not 0"),
        (
            {"gpus_per_tuning": 2, "tuning.loss": "across_voxels"},
            "gpus_per_tuning: must be 1 where tuning.loss is across_voxels",
        ),
    ):
        with pytest.raises(ParameterError, match=text):
            load(PARAMS / "paper.yaml", changes)
    wavlm = {"gpus_per_tuning": 2, "tuning.loss": "squared_error"}
    with pytest.raises(ParameterError, match=r"must be at most 1, .*\(tuning\.batch_trs\)"):
        load(PARAMS / "brainwavlm.yaml", wavlm)


def test_models_are_tuned_on_the_first_stories_that_a_participant_heard(demo):
    def fewer(content):
        content["dataset"]["participants"] = ["SIM01", "SIM02"]
        content["dataset"]["absent"] = {"SIM02": ["story02", "story17"]}
        content["models"]["all-stories"] = dict(content["models"]["hubert-mini"])
        content["models"]["hubert-mini"]["tuning_stories"] = 2

    profile = load(demo(fewer))
    splits = profile.dataset.splits
    for participant in (None, "SIM01"):
        chosen = profile.tuning_splits("hubert-mini", participant)
        assert chosen == replace(splits, train=("story01", "story02"))
    chosen = profile.tuning_splits("hubert-mini", "SIM02")
    assert (chosen.train, chosen.validation) == (("story01", "story03"), ("story18",))
    assert profile.tuning_splits("all-stories", "SIM01") == splits


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


def test_the_english_simulation_studies_two_sizes_and_four_amounts_of_each():
    simulation = load(PARAMS / "english.yaml")
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


@pytest.mark.parametrize(
    ("profile", "n_heard"), [("brainwavlm", [84] * 3), ("many", [84] * 3 + [26] + [27] * 4)]
)
def test_later_papers_take_all_stories_that_each_participant_heard(profile, n_heard):
    dataset = load(PARAMS / f"{profile}.yaml").dataset
    published = {
        (file.participant, file.story) for file in read_manifest() if file.participant is not None
    }
    heard = {p: dataset.splits_of(p).stories for p in dataset.participants}
    assert [len(stories) for stories in heard.values()] == n_heard
    assert {(p, story) for p, stories in heard.items() for story in stories} <= published


def test_voxel_sets_and_ways_of_tuning_are_those_of_a_model_or_of_the_profile():
    profile = load(PARAMS / "brainwavlm.yaml")
    table = load_regions(PARAMS.parent / profile.dataset.regions)
    sets = {name: profile.tuned_regions_of(name) for name in profile.models}
    assert sets == {
        "wavlm-base-plus": ("cortex",),
        "wavlm-full": ("cortex",),
        "wavlm-auditory": ("auditory_cortex",),
        "wavlm-rest": ("rest_of_cortex",),
        "wavlm-left": ("left_hemisphere",),
        "wavlm-right": ("right_hemisphere",),
    }
    assert {name for names in sets.values() for name in names} <= set(table)
    tunings = {name: profile.tuning_of(name) for name in profile.models}
    assert tunings["wavlm-full"] == replace(profile.tuning, adaptation="full")
    assert tunings["wavlm-left"] == profile.tuning
    assert profile.tuning.adaptation == "lora"
    assert profile.jointly == profile.dataset.participants


def test_defaults_are_the_tuning_of_the_iclr_paper():
    tuning = load(PARAMS / "paper.yaml").tuning
    kept = tuning.loss, tuning.head, tuning.layer, tuning.adaptation, tuning.keep
    assert kept == ("squared_error", "linear", None, "full", "loss")


def test_joint_tuning_is_to_participants_of_the_dataset():
    assert load(PARAMS / "many.yaml").jointly == ("UTS01", "UTS02", "UTS03")
    match = r"tuning\.jointly: not in dataset\.participants: UTS99"
    with pytest.raises(ParameterError, match=match):
        load(PARAMS / "many.yaml", {"tuning.jointly": ["UTS01", "UTS99"]})


def test_no_model_is_tuned_on_unheard_stories():
    profile = load(PARAMS / "demo.yaml", {"tuning.unheard": ["story02", "story16"]})
    train = profile.tuning_splits("hubert-mini").train
    assert train == tuple(s for s in profile.dataset.splits.train if s not in profile.unheard)
    fewer = load(
        PARAMS / "demo.yaml",
        {"tuning.unheard": ["story02"], "models.hubert-mini.tuning_stories": 2},
    )
    assert fewer.tuning_splits("hubert-mini").train == ("story01", "story03")
    assert load(PARAMS / "demo.yaml").unheard == ()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"tuning.unheard": ["story17"]}, r"unheard: not in dataset\.splits\.train: story17"),
        (
            {"tuning.unheard": [f"story{n:02}" for n in range(1, 17)]},
            r"tuning\.unheard: leaves a participant no story to tune on",
        ),
        (
            {"tuning.unheard": ["story01"], "models.hubert-mini.tuning_stories": 16},
            r"tuning_stories: must be at most 15",
        ),
    ],
)
def test_unheard_stories_that_do_not_fit_are_refused(changes, match):
    with pytest.raises(ParameterError, match=match):
        load(PARAMS / "demo.yaml", changes)


@pytest.mark.parametrize("name", ["many", "many_simulation"])
def test_everyone_heard_stories_that_no_model_is_tuned_on(name):
    profile = load(PARAMS / f"{name}.yaml")
    for participant in profile.dataset.participants:
        heard = profile.dataset.splits_of(participant).train
        assert set(profile.unheard) < set(heard)
        n_heard = len(set(heard) - set(profile.unheard))
        points = [number for number in profile.transfer.n_stories if number <= n_heard]
        # Curves of those who heard fewer stories end earlier.
        assert len(points) >= 4
        assert participant not in profile.jointly or points == [*profile.transfer.n_stories]

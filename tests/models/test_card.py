import json
import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st

from bthelpers.core.provenance import provenance
from bthelpers.models.card import DS003020, model_card
from bthelpers.params.loading import load, to_dict

ROOT = Path(__file__).parents[2]
SIMULATED = "Simulated participants listening to synthetic stories"


def record_of(profile, condition="brain-tuned", **changes):
    """What the tuning notebook records."""
    parameters = load(ROOT / "params" / f"{profile}.yaml")
    facts = {
        "dataset": DS003020 if parameters.dataset.simulate is None else SIMULATED,
        "participant": parameters.dataset.participants[0],
        "condition": condition,
        "model": next(iter(parameters.models)),
    }
    return provenance(to_dict(parameters), **facts | changes)


def front_matter(card):
    """The YAML between the first two lines of dashes."""
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)[1])


@pytest.mark.parametrize("condition", ["brain-tuned", "block-permuted", "some-other"])
@pytest.mark.parametrize("profile", ["demo", "smoke", "paper"])
def test_every_fact_of_the_record_is_in_the_card(profile, condition):
    record = record_of(profile, condition)
    card = model_card(record)
    facts = dict(re.findall(r"^\| (\w+) \| (.*) \|$", card, re.MULTILINE))
    parameters = yaml.safe_load(re.search(r"```yaml\n(.*?)```", card, re.DOTALL)[1])
    assert facts | {"parameters": parameters} == record | {
        "parameters": json.loads(record["parameters"])
    }


def test_a_model_of_the_published_data_names_them_and_its_base():
    record = record_of("paper")
    source = json.loads(record["parameters"])["models"][record["model"]]
    card = model_card(record)
    assert front_matter(card) == {
        "library_name": "transformers",
        "pipeline_tag": "feature-extraction",
        "base_model": source["path"],
        "base_model_relation": "finetune",
        "datasets": ["ds003020"],
        "tags": ["speech", "fmri", "brain-tuning", "brain-tuned"],
    }
    assert f"`{source['path']}`, revision `{source['revision']}`, after tuning as in" in card
    assert f"{DS003020}; participant UTS01. OpenNeuro ds003020" in card
    assert "Simulated" not in card
    assert "- Stories that were not used: wheretheressmoke\n" in card
    assert "noise ceiling above 0.4, in late_language, early_auditory" in card


def test_a_model_of_simulated_data_says_so_and_names_nothing_that_the_hub_lacks():
    card = model_card(record_of("demo"))
    metadata = front_matter(card)
    assert metadata.keys() == {"library_name", "pipeline_tag", "tags"}
    assert "simulated-data" in metadata["tags"]
    assert f"**Simulated.** {SIMULATED}; participant SIM01. No brain was recorded" in card
    assert "ds003020" not in re.sub(r"```yaml.*", "", card, flags=re.DOTALL)


def test_data_of_another_dataset_are_named_as_they_name_themselves():
    card = model_card(record_of("paper", dataset="Ten listeners", participant="P7"))
    assert "datasets" not in front_matter(card)
    assert "\nTen listeners; participant P7.\n" in card
    assert "Simulated" not in card


def test_a_model_tuned_on_fewer_stories_names_these():
    card = model_card(record_of("smoke", "brain-tuned", model="hubert-mini-2"))
    assert "- Training stories: story01, story02\n" in card
    card = model_card(record_of("smoke", "brain-tuned"))
    assert "- Training stories: story01, story02, story03\n" in card


def test_the_control_is_called_a_control():
    assert "It is a control" in model_card(record_of("paper", "block-permuted"))
    assert "It is a control" not in model_card(record_of("paper"))


def test_no_licence_is_claimed():
    card = model_card(record_of("paper"))
    assert "license" not in front_matter(card)
    assert "whose licence is not known here" in card


@pytest.mark.parametrize("profile", ["demo", "paper"])
def test_the_hubs_own_reader_accepts_the_card(profile):
    record = record_of(profile)
    card = ModelCard(model_card(record))
    assert card.data.to_dict() == front_matter(model_card(record))
    assert card.data.library_name == "transformers"
    assert card.data.license is None
    assert record["commit"] in card.text


def test_the_code_in_the_card_loads_the_folder_without_ours(tmp_path, monkeypatch):
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 16, "conv_dim": (8,) * 7, "num_conv_pos_embedding_groups": 2}
    HubertModel(HubertConfig(**sizes)).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    (tmp_path / "README.md").write_text(model_card(record_of("demo")), encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.DOTALL)[1]
    assert "bthelpers" not in code
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    assert type(names["model"]) is HubertModel
    assert type(names["preprocessor"]) is Wav2Vec2FeatureExtractor


@pytest.fixture(scope="module")
def record():
    return record_of("paper")


@settings(max_examples=50)
@given(text=st.text(min_size=1))
def test_no_name_breaks_the_metadata_or_the_table(record, text):
    card = model_card(record | {"dataset": text, "device": text, "condition": text})
    assert text in front_matter(card)["tags"]
    table = card[card.index("## Provenance") : card.index("Parameters of the whole run")]
    rows = [line for line in table.split("\n") if line.startswith("|")]
    assert len(rows) == 2 + len(record) - 1
    data = card[card.index("## Data") : card.index("- Voxels")]
    assert "<" not in table + data
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)


@pytest.mark.parametrize("key", ["parameters", "model", "participant", "condition", "dataset"])
def test_a_record_that_lacks_a_fact_is_refused_by_its_name(key):
    record = record_of("demo")
    del record[key]
    with pytest.raises(ValueError, match=f"a model card needs {key} in the record"):
        model_card(record)


@pytest.mark.parametrize(
    ("condition", "chose"),
    [
        ("brain-tuned", True),
        ("big-slm", True),
        *(
            (condition, False)
            for condition in ("block-permuted", "text-lm", "big-text-lm", "stimulus-tuned")
        ),
    ],
)
def test_a_card_says_whether_validation_stories_chose_the_epoch(condition, chose):
    card = model_card(record_of("paper", condition))
    assert ("Validation stories, which chose the epoch" in card) == chose
    assert "What it was tuned towards is said below." not in card

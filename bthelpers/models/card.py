"""The model card of a tuned model: the README.md beside its weights, as the hub shows it."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

import yaml
from huggingface_hub import ModelCardData

from bthelpers.params.settings import PER_PARTICIPANT

DS003020 = "An fMRI dataset during a passive natural language listening task"  # as it names itself
CONDITIONS = {
    "brain-tuned": "It was tuned to predict the fMRI responses of a participant to stories.",
    "block-permuted": (
        "It is a control: it was tuned towards the fMRI responses of a participant, of which blocks"
        " of TRs were shuffled within each story, so that sound and responses do not belong"
        " together."
    ),
    "big-slm": "It was tuned towards a bigger Whisper's decoder layers, not towards responses.",
    "text-lm": "It was tuned towards the layers of a text model, not towards responses.",
    "big-text-lm": "It was tuned towards layers of a big text model, not towards responses.",
    "stimulus-tuned": "It was trained further on the sound of the stories alone.",
    "jointly-tuned": "It was tuned to predict the fMRI responses of several participants at once.",
}
JOINT = "jointly-tuned"
BY_VALIDATION = ("brain-tuned", "big-slm", JOINT)  # of the others, the number of epochs is given
OF_ONE = "It was tuned towards one participant, and differs from one tuned towards another."
OF_SEVERAL = "It was tuned towards {participants}, and is one for all."
OF_NONE = "No participant's responses took part in its tuning."
CARD = """\
---
{metadata}
---

# {model}, {condition}, {participant}

{base}, after tuning as in Moussa, Klakow and Toneva (ICLR 2025, {section}).
{purpose}

## Data

{data}

- Voxels: {voxels}
- Training stories: {train}
- Validation stories{chose}: {validation}
- Stories that were not used: {test}

## How to load it

```python
from transformers import AutoFeatureExtractor, AutoModel

folder = "."  # the one that holds this file
model = AutoModel.from_pretrained(folder)
preprocessor = AutoFeatureExtractor.from_pretrained(folder)
```

It takes mono sound at 16 kHz. Where the model is a Whisper, its encoder is what was tuned:
`model.get_encoder()`.

## Limits

- {participants}
- What it was tuned with beside its transformer, such as a linear head, is not part of it.
- It is for research, and was examined for no other use. It has at least the biases of the model
  that was tuned, whose licence is not known here: look it up where that model comes from.

## Provenance

| | |
|---|---|
{provenance}

Parameters of the whole run, explained in `bthelpers/params/settings.py`:

```yaml
{parameters}```
"""


def model_card(record: Mapping[str, str]) -> str:
    """Write the model card of a tuned model.

    Parameters
    ----------
    record : mapping of str
        What `bthelpers.core.provenance.provenance` says of the run: its parameters are those of a
        profile, and it names model, participant, condition and dataset.

    Returns
    -------
    str
        Text of a README.md that begins with YAML metadata. The licence, which a tuned model shares
        with the model that was tuned, is left out: it is not known here.

    Raises
    ------
    ValueError
        If the record lacks what a card has to say.
    """
    needed = ("parameters", "model", "participant", "condition", "dataset")
    if missing := [key for key in needed if key not in record]:
        raise ValueError(f"a model card needs {', '.join(missing)} in the record of the run")
    parameters = json.loads(record["parameters"])
    source, dataset = parameters["models"][record["model"]], parameters["dataset"]
    absent = (dataset["absent"] or {}).get(record["participant"], ())
    heard = {
        split: [story for story in stories if story not in absent]
        for split, stories in dataset["splits"].items()
    }
    heard["train"] = heard["train"][: source["tuning_stories"]]
    chosen = parameters["voxels"]
    # Records from before there were such keys lack them.
    regions = ", ".join(source.get("tuned_regions") or chosen["regions"])
    jointly = parameters["tuning"].get("jointly") or dataset["participants"]
    by_condition = {
        **dict.fromkeys(
            PER_PARTICIPANT,
            ("section 3.3", f"noise ceiling above {chosen['ceiling']}, in {regions}", OF_ONE),
        ),
        JOINT: (
            "section 3.3, and to several participants as in Moussa and Toneva, NeurIPS 2025",
            f"at the vertices of fsaverage that all participants have in {regions}",
            OF_SEVERAL.format(participants=", ".join(jointly)),
        ),
    }
    section, voxels, participants = by_condition.get(
        record["condition"], ("appendix D.2", "none", OF_NONE)
    )
    revision = source["revision"]
    return CARD.format(
        metadata=yaml.safe_dump(_metadata(record, parameters).to_dict(), sort_keys=False).rstrip(),
        model=record["model"],
        participant=record["participant"],
        condition=record["condition"],
        base=f"`{source['path']}`" + (f", revision `{revision}`" if revision else ""),
        purpose=CONDITIONS.get(record["condition"], "What it was tuned towards is said below."),
        section=section,
        chose=", which chose the epoch" if record["condition"] in BY_VALIDATION else "",
        data=_data(record, parameters),
        voxels=voxels,
        participants=participants,
        **{split: ", ".join(stories) for split, stories in heard.items()},
        provenance="\n".join(
            f"| {key} | {_cell(value)} |" for key, value in record.items() if key != "parameters"
        ),
        parameters=yaml.safe_dump(parameters, sort_keys=False, width=100),
    )


def _metadata(record: Mapping[str, str], parameters: Mapping[str, Any]) -> ModelCardData:
    """What the hub reads: a base model and a dataset only where they have a name there."""
    source = parameters["models"][record["model"]]
    tags = ["speech", "fmri", "brain-tuning", record["condition"]]
    simulated, on_hub = _simulated(parameters), source["revision"] is not None
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="feature-extraction",
        base_model=source["path"] if on_hub else None,
        base_model_relation="finetune" if on_hub else None,
        datasets=["ds003020"] if record["dataset"] == DS003020 and not simulated else None,
        tags=[*tags, "simulated-data"] if simulated else tags,
    )


def _data(record: Mapping[str, str], parameters: Mapping[str, Any]) -> str:
    named = f"{_cell(record['dataset'])}; participant {record['participant']}."
    if _simulated(parameters):
        return (
            f"**Simulated.** {named} No brain was recorded: responses were computed from synthetic"
            " speech, and what the model learned of them says nothing about brains."
        )
    if record["dataset"] == DS003020:
        named += " OpenNeuro ds003020 (LeBel et al. 2023, doi:10.18112/openneuro.ds003020), CC0."
    return named


def _simulated(parameters: Mapping[str, Any]) -> bool:
    return parameters["dataset"]["simulate"] is not None


def _cell(value: str) -> str:
    """Text that is no HTML and stays within its cell of a table."""
    return html.escape(" ".join(value.split()), quote=False).replace("|", "\\|")

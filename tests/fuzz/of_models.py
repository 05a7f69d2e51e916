"""Trials of models' files: configurations, preprocessors, tokenizers, weights, checkpoints."""

from __future__ import annotations

import collections
import json
import os
import pickle

import numpy as np
import torch
from fuzz.damages import JSON, TEXT, changed, on_bytes
from fuzz.trial import Reader
from safetensors.torch import load_file, save_file
from tiny_models import tiny_extractor, tiny_model
from transformers import AutoFeatureExtractor, AutoModel, GPT2Config, GPT2Model

from bthelpers.core.checksums import SUMS
from bthelpers.models import released
from bthelpers.models.loading import explained
from bthelpers.models.speech import SpeechEncoder
from bthelpers.models.text import TextReader
from bthelpers.simulation.miniatures.text import vocabulary, word_tokenizer

SOUND = np.random.default_rng(0).normal(size=4_000).astype(np.float32)
WORDS = ["cat", "dog", "saw", "the"]


# Of weights


@on_bytes
def header_changed(content, rng):
    """Of safetensors: another table of tensors before the same numbers."""
    n = int.from_bytes(content[:8], "little")
    header = json.dumps(changed(json.loads(content[8 : 8 + n]), rng)).encode()
    return len(header).to_bytes(8, "little") + header + content[8 + n :]


def _odd_tensor(weights, name, rng):
    tensor = weights[name]
    odd = [
        tensor.half(),
        tensor.double(),
        tensor.to(torch.int8),
        tensor.bool(),
        torch.full_like(tensor, torch.nan),
        torch.full_like(tensor, torch.inf),
        tensor.flatten(),
        tensor[None].clone(),
        tensor[:0].clone(),
        torch.cat([tensor, tensor]),
        torch.where(torch.arange(tensor.numel()).reshape(tensor.shape) == 3, torch.nan, tensor),
    ]
    weights[name] = odd[rng.integers(len(odd))].contiguous()


def tensors_changed(path, rng):
    """Tensors of another type, shape or name, not finite, fewer or more."""
    weights = load_file(path)
    name = sorted(weights)[rng.integers(len(weights))]
    match rng.integers(5):
        case 0:
            del weights[name]
        case 1:
            weights[f"{name}x"] = weights.pop(name)
        case 2:
            weights["unknown"] = torch.zeros(3)
        case _:
            _odd_tensor(weights, name, rng)
    path.unlink()  # it is mapped
    save_file(weights, path, metadata={"format": "pt"})


WEIGHTS = (header_changed,) * 4 + (tensors_changed,) * 6


class Hostile:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch outside",)


def state_changed(path, rng):
    """Of a ``.pth`` file: other tensors, and other things than tensors."""
    state = dict(torch.load(path, weights_only=True))
    name = sorted(state)[rng.integers(len(state))]
    tensor = state[name]
    whole = [
        *(None, 3, "x", [], {}, [tensor], tensor, {"model": state}, (state,), {1: tensor}),
        {name: None},
        {name: {name: tensor}},
        {(1, 2): tensor},
        collections.defaultdict(Hostile, state),
        Hostile(),
        {**state, "epoch": 3},
        {**state, "x": Hostile()},
        {**state, "wav2vec.encoder.layers.0.final_layer_norm.weight": tensor},
        {**state, "module.hubert.x.lora_A": tensor},
        {name: one for name, one in state.items() if "linear" in name},
        {name: one for name, one in state.items() if "linear" not in name},
    ]
    odd = [
        *(tensor.to_sparse(), tensor.half(), tensor.bool(), tensor.to(torch.complex64)),
        *(tensor.to("meta"), tensor.flatten(), tensor[None], torch.tensor(1.0), torch.empty(0)),
        torch.full_like(tensor, torch.nan),
        torch.zeros(()).expand(10**6, 10**7),
        torch.nn.Parameter(tensor),
        torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
        torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        tensor.transpose(0, -1),
        torch.zeros(tensor.shape, dtype=torch.float8_e4m3fn),
    ]
    pick = rng.integers(len(whole) + len(odd))
    new = whole[pick] if pick < len(whole) else {**state, name: odd[pick - len(whole)]}
    if isinstance(new, dict) and rng.integers(4) == 0 and name in new:
        del new[name]
    torch.save(new, path, _use_new_zipfile_serialization=bool(rng.integers(2)))


def pickled(path, rng):
    """Plain pickles, among them hostile and broken ones."""
    content = [
        pickle.dumps(Hostile()),
        pickle.dumps({"module.hubert.x": [1.0]}),
        pickle.dumps({"x": Hostile()}, protocol=0),
        b"\x80\x02" + b"]" * 10_000 + b".",
        b"\x80\x02}q\x00(X" + b"\xff\xff\xff\x7f" + b"x",
        b"cposix\nsystem\n(S'touch outside'\ntR.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"PK\x03\x04" + b"\0" * 60,
        b"\x80\x05\x95" + b"\xff" * 8,
        b"(" * 1000 + b".",
    ]
    path.write_bytes(content[rng.integers(len(content))])


# Speech models


def _speech(family):
    def write(root):
        model = tiny_model(family)
        SpeechEncoder(model, tiny_extractor(family)).save(root / "model", {"data": "none"})
        for name in ("provenance.json", SUMS):  # by which all damage would be noticed
            (root / "model" / name).unlink()

    return write


def _read_speech(root):
    encoder = SpeechEncoder.load(root / "model")
    return [layer.numpy() for layer in encoder.hidden_states([SOUND]).layers]


def _says_speech(root, layers):
    """By transformers alone, from the same files; they have all weights, each of them finite."""
    model, report = AutoModel.from_pretrained(
        root / "model", dtype=torch.float32, output_loading_info=True
    )
    extractor = AutoFeatureExtractor.from_pretrained(root / "model")
    given = extractor(SOUND, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        if model.config.model_type == "whisper":
            states = model.encoder(given.input_features, output_hidden_states=True).hidden_states
        else:
            states = model.eval()(given.input_values, output_hidden_states=True).hidden_states
    n = layers[0].shape[1]
    return (
        not report["missing_keys"]
        and not report["unexpected_keys"]
        and len(states) == len(layers)
        and all(
            np.isfinite(ours).all() and np.allclose(ours, theirs[:, :n].numpy(), atol=1e-4)
            for ours, theirs in zip(layers, states, strict=True)
        )
    )


SPEECH = {
    "model/config.json": (*JSON, *TEXT),
    "model/preprocessor_config.json": (*JSON, *TEXT),
    "model/model.safetensors": WEIGHTS,
}


# Text models


def _write_text(root):
    torch.manual_seed(0)
    size = {"vocab_size": 2 + len(WORDS), "bos_token_id": 1, "eos_token_id": 0}
    config = GPT2Config(n_layer=2, n_embd=8, n_head=2, n_positions=16, **size)
    GPT2Model(config).save_pretrained(root / "model")
    word_tokenizer(vocabulary(WORDS)).save_pretrained(root / "model")


def _read_text(root):
    source = str(root / "model")
    with explained(source, None, "text") as where:
        reader = TextReader.load(source, "float32", 1, **where)
    return {"unknown": reader.unknown(WORDS), "cat dog": reader.represent(["cat dog"], [])}


def _says_text(root, result):
    """Not by another reader: as many numbers as the configuration says, all of them finite."""
    config = json.loads((root / "model/config.json").read_text("utf-8-sig"))
    values = result["cat dog"]
    shape = (1, config.get("n_layer", 12) * config.get("n_embd", 768))
    return np.isfinite(values).all() and values.shape == shape


# Checkpoints of the public trainers


def _write_checkpoint(root):
    model = tiny_model("hubert")
    state = {f"module.hubert.{name}": tensor for name, tensor in model.state_dict().items()}
    state = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in state.items()
    }
    state |= {"module.linear.weight": torch.ones(7, 32), "module.linear.bias": torch.zeros(7)}
    torch.save(state, root / "tuned.pth")
    SpeechEncoder(model).save(root / "base", {"data": "none"})
    (root / "base" / SUMS).unlink()


def _read_checkpoint(root):
    found = released.read(root / "tuned.pth")
    model = released._tuned(found, root / "base", None)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    return {"model": weights, "head": {name: one.numpy() for name, one in found.head.items()}}


def _says_checkpoint(root, result):
    """Each number is in the file, and finite; all of the architecture is there."""
    state = torch.load(root / "tuned.pth", weights_only=True)
    names = tiny_model("hubert").state_dict()
    given = {tensor.float().numpy().tobytes() for tensor in state.values()}
    weights = [*result["model"].values(), *result["head"].values()]
    return names.keys() == result["model"].keys() and all(
        np.isfinite(one).all() and one.astype(np.float32).tobytes() in given for one in weights
    )


MODELS = (
    Reader("HuBERT", _speech("hubert"), _read_speech, SPEECH, _says_speech, cases=70),
    Reader("Whisper", _speech("whisper"), _read_speech, SPEECH, _says_speech, cases=50),
    Reader(
        "text model",
        _write_text,
        _read_text,
        {
            "model/config.json": (*JSON, *TEXT),
            "model/tokenizer.json": (*JSON, *TEXT),
            "model/tokenizer_config.json": (*JSON, *TEXT),
            "model/model.safetensors": WEIGHTS,
        },
        _says_text,
        cases=40,
    ),
    Reader(
        "trainer's .pth",
        _write_checkpoint,
        _read_checkpoint,
        {"tuned.pth": (state_changed,) * 8 + (pickled,) * 3},
        _says_checkpoint,
        cases=160,
    ),
)

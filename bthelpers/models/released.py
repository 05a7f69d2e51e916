"""Checkpoints of the public brain-tuning trainers, turned into folders that transformers loads.

The trainers (bridge-ai-neuro/brain-tuning and multi-brain-tuning, with transformers 4.36) save the
``state_dict`` of a speech model with a linear head, inside ``torch.nn.DataParallel``::

    module.wav2vec.*            a Wav2Vec2Model
    module.hubert.*             a HubertModel
    module.whisper_model.*      a WhisperModel, of which the decoder stays as it was published
    module.whisper_encoder.*    its encoder, stored once more
    module.linear.*             the head: weight (voxel, hidden_size) and bias (voxel)

For Whisper, a folder holds the whole model: ``AutoModel`` knows no encoder alone, and what a folder
lacks, transformers 5 fills up with random weights and no more than a warning.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, PreTrainedModel

from bthelpers.core.checksums import write_sums
from bthelpers.core.errors import reason
from bthelpers.core.files import atomic_folder, write_json
from bthelpers.core.provenance import file_digest, provenance
from bthelpers.models.loading import OFFLINE, REMEDIES, ModelError, require_sizes

HEAD = "head.safetensors"
# The trainers' names of a model: its type in transformers, and where in it the weights belong.
OWNERS = {
    "wav2vec": ("wav2vec2", ""),
    "hubert": ("hubert", ""),
    "whisper_model": ("whisper", ""),
    "whisper_encoder": ("whisper", "encoder."),
}
# Weight norm before and since PyTorch's parametrizations.
WEIGHT_NORM = {
    "weight_g": "parametrizations.weight.original0",
    "weight_v": "parametrizations.weight.original1",
}
# By type, layers and units per layer: published models that the papers tune.
PUBLISHED = {
    ("wav2vec2", 12, 768): "facebook/wav2vec2-base",
    ("wav2vec2", 24, 1024): "facebook/wav2vec2-large",
    ("hubert", 12, 768): "facebook/hubert-base-ls960",
    ("hubert", 24, 1024): "facebook/hubert-large-ll60k",
    ("whisper", 12, 768): "openai/whisper-small",
    ("whisper", 24, 1024): "openai/whisper-medium",
}
DTYPES_OF_WEIGHTS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
LISTED = 4  # names in an error

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Released:
    """What a trainer's checkpoint holds.

    Attributes
    ----------
    path : Path
        The file.
    model_type : str
        As transformers calls it: "wav2vec2", "hubert" or "whisper".
    backbone : dict of tensors
        The speech model's weights, by their names in transformers.
    head : dict of tensors
        ``weight`` of shape (voxel, hidden_size) and ``bias`` of shape (voxel,), or nothing.
    """

    path: Path
    model_type: str
    backbone: Weights
    head: Weights


def read(path: str | Path) -> Released:
    """Read a trainer's checkpoint, safely: nothing in the file is executed.

    Parameters
    ----------
    path : path
        A ``.pth`` file. Its weights stay on the disk until they are used, where its format, that
        of PyTorch 1.6 and later, allows it.

    Raises
    ------
    ModelError
        If the file is missing, damaged, not one of `torch.save`, or holds more than tensors; if
        there is not exactly one family of speech models in it; or if a weight is not finite.
    """
    path = Path(path)
    state = _load(path)
    if adapters := [key for key in state if ".lora_" in key]:
        raise ModelError(
            f"{path} holds low-rank adapters ({_listed(adapters)}), whose scaling is not in the"
            " file: merge them in the trainer with peft's `merge_and_unload()`, and save again"
        )
    for key, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise ModelError(f"{path}: {key} is not finite: use a checkpoint of an earlier epoch")
    places = {key: key.removeprefix("module.").partition(".")[::2] for key in state}
    unknown = [key for key, (owner, _) in places.items() if owner not in (*OWNERS, "linear")]
    types = {OWNERS[owner][0] for owner, _ in places.values() if owner in OWNERS}
    if unknown or len(types) != 1:
        raise ModelError(
            f"{path} is no checkpoint of one speech model: of the families in it are"
            f" {_listed(sorted(types))}, of weights of neither model nor head {_listed(unknown)}."
            f" Expected are names that begin with {', '.join(f'module.{one}.' for one in OWNERS)},"
            " of one family, and module.linear."
        )
    backbone, head = {}, {}
    for key, (owner, name) in places.items():
        if owner == "linear":
            head[name] = state[key]
            continue
        name = OWNERS[owner][1] + re.sub(r"weight_[gv]$", lambda old: WEIGHT_NORM[old[0]], name)
        if not torch.equal(backbone.setdefault(name, state[key]), state[key]):
            raise ModelError(f"{path} holds two different {name}: one is {key}")
    return Released(path, types.pop(), backbone, head)


def _load(path: Path) -> Weights:
    if not path.is_file():
        raise ModelError(f"{path}: no such file; name a .pth file that the public trainer saved")
    try:
        state = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except Exception as error:  # the unpickler fails in many ways on a malformed file
        if called := re.search(r"GLOBAL (\S+)", str(error)):
            raise ModelError(
                f"{path} was not loaded: besides tensors it holds a Python object, {called[1]}, and"
                " unpickling objects can run any code. Have whoever made the file save the"
                " `state_dict()` alone"
            ) from None
        with path.open("rb") as file:
            beginning = file.read(24)
        raise ModelError(
            f"{path} is no file of `torch.save`, or is damaged or cut off (it begins with"
            f" {beginning!r}): download it again"
        ) from error
    named = state if isinstance(state, Mapping) else {type(state).__name__: state}
    if others := [str(name) for name, one in named.items() if not isinstance(one, torch.Tensor)]:
        raise ModelError(
            f"{path} holds more than weights ({_listed(others)}): save what `state_dict()` returns,"
            " alone"
        )
    if odd := [str(name) for name, tensor in named.items() if not _is_plain(tensor)]:
        raise ModelError(
            f"{path} holds weights that are no plain arrays of floating-point numbers"
            f" ({_listed(odd)}): save what `state_dict()` of the trained model returns"
        )
    return {str(name): tensor for name, tensor in named.items()}


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor is dense and here, of a type of weights, and in the file as a whole."""
    return (
        tensor.layout is torch.strided
        and not tensor.is_nested
        and tensor.device.type == "cpu"
        and tensor.dtype in DTYPES_OF_WEIGHTS
        and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
    )


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return (", ".join(names[:LISTED]) or "none") + more


def described(model_type: str, weights: Weights) -> str:
    """Say how large a speech encoder is, and which published one is as large."""
    pattern = re.compile(r"encoder\.layers\.\d+\.final_layer_norm\.weight")
    norms = [tensor for name, tensor in weights.items() if pattern.fullmatch(name)]
    layers, units = len(norms), len(norms[0]) if norms else 0
    known = PUBLISHED.get((model_type, layers, units))
    return f"{layers} layers of {units} units" + (f" (as {known})" if known else "")


def fill(model: PreTrainedModel, released: Released) -> None:
    """Put a checkpoint's weights into a model, without copying them.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Made from a configuration; on the meta device it takes no memory of its own.
    released : Released

    Raises
    ------
    ModelError
        If names or sizes differ. What does not show in them, such as the number of attention heads,
        is not checked.
    """
    backbone, expected = released.backbone, model.state_dict()
    misfits = {
        "missing": expected.keys() - backbone.keys(),
        "unexpected": backbone.keys() - expected.keys(),
        "of another size": [
            f"{name} {tuple(backbone[name].shape)} instead of {tuple(expected[name].shape)}"
            for name in expected.keys() & backbone.keys()
            if backbone[name].shape != expected[name].shape
        ],
    }
    if any(misfits.values()):
        listed = "; ".join(f"{len(v)} {k}: {_listed(sorted(v))}" for k, v in misfits.items() if v)
        raise ModelError(
            f"{released.path} does not fit the configuration of {model.config.name_or_path}: it has"
            f" {described(released.model_type, backbone)}, the configuration"
            f" {described(model.config.model_type, expected)}; {listed}. Name the model that was"
            " tuned"
        )
    sizes = {name: tuple(tensor.shape) for name, tensor in released.head.items()}
    n_voxels, hidden_size = len(released.head.get("bias", ())), model.config.hidden_size
    if sizes and sizes != {"weight": (n_voxels, hidden_size), "bias": (n_voxels,)}:
        raise ModelError(
            f"{released.path}: the linear head is {sizes}; expected are weight (voxels,"
            f" {hidden_size}) and bias (voxels,)"
        )
    model.load_state_dict(backbone, assign=True)


def convert(
    checkpoint: str | Path, base: str | Path, folder: str | Path, revision: str | None = None
) -> Released:
    """Write a checkpoint as a folder that ``AutoModel.from_pretrained`` loads.

    Beside the model are the base model's preprocessor, the head (`HEAD`) if the checkpoint has one,
    and the provenance.

    Parameters
    ----------
    checkpoint : path
        A ``.pth`` file of a public trainer.
    base : path or str
        The model that was tuned: a folder, or its name on the hub. Its configuration and
        preprocessor are used, and for a checkpoint of Whisper's encoder alone its decoder.
    folder : path
        To be written; it must not be there.
    revision : str, optional
        Commit of ``base`` on the hub; none for a folder.

    Raises
    ------
    ModelError
        If the checkpoint cannot be read, the base model cannot be had, or they do not belong
        together.
    ResultsError
        If the folder cannot be written.
    """
    if Path(folder).exists():
        raise ModelError(f"{folder} is already there: name another folder, or delete it")
    released = read(checkpoint)
    model = _tuned(released, base, revision)
    preprocessor = _pretrained(AutoFeatureExtractor, base, revision)
    record = provenance(
        {"base": str(base), "revision": revision},
        checkpoint=released.path.name,
        checkpoint_sha256=file_digest(checkpoint),
    )
    with atomic_folder(folder) as temporary:
        model.save_pretrained(temporary)
        preprocessor.save_pretrained(temporary)
        if released.head:
            save_file(released.head, temporary / HEAD)
        write_json(temporary / "provenance.json", record)
        write_sums(temporary)
    return released


def _tuned(released: Released, base: str | Path, revision: str | None) -> PreTrainedModel:
    """The base model's architecture with the checkpoint's weights."""
    config = _pretrained(AutoConfig, base, revision)
    if released.model_type != config.model_type:
        raise ModelError(
            f"{released.path} holds a {released.model_type}, {base} is a {config.model_type}: name"
            " the model that was tuned"
        )
    if released.model_type == "whisper" and not _decoder(released.backbone):
        released.backbone.update(_frozen_decoder(base, revision))
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    fill(model, released)
    return model


def _pretrained(kind: type, base: str | Path, revision: str | None, **options) -> Any:
    """``kind.from_pretrained``, with its errors explained."""
    if revision is None and not (Path(base) / "config.json").is_file():
        raise ModelError(
            f"{base} is no folder of a model (config.json is missing): name the model that was"
            " tuned, as a folder or as on the hub, there with its revision"
        )
    if revision is None:
        require_sizes(Path(base))
    try:
        return kind.from_pretrained(base, revision=revision, trust_remote_code=False, **options)
    except Exception as error:  # transformers fails in many ways on a malformed file
        fetching = isinstance(error, OSError) and not Path(base).is_dir()
        remedy = REMEDIES.get(type(error.__cause__), OFFLINE) if fetching else reason(error)
        raise ModelError(f"{base} cannot be loaded: {remedy}") from error


def _decoder(weights: Weights) -> Weights:
    return {name: tensor for name, tensor in weights.items() if name.startswith("decoder.")}


def _frozen_decoder(base: str | Path, revision: str | None) -> Weights:
    """The base model's decoder, which the trainers do not change."""
    model, report = _pretrained(AutoModel, base, revision, output_loading_info=True)
    if missing := report["missing_keys"]:
        raise ModelError(
            f"{base} lacks weights of Whisper ({_listed(sorted(missing))}), which the checkpoint"
            " does not hold either: name the whole model that was tuned"
        )
    return _decoder(model.state_dict())

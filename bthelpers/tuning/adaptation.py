"""Low-rank adaptation: a model's weights stay, and low-rank changes of some of them are learnt.

BrainWavLM (Vattikonda et al., 2025) adapts W^Q, W^K and W^V of every transformer layer by LoRA
(Hu et al., 2022): W + alpha / rank B A, of which B starts at zero, so that tuning begins with the
pretrained model. The adapters are peft's.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from bthelpers.core.checksums import write_sums
from bthelpers.core.errors import did_you_mean
from bthelpers.core.files import atomic_folder
from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.tuning import TuningSettings
from bthelpers.tuning.examples import require_layer

README = """\
---
library_name: peft
base_model: {base}
---

# Low-rank adapters

What tuning has changed in `{base}`; the folder `model` beside this one holds the whole model, with
these changes merged. To put them on the pretrained model:

```python
from peft import PeftModel
from transformers import AutoModel

pretrained = AutoModel.from_pretrained("{base}")  # of a Whisper, its .get_encoder()
model = PeftModel.from_pretrained(pretrained, ".").merge_and_unload()
```

Merge them in a WavLM: transformers hands on the weights of its projections without calling them, so
that adapters that are not merged do nothing there.
"""


def adapt(encoder: SpeechEncoder, settings: TuningSettings, seed: int) -> PeftModel | None:
    """Freeze a model and give its layers adapters, in place.

    Parameters
    ----------
    encoder : SpeechEncoder
        Its adapters are what is left of `SpeechEncoder.transformer_parameters`.
    settings : TuningSettings
        Rank, alpha and dropout of the adapters, the linear layers that get one (in those
        transformer layers that the tokens which are read out depend on), and that layer.
    seed : int
        Of their weights.

    Returns
    -------
    PeftModel or None
        The adapted model, which shares its weights with the encoder's; None where the rank is 0,
        and nothing is left to be tuned.

    Raises
    ------
    ValueError
        If the model has no such layer, or no linear layers of these names, or one gets no gradient.
    """
    require_layer(encoder, settings.layer)
    layers = range(encoder.n_layers if settings.layer is None else settings.layer)
    _require_targets(encoder.model, settings.adapted)
    encoder.model.requires_grad_(False)
    if settings.rank == 0:
        return None
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.adapter_dropout,
        target_modules=list(settings.adapted),
        layers_to_transform=list(layers),
        layers_pattern="layers",
    )
    devices = [encoder.device] if encoder.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        adapted = get_peft_model(encoder.model, config)
    if settings.alpha > 0:
        require_gradients(encoder, settings.layer)
    return adapted


def _require_targets(model: nn.Module, names: tuple[str, ...]) -> None:
    linear = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and ".layers." in f".{name}"
    }
    for name in names:
        if name not in linear:
            raise ValueError(
                f"tuning.adapted: the model's layers have no linear layer {name!r}"
                f"{did_you_mean(name, linear)}; they have {', '.join(sorted(linear))}"
            )


def require_gradients(encoder: SpeechEncoder, layer: int | None = None) -> None:
    """Refuse adapters that do not act on the tokens that are read out.

    A sound goes through the model. Of an adapter as it begins, B gets a gradient and A does not.

    Parameters
    ----------
    encoder : SpeechEncoder
        With adapters.
    layer : int, optional
        Whose tokens are read out; by default the last.

    Raises
    ------
    ValueError
        If an adapter gets no gradient: its linear layer is not called, or not read out.
    """
    encoder.model.eval()
    rng = np.random.default_rng(0)
    samples = encoder.front_end.prepare(rng.normal(size=SAMPLE_RATE // 2))
    frames = encoder.front_end(samples, encoder.device)[None]
    tokens = encoder.tokens(frames, encoder.front_end.n_frames(len(samples)), layer)
    # A normalised layer's sum, and its sum of squares, depend on nothing.
    weights = torch.from_numpy(rng.normal(size=tokens.shape)).to(tokens)
    adapters = {name: w for name, w in encoder.model.named_parameters() if ".lora_B." in name}
    gradients = [None] * len(adapters)
    if tokens.requires_grad:  # not if none is called
        total = (tokens * weights).sum()
        gradients = torch.autograd.grad(total, list(adapters.values()), allow_unused=True)
    still = [
        name.partition(".lora_B.")[0]
        for name, gradient in zip(adapters, gradients, strict=True)
        if gradient is None or not gradient.any()
    ]
    if still:
        raise ValueError(
            f"{len(still)} of {len(adapters)} adapters get no gradient, such as that of"
            f" {still[0]}: the model does not call it, or it comes after the layer that is read"
            " out; name other layers under tuning.adapted"
        )


def merged(pretrained: SpeechEncoder, adapted: PeftModel | None) -> SpeechEncoder:
    """A copy of a pretrained model whose weights have an adapted one's changes, if any, in them.

    It needs no peft: it is saved and loaded like any other model.
    """
    whole = pretrained.copy()
    if adapted is not None:
        changed = copy.deepcopy(adapted).merge_and_unload()
        whole.model.load_state_dict(changed.state_dict())
    return whole


def save_adapter(adapted: PeftModel, folder: str | Path) -> None:
    """Write the adapters alone, for ``PeftModel.from_pretrained(model, folder)``.

    ``model`` is the pretrained one, as transformers gives it; of a Whisper, its encoder. Unmerged
    adapters of a WavLM act in what `SpeechEncoder` has loaded (`bthelpers.models.attention` says
    why); after ``merge_and_unload()``, in any.
    """
    base = adapted.get_base_model().name_or_path
    with atomic_folder(folder) as temporary:
        adapted.save_pretrained(temporary, save_embedding_layers=False)
        write_sums(temporary)
        (temporary / "README.md").write_text(README.format(base=base), encoding="utf-8")

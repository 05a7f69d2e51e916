"""Other models that a model is tuned towards: text models, and the decoder of Whisper."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoTokenizer,
    PreTrainedModel,
)

from bthelpers.core.errors import LONGEST_NAME
from bthelpers.models.devices import DTYPES
from bthelpers.models.front_ends import MelFrontEnd
from bthelpers.models.loading import ModelError, lacking, require_finite

TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "tokenizer.model")


class TextReader:
    """A text model, and what stands for a text in it.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Causal, as ``AutoModel`` gives it.
    tokenizer : transformers.PreTrainedTokenizerBase
    layer_step : int
        1 takes all layers, 3 the third, the sixth, and so on.

    Raises
    ------
    ValueError
        If there is no such layer, or the tokenizer has nothing that a text begins with.
    """

    def __init__(self, model: PreTrainedModel, tokenizer, layer_step: int = 1):
        self.model, self.tokenizer, self.layer_step = model.eval(), tokenizer, layer_step
        if layer_step > model.config.num_hidden_layers:
            raise ModelError(
                f"it has {model.config.num_hidden_layers} layers: lower its `layer_step`, which is"
                f" {layer_step}"
            )
        # What the tokenizer puts before a text; GPT-2's puts nothing, but has a token for it.
        before = [token for token in tokenizer("").input_ids if token != tokenizer.eos_token_id]
        self.beginning = before or [tokenizer.bos_token_id]
        if None in self.beginning:
            raise ModelError("its tokenizer has no token that a text begins with (bos_token)")

    @classmethod
    def load(cls, source: str, precision: str, layer_step: int, **where: Any) -> TextReader:
        """Load from a folder or the hub, the weights in the given precision.

        Raises
        ------
        ValueError or OSError
            If that fails, or it is no text model; to be `explained`.
        """
        config = AutoConfig.from_pretrained(source, **where)
        if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or config.is_encoder_decoder:
            raise ModelError(f"a {config.model_type} is no text model such as a GPT-2")
        tokenizer = _tokenizer(source, **where)
        return cls(_model(source, precision, **where), tokenizer, layer_step)

    def unknown(self, words: Iterable[str]) -> list[str]:
        """Those of some words that the tokenizer has no token for, in alphabetical order."""
        unknown = self.tokenizer.unk_token_id
        return [
            word
            for word in sorted(words)
            if not (tokens := self._tokens([word])[0]) or unknown in tokens
        ]

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer(texts, add_special_tokens=False).input_ids

    @property
    def max_tokens(self) -> int:
        """Tokens that the model takes, with those before the text."""
        return self.model.config.max_position_embeddings

    @torch.no_grad()
    def represent(self, texts: list[str], sounds: list[np.ndarray]) -> np.ndarray:
        """What stands for each text: the mean over its tokens, layer after layer.

        Parameters
        ----------
        texts : list of str
            Of at least one word each.
        sounds : list of float32 arrays of shape (n_samples,)
            In which the texts are spoken; mono, 16 kHz.

        Returns
        -------
        float32 array of shape (text, layer * unit)

        Raises
        ------
        ValueError
            If a text or a sound is longer than the model takes, or a text has no token.
        """
        of_texts = self._tokens(texts)
        if [] in of_texts:  # their mean would be NaN
            raise ModelError(
                f"{self.model.name_or_path}: its tokenizer has no token for"
                f" {texts[of_texts.index([])][:LONGEST_NAME]!r}: copy the model's folder again"
            )
        rows = [torch.tensor(self.beginning + tokens) for tokens in of_texts]
        lengths = torch.tensor([len(row) for row in rows])
        if lengths.max() > self.max_tokens:
            raise ValueError(
                f"the words of a window are {lengths.max()} tokens, more than the"
                f" {self.max_tokens} that {self.model.name_or_path} takes: lower `tuning.window`"
            )
        # What follows a text is not seen by its tokens.
        tokens = pad_sequence(rows, batch_first=True).to(self.model.device)
        layers = self._layers(tokens, sounds)[self.layer_step :: self.layer_step]
        positions = torch.arange(tokens.shape[1])
        counted = (positions >= len(self.beginning)) & (positions < lengths[:, None])
        weights = (counted / counted.sum(dim=1, keepdim=True)).to(tokens.device)
        means = [torch.einsum("nt,ntu->nu", weights, layer.float()) for layer in layers]
        return torch.cat(means, dim=1).cpu().numpy()

    def _layers(self, tokens: torch.Tensor, sounds) -> tuple[torch.Tensor, ...]:
        """Input of the first layer and output of every layer, (text, token, unit) each."""
        return self.model(tokens, use_cache=False, output_hidden_states=True).hidden_states


class WhisperDecoder(TextReader):
    """A Whisper, and what stands in its decoder for a text that is heard.

    Parameters
    ----------
    model : transformers.WhisperModel
    tokenizer : transformers.PreTrainedTokenizerBase
        That puts before a text what tells Whisper to transcribe English.
    extractor : transformers.WhisperFeatureExtractor
    """

    def __init__(self, model: PreTrainedModel, tokenizer, extractor):
        super().__init__(model, tokenizer)
        self.front_end = MelFrontEnd(model.encoder, extractor)

    @classmethod
    def load(cls, source: str, precision: str, **where: Any) -> WhisperDecoder:
        """Load as a `TextReader`."""
        config = AutoConfig.from_pretrained(source, **where)
        if config.model_type != "whisper":
            raise ModelError(f"a {config.model_type} is no Whisper")
        tokenizer = _tokenizer(source, language="en", task="transcribe", **where)
        extractor = AutoFeatureExtractor.from_pretrained(source, **where)
        return cls(_model(source, precision, **where), tokenizer, extractor)

    @property
    def max_tokens(self) -> int:
        """Tokens that the decoder takes, with those before the text."""
        return self.model.config.max_target_positions

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        return super()._tokens([" " + text for text in texts])  # as its transcripts begin

    def _layers(self, tokens: torch.Tensor, sounds) -> tuple[torch.Tensor, ...]:
        device, dtype = self.model.device, self.model.dtype
        heard = torch.stack(
            [self.front_end(self.front_end.prepare(sound), device) for sound in sounds]
        )
        return self.model(
            input_features=heard.to(dtype),
            decoder_input_ids=tokens,
            use_cache=False,
            output_hidden_states=True,
        ).decoder_hidden_states


def _tokenizer(source: str, **options: Any):
    # Without its files, transformers makes an empty one.
    if Path(source).is_dir() and not any(
        (Path(source) / name).is_file() for name in TOKENIZER_FILES
    ):
        raise ModelError(f"it has no tokenizer ({TOKENIZER_FILES[0]} is missing)")
    return AutoTokenizer.from_pretrained(source, **options)


def _model(source: str, precision: str, **where: Any) -> PreTrainedModel:
    model, report = AutoModel.from_pretrained(
        source, dtype=DTYPES[precision], output_loading_info=True, **where
    )
    if missing := report["missing_keys"]:
        raise ModelError(lacking(missing))
    require_finite(model)
    return model

"""A miniature GPT-2, trained to predict the next word of synthetic stories.

``bthelpers miniature text --output FOLDER`` trains the real architecture
(Radford et al., 2019) on text alone: sentences of the grammar that tells the stories, unspoken,
drawn without end, so that no text is seen twice and the loss is that of unseen text. Each word is
a token.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from scipy.stats import entropy
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from torch.nn.functional import cross_entropy, pad
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from bthelpers.simulation.lexicon import Lexicon, load_lexicon, topic_text
from bthelpers.simulation.miniatures.speech import STORY_SEED_OFFSET, minimise, save_parts, timed

END, START = 0, 1  # tokens; those of words follow
END_NAME, START_NAME = "<end>", "<start>"


@dataclass(frozen=True)
class TextSettings:
    """How the miniature is trained."""

    seed: int = 0
    lexicon: str = "params/lexicons/english.yaml"
    words_per_category: int = 8
    topic_sentences: int = 5
    topic_probability: float = 0.85
    layers: int = 4
    hidden_size: int = 128
    words: int = 96  # of a piece of text, which begins anywhere: half a minute of speech
    batch: int = 32  # pieces
    steps: int = 700
    learning_rate: float = 2e-3
    warmup_steps: int = 50


def vocabulary(words: Iterable[str]) -> dict[str, int]:
    """A token for each word, in alphabetical order."""
    return {word: START + 1 + k for k, word in enumerate(sorted(set(words)))}


def word_tokenizer(tokens: dict[str, int]) -> PreTrainedTokenizerFast:
    """A tokenizer of words between blanks; one that is unknown becomes the end, as in GPT-2."""
    named = {END_NAME: END, START_NAME: START}
    tokenizer = Tokenizer(WordLevel(named | tokens, unk_token=END_NAME))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(
        single=f"{START_NAME} $A {END_NAME}", special_tokens=list(named.items())
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START_NAME,
        eos_token=END_NAME,
        unk_token=END_NAME,
        pad_token=END_NAME,
    )


def told_words(lexicon: Lexicon, settings: TextSettings, rng: np.random.Generator) -> Iterator[str]:
    """Words of an endless story, as a transcription has them: topic after topic."""
    while True:
        text = topic_text(lexicon, settings.topic_sentences, settings.topic_probability, rng)
        yield from re.findall(r"[\w']+", text.lower())


def random_model(settings: TextSettings, n_words: int) -> GPT2LMHeadModel:
    """A GPT-2 with random weights."""
    config = GPT2Config(
        vocab_size=START + 1 + n_words,
        n_positions=settings.words,
        n_embd=settings.hidden_size,
        n_layer=settings.layers,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=START,
        eos_token_id=END,
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return GPT2LMHeadModel(config)


def train(settings: TextSettings, log=print) -> tuple[GPT2LMHeadModel, dict[str, int]]:
    """Train a model; returns it in eval mode, and the tokens of its words.

    The last line of the log compares its loss with the entropy of single words, which is the loss
    of a model that knows their frequencies alone.
    """
    lexicon = load_lexicon(settings.lexicon, settings.words_per_category)
    tokens = vocabulary([*lexicon.words, *lexicon.other_words])
    words = told_words(lexicon, settings, np.random.default_rng(STORY_SEED_OFFSET + settings.seed))
    model = random_model(settings, len(tokens)).train()
    counts = np.zeros(model.config.vocab_size, int)

    def loss_of():
        told = [tokens[word] for word in islice(words, settings.batch * settings.words)]
        counts[:] += np.bincount(told, minlength=len(counts))
        pieces = torch.tensor(told).view(settings.batch, settings.words)
        pieces = pad(pieces, (1, 0), value=START)
        logits = model(input_ids=pieces[:, :-1]).logits
        return cross_entropy(logits.transpose(1, 2), pieces[:, 1:]), ""

    losses = minimise(loss_of, model.parameters(), settings, settings.steps, timed(log))
    log(
        f"loss {np.mean(losses[-50:]):.3f} nats a word (mean of the last {len(losses[-50:])}"
        f" steps); entropy of single words {entropy(counts):.3f}"
    )
    return model.eval(), tokens


def save_text_model(
    model: GPT2LMHeadModel, folder: str | Path, settings: TextSettings, tokens: dict[str, int]
) -> None:
    """Write weights (fp16 safetensors), configuration, tokenizer and provenance."""
    parts = copy.deepcopy(model).half(), word_tokenizer(tokens)
    save_parts(parts, folder, settings, "text of synthetic stories", settings.lexicon)


def make_text_miniature(folder: str | Path, settings: TextSettings) -> None:
    """Train a miniature, and save it to a folder."""
    model, tokens = train(settings)
    save_text_model(model, folder, settings, tokens)

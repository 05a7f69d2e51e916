"""A miniature Whisper, trained as its original is: to transcribe speech.

``bthelpers miniature whisper --output FOLDER`` trains an encoder and decoder
of the real architecture (Radford et al., 2022) on sound and words of synthetic stories: first on
short pieces, then on pieces as long as the model takes. The stories are those that the other
miniatures hear without the words.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import nn
from transformers import (
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)
from transformers.models.whisper.modeling_whisper import sinusoids

from bthelpers.core.timing import SAMPLE_RATE, SILENCE, Interval
from bthelpers.simulation.espeak import Utterance
from bthelpers.simulation.miniatures.speech import (
    PretrainingSettings,
    arithmetic,
    minimise,
    pretraining_stories,
    save_parts,
    timed,
)
from bthelpers.simulation.miniatures.text import END, START, vocabulary, word_tokenizer

TOKENS_PER_SECOND = 25
MEL_HOP = SAMPLE_RATE // TOKENS_PER_SECOND // 2  # the second convolution halves the rate
N_MELS = 40
IGNORED = -100  # label of what follows the end


@dataclass(frozen=True)
class TranscriptionSettings:
    """How the miniature is trained. A phase is (seconds of a piece, pieces per step, steps)."""

    stories: PretrainingSettings = field(default_factory=PretrainingSettings)  # its speech only
    phases: tuple[tuple[int, int, int], ...] = ((5, 16, 4000), (25, 4, 600))
    layers: int = 4
    decoder_layers: int = 2
    hidden_size: int = 128
    learning_rate: float = 1e-3
    warmup_steps: int = 200


@dataclass(frozen=True)
class TranscribedStory:
    """Sound at 16 kHz and its words, silences left out."""

    waveform: np.ndarray
    words: list[Interval]


def stimulus(story: Utterance) -> np.ndarray:
    """Sound as loud as `Dataset.waveform` reads it: to Whisper, loudness matters."""
    full_scale = np.iinfo(story.waveform.dtype).max + 1
    return soxr.resample(story.waveform.astype(np.float32) / full_scale, story.rate, SAMPLE_RATE)


def random_model(settings: TranscriptionSettings, n_words: int) -> WhisperForConditionalGeneration:
    """A Whisper that takes pieces as long as those of the last phase, with random weights."""
    width, seconds = settings.hidden_size, settings.phases[-1][0]
    config = WhisperConfig(
        d_model=width,
        encoder_layers=settings.layers,
        decoder_layers=settings.decoder_layers,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        num_mel_bins=N_MELS,
        max_source_positions=seconds * TOKENS_PER_SECOND,
        max_target_positions=6 * seconds,  # faster than anyone speaks
        vocab_size=START + 1 + n_words,
        dropout=0.0,
        pad_token_id=END,
        bos_token_id=START,
        eos_token_id=END,
        decoder_start_token_id=START,
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings.stories.seed)
        return WhisperForConditionalGeneration(config)


def feature_extractor(seconds: int) -> WhisperFeatureExtractor:
    """Spectrograms of sound that silence fills up to the given length."""
    return WhisperFeatureExtractor(feature_size=N_MELS, hop_length=MEL_HOP, chunk_length=seconds)


def set_length(model: WhisperForConditionalGeneration, seconds: int) -> None:
    """Have the encoder take pieces of another length: its positions are sinusoids, not learnt."""
    encoder = model.model.encoder
    n_positions = seconds * TOKENS_PER_SECOND
    model.config.max_source_positions = encoder.max_source_positions = n_positions
    positions = sinusoids(n_positions, model.config.d_model)
    encoder.embed_positions = nn.Embedding.from_pretrained(positions, freeze=True)


def random_piece(
    story: TranscribedStory, seconds: float, rng: np.random.Generator
) -> tuple[np.ndarray, list[str]]:
    """Sound from the start of a random word to the end of the last that fits, and these words."""
    first = int(rng.integers(len(story.words)))
    start = story.words[first].start
    words = [word for word in story.words[first:] if word.stop <= start + seconds]
    stop = words[-1].stop if words else start + seconds
    sound = story.waveform[int(start * SAMPLE_RATE) : int(stop * SAMPLE_RATE)]
    return sound, [word.label for word in words]


class Transcriber:
    """A model, transcribed stories, and the phases of its training."""

    def __init__(self, settings: TranscriptionSettings, log=print):
        self.settings = settings
        self.rng = np.random.default_rng(settings.stories.seed)
        self.log = timed(log)
        self.stories = [
            TranscribedStory(stimulus(story), [w for w in story.words if w.label != SILENCE])
            for story in pretraining_stories(settings.stories)
        ]
        self.tokens = vocabulary(word.label for story in self.stories for word in story.words)
        self.model = random_model(settings, len(self.tokens))
        self.log(f"told {len(self.stories)} stories of {len(self.tokens)} words")

    def run(self) -> WhisperForConditionalGeneration:
        """Go through all phases; returns the model in eval mode."""
        for seconds, n_pieces, n_steps in self.settings.phases:
            set_length(self.model, seconds)
            self._phase(seconds, n_pieces, n_steps)
        return self.model.eval()

    def batch(
        self, extractor: WhisperFeatureExtractor, n_pieces: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Spectrograms (piece, band, time) and labels (piece, token) of random pieces."""
        sounds, labels = [], []
        for _ in range(n_pieces):
            story = self.stories[self.rng.integers(len(self.stories))]
            sound, words = random_piece(story, extractor.chunk_length, self.rng)
            sounds.append(sound)
            labels.append(torch.tensor([*(self.tokens[word] for word in words), END]))
        spectrograms = extractor(sounds, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        padded = nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=IGNORED)
        return spectrograms.input_features, padded

    def _phase(self, seconds: int, n_pieces: int, n_steps: int) -> None:
        extractor = feature_extractor(seconds)
        parameters = [p for p in self.model.parameters() if p.requires_grad]

        def loss_of():
            spectrograms, labels = self.batch(extractor, n_pieces)
            with arithmetic():
                output = self.model(input_features=spectrograms, labels=labels)
            known = labels != IGNORED
            right = (output.logits.argmax(dim=-1) == labels)[known].float().mean()
            return output.loss, f", {100 * right:.0f} % of the words right"

        self.model.train()
        minimise(
            loss_of,
            parameters,
            self.settings,
            n_steps,
            lambda text: self.log(f"{seconds} s: {text}"),
        )


def save_whisper(
    model: WhisperForConditionalGeneration,
    folder: str | Path,
    settings: TranscriptionSettings,
    tokens: dict[str, int],
) -> None:
    """Write weights (fp16 safetensors), configuration, preprocessor, tokenizer and provenance."""
    extractor = feature_extractor(settings.phases[-1][0])
    parts = copy.deepcopy(model).half(), extractor, word_tokenizer(tokens)
    save_parts(parts, folder, settings, "synthetic stories, transcribed", settings.stories.lexicon)


def make_whisper_miniature(folder: str | Path, settings: TranscriptionSettings) -> None:
    """Train a miniature, and save it to a folder."""
    transcriber = Transcriber(settings)
    save_whisper(transcriber.run(), folder, settings, transcriber.tokens)

"""Kinds of ``bthelpers miniature``, which trains models that are small enough for a demo."""

from __future__ import annotations

from argparse import Namespace

from bthelpers.commands.declaring import argument, command

NAME = "miniature"
PURPOSE = "Train a miniature of a real architecture on synthetic stories."
# Of every kind; where an option is left out, the model is as large as the one that is shipped.
OUTPUT = argument("--output", required=True, metavar="DIR", help="folder to write")
SEED = argument("--seed", type=int, metavar="N")
HIDDEN_SIZE = argument("--hidden-size", type=int, metavar="N", help="units of a layer")
LEXICON = (
    argument("--lexicon", metavar="FILE", help="words of the stories"),
    argument("--words-per-category", type=int, metavar="N", help="of a square, all"),
)
LEXICON_CHOICES = ("lexicon", "words_per_category")
THREADS = argument("--threads", type=int, metavar="N", help="of the processor")


@command(
    "speech",
    "A speech model, pretrained without labels.",
    OUTPUT,
    SEED,
    HIDDEN_SIZE,
    argument("--family", choices=("hubert", "wav2vec2", "wavlm"), help="default: hubert"),
    *LEXICON,
    THREADS,
)
def _speech(arguments: Namespace) -> bool:
    from bthelpers.simulation.miniatures.contrastive import (
        ContrastiveSettings,
        make_contrastive_miniature,
    )
    from bthelpers.simulation.miniatures.speech import PretrainingSettings, make_speech_miniature

    _set_threads(arguments)
    chosen = _chosen(arguments, "family", "hidden_size", "seed", *LEXICON_CHOICES)
    settings = PretrainingSettings(**chosen)
    if settings.family == "wav2vec2":
        make_contrastive_miniature(arguments.output, ContrastiveSettings(settings))
    else:
        make_speech_miniature(arguments.output, settings)
    return True


@command(
    "whisper",
    "A Whisper that transcribes.",
    OUTPUT,
    SEED,
    HIDDEN_SIZE,
    argument("--layers", type=int, metavar="N", help="of the encoder"),
    argument("--decoder-layers", type=int, metavar="N"),
    *LEXICON,
    THREADS,
)
def _whisper(arguments: Namespace) -> bool:
    from bthelpers.simulation.miniatures.speech import PretrainingSettings
    from bthelpers.simulation.miniatures.whisper import (
        TranscriptionSettings,
        make_whisper_miniature,
    )

    _set_threads(arguments)
    stories = PretrainingSettings(**_chosen(arguments, "seed", *LEXICON_CHOICES))
    size = _chosen(arguments, "hidden_size", "layers", "decoder_layers")
    make_whisper_miniature(arguments.output, TranscriptionSettings(stories, **size))
    return True


@command(
    "text",
    "A GPT-2 that predicts the next word.",
    OUTPUT,
    SEED,
    *LEXICON,
    THREADS,
)
def _text(arguments: Namespace) -> bool:
    from bthelpers.simulation.miniatures.text import TextSettings, make_text_miniature

    _set_threads(arguments)
    make_text_miniature(
        arguments.output, TextSettings(**_chosen(arguments, "seed", *LEXICON_CHOICES))
    )
    return True


def _chosen(arguments: Namespace, *names: str) -> dict:
    """Options that were given, by their names."""
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def _set_threads(arguments: Namespace) -> None:
    import torch

    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)


COMMANDS = (_speech, _whisper, _text)

"""The command line: ``bthelpers COMMAND``.

Each command is a function below its arguments; it returns whether all is well. What is slow to
import, as all that brings PyTorch, is imported where it is used.
"""

from __future__ import annotations

import argparse
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from bthelpers.core.errors import DatasetError, ResultsError
from bthelpers.data.download import URL, DownloadError, download, require_space
from bthelpers.data.manifest import PARTS, read_manifest, select, survey, table, unpublished
from bthelpers.models.loading import ModelError
from bthelpers.params.loading import load
from bthelpers.params.schema import NAME, ParameterError
from bthelpers.params.settings import Profile

USER_ERRORS = (DatasetError, DownloadError, ModelError, ParameterError, ResultsError, OSError)

PARSER = ArgumentParser(prog="bthelpers", description="Brain-tuning of speech models.")
COMMANDS = PARSER.add_subparsers(dest="command", metavar="COMMAND", required=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name.

    Returns
    -------
    int
        The exit code: 0, 1 after what the user can mend, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    end = words.index("--") if "--" in words else len(words)
    arguments = PARSER.parse_args(words[:end], Namespace(further=words[end + 1 :]))
    if arguments.further and arguments.command != "run":
        PARSER.error("only `bthelpers run` hands on what follows --")
    try:
        return 0 if arguments.run(arguments) else 1
    except USER_ERRORS as error:
        print(f"bthelpers {arguments.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        goes_on = arguments.command in ("download", "run")
        stopped = "interrupted" + ("; the same command goes on" if goes_on else "")
        print(f"bthelpers {arguments.command}: {stopped}", file=sys.stderr)
        return 130


Argument = tuple[tuple[str, ...], dict]
Run = Callable[[Namespace], bool]


def argument(*flags: str, **options) -> Argument:
    """Keep what `ArgumentParser.add_argument` takes."""
    return flags, options


def command(
    name: str, purpose: str, *arguments: Argument, commands: argparse._SubParsersAction = COMMANDS
) -> Callable[[Run], Run]:
    """Make a function a command with these arguments."""

    def declare(run: Run) -> Run:
        parser = commands.add_parser(name, help=purpose, description=purpose)
        for flags, options in arguments:
            parser.add_argument(*flags, **options)
        parser.set_defaults(run=run)
        return run

    return declare


def profile_name(text: str) -> str:
    """Refuse what is no name of a file in ``params/``: results lie in a folder of that name."""
    if not re.fullmatch(NAME, text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name of a profile: a file in params/, without .yaml; letters, digits"
            " and _ + -, and single dots between them, beginning with a letter or digit"
        )
    return text


def at_least(least: int) -> Callable[[str], int]:
    """Refuse what is no number of runs at a time."""

    def number(text: str) -> int:
        if not re.fullmatch("[0-9]+", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of {least} or more")
        return int(text)

    return number


def _profile(name: str) -> Profile:
    """Read ``params/NAME.yaml`` of the current folder, or the file of that name."""
    return load(name if name.endswith(".yaml") else Path.cwd() / "params" / f"{name}.yaml")


ROOT = argument("root", type=Path, metavar="ROOT", help="the dataset's folder")
PROFILE_NAME = argument("profile", type=profile_name, metavar="PROFILE", help="a file in params/")
PROFILE = argument(
    "--profile",
    default="paper",
    metavar="NAME",
    help="a file in params/, or any .yaml file (default: paper)",
)


@command(
    "download",
    "Download what a run reads of OpenNeuro ds003020; the same command continues after a cut.",
    argument("root", type=Path, metavar="ROOT", help="the dataset's folder, made or continued"),
    argument("--participants", nargs="+", metavar="UTS01", help="default: the profile's"),
    argument("--stories", nargs="+", metavar="STORY", help="default: the profile's"),
    argument(
        "--parts",
        nargs="+",
        metavar="PART",
        default=list(PARTS),
        help=f"default: {' '.join(PARTS)}",
    ),
    PROFILE,
    argument("--dry-run", action="store_true", help="only say how much there is to do"),
    argument("--jobs", type=int, default=4, metavar="N", help="files at a time (default: 4)"),
    argument("--url", default=URL, metavar="BASE", help=f"of the published files (default: {URL})"),
)
def _download(arguments: Namespace) -> bool:
    participants, stories = arguments.participants, arguments.stories
    if participants is None or stories is None:
        settings = _profile(arguments.profile).dataset
        if settings.simulate is not None:
            raise ParameterError(
                f"the profile {arguments.profile!r} simulates its dataset: there is nothing to"
                " download; choose another one, or participants and stories"
            )
        participants = participants or settings.participants
        stories = stories or settings.splits.stories
    root = arguments.root.absolute()
    files = select(read_manifest(), participants, stories, arguments.parts)
    found = survey(files, root)
    print(table(files))
    print(found)
    for name in unpublished(files, participants, stories, arguments.parts):
        print(f"not in the published dataset: {name}")
    sys.stdout.flush()
    require_space(found, root)
    if not arguments.dry_run:
        download(files, root, arguments.url, arguments.jobs)
    return True


@command("check", "Say what of a profile's dataset is there, missing or malformed.", ROOT, PROFILE)
def _check(arguments: Namespace) -> bool:
    from bthelpers.data.inventory import print_check
    from bthelpers.data.recordings.opening import dataset_at

    profile = _profile(arguments.profile)
    return print_check(dataset_at(arguments.root, profile.dataset.recording), profile)


@command(
    "plan",
    "Say what a profile would compute, what that takes and what is missing.",
    argument("profile", metavar="PROFILE", help="a file in params/, or any .yaml file"),
)
def _plan(arguments: Namespace) -> bool:
    from bthelpers.workflow.plan import print_plan

    return print_plan(_profile(arguments.profile), Path.cwd())


@command(
    "run",
    "Make what is missing or outdated of a profile's results. What follows -- goes to Snakemake.",
    PROFILE_NAME,
    argument("--cores", type=at_least(1), metavar="N", help="runs at a time (default: what fits)"),
    argument(
        "--gpus", type=at_least(0), metavar="N", help="runs that use a GPU (default: one for each)"
    ),
    argument("--cluster", metavar="NAME", help="send runs to a cluster: a folder in profiles/"),
)
def _run(arguments: Namespace) -> bool:
    from bthelpers.workflow.run import run_workflow

    run_workflow(
        Path.cwd(),
        arguments.profile,
        arguments.cores,
        arguments.gpus,
        arguments.further,
        arguments.cluster,
    )
    return True


@command("record", "Keep a compact copy of a profile's results in book/recorded.", PROFILE_NAME)
def _record(arguments: Namespace) -> bool:
    from bthelpers.workflow.recorded import record

    print(record(Path.cwd(), arguments.profile))
    return True


@command(
    "verify",
    "Make one recorded run again, chosen at random, and compare.",
    argument("--seed", type=int, metavar="N", help="of the choice"),
)
def _verify(arguments: Namespace) -> bool:
    from bthelpers.workflow.recorded import verify_any

    return verify_any(Path.cwd(), arguments.seed)


@command(
    "export",
    "Write results for other programs: a table (CSV), maps (NIfTI, GIFTI) and an RO-Crate.",
    PROFILE_NAME,
)
def _export(arguments: Namespace) -> bool:
    from bthelpers.publishing.export import export

    for file in export(Path.cwd(), arguments.profile):
        print(file)
    return True


@command(
    "push",
    "Say what of a tuned model would go to the Hugging Face hub; send it with --yes.",
    argument("folder", type=Path, metavar="FOLDER", help="`model`, in a run's folder of results"),
    argument(
        "repository", metavar="OWNER/NAME", help="on the hub; made, private, if there is none"
    ),
    argument("--yes", action="store_true", help="send it"),
)
def _push(arguments: Namespace) -> bool:
    from bthelpers.publishing.hub import prepare, push

    upload = prepare(arguments.folder, arguments.repository)
    print(upload)
    print(push(upload) if arguments.yes else "Nothing was sent; --yes sends it.")
    return True


@command(
    "release",
    "Turn a checkpoint of a public brain-tuning trainer into a folder that transformers loads.",
    argument("checkpoint", metavar="FILE.pth", help="as the trainer saved it"),
    argument("--base", required=True, help="the model that was tuned: folder or hub id"),
    argument("--revision", help="commit of the base model on the hub"),
    argument("--output", required=True, metavar="DIR", help="folder to write"),
)
def _release(arguments: Namespace) -> bool:
    from bthelpers.models.released import HEAD, convert, described

    output = arguments.output
    released = convert(arguments.checkpoint, arguments.base, output, arguments.revision)
    size = described(released.model_type, released.backbone)
    print(f"{output}: {released.model_type}, {size}")
    if released.head:
        print(f"{output}/{HEAD}: linear head to {len(released.head['bias']):,} voxels")
    return True


MINIATURE = "Train a miniature of a real architecture on synthetic stories."
MINIATURES = COMMANDS.add_parser("miniature", help=MINIATURE, description=MINIATURE).add_subparsers(
    metavar="KIND", required=True
)
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
    commands=MINIATURES,
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
    commands=MINIATURES,
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
    commands=MINIATURES,
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

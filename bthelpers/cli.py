"""The command line: ``bthelpers COMMAND``; each command returns whether all is well."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from bthelpers.commands import data, miniatures, models, runs
from bthelpers.core.errors import DatasetError, ResultsError
from bthelpers.data.download import DownloadError
from bthelpers.models.loading import ModelError
from bthelpers.params.schema import ParameterError

USER_ERRORS = (DatasetError, DownloadError, ModelError, ParameterError, ResultsError, OSError)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="bthelpers", description="Brain-tuning of speech models.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in (*data.COMMANDS, *runs.COMMANDS, *models.COMMANDS):
        command.add_to(commands)
    miniature = commands.add_parser(
        miniatures.NAME, help=miniatures.PURPOSE, description=miniatures.PURPOSE
    )
    kinds = miniature.add_subparsers(metavar="KIND", required=True)
    for kind in miniatures.COMMANDS:
        kind.add_to(kinds)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name.

    Returns
    -------
    int
        The exit code: 0, 1 after what the user can mend, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    end = words.index("--") if "--" in words else len(words)
    parser = _parser()
    arguments = parser.parse_args(words[:end], Namespace(further=words[end + 1 :]))
    if arguments.further and arguments.command != "run":
        parser.error("only `bthelpers run` hands on what follows --")
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

"""The command line: ``bthelpers COMMAND``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bthelpers.core.errors import DatasetError, ResultsError
from bthelpers.data.dataset import Dataset
from bthelpers.data.download import URL, DownloadError, download, require_space
from bthelpers.data.inventory import print_check
from bthelpers.data.manifest import PARTS, read_manifest, select, survey, table, unpublished
from bthelpers.params.loading import load
from bthelpers.params.schema import ParameterError
from bthelpers.params.settings import Profile

USER_ERRORS = (DatasetError, DownloadError, ParameterError, ResultsError, OSError)


class Command(NamedTuple):
    """A command: what it does in a line, its arguments, and the work, which says if it is well."""

    purpose: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], bool]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name.

    Returns
    -------
    int
        The exit code: 0, 1 after what the user can mend, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="bthelpers", description="Brain-tuning of speech models.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        command.add_arguments(
            commands.add_parser(name, help=command.purpose, description=command.purpose)
        )
    arguments = parser.parse_args(argv)
    try:
        return 0 if COMMANDS[arguments.command].run(arguments) else 1
    except USER_ERRORS as error:
        print(f"bthelpers {arguments.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            f"bthelpers {arguments.command}: interrupted; the same command goes on", file=sys.stderr
        )
        return 130


def _download_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "root", type=Path, metavar="ROOT", help="the dataset's folder, made or continued"
    )
    parser.add_argument("--participants", nargs="+", metavar="UTS01", help="default: the profile's")
    parser.add_argument("--stories", nargs="+", metavar="STORY", help="default: the profile's")
    parser.add_argument(
        "--parts",
        nargs="+",
        metavar="PART",
        default=list(PARTS),
        help=f"default: {' '.join(PARTS)}",
    )
    _profile_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say how much there is to do")
    parser.add_argument(
        "--jobs", type=int, default=4, metavar="N", help="files at a time (default: 4)"
    )
    parser.add_argument(
        "--url", default=URL, metavar="BASE", help=f"of the published files (default: {URL})"
    )


def _profile_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile",
        default="paper",
        metavar="NAME",
        help="a file in params/, or any .yaml file (default: paper)",
    )


def _profile(name: str) -> Profile:
    """Read ``params/NAME.yaml`` of the current folder, or the file of that name."""
    return load(name if name.endswith(".yaml") else Path.cwd() / "params" / f"{name}.yaml")


def _download(arguments: argparse.Namespace) -> bool:
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


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", type=Path, metavar="ROOT", help="the dataset's folder")
    _profile_argument(parser)


def _check(arguments: argparse.Namespace) -> bool:
    return print_check(Dataset(arguments.root), _profile(arguments.profile))


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profile", metavar="PROFILE", help="a file in params/")


def _plan(arguments: argparse.Namespace) -> bool:
    from bthelpers.workflow.plan import print_plan  # slow: it brings PyTorch

    return print_plan(_profile(arguments.profile), Path.cwd())


COMMANDS = {
    "download": Command(
        "Download what a run reads of OpenNeuro ds003020; the same command continues after a cut.",
        _download_arguments,
        _download,
    ),
    "check": Command(
        "Say what of a profile's dataset is there, missing or malformed.", _check_arguments, _check
    ),
    "plan": Command(
        "Say what a profile would compute, what that takes and what is missing.",
        _plan_arguments,
        _plan,
    ),
}

if __name__ == "__main__":
    sys.exit(main())

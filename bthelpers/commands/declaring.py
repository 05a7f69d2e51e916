"""How a command is declared: what it is called and for, and what it takes."""

from __future__ import annotations

import argparse
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bthelpers.params.loading import load
from bthelpers.params.schema import NAME
from bthelpers.params.settings import Profile

Argument = tuple[tuple[str, ...], dict]
Run = Callable[[Namespace], bool]


def argument(*flags: str, **options) -> Argument:
    """Keep what `ArgumentParser.add_argument` takes."""
    return flags, options


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes
    ----------
    name, purpose : str
    arguments : tuple of Argument
    run : callable
        From the arguments that were given to whether all is well.
    """

    name: str
    purpose: str
    arguments: tuple[Argument, ...]
    run: Run

    def add_to(self, commands: argparse._SubParsersAction[ArgumentParser]) -> None:
        """Have a parser of commands know this one."""
        parser = commands.add_parser(self.name, help=self.purpose, description=self.purpose)
        for flags, options in self.arguments:
            parser.add_argument(*flags, **options)
        parser.set_defaults(run=self.run)


def command(name: str, purpose: str, *arguments: Argument) -> Callable[[Run], Command]:
    """Make a function a command with these arguments."""
    return lambda run: Command(name, purpose, arguments, run)


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


def profile_of(name: str) -> Profile:
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

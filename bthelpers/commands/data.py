"""Commands that get a dataset and look at it."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from bthelpers.commands.declaring import PROFILE, ROOT, argument, command, profile_of
from bthelpers.data.download import URL, download, require_space
from bthelpers.data.manifest import PARTS, read_manifest, select, survey, table, unpublished
from bthelpers.params.schema import ParameterError


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
        settings = profile_of(arguments.profile).dataset
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

    profile = profile_of(arguments.profile)
    return print_check(dataset_at(arguments.root, profile.dataset.recording), profile)


COMMANDS = (_download, _check)

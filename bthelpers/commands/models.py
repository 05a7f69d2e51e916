"""Commands that hand a tuned model on, and take one."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bthelpers.commands.declaring import argument, command


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


COMMANDS = (_push, _release)

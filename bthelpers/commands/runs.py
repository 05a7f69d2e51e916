"""Commands that make results of a profile, keep them and hand them on."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bthelpers.commands.declaring import PROFILE_NAME, argument, at_least, command, profile_of


@command(
    "plan",
    "Say what a profile would compute, what that takes and what is missing.",
    argument("profile", metavar="PROFILE", help="a file in params/, or any .yaml file"),
)
def _plan(arguments: Namespace) -> bool:
    from bthelpers.workflow.plan import print_plan

    return print_plan(profile_of(arguments.profile), Path.cwd())


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


COMMANDS = (_plan, _run, _record, _verify, _export)

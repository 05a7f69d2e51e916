"""Which runs of a profile are to be made again, by what has changed since, not by dates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bthelpers.params.settings import Profile
from bthelpers.workflow.runs.receipts import changed_since, digests
from bthelpers.workflow.steps import PlannedRun, planned_runs


def outdated(profile: Profile, parameters: Mapping[str, str]) -> dict[PlannedRun, str]:
    """Runs that are to be made again, each with a file that has changed since.

    That is the receipt where a run has written files and none lies beside them: nothing tells what
    they were made from. Runs that are not done are not among them.

    Parameters
    ----------
    profile : Profile
    parameters : mapping of str
        As `parameter_files` returns.
    """
    simulated = (PlannedRun(name, "") for name in profile.simulated)
    found = {}
    for run in (*simulated, *planned_runs(profile)):
        receipt = Path("results", profile.name, run.log).with_suffix(".json")
        outputs = run.outputs(profile)
        if any(Path(file).exists() for file in (receipt, *outputs)):
            inputs = digests(run.inputs(profile, parameters))
            found[run] = changed_since(receipt, inputs, outputs)
    return {run: changed for run, changed in found.items() if changed}

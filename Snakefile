# The workflow: parameters -> executed run notebooks -> results. Started by `bthelpers run PROFILE`.
# Each rule is a step of bthelpers/workflow/steps.py, and executes its notebook of book/runs: the data
# files that it writes are the rule's output, and the executed notebook is its log.
import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import get_args

from bthelpers.params.settings import Condition
from bthelpers.workflow.notebook import SNAPSHOT, RunContext
from bthelpers.workflow.parameters import parameter_files
from bthelpers.workflow.steps import STEPS, PlannedRun, planned_runs

# A job on a cluster opens this file again: it reads the profile as it was when the workflow began.
profile = RunContext(config.get("profile", "demo")).parameters
RESULTS = f"results/{profile.name}"
# One file per step and per model, rewritten only when a parameter of that step changes, or what a
# file holds that the profile names: weights, lexicon, table of regions.
PARAMETERS = parameter_files(profile, Path(RESULTS) / "parameters")
os.environ[SNAPSHOT] = "yes"  # of the profile, which runs read in place of a file that may be edited


def inputs(step, wildcards):
    return PlannedRun(step, wildcards.get("run", "")).inputs(profile, PARAMETERS)


def named(step, wildcards):
    """Parameters of the notebook."""
    names = {"profile": profile.name, **PlannedRun(step, wildcards.get("run", "")).names}
    return [f"{key}={name}" for key, name in names.items()]


# What a cluster grants a run at most, by step; nothing on one machine, where a run has one core.
MOST = config.get("most", {})


def granted(step, resource, amount):
    return min(amount, int(MOST.get(step, {}).get(resource, amount)))


def doubled(step, resource, amount, wildcards, attempt):
    """What a run asks for: at each further attempt twice as much, up to what there is."""
    return granted(step, resource, amount * 2 ** (attempt - 1))


def one_of(names):
    return f"(?:{'|'.join(map(re.escape, names))})"


def folders(step):
    """Pattern of the folders of a step's runs."""
    participant = one_of(profile.dataset.participants)
    if step.per == "participant":
        return participant
    return f"{one_of(profile.models)}(?:/{participant})?/{one_of(step.tunes or get_args(Condition))}"


rule all:
    input:
        # Also what only others read, lest it stay away unnoticed where it was lost.
        [file for run in planned_runs(profile) for file in run.outputs(profile)],


for name, step in STEPS.items():
    if step.per == "profile" and name not in profile.simulated:
        continue  # the data are there
    n_processes = step.processes(profile)
    any_run = PlannedRun(name, "" if step.per == "profile" else "{run}")

    rule:
        name:
            name
        input:
            partial(inputs, name),
        output:
            # They stay until the run replaces them: an interrupted one loses nothing.
            update(any_run.outputs(profile)),
        log:
            # A terminal shows its progress.
            f"{RESULTS}/{Path(any_run.log).with_suffix('.log')}",
        params:
            processes=n_processes,
            executed=f"{RESULTS}/{any_run.log}",
            named=partial(named, name),
        wildcard_constraints:
            run=folders(step),
        priority: step.priority
        threads: n_processes * step.threads if MOST else n_processes
        resources:
            gpu=granted(name, "gpu", n_processes * step.gpu),
            mem_mb=partial(doubled, name, "mem_mb", n_processes * step.megabytes),
            runtime=partial(doubled, name, "runtime", step.minutes),
        shell:
            "{sys.executable:q} -m bthelpers.workflow.runs.execute {input[0]:q} {params.executed:q}"
            " --processes {params.processes:q} --named {params.named:q}"
            " --inputs {input:q} --outputs {output:q} > {log:q} 2>&1"

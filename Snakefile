# The workflow: parameters -> executed run notebooks -> results. Started by
# `python -m bthelpers.workflow PROFILE`. Each rule executes one notebook of book/runs: the data
# file that it writes is the rule's output, and the executed notebook is its log.
import re
from pathlib import Path

from bthelpers.params import load
from bthelpers.workflow import parameter_files

profile = load(Path("params") / f"{config.get('profile', 'demo')}.yaml")
RESULTS = f"results/{profile.name}"
RUN = f"{RESULTS}/{{model}}/{{participant}}/{{condition}}"
DATASET = f"{profile.dataset.root}/derivative/respdict.json"
# One file per step and per model, rewritten only when a parameter of that step changes, or what a
# file holds that the profile names: weights, lexicon, table of regions.
PARAMETERS = parameter_files(profile, Path(RESULTS) / "parameters")
CONDITIONS = {condition for _, _, condition in profile.runs}
TUNED = CONDITIONS - {"pretrained"}
EXECUTE = (
    "jupytext --quiet --to ipynb --output - {input.notebook}"
    f" | papermill --log-output --no-progress-bar -r profile {profile.name}"
)
ONE = " -r participant {wildcards.participant}"  # -r: as text, also where it is a number
ALL = " -r model {wildcards.model}" + ONE + " -r condition {wildcards.condition}"


def model_parameters(wildcards):
    """The pretrained model: its name, and digests of its files where they are here."""
    return PARAMETERS[f"models/{wildcards.model}"]


def representations(wildcards):
    """The pretrained model is one for all participants."""
    owner = "" if wildcards.condition == "pretrained" else f"/{wildcards.participant}"
    return f"{RESULTS}/{wildcards.model}{owner}/{wildcards.condition}/representations.nc"


wildcard_constraints:
    participant="|".join(map(re.escape, profile.dataset.participants)),
    model="|".join(map(re.escape, profile.models)),
    condition="|".join(TUNED) or "none",


rule all:
    input:
        [f"{RESULTS}/{participant}/voxels.nc" for participant in profile.dataset.participants],
        [f"{RESULTS}/{'/'.join(run)}/alignment.nc" for run in profile.runs],


if profile.dataset.simulate is not None:

    rule dataset:
        input:
            notebook="book/runs/dataset.md",
            parameters=PARAMETERS["dataset"],
        output:
            DATASET,
        log:
            f"{RESULTS}/dataset.ipynb",
        shell:
            EXECUTE + " - {log}"


rule voxels:
    input:
        DATASET,
        notebook="book/runs/voxels.md",
        parameters=PARAMETERS["voxels"],
    output:
        f"{RESULTS}/{{participant}}/voxels.nc",
    log:
        f"{RESULTS}/{{participant}}/voxels.ipynb",
    shell:
        EXECUTE + ONE + " - {log}"


rule tuning:
    input:
        notebook="book/runs/tuning.md",
        parameters=PARAMETERS["tuning"],
        model=model_parameters,
        voxels=f"{RESULTS}/{{participant}}/voxels.nc",
    output:
        f"{RUN}/model/model.safetensors",
        f"{RUN}/training.nc",
    log:
        f"{RUN}/tuning.ipynb",
    resources:
        gpu=1,
    shell:
        EXECUTE + ALL + " - {log}"


rule representations:
    input:
        f"{RUN}/model/model.safetensors",
        notebook="book/runs/representations.md",
        parameters=PARAMETERS["representations"],
    output:
        f"{RUN}/representations.nc",
    log:
        f"{RUN}/representations.ipynb",
    resources:
        gpu=1,
    shell:
        EXECUTE + ALL + " - {log}"


rule pretrained_representations:
    input:
        DATASET,
        notebook="book/runs/representations.md",
        parameters=PARAMETERS["representations"],
        model=model_parameters,
    output:
        f"{RESULTS}/{{model}}/pretrained/representations.nc",
    log:
        f"{RESULTS}/{{model}}/pretrained/representations.ipynb",
    resources:
        gpu=1,
    shell:
        EXECUTE + " -r model {wildcards.model} -r condition pretrained - {log}"


rule alignment:
    input:
        notebook="book/runs/alignment.md",
        parameters=PARAMETERS["alignment"],
        voxels=f"{RESULTS}/{{participant}}/voxels.nc",
        representations=representations,
    output:
        f"{RUN}/alignment.nc",
    log:
        f"{RUN}/alignment.ipynb",
    wildcard_constraints:
        condition="|".join(CONDITIONS),
    resources:
        gpu=1,
    shell:
        EXECUTE + ALL + " - {log}"

# The workflow: parameters -> executed run notebooks -> results. Started by
# `python -m bthelpers.workflow PROFILE`. Each rule executes one notebook of book/runs: the data
# file that it writes is the rule's output, and the executed notebook is its log.
from pathlib import Path

from bthelpers.params import load
from bthelpers.workflow import parameter_files

profile = load(Path("params") / f"{config.get('profile', 'demo')}.yaml")
RESULTS = f"results/{profile.name}"
RUN = f"{RESULTS}/{{model}}/{{participant}}/{{condition}}"
DATASET = f"{profile.dataset.root}/derivative/respdict.json"
REGIONS = [profile.dataset.regions] if profile.dataset.regions else []
# One file per step, rewritten only when a parameter of that step changes.
PARAMETERS = parameter_files(profile, Path(RESULTS) / "parameters")
TUNED = [condition for condition in profile.conditions if condition != "pretrained"]
EXECUTE = (
    "jupytext --quiet --to ipynb --output - {input.notebook}"
    f" | papermill --log-output --no-progress-bar -p profile {profile.name}"
)
ONE = " -p participant {wildcards.participant}"
ALL = " -p model {wildcards.model}" + ONE + " -p condition {wildcards.condition}"


def local_weights(wildcards):
    """The pretrained model's weights, where they are a file here."""
    weights = Path(profile.models[wildcards.model].path) / "model.safetensors"
    return [str(weights)] if weights.exists() else []


def representations(wildcards):
    """The pretrained model is one for all participants."""
    owner = "" if wildcards.condition == "pretrained" else f"/{wildcards.participant}"
    return f"{RESULTS}/{wildcards.model}{owner}/{wildcards.condition}/representations.nc"


wildcard_constraints:
    participant="|".join(profile.dataset.participants),
    model="|".join(profile.models),
    condition="|".join(TUNED) or "none",


rule all:
    input:
        expand(
            f"{RUN}/alignment.nc",
            model=profile.models,
            participant=profile.dataset.participants,
            condition=profile.conditions,
        ),


if profile.dataset.simulate is not None:

    rule dataset:
        input:
            notebook="book/runs/dataset.md",
            parameters=PARAMETERS["dataset"],
            lexicon=profile.dataset.simulate.lexicon,
        output:
            DATASET,
        log:
            f"{RESULTS}/dataset.ipynb",
        shell:
            EXECUTE + " - {log}"


rule voxels:
    input:
        REGIONS,
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
        local_weights,
        notebook="book/runs/tuning.md",
        parameters=PARAMETERS["tuning"],
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
        local_weights,
        DATASET,
        notebook="book/runs/representations.md",
        parameters=PARAMETERS["representations"],
    output:
        f"{RESULTS}/{{model}}/pretrained/representations.nc",
    log:
        f"{RESULTS}/{{model}}/pretrained/representations.ipynb",
    resources:
        gpu=1,
    shell:
        EXECUTE + " -p model {wildcards.model} -p condition pretrained - {log}"


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
        condition="|".join(profile.conditions),
    resources:
        gpu=1,
    shell:
        EXECUTE + ALL + " - {log}"

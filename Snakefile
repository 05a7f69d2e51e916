# The workflow: parameters -> executed run notebooks -> results. Started by
# `bthelpers run PROFILE`. Each rule executes one notebook of book/runs: the data
# file that it writes is the rule's output, and the executed notebook is its log.
#
# A run is the folder of its results: model/participant/condition, or model/condition where no
# participant's responses take part.
import re
from pathlib import Path

from bthelpers.params.loading import load
from bthelpers.results.store import result_folder
from bthelpers.params.settings import PER_PARTICIPANT
from bthelpers.workflow.steps import evaluation_files, parameter_files

profile = load(Path("params") / f"{config.get('profile', 'demo')}.yaml")
RESULTS = f"results/{profile.name}"
RUN = f"{RESULTS}/{{run}}"
DATASET = f"{profile.dataset.root}/derivative/respdict.json"
# One file stands for all corpora. (Snakemake removes what a rule will make, and the description of a
# simulated corpus is what allows to replace it.)
STAND_INS = f"{profile.corpora.root}/speech_commands/testing_list.txt"
# One file per step and per model, rewritten only when a parameter of that step changes, or what a
# file holds that the profile names: weights, lexicon, table of regions.
PARAMETERS = parameter_files(profile, Path(RESULTS) / "parameters")
# Of runs that could begin, those that most of the others wait for are taken first.
PRIORITY = {"voxels": 3, "tuning": 2, "representations": 1}
EXECUTE = (
    "jupytext --quiet --to ipynb --output - {input.notebook}"
    f" | papermill --log-output --no-progress-bar -r profile {profile.name}"
)
ONE = " -r participant {wildcards.participant}"  # -r: as text, also where it is a number
WHICH = " {params.which}"


def which(wildcards):
    """Parameters of a notebook that name its run."""
    model, *participant, condition = wildcards.run.split("/")
    of_one = [f"-r participant {name}" for name in participant]
    return " ".join([f"-r model {model}", *of_one, f"-r condition {condition}"])


def pretrained(wildcards):
    """The pretrained model: its name, and digests of its files where they are here."""
    return PARAMETERS[f"models/{wildcards.run.split('/')[0]}"]


def model(wildcards):
    """The model of a run: the pretrained one, or what it was tuned to."""
    if wildcards.run.endswith("/pretrained"):
        return pretrained(wildcards)
    return f"{RESULTS}/{wildcards.run}/model/model.safetensors"


def representations(wildcards):
    """Representations that a participant's responses are predicted from."""
    folder = result_folder(*wildcards.run.split("/"), "representations")
    return f"{RESULTS}/{folder}/representations.nc"


def targets(wildcards):
    """What a model is tuned towards."""
    *_, participant, condition = wildcards.run.split("/")
    if condition in PER_PARTICIPANT:
        return f"{RESULTS}/{participant}/voxels.nc"
    return [DATASET, PARAMETERS["stimulus" if condition == "stimulus-tuned" else "targets"]]


def tuning_notebook(wildcards):
    stimulus = wildcards.run.endswith("/stimulus-tuned")
    return f"book/runs/{'stimulus' if stimulus else 'tuning'}.md"


wildcard_constraints:
    participant="|".join(map(re.escape, profile.dataset.participants)),
    run=f"(?:{'|'.join(map(re.escape, profile.models))})/.+",


rule all:
    input:
        [f"{RESULTS}/{participant}/voxels.nc" for participant in profile.dataset.participants],
        [f"{RESULTS}/{file}" for file in evaluation_files(profile)],


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


if profile.corpora.simulate is not None:

    rule corpora:
        input:
            notebook="book/runs/corpora.md",
            parameters=PARAMETERS["corpora"],
        output:
            STAND_INS,
        log:
            f"{RESULTS}/corpora.ipynb",
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
    priority: PRIORITY["voxels"]
    shell:
        EXECUTE + ONE + " - {log}"


rule tuning:
    input:
        targets,
        notebook=tuning_notebook,
        parameters=PARAMETERS["tuning"],
        model=pretrained,
    output:
        f"{RUN}/model/model.safetensors",
        f"{RUN}/training.nc",
    log:
        f"{RUN}/tuning.ipynb",
    params:
        which=which,
    priority: PRIORITY["tuning"]
    resources:
        gpu=1,
    shell:
        EXECUTE + WHICH + " - {log}"


# What is computed of a model alone: what it reads apart from the model, and what it writes.
CORPORA_FILES = STAND_INS if profile.corpora.simulate else []
for step, read, written in [
    ("representations", DATASET, ["representations"]),
    ("preference", DATASET, ["preference"]),
    ("probes", CORPORA_FILES, ["probes", "low_level_probes"]),
    ("recognition", CORPORA_FILES, ["recognition"]),
]:

    rule:
        name:
            step
        input:
            read,
            model,
            notebook=f"book/runs/{step}.md",
            parameters=PARAMETERS[step],
        output:
            [f"{RUN}/{name}.nc" for name in written],
        log:
            f"{RUN}/{step}.ipynb",
        params:
            which=which,
        priority: PRIORITY.get(step, 0)
        resources:
            gpu=1,
        shell:
            EXECUTE + WHICH + " - {log}"


# What is computed of representations and a participant's responses.
for step, read in {"alignment": [], "impact": [f"{RUN}/alignment.nc"]}.items():

    rule:
        name:
            step
        input:
            read,
            notebook=f"book/runs/{step}.md",
            parameters=PARAMETERS[step],
            voxels=lambda wildcards: f"{RESULTS}/{wildcards.run.split('/')[1]}/voxels.nc",
            representations=representations,
        output:
            f"{RUN}/{step}.nc",
        log:
            f"{RUN}/{step}.ipynb",
        params:
            which=which,
        resources:
            gpu=1,
        shell:
            EXECUTE + WHICH + " - {log}"

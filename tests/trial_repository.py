"""A repository in which every run of the workflow takes no time."""

import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from bthelpers.params.loading import load, to_dict

REPOSITORY = Path(__file__).parents[1]
# Stand-ins for what runs a notebook: they write what it would.
FAKES = {
    "jupytext": '#!/bin/bash\ncat "${@: -1}"\n',
    "papermill": """#!/bin/bash
grep --quiet "jupytext:" || exit 1
log="${@: -1}"; folder=$(dirname "$log"); step=$(basename "$log" .unfinished.ipynb)
echo '{}' > "$log"
case "$step" in
  dataset) mkdir -p data/smoke/derivative; echo '{}' > data/smoke/derivative/respdict.json;;
  corpora) mkdir -p data/smoke_corpora/speech_commands
    date > data/smoke_corpora/speech_commands/testing_list.txt;;
  tuning) mkdir -p "$folder/model"
    date +%s%N | tee "$folder/model/model.safetensors" > "$folder/training.nc";;
  linguistic_probes) date +%s%N | tee "$folder/word_vectors.nc" > "$folder/$step.nc";;
  *) date +%s%N | tee "$folder/low_level_$step.nc" > "$folder/$step.nc";;
esac
echo "${@//.unfinished.ipynb/.ipynb}" >> calls
""",
}
OF_RESPONSES = ("alignment", "impact", "similarity", "controls")
OF_MODEL_ALONE = (
    "representations",
    "preference",
    "linguistic_probes",
    "probes",
    "recognition",
)
CONDITIONS = ["pretrained", "brain-tuned", "block-permuted", "big-slm", "stimulus-tuned"]


class Trial:
    """A copy of the repository in which a run takes no time."""

    def __init__(self, root):
        self.root = root
        (root / "book").mkdir()
        (root / "bin").mkdir()
        (root / "weights").mkdir()
        for name in ("Snakefile", "snakemake_logger_plugin_runs"):
            (root / name).symlink_to(REPOSITORY / name)
        shutil.copytree(REPOSITORY / "book" / "runs", root / "book" / "runs")
        shutil.copytree(REPOSITORY / "params" / "lexicons", root / "params" / "lexicons")
        for name, script in FAKES.items():
            (root / "bin" / name).write_text(script)
            (root / "bin" / name).chmod(0o755)
        (root / "weights" / "config.json").write_text("{}")
        (root / "weights" / "model.safetensors").write_bytes(b"weights")
        (root / "regions.yaml").write_text("late_language: [A5, STGa]\nprimary_auditory: [A1]\n")
        self.write({})

    @property
    def environment(self):
        return os.environ | {"PATH": f"{self.root / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def write(self, overrides):
        """Have the smoke profile hold other values, and models and regions of its own."""
        parameters = to_dict(load(REPOSITORY / "params" / "smoke.yaml", overrides))
        del parameters["name"]
        parameters["dataset"]["regions"] = "regions.yaml"
        parameters["impact"]["regions"] = ["late_language"]
        parameters["stages"]["regions"] = ["late_language"]
        parameters["models"] = {"mini": {"path": "weights", "revision": None}}
        parameters["models"] |= overrides.get("models", {})
        parameters["conditions"] = overrides.get("conditions", CONDITIONS)
        parameters["evaluations"] = [*OF_RESPONSES, *OF_MODEL_ALONE[1:]]
        (self.root / "params" / "smoke.yaml").write_text(yaml.safe_dump(parameters))

    def copy(self, root):
        """The same repository, with its results, elsewhere."""
        shutil.copytree(self.root, root, symlinks=True)
        other = copy.copy(self)
        other.root = root
        return other

    def snakemake(self, *options, config=()):
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock", *options]
        done = subprocess.run(
            [*command, "--config", "profile=smoke", *config],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def planned(self):
        """Runs that a workflow would execute now, by the notebooks that they would leave."""
        return set(re.findall(r"^    log: results/(\S+)\.log$", self.snakemake("-n"), re.M))

    def calls(self):
        """Parameters of the runs executed so far, by their notebooks."""
        lines = (self.root / "calls").read_text().splitlines()
        found = [re.fullmatch(r"(.*) - results/(\S+)\.ipynb", line) for line in lines]
        return {match[2]: dict(re.findall(r"-r (\S+) (\S+)", match[1])) for match in found}

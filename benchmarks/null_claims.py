"""How many claims hold in studies of nothing, against what the page on claims expects.

    python benchmarks/null_claims.py equal|features|noise [STUDIES] [SEED]

Each study is a results folder in memory, of one participant and six conditions:

- equal: all conditions are equally good at everything.
- features: the same, and removing low-level features removes nothing, as with another story's.
- noise: no prediction has to do with any response.

The share of claims that hold, in per cent with its 95 % binomial interval, is beside the share
that the page expects. Claims of a study depend on each other, so standard errors over studies are
given too.
A table is printed with every fifth study, of which alone it is computed what the page expects.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from claim_results import CONDITIONS, FEATURES, MODEL, MODELS, TASKS, write_profile

from bthelpers.claims.expected import WORLDS, expected_counts
from bthelpers.claims.null_studies import alignments, equal_models, rejection_rates
from bthelpers.claims.papers.iclr2025 import CLAIMS
from bthelpers.claims.verdicts import HOLDS, evaluate_claims
from bthelpers.params.settings import PER_PARTICIPANT
from bthelpers.results.store import Results
from bthelpers.statistics.bootstrap import resampling_counts

PARTICIPANTS = ("SIM01",)  # more of them need more studies: less holds by chance
LAYERS = {"layer": np.arange(4)}
N_DRAWS, N_SPEAKERS, N_WORDS = 200, 24, 60
EXPECTED_OF = 5  # one in so many studies
TOPICS = {topic: claims for topic, claims in CLAIMS.items() if topic != "Scale"}


class Study(Results):
    """Results in memory, by participant, condition and step."""

    runs: dict[tuple[str, str, str], xr.Dataset]

    def open(self, model: str, participant: str, condition: str, step: str) -> xr.Dataset:
        """Return a run."""
        return self.runs[participant, condition, step].assign_attrs(dataset="Simulated")

    def voxels(self, participant: str) -> xr.Dataset:
        """Return voxels of which none is above a threshold."""
        return xr.Dataset({"above": ("voxel", np.zeros(1, bool))})


def of_layers(run: xr.Dataset) -> xr.Dataset:
    """The same in all layers."""
    return run.expand_dims(LAYERS)


def brain(world: str, rng: np.random.Generator) -> dict[tuple[str, str, str], xr.Dataset]:
    """Alignment and impact: true impact is 50 % in all conditions, or 0."""
    found, n = {}, len(CONDITIONS)
    regions = []
    for _ in range(2):
        both = equal_models(len(PARTICIPANTS), 10, True, rng, n_models=2 * n)
        if world == "noise":
            both[-1] = equal_models(len(PARTICIPANTS), 10, True, rng)[-1]
        regions.append(alignments(both, 30, N_DRAWS, 0))
    for k, condition in enumerate(CONDITIONS):
        for p, name in enumerate(PARTICIPANTS):
            own, other = (
                xr.concat([of[m].isel(participant=p) for of in regions], "region").assign_coords(
                    region=["late_language", "primary_auditory"]
                )
                for m in (k, n + k)
            )
            # What is left is half of the alignment, or all; and an error whose mean is zero.
            left = 0.5 if world == "equal" else 1.0
            residual = left * own + 0.1 * (other - own)
            named = {"value": "alignment"}
            found[name, condition, "alignment"] = of_layers(own.rename(named))
            features = residual.rename(named).expand_dims(feature=FEATURES)
            found[name, condition, "impact"] = of_layers(features)
    return found


def resampled(units: np.ndarray, seed: int) -> tuple[float, np.ndarray]:
    """Mean over units, and its draws."""
    counts = resampling_counts(len(units), N_DRAWS, seed)
    return units.mean(), counts @ units / len(units)


def scores(name: str, draws: str, tasks: list[str], rng: np.random.Generator) -> dict:
    """Scores: of the speaker, and an error of the condition, or of the participant in it."""
    found = {}
    speakers = rng.normal(0.5, 0.1, (len(tasks), N_SPEAKERS))
    n_drawn = {"n_drawn": ("draw", np.full(N_DRAWS, N_SPEAKERS)), "task": tasks}
    for condition in CONDITIONS:
        error = rng.normal(0, 0.05, (len(tasks), N_SPEAKERS))
        for participant in PARTICIPANTS:
            units = speakers + error
            if condition in PER_PARTICIPANT:
                units = speakers + rng.normal(0, 0.05, error.shape)
            pairs = [resampled(of_task, 0) for of_task in units]
            values, drawn = (np.array(part) for part in zip(*pairs, strict=True))
            run = {name: ("task", values), draws: (("task", "draw"), drawn)}
            found[participant, condition] = xr.Dataset(run, n_drawn)
    return found


def tasks(rng: np.random.Generator) -> dict[tuple[str, str, str], xr.Dataset]:
    """Probes, low-level probes, recognition and preference."""
    found = {}
    counts = dict.fromkeys(["n_clips", "n_outputs", "n_constant", "n_untested"], 4)
    probes = scores("f1_macro", "f1_macro_draws", TASKS, rng)
    low_level = scores("r2", "r2_draws", ["mfcc", "fbank"], rng)
    recognition = scores("accuracy", "wer_draws", ["all"], rng)
    for run, of_run in probes.items():
        for end in ("", "_draws"):
            of_run[f"f1_weighted{end}"] = of_run[f"f1_macro{end}"]
        naive = dict.fromkeys(["naive_f1_macro", "naive_f1_weighted"], ("task", [0.5] * len(TASKS)))
        shared = counts | naive
        found[*run, "probes"] = of_layers(of_run.assign(n_constant_features=0)).assign(shared)
        low = of_layers(low_level[run].assign(n_constant_features=0))
        found[*run, "low_level_probes"] = low.assign(counts)
        words = dict.fromkeys(["n_words", "n_infeasible", "n_infeasible_training", "n_clips"], 9)
        one = recognition[run].isel(task=0, drop=True)
        found[*run, "recognition"] = one.assign(wer_draws=1 - one["wer_draws"], **words)
    return found | preference(rng)


def preference(rng: np.random.Generator) -> dict[tuple[str, str, str], xr.Dataset]:
    """Distances of words to neighbours and random words that are all the same but for errors."""
    found = {}
    of_words = rng.normal(0.6, 0.05, (3, N_WORDS))
    counts = resampling_counts(N_WORDS, N_DRAWS, 0) / N_WORDS
    coords = {"kind": ["semantic", "phonetic", "random"], "word": np.arange(N_WORDS)}
    for participant in PARTICIPANTS:
        for condition in CONDITIONS:
            distance = of_words + rng.normal(0, 0.05, (len(LAYERS["layer"]), 3, N_WORDS))
            if condition not in PER_PARTICIPANT and participant != PARTICIPANTS[0]:
                first = found[PARTICIPANTS[0], condition, "preference"]
                found[participant, condition, "preference"] = first
                continue
            run = xr.Dataset({"distance": (("layer", "kind", "word"), distance)}, coords | LAYERS)
            drawn = ("layer", "kind", "draw"), distance @ counts.T
            run = run.assign(distance_draws=drawn, n_spoken=("word", np.full(N_WORDS, 4)))
            for name, of in (("preference", run["distance"].mean("word")), ("draws", drawn)):
                of = run["distance_draws"] if name == "draws" else of
                apart = of.sel(kind="semantic", drop=True) - of.sel(kind="phonetic", drop=True)
                run[name] = apart
            n_drawn = "draw", np.full(N_DRAWS, N_WORDS)
            found[participant, condition, "preference"] = run.assign_coords(n_drawn=n_drawn)
    return found


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Shares of the tested claims that a page expects to hold, in per cent: (topic, world)."""
    of_tested = {name: table[name, "mean"] / table["", "tested"] for name in WORLDS}
    return 100 * pd.DataFrame(of_tested).rename_axis("topic")


def report(claims: pd.DataFrame, expected: pd.DataFrame) -> pd.DataFrame:
    """Shares that hold and expected shares, by topic.

    Parameters
    ----------
    claims : DataFrame
        Of each claim that was tested: ``study``, ``topic``, ``verdict``.
    expected : DataFrame
        `shares` of some studies, one below the other.
    """
    claims = pd.concat([claims, claims.assign(topic="all")])
    claims = claims.assign(holds=claims["verdict"] == HOLDS)
    table = rejection_rates(dict(iter(claims.groupby("topic")["holds"])))
    by_study = claims.groupby(["topic", "study"])["holds"]
    table = table.assign(se=100 * by_study.mean().groupby("topic").sem())
    table["any"] = 100 * by_study.any().groupby("topic").mean()
    means = expected.groupby("topic").agg(["mean", "sem"])
    return table.join(means.set_axis(map(", ".join, means.columns), axis="columns")).round(2)


def main(world: str, n_studies: int = 200, seed: int = 0) -> None:
    """Print what holds, and what is expected."""
    study = Study(tempfile.mkdtemp())
    write_profile(study.root, {MODEL: replace(MODELS[MODEL], participants=PARTICIPANTS)})
    claims, expected = [], []
    for number in range(n_studies):
        rng = np.random.default_rng([seed, number])
        study.runs = brain(world, rng) | tasks(rng)
        verdicts = evaluate_claims(study, TOPICS)
        claims.append(verdicts.claims.loc[list(verdicts.tested)].assign(study=number))
        if number % EXPECTED_OF == 0:
            expected.append(shares(expected_counts(verdicts)))
            table = report(pd.concat(claims), pd.concat(expected))
            print(f"{world}: {number + 1} studies", table.to_string(), sep="\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

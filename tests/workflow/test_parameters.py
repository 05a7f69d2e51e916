"""What a step's results depend on, as it is kept beside them."""

import json
import os
import shutil
from pathlib import Path

import pytest

from bthelpers.data import regions
from bthelpers.params.loading import load, to_dict
from bthelpers.workflow.parameters import look_again, parameter_files, step_parameters

REPOSITORY = Path(__file__).parents[2]
# Steps that read the dataset's stories, and those that make or read the corpora.
DATASET_STEPS = {
    *("dataset", "voxels", "representations", "impact", "preference", "linguistic_probes"),
    *("targets", "stimulus", "joint", "similarity", "controls"),
}
CORPORA_STEPS = {"corpora", "probes", "recognition"}
SPLIT_STEPS = {
    *("voxels", "representations", "tuning", "alignment", "impact"),
    *("preference", "linguistic_probes", "similarity", "controls", "transfer", "minutes"),
}
TRANSFER_STEPS = {"transfer", "minutes"}
MODELS = ("hubert-mini", "hubert-mini-2", "wav2vec2-mini", "wavlm-mini", "whisper-mini")
CHOOSING = {  # runs of a model
    "participants": ["SIM01"],
    "conditions": ["pretrained"],
    "evaluations": ["alignment"],
    "variant_of": "whisper-mini",
}
# Which steps' results depend on a parameter; the longest key that fits counts. Those of a step that
# takes up another one's results are made again because of them.
STEPS = {
    "name": set(),
    "gpus_per_tuning": set(),
    "conditions": set(),  # which runs there are, and nothing within a run
    "evaluations": set(),
    "dataset.participants": TRANSFER_STEPS,
    "dataset.root": DATASET_STEPS,
    "dataset.cache": set(),
    "dataset.simulate": DATASET_STEPS,
    "dataset.splits": SPLIT_STEPS,
    "dataset.absent": SPLIT_STEPS,
    "dataset.regions": {"voxels", "joint"},
    "seed": DATASET_STEPS | CORPORA_STEPS | TRANSFER_STEPS | {"tuning", "alignment"},
    **{f"models.{name}": {f"models/{name}"} for name in MODELS},
    **{f"models.{name}.{which}": set() for name in MODELS for which in CHOOSING},
    "voxels": {"voxels", "joint"},
    "tuning": {"tuning"},
    "tuning.layer": {"tuning"} | TRANSFER_STEPS,
    "tuning.unheard": {"tuning"} | TRANSFER_STEPS,
    "transfer": TRANSFER_STEPS,
    "representation": {"representations", "linguistic_probes"},
    "targets": {"targets"},
    "stimulus": {"stimulus"},
    "encoding": {"alignment", "impact", "similarity", "controls"} | TRANSFER_STEPS,
    "encoding.skip_test_rows": TRANSFER_STEPS
    | {"voxels", "alignment", "impact", "similarity", "controls"},
    "statistics": TRANSFER_STEPS
    | {
        *("alignment", "impact", "preference", "linguistic_probes", "probes", "recognition"),
        *("similarity", "controls"),
    },
    "corpora": CORPORA_STEPS,
    "impact": {"impact"},
    "probes": {"probes", "linguistic_probes"},
    "recognition": {"recognition"},
    "preference": {"preference", "linguistic_probes", "similarity"},
    "stages": {"similarity", "controls"},
}
CHOICES = {
    "conditions": (["pretrained"],),
    "evaluations": (["preference"],),
    "impact.features": (["joint"],),
    "stages.low_level": (["mfcc"],),
    "impact.delays": ([0],),
    "impact.alphas": ([-2, 4, 7],),
    "dataset.participants": (["SIM01"], ["SIM01", "SIM02"]),
    "dataset.absent": ({"SIM01": ["story01"]},),
    "models.whisper-mini.variant_of": ("hubert-mini",),
    "dataset.simulate.rate": ([151, 191],),
    "dataset.simulate.pitch": ([31, 71],),
    "dataset.simulate.voices": (["en-us"],),
    "voxels.regions": (["late_language"],),
    "corpora.simulate.rate": ([151, 191],),
    "corpora.simulate.pitch": ([31, 71],),
    "corpora.simulate.voices": (["en-us"],),
    "stimulus.patience": (3,),
    "dataset.simulate.meanings": ("words", "occurrences"),
    "preference.splits": (["test"],),
    "preference.words": (100,),
    "probes.inverse_penalties": ([-2, 2, 5],),
    "targets.big_text_lm": ({"path": "x", "revision": None, "layer_step": 3, "epochs": 2},),
    **{
        f"{settings}.precision": ("float32", "bfloat16")
        for settings in ("tuning", "stimulus", "representation", "probes", "recognition")
    },
    "tuning.pooling": ("mean", "hrf"),
    "tuning.loss": ("over_time",),
    "tuning.head": ("bottleneck",),
    "tuning.heads": ("separate",),
    "tuning.layer": (1,),
    "tuning.adapter_lr": (1.0e-3,),
    "tuning.unheard": (["story01"],),
    "transfer.regions": (["late_language"],),
    "transfer.layers": ([1],),
    "transfer.n_stories": ([2],),
    "tuning.adaptation": ("lora",),
    "tuning.jointly": (["SIM01"],),
    "tuning.keep": ("refit",),
    "tuning.sharing": ("window", "chunk"),
    "representation.pooling": ("last", "mean"),
    "encoding.fir_delays": ([1, 2],),
    "encoding.delays": ([2.0045],),
    "encoding.alphas": ([1, 4, 5],),
    "encoding.penalties": ("training", "validation"),
}


def leaves(parameters, prefix=""):
    for key, value in parameters.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def other(key, value, folder):
    """Another value of a parameter, valid as well."""
    if key in CHOICES:
        return next(choice for choice in CHOICES[key] if choice != value)
    if key.startswith("models.") and key.split(".")[-1] in CHOOSING:
        return None if value else CHOOSING[key.split(".")[-1]]
    if key.endswith("tuning_stories") and value is None:
        return 1
    if key.endswith(".adaptation"):
        return "full" if value == "lora" else "lora"
    if key.endswith(".tuned_regions"):
        return ["late_language"]
    if key.endswith("lexicon") or key == "dataset.regions":
        original = value or "bthelpers/data/regions.yaml"
        changed = folder / "changed.yaml"
        text = (REPOSITORY / original).read_text()
        changed.write_text(text if value else "late_language: [A5]\nearly_auditory: [A1]\n")
        return str(changed)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.9 if value else 0.5
    if isinstance(value, list):
        return [*value[:-1], f"{value[-1]}x" if isinstance(value[-1], str) else value[-1] * 1.01]
    return f"{value}x"


PROFILE = load(REPOSITORY / "params" / "smoke.yaml")
LEAVES = dict(leaves(to_dict(PROFILE)))
del LEAVES["dataset.simulate.other_lexicons"]  # takes a second participant
del LEAVES["dataset.recording"]  # takes electrodes, and delays in seconds


@pytest.fixture
def in_repository(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


@pytest.mark.parametrize("key", LEAVES)
def test_a_changed_parameter_changes_the_steps_that_depend_on_it(key, in_repository, tmp_path):
    if key == "name":
        (tmp_path / "other.yaml").write_text(f"extends: {REPOSITORY}/params/smoke.yaml\n")
        changed = load(tmp_path / "other.yaml")
    else:
        value = other(key, LEAVES[key], tmp_path)
        changed = load(REPOSITORY / "params" / "smoke.yaml", {key: value})
    assert dict(leaves(to_dict(changed))) != LEAVES
    before, after = step_parameters(PROFILE), step_parameters(changed)
    assert before.keys() == after.keys()
    [*_, longest] = sorted((k for k in STEPS if f"{key}.".startswith(f"{k}.")), key=len)
    assert {step for step in before if before[step] != after[step]} == STEPS[longest]


def test_a_real_dataset_is_the_same_for_any_seed(in_repository):
    paper = REPOSITORY / "params" / "paper.yaml"
    before, after = (step_parameters(load(paper, {"seed": seed})) for seed in (0, 1))
    changed = {step for step in before if before[step] != after[step]}
    assert changed == {
        *("tuning", "alignment", "impact", "similarity", "controls", "transfer", "minutes"),
        *("preference", "linguistic_probes", "probes", "recognition"),
    }


def changed_steps(profile, change):
    before = step_parameters(profile)
    change()
    after = step_parameters(profile)
    return {step for step in after if before[step] != after[step]}


def test_what_the_files_hold_counts(in_repository, tmp_path, monkeypatch):
    lexicon, table, model = tmp_path / "words.yaml", tmp_path / "regions.yaml", tmp_path / "model"
    model.mkdir()
    shutil.copy(REPOSITORY / PROFILE.dataset.simulate.lexicon, lexicon)
    table.write_text("late_language: [A5, STGa]\nprimary_auditory: [A1]\n")
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"weights")
    ceilings = tmp_path / "SIM01.npy"
    ceilings.write_bytes(b"0.5")
    profile = load(
        REPOSITORY / "params" / "smoke.yaml",
        {
            "dataset.simulate.lexicon": str(lexicon),
            "dataset.regions": str(table),
            "models.hubert-mini.path": str(model),
            "voxels.published": str(tmp_path),
        },
    )

    def changed(path, text):
        times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        path.write_text(text)
        os.utime(path, ns=times)  # as a copy that keeps times

    assert changed_steps(profile, lambda: None) == set()
    assert changed_steps(profile, lambda: changed(ceilings, "0.6")) == {"voxels"}
    assert changed_steps(profile, lambda: changed(lexicon, "other")) == DATASET_STEPS
    remark = "# a remark\n" + table.read_text()
    assert changed_steps(profile, lambda: changed(table, remark)) == set()
    smaller = "late_language: [A5]\nearly_auditory: [A1]\n"
    assert changed_steps(profile, lambda: changed(table, smaller)) == {"voxels", "joint"}
    for file in model.iterdir():
        step = {"models/hubert-mini"}
        assert changed_steps(profile, lambda file=file: changed(file, "other!!")) == step
    # the package's own table is the one in which the truth is planted
    monkeypatch.setattr(regions, "REGIONS", table)
    assert changed_steps(profile, lambda: changed(table, remark)) == DATASET_STEPS


def test_a_file_of_parameters_is_written_only_where_they_changed(in_repository, tmp_path):
    folder = tmp_path / "smoke" / "parameters"
    files = parameter_files(PROFILE, folder)
    assert files.keys() == step_parameters(PROFILE).keys()
    for step, path in files.items():
        written = json.loads(Path(path).read_text())
        assert written == json.loads(json.dumps(step_parameters(PROFILE)[step]))
    recorded = tmp_path / "smoke" / "profile.json"
    assert json.loads(recorded.read_text()) == to_dict(PROFILE)
    everything = [recorded, *map(Path, files.values())]
    for path in everything:
        os.utime(path, (1, 1))
    changed = load(REPOSITORY / "params" / "smoke.yaml", {"encoding.folds": 2})
    assert parameter_files(changed, folder) == files
    rewritten = {path for path in everything if path.stat().st_mtime != 1}
    assert rewritten == {recorded, *(Path(files[step]) for step in STEPS["encoding"])}
    os.utime(recorded, (1, 1))
    parameter_files(changed, folder)
    look_again(folder.parent)
    assert recorded.stat().st_mtime == 1


@pytest.mark.parametrize(("keep", "outdated"), [("loss", False), ("refit", True)])
@pytest.mark.parametrize("change", [{"encoding.folds": 2}, {"representation.stride": 0.5}])
def test_tuning_depends_on_how_ridges_are_refitted_where_they_choose_the_epoch(
    keep, outdated, change, in_repository
):
    path, kept = REPOSITORY / "params" / "smoke.yaml", {"tuning.keep": keep}
    before, after = (
        step_parameters(load(path, overrides))["tuning"] for overrides in (kept, kept | change)
    )
    assert (before != after) == outdated

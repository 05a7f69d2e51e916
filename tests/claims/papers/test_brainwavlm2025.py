import json
import shutil

import numpy as np
import pytest
import xarray as xr
from transfer_results import EPOCHS, GAINS, MODEL, PEOPLE, TO_OTHERS, write_tunings

from bthelpers.claims.papers import brainwavlm2025
from bthelpers.claims.papers.brainwavlm2025 import (
    AUDITORY_BY_SET,
    EARLY,
    FULL,
    IN_REST,
    TO_OTHERS_OUTSIDE,
    UNSTEADY,
    mean_knowledge,
)
from bthelpers.claims.verdicts import evaluate_claims
from bthelpers.results.runs import BASELINE, TUNED
from bthelpers.results.store import Results, write_dataset
from bthelpers.results.transfer.participants import OTHERS
from bthelpers.results.transfer.tunings import tunings

R2 = {BASELINE: 0.5, TUNED: 0.3, "big-text-lm": 0.35, "auditory cortex": 0.6}
N_LAYERS = 6


def probed(score, n_draws=60):
    """A score that is higher by 0.1 in the middle third of five layers' transformer."""
    rng = np.random.default_rng(0)
    values = np.full(N_LAYERS, score)
    values[2:5] += 0.1
    draws = values[:, None] + 0.001 * rng.normal(size=(N_LAYERS, n_draws))
    return values, draws


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """With probes of a model in all of its tunings."""
    found = write_tunings(tmp_path_factory.mktemp("results") / "smoke")
    profile = found.profile()
    for name, (model, condition) in tunings(profile, MODEL, "probes").items():
        values, draws = probed(R2[name])
        vectors, vector_draws = probed(0.2 if name == BASELINE else 0.3)
        acoustic = xr.Dataset(
            {
                "r2": (("task", "layer"), [values]),
                "r2_draws": (("task", "layer", "draw"), [draws]),
                **dict.fromkeys(["n_outputs", "n_constant", "n_untested"], ("task", [4])),
                "n_constant_features": (("task", "layer"), np.zeros((1, N_LAYERS), int)),
                "n_clips": (("task", "split"), [[7, 7, 7]]),
            },
            {"task": ["fbank"], "layer": np.arange(N_LAYERS)},
        )
        spoken = xr.Dataset(
            {"r2": ("layer", vectors), "r2_draws": (("layer", "draw"), vector_draws)},
            {"layer": np.arange(N_LAYERS)},
        )
        for participant in profile.participants_of(model) if condition == TUNED else [None]:
            folder = found.root.joinpath(*filter(None, (model, participant, condition)))
            made = {"dataset": "Simulated"}
            write_dataset(acoustic, folder / "low_level_probes.nc", made)
            write_dataset(spoken, folder / "word_vectors.nc", made)
    return found


def value(results, measure, **labels):
    return measure.load(results, MODEL)["value"].sel(labels)


def test_gains_are_those_that_were_planted(results):
    found = value(results, IN_REST, condition=TUNED)
    np.testing.assert_allclose(found, [GAINS[TUNED][2]] * 3)
    both = AUDITORY_BY_SET.load(results, MODEL)
    assert both["participant"].values.tolist() == PEOPLE
    np.testing.assert_allclose(
        both["value"].sel(condition="auditory cortex"), GAINS["auditory cortex"][1]
    )
    others = value(results, TO_OTHERS_OUTSIDE, condition=OTHERS)
    np.testing.assert_allclose(others, [14 * TO_OTHERS / 2] * 2 + [0], atol=1e-9)


def test_trainings_are_compared_by_their_steps(results):
    unsteady = value(results, UNSTEADY)
    np.testing.assert_allclose(unsteady.sel(condition=FULL), 100)
    assert (unsteady.sel(condition=TUNED) < 10).all()
    # From 0.09, half of the epochs lead to 0.14, and all to 0.2.
    expected = 100 * (0.1 + 0.1 * (EPOCHS // 2 - 1) / (EPOCHS - 1) - 0.09) / 0.11
    np.testing.assert_allclose(value(results, EARLY, condition=TUNED), expected)


def test_probes_are_means_over_layers_of_the_transformer(results):
    r2 = mean_knowledge(results, MODEL, "Filter bank", middle=False)["value"].isel(participant=0)
    np.testing.assert_allclose(r2.sel(condition=TUNED), 0.3 + 0.3 / 5)
    middle = mean_knowledge(results, MODEL, "Filter bank", middle=True)["value"].isel(participant=0)
    np.testing.assert_allclose(middle.sel(condition="auditory cortex"), 0.7)
    vectors = mean_knowledge(results, MODEL, "Word vectors", middle=False)["value"]
    found = vectors.sel(condition=[BASELINE, TUNED]).mean("participant")
    np.testing.assert_allclose(found, [0.26, 0.36])


def test_verdicts_are_those_of_the_planted_truth(results):
    claims = evaluate_claims(results, brainwavlm2025.CLAIMS).claims.set_index("claim")
    verdicts = claims["verdict"]
    assert verdicts["Brain-tuning with LoRA raises the mean correlation over the cortex"] == "holds"
    assert verdicts["It does so by about 12.5 %"] == "cannot be tested"  # of simulated data
    words_held = ("predicted best", "predict better", "gains less", "keeps gains", "knows")
    for words in (*words_held, "steadier", "tune better", "left hemisphere"):
        held = verdicts[verdicts.index.str.contains(words)]
        assert len(held)
        assert (held == "holds").all(), words
    assert verdicts["Responses and a text model raise it alike"] == "holds"
    assert (
        claims["participants"]["The left hemisphere tunes slightly better than the right one"] == 1
    )


def test_without_runs_claims_cannot_be_tested(results, tmp_path):
    profile = json.loads((results.root / "profile.json").read_text())
    for model in profile["models"].values():
        model["evaluations"] = ["alignment"]
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    claims = evaluate_claims(Results(tmp_path), brainwavlm2025.CLAIMS).claims
    assert (claims["verdict"] == "cannot be tested").all()
    assert claims["remark"].str.contains("no WavLM with").all()


def only_of(results, folder, **of_models):
    """The same results, of a profile in which some models have other participants."""
    shutil.copytree(results.root, folder)
    profile = json.loads((folder / "profile.json").read_text())
    for model, participants in of_models.items():
        profile["models"][model.replace("_", "-")]["participants"] = participants
    (folder / "profile.json").write_text(json.dumps(profile))
    return Results(folder)


def test_one_training_says_nothing_of_others(results, tmp_path):
    one = only_of(results, tmp_path / "one", hubert_mini=["SIM02"], hubert_full=["SIM02"])
    claims = evaluate_claims(one, brainwavlm2025.CLAIMS).claims.set_index("claim")
    for words in ("Tuning is steadier with LoRA than without", "Most of the rise is there"):
        (verdict,) = claims.loc[claims.index.str.startswith(words), "verdict"]
        assert verdict == "cannot be tested"


def test_trainings_are_compared_of_the_same_participants(results, tmp_path):
    some = only_of(results, tmp_path / "some", hubert_full=["SIM03", "SIM01"])
    found = UNSTEADY.load(some, MODEL)["value"]
    assert set(found["participant"].values) == {"SIM01", "SIM03"}
    for participant in found["participant"].values:
        expected = value(results, UNSTEADY, participant=participant)
        np.testing.assert_allclose(found.sel(participant=participant), expected)


def test_planted_meanings_are_read_for_those_to_whom_they_are_the_words(results):
    vectors = mean_knowledge(results, MODEL, "Word vectors", middle=False)
    assert vectors["participant"].values.tolist() == ["SIM01", "SIM02"]
    acoustic = mean_knowledge(results, MODEL, "Filter bank", middle=False)
    assert acoustic["participant"].values.tolist() == PEOPLE

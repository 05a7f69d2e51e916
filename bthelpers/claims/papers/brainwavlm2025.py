"""Published: what Vattikonda et al. (2025) claim of BrainWavLM.

The paper's text is known here by a summary. Its measure is the mean over voxels of the correlation
over time, in percent of the pretrained model's. WavLM's claims are tested of HuBERT too, which
stands for it where data are simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr

from bthelpers.claims import margins
from bthelpers.claims.claim import Claim, Statement
from bthelpers.claims.quantities import Measure
from bthelpers.params.settings import Profile
from bthelpers.results.comparison import estimate
from bthelpers.results.runs import BASELINE, TUNED, in_all
from bthelpers.results.store import Results
from bthelpers.results.transfer.epochs import load_epochs
from bthelpers.results.transfer.knowledge import (
    FILTER_BANK,
    KNOWLEDGE,
    WORD_VECTORS,
    load_knowledge,
)
from bthelpers.results.transfer.participants import OTHERS, SELF, load_transfer, self_and_others
from bthelpers.results.transfer.tunings import load_own, tunings
from bthelpers.statistics.bootstrap import percent_change
from bthelpers.statistics.curves import successive_variance

FAMILIES = ("WavLM", "HuBERT")
TEXT, FULL = "big-text-lm", "without LoRA"
AUDITORY, REST = "auditory cortex", "rest of cortex"
LEFT, RIGHT = "left hemisphere", "right hemisphere"
PARTS = {AUDITORY: "auditory_cortex", REST: "rest_of_cortex"}
GAIN = (TUNED, BASELINE)


def relative_r(results: Results, model: str, region: str, names: Sequence[str]) -> xr.Dataset:
    """Change of a region's mean r from pretrained, in percent, of those who have all tunings."""
    own = load_own(results, model, [BASELINE, *names]).sel(region=region, drop=True)
    r = estimate(own, "r", "r_draws")
    return percent_change(r, r.sel(condition=BASELINE, drop=True))


def gain_by_region(results: Results, model: str) -> xr.Dataset:
    """Change of mean r by tuning towards the whole cortex, in percent, of two parts of it."""
    gains = [relative_r(results, model, region, [TUNED]) for region in PARTS.values()]
    changes = [gain.sel(condition=TUNED, drop=True) for gain in gains]
    return xr.concat(changes, pd.Index(list(PARTS), name="condition"))


def transferred_r(results: Results, model: str, region: str) -> xr.Dataset:
    """Change of mean r from pretrained, in percent, by what was tuned to the same or to others."""
    return self_and_others(load_transfer(results, model, TUNED)).sel(region=region, drop=True)


def unsteadiness(results: Results, model: str) -> xr.Dataset:
    """Variance of the validation score from epoch to epoch, relative to that without LoRA.

    A training has no draws: they are all its value, and participants alone tell the uncertainty.
    """
    curves = load_epochs(results, model)
    scores = {name: curves[name]["score"].sel(epoch=slice(1, None)) for name in (TUNED, FULL)}
    people = in_all(score["participant"].values.tolist() for score in scores.values())
    variances = [
        [successive_variance(score.sel(participant=one).dropna("epoch")) for one in people]
        for score in scores.values()
    ]
    relative = 100 * np.array(variances) / variances[1]
    return _exact(results, relative, list(scores), people)


def early_share(results: Results, model: str) -> xr.Dataset:
    """Share of the rise of the validation score, to its highest, that is there by half the epochs.

    A training has no draws, as of `unsteadiness`.
    """
    score = load_epochs(results, model)[TUNED]["score"]
    rise = score - score.sel(epoch=0)
    half = max(rise["epoch"].max().item() // 2, 1)  # of one epoch: that one
    early = rise.sel(epoch=slice(1, half)).max("epoch")
    highest = rise.max("epoch")
    share = 100 * early / highest.where(highest > 0)
    return _exact(results, share.values[None], [TUNED], score["participant"].values)


def _exact(
    results: Results, values: np.ndarray, conditions: Sequence[str], participants: Sequence[str]
) -> xr.Dataset:
    """An estimate of values (condition, participant) without uncertainty of their own.

    Of one participant, nothing tells how uncertain they are: draws are NaN.
    """
    coords = {"condition": list(conditions), "participant": list(participants)}
    value = xr.DataArray(values, coords, tuple(coords))
    draws = value.expand_dims(draw=results.profile().statistics.bootstrap_draws)
    if len(participants) < 2:
        draws = xr.full_like(draws, np.nan)
    return xr.Dataset({"value": value, "draws": draws})


def mean_knowledge(results: Results, model: str, what: str, middle: bool) -> xr.Dataset:
    """R² of a probe, mean over transformer layers or over the middle third of them."""
    layers = load_knowledge(results, model, what).isel(layer=slice(1, None))
    third = layers.sizes["layer"] // 3
    return layers.isel(layer=slice(third, -third) if middle else slice(None)).mean("layer")


def _if_there(
    evaluation: str, names: Sequence[str], told: Sequence[str] = (), regions: Sequence[str] = ()
) -> Callable[[Profile, str], Sequence[str]]:
    """Conditions that are there if participants have all of some tunings of a model.

    And if all of some regions are evaluated.
    """

    def conditions(profile: Profile, model: str) -> Sequence[str]:
        found = tunings(profile, model, evaluation)
        there = set(names) <= found.keys() and set(regions) <= {*profile.transfer.regions}
        shared = there and in_all(profile.participants_of(found[name][0]) for name in names)
        return (told or names) if shared else ()

    return conditions


def _if_refitted(profile: Profile, model: str) -> Sequence[str]:
    """Brain-tuned, where the score of the pretrained model is among those of the epochs."""
    there = profile.tuning.keep == "refit" and profile.tuning.epochs > 1
    return (TUNED,) if there and TUNED in tunings(profile, model, "transfer") else ()


def _gain_of(region: str, *names: str) -> Measure:
    words = f"mean r over {region.replace('_', ' ')}"
    load = partial(relative_r, region=region, names=names)
    there = _if_there("transfer", (BASELINE, *names), regions=[region])
    return Measure(words, "% of pretrained", "transfer", load, there, margin=margins.GAIN)


def _transfer_to(region: str) -> Measure:
    words = f"mean r over {region.replace('_', ' ')}, change from pretrained"
    load = partial(transferred_r, region=region)
    there = _if_there("transfer", (BASELINE, TUNED), (SELF, OTHERS), [region])
    return Measure(words, "%", "transfer", load, there, margin=margins.GAIN)


CORTEX, IN_AUDITORY, IN_REST = (
    _gain_of(region, TUNED) for region in ("cortex", "auditory_cortex", "rest_of_cortex")
)
AUDITORY_BY_SET, REST_BY_SET = (
    _gain_of(region, TUNED, AUDITORY, REST) for region in ("auditory_cortex", "rest_of_cortex")
)
AUDITORY_BY_TEXT, REST_BY_TEXT = (
    _gain_of(region, TUNED, TEXT) for region in ("auditory_cortex", "rest_of_cortex")
)
BY_PART = Measure(
    "mean r, change from pretrained by part of the cortex",
    "%",
    "transfer",
    gain_by_region,
    _if_there("transfer", (BASELINE, TUNED), tuple(PARTS), PARTS.values()),
)
BY_HEMISPHERE = _gain_of("cortex", LEFT, RIGHT)
TO_OTHERS_IN, TO_OTHERS_OUTSIDE = map(_transfer_to, ("auditory_cortex", "rest_of_cortex"))
UNSTEADY = Measure(
    "variance of the validation score from epoch to epoch",
    "% of that without LoRA",
    "transfer",
    unsteadiness,
    _if_there("transfer", (TUNED, FULL)),
)
EARLY = Measure(
    "rise of the validation score by half of the epochs",
    "% of its highest rise",
    "transfer",
    early_share,
    _if_refitted,
)


def _knowledge(what: str, *names: str, middle: bool = False) -> Measure:
    evaluation, _ = KNOWLEDGE[what]
    words = f"R² of {what.lower()}, {'the middle third of layers' if middle else 'all layers'}"
    load = partial(mean_knowledge, what=what, middle=middle)
    there = _if_there(evaluation, (BASELINE, *names))
    return Measure(words, "R²", evaluation, load, there, margin=margins.SCORE)


_of = partial(Statement, families=FAMILIES)
CLAIMS = {
    "BrainWavLM": (
        Claim(
            "Brain-tuning with LoRA raises the mean correlation over the cortex",
            "summary; figure 1",
            (_of(CORTEX, GAIN, "above"),),
        ),
        Claim(
            "It does so by about 12.5 %",
            "summary",
            (_of(CORTEX, GAIN, "equal to", 12.5),),
            of_published=True,
        ),
        Claim(
            "Most of the rise is there by half of the epochs",
            "summary",
            (_of(EARLY, (TUNED,), "above", 50),),
        ),
        Claim(
            "Tuned models predict better, in auditory cortex and outside it",
            "summary; figure 2",
            tuple(_of(one, GAIN, "above") for one in (IN_AUDITORY, IN_REST)),
        ),
        Claim(
            "Auditory cortex gains less than the rest by tuning towards the whole cortex",
            "abstract; figure 2",
            (_of(BY_PART, (AUDITORY, REST), "below"),),
        ),
        Claim(
            "What was tuned towards auditory cortex keeps gains in the rest",
            "abstract; figure 2",
            (_of(_gain_of("rest_of_cortex", AUDITORY), (AUDITORY, BASELINE), "above"),),
        ),
        Claim(
            "Auditory cortex is predicted best by what was tuned towards it",
            "summary; figure 2",
            tuple(_of(AUDITORY_BY_SET, (AUDITORY, other), "above") for other in (REST, TUNED)),
        ),
        Claim(
            "The rest of the cortex is predicted best by what was tuned towards it",
            "summary; figure 2",
            tuple(_of(REST_BY_SET, (REST, other), "above") for other in (AUDITORY, TUNED)),
        ),
        Claim(
            "Responses tune better than a text model does, in auditory cortex and outside it",
            "summary; figure 2",
            tuple(_of(one, (TUNED, TEXT), "above") for one in (AUDITORY_BY_TEXT, REST_BY_TEXT)),
        ),
        Claim(
            "The left hemisphere tunes slightly better than the right one",
            "summary; figure 2",
            (_of(BY_HEMISPHERE, (LEFT, RIGHT), "above"),),
        ),
        Claim(
            "What was tuned to one participant predicts others better, all over the cortex",
            "summary; figure 3",
            tuple(_of(one, (OTHERS,), "above") for one in (TO_OTHERS_IN, TO_OTHERS_OUTSIDE)),
        ),
        Claim(
            "By 7 to 14 % outside auditory cortex, and 1 to 6 % inside it",
            "summary; figure 3",
            (
                _of(TO_OTHERS_OUTSIDE, (OTHERS,), "equal to", 10.5, margin=margins.OUTSIDE),
                _of(TO_OTHERS_IN, (OTHERS,), "equal to", 3.5, margin=margins.INSIDE),
            ),
            of_published=True,
        ),
        Claim(
            "What was tuned towards the whole cortex, or a text model, knows less of acoustics",
            "summary; figure 4",
            (
                _of(_knowledge(FILTER_BANK, TUNED), GAIN, "below"),
                _of(_knowledge(FILTER_BANK, TEXT), (TEXT, BASELINE), "below"),
            ),
        ),
        Claim(
            "What was tuned towards auditory cortex knows more of acoustics in middle layers",
            "summary; figure 4",
            (_of(_knowledge(FILTER_BANK, AUDITORY, middle=True), (AUDITORY, BASELINE), "above"),),
        ),
        Claim(
            "Tuning raises what is known of word vectors",
            "summary; figure 4",
            (_of(_knowledge(WORD_VECTORS, TUNED), GAIN, "above"),),
        ),
        Claim(
            "Responses and a text model raise it alike",
            "summary; figure 4",
            (_of(_knowledge(WORD_VECTORS, TUNED, TEXT), (TUNED, TEXT), "equal to"),),
        ),
        Claim(
            "Tuning is steadier with LoRA than without",
            "summary; figures 1 and 5",
            (_of(UNSTEADY, (TUNED, FULL), "below"),),
        ),
    )
}

"""What tuned models know of sounds and of words, layer by layer (BrainWavLM, figure 4)."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from bthelpers.results.comparison import estimate
from bthelpers.results.runs import over_runs
from bthelpers.results.store import Results
from bthelpers.results.tasks import load_low_level
from bthelpers.results.transfer.tunings import tunings


def _filter_bank(results: Results, model: str) -> xr.Dataset:
    return load_low_level(results, model).sel(task="fbank", drop=True)


def _word_vectors(results: Results, model: str) -> xr.Dataset:
    """R² and its draws, of all conditions; NaN where words have no vectors.

    Of participants to whom words mean what the vectors say: planted ones are those of the
    simulation's first lexicon.
    """
    variables = ["r2", "r2_draws"]
    found = over_runs(results, model, lambda *run: results.open(*run, "word_vectors")[variables])
    profile = results.profile()
    simulation = profile.dataset.simulate
    if simulation is None or profile.probes.word_vectors is not None:
        return found
    of_first = [one for one, own in simulation.lexicon_of.items() if own == simulation.lexicon]
    return found.sel(participant=found["participant"].isin(of_first))


FILTER_BANK, WORD_VECTORS = "Filter bank", "Word vectors"
# The evaluation of which each is a part, and its loader.
KNOWLEDGE = {
    FILTER_BANK: ("probes", _filter_bank),
    WORD_VECTORS: ("linguistic_probes", _word_vectors),
}


def load_knowledge(results: Results, model: str, what: str) -> xr.Dataset:
    """R² of a probe per layer, of a model in its conditions and of its brain-tuned variants.

    Parameters
    ----------
    results : Results
    model : str
    what : str
        Of `KNOWLEDGE`.

    Returns
    -------
    Dataset
        An estimate (participant, condition, layer); a condition is a tuning
        (`bthelpers.results.transfer.tunings.tunings`), and participants are those who have all
        and, of word vectors, to whom words mean what these say.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    evaluation, load = KNOWLEDGE[what]
    found = {
        name: estimate(load(results, variant), "r2", "r2_draws").sel(condition=condition, drop=True)
        for name, (variant, condition) in tunings(results.profile(), model, evaluation).items()
    }
    return xr.concat(found.values(), pd.Index(found, name="condition"), join="inner")


def knowledge_curves(results: Results, model: str) -> dict[str, xr.DataArray]:
    """R² (participant, condition, layer) of all of `KNOWLEDGE` that was probed and is there."""
    profile = results.profile()
    curves = {
        what: load_knowledge(results, model, what)["value"]
        for what, (evaluation, _) in KNOWLEDGE.items()
        if tunings(profile, model, evaluation)
    }
    return {what: curve for what, curve in curves.items() if curve.notnull().any()}

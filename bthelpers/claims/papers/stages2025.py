"""Published: what Moussa and Toneva (Interspeech 2025) claim of stages of processing.

The paper reads its curves by eye. Here, what it says of their shapes are quantities: by how much
the last layer is above or below the others, and the late layers above the earlier ones. Of its
results, only the abstract is known here at first hand; what others' notes say is marked so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import xarray as xr

from bthelpers.claims import margins
from bthelpers.claims.claim import Claim, Statement
from bthelpers.claims.papers.iclr2025 import GAIN, PRIMARY, SELF_SUPERVISED
from bthelpers.claims.quantities import EARLY_LOW_LEVEL, PROBES, SEMANTIC, Measure
from bthelpers.results.comparison import estimate
from bthelpers.results.runs import BASELINE, TUNED
from bthelpers.results.stages.curves import alignment_curves, hierarchy, probe_curves
from bthelpers.results.store import Results
from bthelpers.results.tasks import load_downstream, load_low_level, outer_thirds
from bthelpers.statistics.bootstrap import percent_change
from bthelpers.statistics.curves import rise_to_last

FIGURE_1, FIGURE_2 = "figure 1, by others' notes", "figure 2, by others' notes"


def relative_curve(results: Results, model: str, region: str) -> xr.Dataset:
    """Alignment per layer, in percent of the pretrained model's mean over transformer layers."""
    [curve] = alignment_curves(results, model, [region]).values()
    pretrained = curve.sel(condition=BASELINE, drop=True).isel(layer=slice(1, None)).mean("layer")
    return 100 + percent_change(curve, pretrained)


def end_of_curve(results: Results, model: str, region: str, last: bool) -> xr.Dataset:
    """Alignment at the last transformer layer, or the first, less the highest at the others."""
    layers = relative_curve(results, model, region).isel(layer=slice(1, None))
    return layers.isel(layer=slice(None, None, 1 if last else -1)).map(rise_to_last)


def late_alignment(results: Results, model: str, region: str) -> xr.Dataset:
    """Alignment of the last third of the transformer layers."""
    curve = relative_curve(results, model, region)
    return curve.isel(layer=outer_thirds(curve)["last third"]).mean("layer")


def late_less_early(results: Results, model: str, region: str) -> xr.Dataset:
    """Alignment of the last third of the transformer layers less that of the first third."""
    curve = relative_curve(results, model, region)
    early = curve.isel(layer=outer_thirds(curve)["first third"]).mean("layer")
    return late_alignment(results, model, region) - early


def best_late(scores: xr.Dataset) -> xr.Dataset:
    """Best score in the last third of the transformer layers less the best one before it."""
    n_early = outer_thirds(scores)["last third"].start
    late, earlier = scores.isel(layer=slice(n_early, None)), scores.isel(layer=slice(1, n_early))
    return late.max("layer", skipna=False) - earlier.max("layer", skipna=False)


def best_late_task(results: Results, model: str) -> xr.Dataset:
    """`best_late` of downstream tasks."""
    return best_late(estimate(load_downstream(results, model), "f1_macro", "f1_macro_draws"))


def best_late_sound(results: Results, model: str) -> xr.Dataset:
    """`best_late` of MFCC and filter bank."""
    return best_late(estimate(load_low_level(results, model), "r2", "r2_draws"))


def order_of_tasks(results: Results, model: str) -> xr.Dataset:
    """`bthelpers.results.stages.curves.hierarchy` of all probes that there are."""
    return hierarchy(probe_curves(results, model))


def _along(words: str, region: str, load: Callable[..., xr.Dataset]) -> Measure:
    named = f"alignment with {region.replace('_', ' ')} regions, {words}"
    unit = "% of pretrained"
    return Measure(named, unit, "alignment", partial(load, region=region), margin=margins.ALIGNMENT)


LAST, FIRST, LAST_PRIMARY = (
    _along(
        f"{which} layer less the highest of the others",
        region,
        partial(end_of_curve, last=which == "last"),
    )
    for which, region in (
        ("last", "late_language"),
        ("first", "late_language"),
        ("last", "primary_auditory"),
    )
)
LATE = _along("last third of layers", "late_language", late_alignment)
LATE_LESS_EARLY = _along("last third less first third", "late_language", late_less_early)
BEST_LATE = Measure("F1, best late layer less best earlier one", "F1", "probes", best_late_task)
BEST_LATE_SOUND = Measure(
    "R², best late layer less best earlier one", "R²", "probes", best_late_sound
)
ORDER = Measure(
    "order of tasks from acoustic to semantic along the layers",
    "rank correlation",
    "probes",
    order_of_tasks,
)


_of = partial(Statement, families=SELF_SUPERVISED)
CLAIMS = {
    "Processing stages": (
        Claim(
            "Late layers of brain-tuned models are more aligned with semantic language regions",
            "abstract",
            (_of(LATE, GAIN, "above"),),
        ),
        Claim(
            "They gain more than early layers do", FIGURE_1, (_of(LATE_LESS_EARLY, GAIN, "above"),)
        ),
        Claim(
            "Over the layers of a pretrained model, alignment with these regions is bell-shaped",
            FIGURE_1,
            tuple(_of(end, (BASELINE,), "below") for end in (FIRST, LAST)),
        ),
        Claim(
            "Over those of a brain-tuned model, it rises to the last layer",
            FIGURE_1,
            (_of(LAST, (TUNED,), "above"),),
        ),
        Claim(
            "Alignment with primary auditory regions is unchanged",
            FIGURE_1,
            (_of(PRIMARY, GAIN, "equal to"),),
        ),
        Claim(
            "It peaks before the last layer, also in brain-tuned models",
            FIGURE_1,
            tuple(_of(LAST_PRIMARY, (name,), "below") for name in (BASELINE, TUNED)),
        ),
        Claim(
            "Early layers of brain-tuned models remain dedicated to acoustic features",
            "abstract",
            (_of(EARLY_LOW_LEVEL, GAIN, "equal to"),),
        ),
        Claim(
            "Acoustic features are best read from early or middle layers, also after tuning",
            FIGURE_2,
            tuple(_of(BEST_LATE_SOUND, (name,), "below") for name in (BASELINE, TUNED)),
        ),
        Claim(
            "Late layers of brain-tuned models are the best at complex tasks",
            "abstract",
            (_of(BEST_LATE, (TUNED,), "above", tasks=SEMANTIC),),
        ),
        Claim(
            "Recognition of single words hardly changes",
            FIGURE_2,
            (_of(PROBES, GAIN, "equal to", tasks=("word",)),),
        ),
        Claim(
            "Brain-tuned models have a hierarchy from acoustic to semantic",
            "abstract",
            (_of(ORDER, (TUNED,), "above"),),
        ),
        Claim(
            "It is clearer than that of pretrained models", "abstract", (_of(ORDER, GAIN, "above"),)
        ),
    )
}

from pathlib import Path

import pytest

from bthelpers.params.loading import load
from bthelpers.params.simulation import SimulationSpec

PARAMS = Path(__file__).parents[2] / "params"


@pytest.mark.parametrize("name", ["demo", "smoke"])
def test_simulated_stories_and_participants_are_those_that_are_used(name):
    dataset = load(PARAMS / f"{name}.yaml").dataset
    numbered = [f"story{n:02d}" for n in range(1, len(dataset.splits.stories) + 1)]
    assert list(dataset.splits.stories) == numbered
    assert len(dataset.splits.train) == dataset.simulate.training_stories
    assert len(dataset.splits.validation) == dataset.simulate.validation_stories
    assert len(dataset.participants) == dataset.simulate.participants


def test_default_ceilings_are_quantiles():
    quantiles = SimulationSpec(lexicon="any.yaml").ceiling_quantiles
    assert len(quantiles) == 21
    assert list(quantiles) == sorted(quantiles)
    assert 0 <= quantiles[0] <= quantiles[-1] <= 1

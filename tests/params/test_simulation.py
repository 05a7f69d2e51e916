from pathlib import Path

import pytest

from bthelpers.params.loading import load
from bthelpers.params.schema import ParameterError
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


def test_lexicons_of_participants():
    others = {"participants": 3, "other_lexicons": ["b.yaml", "c.yaml"]}
    changed = {f"dataset.simulate.{key}": value for key, value in others.items()}
    spec = load(PARAMS / "demo.yaml", {**changed, "dataset.simulate.lexicon": "a.yaml"})
    assert spec.dataset.simulate.lexicon_of == {
        "SIM01": "a.yaml",
        "SIM02": "b.yaml",
        "SIM03": "c.yaml",
    }
    for wrong, message in (
        ({"dataset.simulate.participants": 2}, "must be fewer than the participants, 2"),
        ({"dataset.simulate.lexicon": "c.yaml"}, r"must be others than 'lexicon', c\.yaml"),
    ):
        with pytest.raises(ParameterError, match=rf"simulate\.other_lexicons: {message}"):
            load(PARAMS / "demo.yaml", changed | wrong)

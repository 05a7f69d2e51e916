import pytest
from anatomy_dataset import PARTICIPANT
from explored_results import CONDITIONS, MODEL, N_LAYERS
from traitlets import TraitError

from bthelpers.explorer.catalogue import MEAN
from bthelpers.explorer.widget import FlatmapExplorer


@pytest.fixture
def explorer(catalogue):
    return FlatmapExplorer(catalogue, **catalogue.first_view)


def test_the_first_view_is_the_gain_of_brain_tuning(explorer):
    assert (explorer.participant, explorer.model) == (PARTICIPANT, MODEL)
    assert (explorer.measure, explorer.condition, explorer.layer) == ("gain", "brain-tuned", MEAN)


def test_what_a_page_can_ask_for(explorer):
    runs = {run["condition"]: run for run in explorer.catalogue["runs"]}
    assert list(runs) == CONDITIONS
    layers = [str(layer) for layer in range(N_LAYERS)]
    assert runs["brain-tuned"]["r"]["layers"] == [MEAN, *layers]
    assert runs["brain-tuned"]["significant"]["layers"] == layers
    assert "residual" not in runs["block-permuted"]


@pytest.mark.parametrize(
    ("name", "value", "nearest"),
    [("condition", "brain-tunned", "brain-tuned"), ("measure", "gains", "gain")],
)
def test_unknown_names_are_refused(explorer, name, value, nearest):
    with pytest.raises(
        TraitError, match=f"'{value}' is no {name} here; the nearest is '{nearest}'"
    ):
        setattr(explorer, name, value)
    assert getattr(explorer, name) == nearest


def test_python_is_told_what_is_pinned(explorer):
    told = []
    explorer.observe(lambda change: told.append(change["new"]), "selection")
    explorer.set_state({"selection": "voxel:3"})  # as the browser does
    assert told == ["voxel:3"]


def test_values_are_sent_when_asked_for(explorer, catalogue, monkeypatch):
    sent = []
    monkeypatch.setattr(explorer, "send", lambda *message: sent.append(message))
    key = f"{MODEL}/{PARTICIPANT}/brain-tuned/r"
    explorer._handle_custom_msg({"chunk": key}, [])
    explorer._handle_custom_msg({"chunk": "nothing"}, [])
    assert sent[0] == ({"chunk": key}, [catalogue.chunk(key)])
    assert sent[1] == ({"chunk": "nothing", "error": "There is no nothing in these results."},)

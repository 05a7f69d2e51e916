"""The explorer as a widget: in JupyterLab, and in a chapter that is opened as a notebook."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from bthelpers.core.errors import did_you_mean
from bthelpers.explorer.catalogue import MEASURES, Catalogue
from bthelpers.explorer.script import style_sheet, widget_script
from bthelpers.results.store import Results


class FlatmapExplorer(anywidget.AnyWidget):
    """A flatmap to explore, whose traits Python reads and sets.

    Attributes
    ----------
    participant, model, condition, layer : str
    measure : str
        A key of `bthelpers.explorer.catalogue.MEASURES`.
    beside : str
        Condition on a second map, or ''.
    threshold : float
        Smallest absolute value that is shown; of p-values the largest. 0: all are.
    significant : bool
        Whether only significant voxels are shown, where the layer has p-values.
    regions : list of str
        That are outlined.
    selection : str
        What is pinned, such as ``voxel:12`` or ``parcel:L_A1``; or ''.
    view : list of float
        Column and row at the centre, as shares of the map's sides, and how much it is magnified.
    """

    catalogue = traitlets.Dict().tag(sync=True)
    participant = traitlets.Unicode().tag(sync=True)
    model = traitlets.Unicode().tag(sync=True)
    condition = traitlets.Unicode().tag(sync=True)
    beside = traitlets.Unicode().tag(sync=True)
    layer = traitlets.Unicode().tag(sync=True)
    measure = traitlets.Unicode().tag(sync=True)
    threshold = traitlets.Float(min=0).tag(sync=True)
    significant = traitlets.Bool().tag(sync=True)
    regions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    selection = traitlets.Unicode().tag(sync=True)
    view = traitlets.List(traitlets.Float(), minlen=3, maxlen=3).tag(sync=True)

    _esm = widget_script()
    _css = style_sheet()

    def __init__(self, shown: Catalogue, **state: Any):
        self._chunks = shown
        super().__init__(catalogue=shown.description, **state)
        self.on_msg(self._answer)

    def _answer(self, _: anywidget.AnyWidget, message: dict, __: list) -> None:
        """Send a piece of the values that the page asks for."""
        key = message["chunk"]
        try:
            self.send({"chunk": key}, [self._chunks.chunk(key)])
        except KeyError:
            self.send({"chunk": key, "error": f"There is no {key} in these results."})

    @traitlets.validate("participant", "model", "condition", "measure")
    def _known(self, proposal: traitlets.Bunch) -> str:
        name, value = proposal["trait"].name, proposal["value"]
        runs = self.catalogue["runs"]
        known = MEASURES if name == "measure" else dict.fromkeys(run[name] for run in runs)
        if known and value not in known:
            raise traitlets.TraitError(f"{value!r} is no {name} here{did_you_mean(value, known)}")
        return value


def explore(results: Results, **state: Any) -> FlatmapExplorer:
    """Explore a results folder on the flatmaps of its participants.

    Parameters
    ----------
    results : Results
    **state
        What is chosen at first: traits of `FlatmapExplorer`. Default: what brain-tuning gains over
        pretrained.

    Returns
    -------
    FlatmapExplorer
        It is shown as a cell's last value. ``explorer.observe(function, "selection")`` calls the
        function whenever a voxel or a parcel is pinned.

    Raises
    ------
    TraitError
        If a name is not in the results.
    """
    catalogue = Catalogue(results)
    return FlatmapExplorer(catalogue, **(catalogue.first_view | state))

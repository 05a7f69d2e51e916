"""The explorer's JavaScript and style sheet, as one text each."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
# In an order in which each comes after what it imports.
MODULES = (
    *("chunks", "elements", "state", "values", "map", "legend"),
    *("curves", "panel", "controls", "pointer", "downloads", "explorer"),
)
PAGE = "page"  # stands in for a widget's model where there is no kernel


def joined(*names: str) -> str:
    """Modules as one, without the lines that import one from another."""
    texts = [(FOLDER / "js" / f"{name}.js").read_text(encoding="utf-8") for name in names]
    text = re.sub(r"^import .* from .*;\n", "", "".join(texts), flags=re.MULTILINE)
    return re.sub(r"^export ", "", text, flags=re.MULTILINE)


def widget_script() -> str:
    """Return the module that a notebook loads."""
    return joined(*MODULES) + "export default { render };\n"


def page_script() -> str:
    """Return the module of a page, which has ``pageModel`` and ``render``."""
    return joined(*MODULES, PAGE)


def style_sheet() -> str:
    """Return the style sheet of both."""
    return (FOLDER / "explorer.css").read_text(encoding="utf-8")

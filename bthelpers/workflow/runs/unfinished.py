"""What a run leaves while it is at work: it goes once the run has its receipt."""

from __future__ import annotations

from pathlib import Path

from bthelpers.core.checksums import remove

UNFINISHED = ".unfinished.ipynb"
# Where interrupted runs go on from, by the name of their executed notebooks, beside which it lies.
CHECKPOINTS = {"tuning": "checkpoint.pt", "recognition": "recognition.pt"}


def unfinished(executed: Path) -> Path:
    """The notebook of a run at work, or of one that has failed: until where it came."""
    return executed.with_name(executed.stem + UNFINISHED)


def remove_unfinished(executed: Path) -> None:
    """Remove what an interrupted run would go on from, or has left of its notebook."""
    unfinished(executed).unlink(missing_ok=True)
    if executed.stem in CHECKPOINTS:
        remove(executed.with_name(CHECKPOINTS[executed.stem]))

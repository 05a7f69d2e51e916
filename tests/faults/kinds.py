"""Kinds of faults: each disturbs a repository, and may return what mends it.

What is returned puts right what only a user can: an input that is damaged, a folder in the way.
"""

from __future__ import annotations

import signal

from faults import changes, interruptions
from faults.changes import damaged
from faults.interruptions import signalled
from faults.site import ALIGNMENT, TUNED, TUNING

KINDS = {
    "killed, with all that it started": signalled(signal.SIGKILL, whole_family=True),
    "damaged result": damaged("results/faults/**/*.nc*"),
    "two starts at once": interruptions.two_starts,
    "input changed in place": changes.input_changed,
    "kernel dies": interruptions.kernel_dies,
    "damaged weights": damaged(f"{TUNED}/model/*"),
    "full disk": changes.full_disk,
    "Ctrl-C": signalled(signal.SIGINT),
    "damaged record": changes.damaged_record,
    "clock jumps": changes.clock_jumps,
    "lock of another machine": interruptions.lock_of_another_machine,
    "damaged checkpoint": changes.damaged_checkpoint,
    "results deleted meanwhile": changes.results_deleted,
    "killed alone": interruptions.killed_alone,
    "damaged notebook": changes.damaged_notebook,
    "out of memory": interruptions.out_of_memory,
    "input changed meanwhile": changes.input_changed_meanwhile,
    "unwritable folder": changes.unwritable_folder,
    "SIGTERM": signalled(signal.SIGTERM),
    "damaged cache": damaged("cache/*.npy*", read_by=(TUNING, ALIGNMENT)),
    "notebook hangs, Ctrl-C": interruptions.notebook_hangs,
    "clock jumps meanwhile": changes.clock_jumps_meanwhile,
    "damaged input": damaged("data/**/*", "model/*"),
    "Snakemake killed": interruptions.snakemake_killed,
}

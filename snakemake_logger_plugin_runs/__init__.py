"""How Snakemake tells of the workflow's runs: ``snakemake --logger runs``.

A plugin of Snakemake, which finds it by its name, in the folder that it is started in. What it does
not show is in Snakemake's own log.
"""

import logging
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from bthelpers.core.terminal import WorkShown


class LogHandler(LogHandlerBase):
    """Shows each run as a line with its progress, and warnings and errors as they are."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Begin to show."""
        logging.Handler.__init__(self)
        self.shown = WorkShown()
        self.aims = 0  # of what is counted, that which runs nothing

    def emit(self, record: logging.LogRecord) -> None:
        """Show what an event says of a run."""
        match getattr(record, "event", None):
            case LogEvent.RUN_INFO:
                self.aims = record.stats.get("all", 0)
                self.shown.expect(record.stats["total"] - self.aims)
            case LogEvent.PROGRESS:
                total = record.total - self.aims
                self.shown.expect(total, min(record.done, total))
            case LogEvent.JOB_INFO if record.log:
                run = record.wildcards.get("run", "")
                name = f"{record.rule_name} {run}".strip()
                self.shown.begin(record.jobid, name, Path(record.log[0]))
            case LogEvent.JOB_FINISHED if record.job_id in self.shown:
                self.shown.end(record.job_id)
            case LogEvent.JOB_ERROR if record.jobid in self.shown:
                self.shown.fail(record.jobid)
            case None | LogEvent.ERROR if record.levelno >= logging.WARNING:
                self.shown.say(self.format(record))

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.shown.close()
        super().close()

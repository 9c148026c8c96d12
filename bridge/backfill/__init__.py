"""The one-shot backfill.

``run`` reads and delivers, ``report`` holds the result.
"""

from bridge.backfill.report import ConnectionReport, Problem, ProgressListener, Report
from bridge.backfill.run import backfill, rehearse

__all__ = ["ConnectionReport", "Problem", "ProgressListener", "Report", "backfill", "rehearse"]

"""The one-shot backfill.

``run`` reads and delivers, ``report`` holds the result.
"""

from bridge.backfill.problem_wording import Problem
from bridge.backfill.progress_listener import ProgressListener
from bridge.backfill.report import ConnectionReport, Report
from bridge.backfill.run import backfill, rehearse

__all__ = ["ConnectionReport", "Problem", "ProgressListener", "Report", "backfill", "rehearse"]

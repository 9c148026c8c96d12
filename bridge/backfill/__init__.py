"""The one-shot backfill.

``run`` runs it, ``report`` says what it came to, ``first_records`` cuts it short.
"""

from bridge.backfill.report import ConnectionReport, Problem, Report, Watch
from bridge.backfill.run import backfill, rehearse

__all__ = ["ConnectionReport", "Problem", "Report", "Watch", "backfill", "rehearse"]

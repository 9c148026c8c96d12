"""The one-shot backfill: ``flow`` runs it, ``report`` says what it came to, ``limits`` cuts it short."""

from bridge.backfill.flow import backfill, rehearse
from bridge.backfill.report import ConnectionReport, Problem, Report, Watch

__all__ = ["ConnectionReport", "Problem", "Report", "Watch", "backfill", "rehearse"]

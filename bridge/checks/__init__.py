"""`trakor-bridge check`: all checks before a backfill, in the order in which a new user fixes problems.

::

    ledger ── per connection: address ── log-in ── organisation ── schema ── queries ── maps ── one record
                              Trakor's address, key and organisation

Each ``Check`` has advice on what to do next. If it depends on one that failed, it is reported as not tried.
Nothing is written, neither here nor in the two systems.
"""

from __future__ import annotations

from bridge.checks.report import Check
from bridge.checks.runner import next_step, run
from bridge.checks.schema_pull import pull

__all__ = ["Check", "next_step", "pull", "run"]

"""`check`: everything that must be right before a backfill, in the order in which a newcomer mends it.

::

    ledger ── per connection: address ── log-in ── organisation ── schema ── queries ── maps ── one record
                              Trakor's address, key and organisation

Each step is a ``Check`` with what to do next; one that needs an earlier one that failed says that it was not
tried. Nothing is written, neither here nor in one of the two systems.
"""

from __future__ import annotations

from bridge.checks.report import Check
from bridge.checks.runner import next_step, run
from bridge.checks.schema_pull import pull

__all__ = ["Check", "next_step", "pull", "run"]

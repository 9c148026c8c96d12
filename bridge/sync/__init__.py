"""From the source to the ledger: sweeps of whole lists, and single records by their ids.

::

    sweep.sweep ──page by page────────────┐
        └─ at its end ──> missing_records │
                              │           ├──> observe_batch ──> ledger.observe
    by_id.refresh <── ids ────┘───────────┘

Nothing is sent here.
"""

from bridge.sync.by_id import ByIdSource, RefreshResult, refresh
from bridge.sync.sweep import SweepResult, SweepSource, sweep

__all__ = ["ByIdSource", "RefreshResult", "SweepResult", "SweepSource", "refresh", "sweep"]

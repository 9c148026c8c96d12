"""From the source to the ledger: sweeps of whole lists, and single records by their ids.

::

    sweeping.sweep ──page by page───────┐
        └─ at its end ──> unseen.Search │
                              │         ├──> drafts.observe_part ──> ledger.observe
    byid.refresh <── some ids ┘─────────┘

Nothing is sent here.
"""

from bridge.sync.by_id import OneListing, Refreshed, refresh
from bridge.sync.sweep import Listing, Swept, sweep

__all__ = ["Listing", "OneListing", "Refreshed", "Swept", "refresh", "sweep"]

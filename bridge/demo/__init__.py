"""The demonstration: backfills and the daemon against both simulated systems, and what became of each record.

``run`` is the whole story. ``daemon_scenes`` holds what happens while ``daemon`` runs, and ``explanation``
why each record is where it is. ``naive_sync`` is a loop that posts every item by its name, for comparison.
``record_fields`` reads the simulated Salestrekker records, and ``narrator_protocol`` is how all of them
print.
"""

from bridge.demo.narrator_protocol import Narrator
from bridge.demo.run import demonstrate

__all__ = ["Narrator", "demonstrate"]

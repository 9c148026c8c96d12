"""From the ledger to Trakor: pending records are claimed, sent and settled.

``service`` has the loop, ``outbox`` settles in batches, ``judge`` tells a poisoned record from an outage.
"""

from bridge.delivery.ports import Destination, Lane, Pace
from bridge.delivery.service import Delivery

__all__ = ["Delivery", "Destination", "Lane", "Pace"]

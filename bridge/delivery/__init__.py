"""From the ledger to Trakor: pending records are claimed, sent and settled.

``service`` has the loop, ``outbox`` settles in batches, ``judge`` tells a poisoned record from an outage,
``live_valve`` says how many may be under way. ``sending`` keeps all of it going in the daemon.
"""

from bridge.delivery.ports import Destination, Lane, Pace, Settled
from bridge.delivery.sending import Sending
from bridge.delivery.service import Delivery

__all__ = ["Delivery", "Destination", "Lane", "Pace", "Sending", "Settled"]

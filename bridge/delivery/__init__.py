"""From the ledger to Trakor: pending records are claimed, sent and settled.

``sender`` has the loop, ``result_writer`` settles in batches, ``failure_classifier`` tells a poisoned record
from an outage, ``circuit_breaker`` says how many may be under way. ``supervisor`` keeps all of it going in
the daemon.
"""

from bridge.delivery.sender import Delivery
from bridge.delivery.supervisor import DeliverySupervisor
from bridge.delivery.types import BatchResult, Destination, OutgoingStream, SendingMode, SendingSettings

__all__ = [
    "BatchResult",
    "Delivery",
    "DeliverySupervisor",
    "Destination",
    "OutgoingStream",
    "SendingMode",
    "SendingSettings",
]

"""Delivery: pending records are claimed from the ledger, sent to Trakor, and their outcomes are settled.

``delivery_loop`` has the loop, and ``result_writer`` settles in batches. ``failure_attribution`` separates a
poison record from an outage, and ``circuit_breaker`` limits the requests in flight. ``supervisor`` keeps
delivery running in the daemon.
"""

from bridge.delivery.batch_result import BatchResult
from bridge.delivery.delivery_loop import DeliveryLoop
from bridge.delivery.sending_options import Destination, OutgoingStream, SendingMode, SendingSettings
from bridge.delivery.sending_worker import SendingWorker

__all__ = [
    "BatchResult",
    "DeliveryLoop",
    "Destination",
    "OutgoingStream",
    "SendingMode",
    "SendingSettings",
    "SendingWorker",
]

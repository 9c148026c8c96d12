"""Delivery: pending records are claimed from the ledger, sent to Trakor, and their outcomes are settled.

``delivery_loop`` has the loop, and ``result_writer`` settles in batches. ``failure_attribution`` separates a
poison record from an outage, and ``circuit_breaker`` limits the requests in flight. In the daemon,
``daemon.sending_worker`` keeps it running.
"""

from bridge.delivery.batch_result import BatchResult
from bridge.delivery.delivery_loop import DeliveryLoop
from bridge.delivery.destination_and_streams import Destination, OutgoingStream
from bridge.delivery.sending_options import SendingMode, SendingSettings

__all__ = [
    "BatchResult",
    "DeliveryLoop",
    "Destination",
    "OutgoingStream",
    "SendingMode",
    "SendingSettings",
]

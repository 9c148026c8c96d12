"""The state of everything, and the details of one record, as values and sentences.

::

    ledger ──snapshot──> Snapshot ──as_json──> `status --json`, /api/status, metrics
                                  ──connection_summary──> a word and sentences for each connection
    a record, its history ──record_explanation──> sentences, and what an operator can do

``vocabulary`` has the words, and ``timestamps`` writes times for people. The command line and the status page
render these values, and do not query the ledger themselves.
"""

from bridge.status.connection_summary import (
    ConnectionHealth,
    burst_line,
    burst_note,
    connection_health,
    headline,
    stream_note,
)
from bridge.status.possible_actions import SuggestedCommand, choices
from bridge.status.record_explanation import also_changed, event, meaning
from bridge.status.snapshot import ConnectionStatus, Flow, Snapshot, StreamStatus, WebhookStatus, take
from bridge.status.timestamps import age, iso, local_time, short_age

__all__ = [
    "ConnectionHealth",
    "ConnectionStatus",
    "Flow",
    "Snapshot",
    "StreamStatus",
    "SuggestedCommand",
    "WebhookStatus",
    "age",
    "also_changed",
    "burst_line",
    "burst_note",
    "choices",
    "connection_health",
    "event",
    "headline",
    "iso",
    "local_time",
    "meaning",
    "short_age",
    "stream_note",
    "take",
]

"""What there is to say: the state of everything, and the story of one record.

::

    ledger ──snapshot──> Snapshot ──as_json──> `status --json`, /api/status, metrics
                                  ──sentences──> the whole truth first, for the terminal and the page
    Found, its history ──explaining──> sentences, and what a person can do

``connection_health`` says in a word how each connection is, ``timestamps`` writes moments as people read
them. Whoever shows any of this (command line, page) renders these values; none asks the ledger by itself.
"""

from bridge.status.connection_summary import (
    ConnectionHealth,
    burst_line,
    burst_note,
    connection_health,
    headline,
    stream_note,
)
from bridge.status.record_details import SuggestedCommand, also_changed, choices, event, meaning
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

"""What there is to say: the state of everything, and the story of one record.

::

    ledger ──snapshot──> Snapshot ──as_json──> `status --json`, /api/status, metrics
                                  ──sentences──> the whole truth first, for the terminal and the page
    Found, its history ──explaining──> sentences, and what a person can do

``connection_health`` says in a word how each connection is, ``timestamps`` writes moments as people read
them. Whoever shows any of this (command line, page) renders these values; none asks the ledger by itself.
"""

from bridge.status.connection_health import Standing, standings
from bridge.status.record_details import Choice, also_changed, choices, event, meaning
from bridge.status.sentences import burst_line, burst_note, headline, stream_note
from bridge.status.snapshot import ConnectionStatus, Flow, Snapshot, StreamStatus, Webhooks, take
from bridge.status.timestamps import age, iso, moment, short_age

__all__ = [
    "Choice",
    "ConnectionStatus",
    "Flow",
    "Snapshot",
    "Standing",
    "StreamStatus",
    "Webhooks",
    "age",
    "also_changed",
    "burst_line",
    "burst_note",
    "choices",
    "event",
    "headline",
    "iso",
    "meaning",
    "moment",
    "short_age",
    "standings",
    "stream_note",
    "take",
]

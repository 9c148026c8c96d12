"""Alerts: sent when something goes wrong, again after a day while it lasts, and when it is over.

::

    Snapshot, Disk ──conditions──> Condition ──┐
    Snapshot ──count_waiting─> counts by reason ─┴──compose──> Message ──Address──> Apprise
                                                   ^              │ accepted
                    alerts sent, in the ledger ────┴──────────────┘

The ledger remembers for each address what was sent, so that an address that fails misses nothing, and another
one gets nothing twice. A message is stored as sent after it was accepted: if the process dies before, it is
sent again. A message contains what has stopped, since when, and how many records need a decision.
It never contains a person's name, an id, or what a remote system answered. ``Heartbeat`` works the other way
round: an outside service raises the alarm if the bridge stops calling it.
"""

from bridge.alerts.apprise_sender import Address, Message, address_of
from bridge.alerts.conditions import AlertKind, Condition, Disk, conditions, count_waiting, disk_of
from bridge.alerts.heartbeat import Heartbeat
from bridge.alerts.notifier import Notifier

__all__ = [
    "Address",
    "AlertKind",
    "Condition",
    "Disk",
    "Heartbeat",
    "Message",
    "Notifier",
    "address_of",
    "conditions",
    "count_waiting",
    "disk_of",
]

"""Who has to know is told: once, again after a day while it lasts, and once when it is over.

::

    Snapshot, Disk ──conditions──> Condition ──┐
    Snapshot ──waiting_of──> counts by reason ─┴──turn──> Message ──Address──> Apprise
                                                 ^           │ taken
                         said, in the ledger ────┴───────────┘

Each address has a memory of its own, so one that does not answer misses nothing, and one that does hears
nothing twice. A message is noted after it was taken: a process that dies in between says it once more.
No message holds a name of a person, an id, or what a remote system answered: only what of ours stands
still, since when, and how many. ``Heartbeat`` is the other way round: who is not asked raises the alarm.
"""

from bridge.alerts.apprise_address import Address, Message, address_of
from bridge.alerts.conditions import AlertKind, Condition, Disk, conditions, disk_of, waiting_of
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
    "disk_of",
    "waiting_of",
]

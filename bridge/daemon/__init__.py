"""The daemon: the process that stays up for months.

::

    schedule ──wish──> ledger ──> Sweeps ──┐
                                           ├──> sync ──> ledger ──> Sending ──> Trakor
    webhooks ──event─> ledger ──> Events ──┘

``life`` owns the process: listeners, signals, one ``worker`` for each connection. A worker is one
connection at work: ``sweeps`` and ``events`` read, ``pausing`` stops both where Salestrekker refuses or
is out of reach, and ``delivery`` sends. Nothing here knows a record: the flows are those of the backfill.
"""

from bridge.daemon.life import Signals, Started, run

__all__ = ["Signals", "Started", "run"]

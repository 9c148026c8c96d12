"""The daemon: the process that stays up for months.

::

    schedule ──request_sweep──> ledger ──> Sweeps ──┐
                                           ├──> sync ──> ledger ──> Sending ──> Trakor
    webhooks ──event─> ledger ──> Events ──┘

``process`` owns the process: listeners, signals, one ``connection_worker`` for each connection. A worker is
one connection at work: ``sweep_worker`` and ``webhook_worker`` read, ``reading_pause`` stops both where
Salestrekker refuses or is out of reach, and ``delivery`` sends. Nothing here knows a record: the flows are
those of the backfill.
"""

from bridge.daemon.process import Signals, Started, run

__all__ = ["Signals", "Started", "run"]

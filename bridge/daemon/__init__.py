"""The daemon: the process that stays up for months.

::

    schedule ──due job──> ledger ──> SweepWorker ────┐
                                                     ├──> sync ──> ledger ──> SendingWorker ──> Trakor
    webhooks ──event────> ledger ──> WebhookWorker ──┘

``process`` owns the process: listeners, signals, and one ``connection_worker`` for each connection.
``sweep_worker`` and ``webhook_worker`` read, ``reading_pause`` stops both if Salestrekker refuses or is down,
and ``delivery`` sends. The flows are those of the backfill.
"""

from bridge.daemon.process import Signals, Started, run

__all__ = ["Signals", "Started", "run"]

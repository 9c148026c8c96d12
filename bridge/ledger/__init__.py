"""The ledger: a SQLite file with what was seen, decided, sent and answered.

``schema`` defines the tables, and ``database`` owns the only thread that writes. The other modules hold
the transactions: plain functions whose first argument is a connection. Each call is one short transaction::

    runs_and_sweeps    begin and end a run or a sweep
    observe            decide on records that were read, and write the decisions
    send_queue         claim pending records to send
    settlement         write what Trakor answered
    operator_actions   accept, dismiss, drop and retry a record
    read_model         list records for a reader beside the writer
"""

"""The ledger: what was seen, decided, sent and answered, on disk before anything else happens.

``schema`` has the tables, ``database`` the one thread that writes, and each other module the verbs
of one part of the flow, as plain functions over a connection, each call one short transaction::

    sweeps      a run begins, a sweep goes on, a page is checkpointed
    observing   what was seen is decided on and written
    sending     pending records are claimed, their outcomes settled
    persons     accept, drop, retry
    reading     status, lists, histories: for readers beside the writer
"""

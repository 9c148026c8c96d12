"""Queries held against Salestrekker's schema, and what to write where they do not fit. Pure.

::

    QueryDocument ─┐
                   ├─ fields.py ── what does not fit, guessed by likeness.py ─┐
    LiveSchema ────┤                                                          ├─> Misfit ─> corrections.py
    (live.py)      ├─ lists.py ── how its list is found and walked ───────────┘
                   ├─ changes.py ── what has changed since the schema was saved
                   └─ selected.py ── what a record will look like, for the maps

    a server that does not give its schema: probes.py reads its complaints about a query
"""

"""Compares queries with Salestrekker's schema, and proposes what to write if they do not fit. Pure.

::

    QueryDocument ─┐
                   ├─ validation ── what does not fit, guessed by similar_fields ─┐
    LiveSchema ────┤                                                              ├─> QueryMismatch ─>
    suggestions
    (introspection)├─ list_validation ── how its list is found and paged ─────────┘
                   ├─ changes ── what has changed since the schema was saved
                   └─ record_shape ── what a record looks like, for the maps

    a server that does not give its schema: server_validation reads its errors about a query
"""

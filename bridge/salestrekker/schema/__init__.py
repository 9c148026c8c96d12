"""Compares queries with Salestrekker's schema, and proposes what to write if they do not fit. Pure.

::

    QueryDocument ─┐
                   ├─ validation ── what does not fit, guessed by similar_fields ──> corrections
    LiveSchema ────┤    ├─ list_validation, by_id_validation ── how a list is found and paged, and one record
    (introspection)│    └─ union_validation ── whether each type of a record is selected
                   ├─ entry_points ── all lists and records by id that the schema has
                   ├─ changes ── what has changed since the schema was saved
                   └─ record_shape ── what a record looks like, for the maps

    a server that does not give its schema: server_error_sentences reads its errors about a query
"""

"""Runs migrations on the connection that ``ledger.open`` hands over; there is no other way in."""

from __future__ import annotations

from alembic import context

from bridge.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter most things in place
    transaction_per_migration=False,
)
context.run_migrations()

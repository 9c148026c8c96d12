"""Alembic's environment and the ledger's revisions, in order."""

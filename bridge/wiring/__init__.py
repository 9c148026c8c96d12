"""Builds the objects that a command works with from the configuration, without a framework.

Only here, settings become clients, mappers and ledgers. ``ledger_and_key`` has what every command on the
ledger needs. ``connection`` has what reads and sends, and imports the libraries for that.
``organization_identity`` has what proves that a connection still leads to the same organisations.
"""

"""From the configuration to the objects that a command works with, built by hand.

The only place where settings become clients, mappers and ledgers: ``ledger`` has what every command
about the ledger needs, ``connection`` what reads and sends, with the libraries that it takes to do so.
"""

"""The command line: arguments -> one call -> exit status; no logic.

``app`` puts the commands together, ``command_setup`` is what they all begin with, ``output`` turns values
into tables; each other module has the commands of one kind. Imports are inside the commands, so
that ``--help`` answers at once.
"""

from bridge.cli.app import main

__all__ = ["main"]

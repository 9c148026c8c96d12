"""Finds a configuration's ledger and its key."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from bridge.encryption import Sealer
from bridge.errors import LedgerError
from bridge.ledger.database import TextStorage
from bridge.ledger.open import derive_key, read_or_make_key, read_revision

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.settings import Settings

__all__ = [
    "dry_run_key",
    "find_remains_of_lost_ledger",
    "key_file",
    "ledger_key",
    "ledger_path",
    "make_text_storage",
]


def ledger_path(settings: Settings) -> Path:
    """Return the path of the ledger's file, with symbolic links resolved.

    Lock and log lie beside the file, so that every process finds the same ones.

    Raises:
        LedgerError: The ledger is not a file.
    """
    if settings.ledger.path is None:
        raise LedgerError("a ledger on PostgreSQL is not supported yet", advice="use a sqlite:/// address")
    return settings.ledger.path.resolve()


def find_remains_of_lost_ledger(settings: Settings) -> Path | None:
    """Return a file that a lost ledger left behind: its key or its lock. None if no ledger was lost.

    Both files are created with the first ledger, and stay if the ledger's file is lost.
    """
    path = ledger_path(settings)
    if read_revision(path) is not None:
        return None
    left = (key_file(settings), path.with_name(f"{path.name}.lock"))
    return next((file for file in left if file.exists()), None)


def ledger_key(settings: Settings, *, make: bool) -> bytes:
    """Return the ledger's key from the configuration, or else from ``ledger.key`` beside the ledger.

    Args:
        settings: The configuration.
        make: Whether to create the file if neither the file nor a ledger exists.
    """
    if settings.ledger.key is not None:
        return derive_key(settings.ledger.key.get_secret_value())
    make = make and read_revision(ledger_path(settings)) is None
    return read_or_make_key(key_file(settings), make=make)


def key_file(settings: Settings) -> Path:
    """Return the path of ``ledger.key``, which is beside the ledger.

    An earlier version created the key beside a symbolic link to the ledger. Such a key stays in use.
    """
    file = ledger_path(settings).with_name("ledger.key")
    beside_link = (settings.ledger.path or file).with_name("ledger.key")
    return beside_link if beside_link.exists() and not file.exists() else file


def dry_run_key(settings: Settings) -> bytes:
    """Return the key for a dry run: the ledger's own, or a temporary one if there is no ledger yet."""
    if settings.ledger.key is None and read_revision(ledger_path(settings)) is None:
        return derive_key(secrets.token_hex())
    return ledger_key(settings, make=False)


def make_text_storage(settings: Settings) -> TextStorage | None:
    """Return what seals and opens the ledger's text. Return None without a ledger, and so without a key.

    Raises:
        LedgerError: The key cannot be read.
    """
    if settings.ledger.key is None and read_revision(ledger_path(settings)) is None:
        return None
    return TextStorage(Sealer(ledger_key(settings, make=False)), settings.ledger.keep == "sealed")

"""Where a configuration's ledger is, and the key of its hashes."""

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
    """The ledger's file itself, also where the configuration has a symbolic link to it.

    Lock and log lie beside it, so that whoever comes by another way finds the same ones.

    Raises:
        LedgerError: The ledger is no file.
    """
    if settings.ledger.path is None:
        raise LedgerError("a ledger on PostgreSQL is not supported yet", advice="use a sqlite:/// address")
    return settings.ledger.path.resolve()


def find_remains_of_lost_ledger(settings: Settings) -> Path | None:
    """What a ledger has left beside its place, if it is not there any more; None if all is in order.

    Its key's file, or its lock's: both are made with the first ledger, and stay when its file is lost.
    """
    path = ledger_path(settings)
    if read_revision(path) is not None:
        return None
    left = (key_file(settings), path.with_name(f"{path.name}.lock"))
    return next((file for file in left if file.exists()), None)


def ledger_key(settings: Settings, *, make: bool) -> bytes:
    """The key of the ledger's hashes: as configured, else from ``ledger.key`` beside the ledger.

    Args:
        settings: The configuration.
        make: Make the file if neither it nor a ledger is there yet.
    """
    if settings.ledger.key is not None:
        return derive_key(settings.ledger.key.get_secret_value())
    make = make and read_revision(ledger_path(settings)) is None
    return read_or_make_key(key_file(settings), make=make)


def key_file(settings: Settings) -> Path:
    """``ledger.key`` beside the ledger; beside the link to it where an earlier version has made it there."""
    file = ledger_path(settings).with_name("ledger.key")
    beside_link = (settings.ledger.path or file).with_name("ledger.key")
    return beside_link if beside_link.exists() and not file.exists() else file


def dry_run_key(settings: Settings) -> bytes:
    """The key for a dry run: the ledger's own, or a passing one if there is no ledger yet."""
    if settings.ledger.key is None and read_revision(ledger_path(settings)) is None:
        return derive_key(secrets.token_hex())
    return ledger_key(settings, make=False)


def make_text_storage(settings: Settings) -> TextStorage | None:
    """What seals and opens the ledger's text; None if there is no ledger yet, and so no key.

    Raises:
        LedgerError: The key cannot be read.
    """
    if settings.ledger.key is None and read_revision(ledger_path(settings)) is None:
        return None
    return TextStorage(Sealer(ledger_key(settings, make=False)), settings.ledger.keep == "sealed")

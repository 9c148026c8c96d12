"""Checks the ledger and its key, without creating or changing either."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Final

from bridge.checks.report import Check, failed
from bridge.errors import LedgerError
from bridge.ledger.open import find_owner, is_outdated, read_revision, require_current, verify_stored_key
from bridge.wiring.ledger_and_key import find_remains_of_lost_ledger, key_file, ledger_key, ledger_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bridge.settings import Settings

__all__ = ["LEDGER_KEY", "ledger_checks"]

LEDGER_KEY: Final = "ledger.key"
"""The check of the key; if it fails, no hash can be compared."""


def ledger_checks(settings: Settings) -> Iterator[Check]:
    """Check that the ledger can be used, and that its key is the right one."""
    try:
        path = ledger_path(settings)
        found = read_revision(path)
        yield _existing(path) if found is not None else _lost(settings, path) or _new(path)
    except LedgerError as error:
        yield failed("ledger", error)
        return
    try:
        yield Check(LEDGER_KEY, ok=True, detail=_key(settings, path, new=found is None))
    except LedgerError as error:
        yield failed(LEDGER_KEY, error)


def _lost(settings: Settings, path: Path) -> Check | None:
    """Check for the remains of a lost ledger; None if there are none."""
    left = find_remains_of_lost_ledger(settings)
    if left is None:
        return None
    return Check(
        "ledger",
        ok=True,
        caution=True,
        detail=f"{path} does not exist, but {left.name} does: was the ledger lost?",
        advice="If so, restore its newest backup first. A new ledger knows nothing: renamed records get a "
        "second party, and dropped ones are sent (docs/first-backfill.md, A lost ledger).\n"
        "If there never was a ledger, or you deleted it on purpose, continue: a backfill creates it.",
    )


def _new(path: Path) -> Check:
    """Check that a new ledger can be created."""
    folder = next((folder for folder in path.parents if folder.exists()), path.parent)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check(
            "ledger",
            ok=False,
            detail=f"{path} cannot be created: {error.strerror}",
            advice=f"Allow this user to write to {folder}, or set [ledger] url to another path.",
        )
    return Check("ledger", ok=True, detail=f"{path} does not exist yet: the first backfill creates it")


def _existing(path: Path) -> Check:
    if not (os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK)):
        return Check(
            "ledger",
            ok=False,
            detail=f"{path} or its folder cannot be written to",
            advice="Run this as the owner of the ledger. SQLite also writes files beside it.",
        )
    detail = f"{path} exists and can be written to"
    if is_outdated(path):
        detail = f"{path} is of an older version: the next backfill updates it, after a backup"
    else:
        require_current(path)
    owner = find_owner(path)
    return Check("ledger", ok=True, detail=f"{detail}; in use now: {owner}" if owner else detail)


def _key(settings: Settings, path: Path, *, new: bool) -> str:
    """Describe the key.

    Raises:
        LedgerError: It is missing, cannot be read, or belongs to another ledger.
    """
    file = key_file(settings)
    if new and settings.ledger.key is None and not file.exists():
        return f"{file} does not exist yet: it is created with the ledger"
    key = ledger_key(settings, make=False)
    if not new:
        verify_stored_key(path, key)
    where = "[ledger] key" if settings.ledger.key is not None else str(file)
    return f"{where} exists" if new else f"{where} is the key of this ledger"

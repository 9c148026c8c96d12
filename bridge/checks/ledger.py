"""The ledger and its key, without making or changing either."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Final

from bridge.checks.report import Check, failed
from bridge.errors import LedgerError
from bridge.ledger.open import find_owner, is_outdated, read_revision, require_current, verify_stored_key
from bridge.wiring.ledger import find_remains_of_lost_ledger, key_file, ledger_key, ledger_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bridge.settings import Settings

__all__ = ["LEDGER_KEY", "ledger_checks"]

LEDGER_KEY: Final = "ledger.key"
"""The step that proves the key: without it no hash can be compared."""


def ledger_checks(settings: Settings) -> Iterator[Check]:
    """Whether the ledger can be used, and whether its key is the one that its hashes were made with."""
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
    """There is none any more, as it seems; None where nothing is left of one."""
    left = find_remains_of_lost_ledger(settings)
    if left is None:
        return None
    return Check(
        "ledger",
        ok=True,
        caution=True,
        detail=f"{path} is not there, but {left.name} is: was the ledger lost?",
        advice="If it was, put its newest backup back first. A new one knows nothing: whoever was renamed "
        "since gets a second party, and what was dropped is sent (docs/first-backfill.md, A lost ledger).\n"
        "If there never was one, or it was deleted on purpose, there is nothing to do: a backfill makes it.",
    )


def _new(path: Path) -> Check:
    """There is none yet: whether it can be made."""
    folder = next((folder for folder in path.parents if folder.exists()), path.parent)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check(
            "ledger",
            ok=False,
            detail=f"{path} cannot be made: {error.strerror}",
            advice=f"Let this user write to {folder}, or set [ledger] url to another place.",
        )
    return Check("ledger", ok=True, detail=f"{path} is not there yet: the first backfill makes it")


def _existing(path: Path) -> Check:
    if not (os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK)):
        return Check(
            "ledger",
            ok=False,
            detail=f"{path} or its folder cannot be written to",
            advice="Run this as the user whom the ledger belongs to; SQLite writes beside the file, too.",
        )
    detail = f"{path} is there and can be written to"
    if is_outdated(path):
        detail = f"{path} is of an older version: the next backfill brings it up to date, after a backup"
    else:
        require_current(path)
    owner = find_owner(path)
    return Check("ledger", ok=True, detail=f"{detail}; in use now: {owner}" if owner else detail)


def _key(settings: Settings, path: Path, *, new: bool) -> str:
    """What is to be said of a good key.

    Raises:
        LedgerError: It is missing, cannot be read, or is another ledger's.
    """
    file = key_file(settings)
    if new and settings.ledger.key is None and not file.exists():
        return f"{file} is not there yet: it is made with the ledger"
    key = ledger_key(settings, make=False)
    if not new:
        verify_stored_key(path, key)
    where = "[ledger] key" if settings.ledger.key is not None else str(file)
    return f"{where} is there" if new else f"{where} is the one that the ledger was made with"

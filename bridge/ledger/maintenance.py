"""Maintenance of the ledger: backups, vacuum, and pruning of old history (``integrity`` checks it).

A backup uses SQLite's own backup API, which copies one consistent state while others write. A copy of the
file without its write-ahead log would not be consistent.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bridge.errors import LedgerError
from bridge.ledger.database import read_only, writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from bridge.ledger.database import TextStorage

__all__ = [
    "KEPT_SECONDS",
    "back_up",
    "back_up_before_migration",
    "copy_key",
    "drop_old_copies",
    "erase_sent_text",
    "is_log_empty",
    "name_copy",
    "prune_history",
    "temporary_copy",
    "vacuum",
]

KEPT_SECONDS: Final = 7 * 24 * 60 * 60
"""How long a backup from before a migration is kept: a week."""

PAGES_AT_ONCE: Final = 1000
"""Pages that a backup copies before it lets others continue."""

LINES_AT_ONCE: Final = 1000
"""Lines of history that one transaction deletes."""


def back_up(path: Path, target: Path) -> None:
    """Write a consistent copy of a ledger, while others may write to it.

    Args:
        path: The ledger's file.
        target: The copy; must not exist yet. It is created with mode 0600.

    Raises:
        LedgerError: There is no ledger, or the copy cannot be written.
    """
    if not path.exists():
        raise LedgerError(f"there is no ledger at {path}", advice="see [ledger] url in the configuration")
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise LedgerError(f"{target} exists already", advice="name a file that does not exist") from None
    except OSError as error:
        raise LedgerError(
            f"{target} cannot be written: {error.strerror}",
            advice="name a file in an existing folder that this user may write to",
        ) from error
    try:
        _copy(path, target)
    except sqlite3.Error as error:
        target.unlink()
        raise LedgerError(f"the ledger cannot be copied to {target}: {error}") from error


def copy_key(key: Path, target: Path) -> Path:
    """Copy a ledger's key beside the ledger's copy, with mode 0600.

    Args:
        key: The key's file.
        target: The ledger's copy.

    Returns:
        The path of the key's copy.

    Raises:
        LedgerError: It cannot be read or written. Without it, the copy is useless.
    """
    copied = target.with_name(f"{target.name}.key")
    try:
        content = key.read_bytes()
        descriptor = os.open(copied, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - an open descriptor, not a path
            file.write(content)
    except OSError as error:
        raise LedgerError(
            f"the key {key.name} cannot be copied to {copied}: {error.strerror}",
            advice="copy it by hand: without it, the backup is useless",
        ) from error
    return copied


def _copy(path: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(read_only(path), uri=True)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy, pages=PAGES_AT_ONCE)
        copy.execute("PRAGMA journal_mode = DELETE")  # one complete file, without a log beside it
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def temporary_copy(path: Path, folder: Path) -> Iterator[Path]:
    """Provide a copy to try decisions on; an empty path if there is no ledger yet. It is deleted at the end.

    Args:
        path: The ledger's file.
        folder: A folder of its own for the copy.

    Yields:
        The copy's path.
    """
    copy = folder / "dry-run.db"
    if path.exists() and path.stat().st_size:
        back_up(path, copy)
    try:
        yield copy
    finally:
        for leftover in folder.glob("dry-run.db*"):
            leftover.unlink()


def back_up_before_migration(path: Path, revision: str) -> Path:
    """Copy a ledger before its schema changes.

    Until the migration is committed, the copy has another name (``name_copy``). A process that dies before
    makes the copy again in its place, so there is never more than one.

    Args:
        path: The ledger's file.
        revision: Its schema revision until now.

    Returns:
        The final path of the copy.
    """
    timestamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    target = path.with_name(f"{path.stem}.before-{revision}-{timestamp}.db")
    _unsettled(path).unlink(missing_ok=True)
    back_up(path, _unsettled(path))
    return target


def name_copy(path: Path, name: str) -> Path:
    """Give the copy from before a migration its final name, unless it has that already.

    Args:
        path: The ledger's file.
        name: The copy's name.
    """
    with suppress(FileNotFoundError):
        _unsettled(path).rename(path.with_name(name))
    return path.with_name(name)


def _unsettled(path: Path) -> Path:
    return path.with_name(f"{path.stem}.before-migration.new")


def drop_old_copies(path: Path) -> None:
    """Delete copies from before a migration that are more than a week old."""
    for old in path.parent.glob(f"{path.stem}.before-*.db"):
        if time.time() - old.stat().st_mtime > KEPT_SECONDS:
            old.unlink(missing_ok=True)


def vacuum(path: Path) -> tuple[int, int]:
    """Rebuild the file without its free space. The caller has locked the ledger.

    Args:
        path: The ledger's file.

    Returns:
        Its size before and after, in bytes.
    """
    before = path.stat().st_size
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return before, path.stat().st_size


def is_log_empty(path: Path) -> bool:
    """Return whether the write-ahead log is empty: a reader can keep it from being emptied."""
    log = path.with_name(f"{path.name}-wal")
    return not log.exists() or not log.stat().st_size


def erase_sent_text(path: Path, text_storage: TextStorage) -> None:
    """Erase the sealed text that does not wait, because the user wants only hashes of it kept.

    Args:
        path: The ledger's file. The caller has locked the ledger.
        text_storage: The ledger's.
    """
    with writing(path, text_storage) as connection:
        erased = connection.exec_driver_sql("DELETE FROM contents").rowcount
        erased += connection.exec_driver_sql(
            "DELETE FROM waiting WHERE record IN (SELECT number FROM records"
            " WHERE state IN ('delivered', 'dropped', 'skipped')"
            " OR (state = 'merged'"
            " AND merged_into IN (SELECT number FROM records WHERE trakor_id IS NOT NULL)))"
        ).rowcount
    if erased:
        vacuum(path)


def prune_history(connection: Connection, before: int) -> int:
    """Delete some old lines of history. Call it until it returns 0.

    How a record came to Trakor is stored in the record's row, not here.

    Args:
        connection: Inside a writing transaction.
        before: Delete lines older than this, in milliseconds since the epoch.

    Returns:
        How many were deleted.
    """
    # Only the first lines are read: webhooks would have to wait for a search of all of them.
    result = connection.exec_driver_sql(
        "DELETE FROM history WHERE number IN "
        "(SELECT number FROM (SELECT number, at FROM history ORDER BY number LIMIT ?) WHERE at < ?)",
        (LINES_AT_ONCE, before),
    )
    return result.rowcount

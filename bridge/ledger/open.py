"""Opens a ledger: locks it for its one owner, brings its schema up to date, and verifies its key.

::

    lock_ledger ──> require_undamaged, verify_stored_key ──> migrate ──> verify_key ──> Ledger
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import sqlite3
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import delete, insert, select

from bridge.encryption import Sealer
from bridge.errors import LedgerError
from bridge.ledger.database import Ledger, TextStorage, read_only, reading, writing
from bridge.ledger.maintenance import (
    KEPT_SECONDS,
    back_up_before_migration,
    drop_old_copies,
    erase_sent_text,
    is_log_empty,
    name_copy,
    vacuum,
)
from bridge.ledger.schema import HEAD, create_tables, facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alembic.config import Config
    from sqlalchemy import Connection

__all__ = [
    "derive_key",
    "find_owner",
    "is_daemon_running",
    "is_outdated",
    "lock_ledger",
    "migrate",
    "open_ledger",
    "read_or_make_key",
    "read_revision",
    "require_current",
    "require_undamaged",
    "verify_key",
    "verify_stored_key",
]

DAEMON: Final = "`trakor-bridge run`"
"""How the holder of a lock is described if it is the daemon."""

KEY_BYTES = 32
LOCK_TRIES: Final = 20
LOCK_RETRY_SECONDS: Final = 0.01
"""Seconds after which the lock is tried again: a process that only looks has released it by then."""

CHECK_SECONDS: Final = 10.0
"""Seconds that a start spends on a search for damage: enough for some gigabytes on a fast disk."""

_STRUCTURE: Final = re.compile(r"malformed|\btree\b|btree|\bcell\b|\bout of order", re.IGNORECASE)
"""What a quick check reports about pages, as opposed to values and to unused space."""

log = structlog.get_logger()

_PROOF = "key_proof"
_IN_CLEAR = "to_be_vacuumed"
"""Set for a ledger that was migrated and not rebuilt since: the name of the copy from before."""

_NOT_PERMITTED = {sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}


@contextmanager
def open_ledger(path: Path, key: bytes, command: str, *, keep_sent: bool = True) -> Iterator[Ledger]:
    """Open a ledger as its owner; create or migrate it if necessary.

    Args:
        path: The ledger's file.
        key: The key of its hashes.
        command: What is running, for another process that finds the ledger in use.
        keep_sent: Text that was sent is kept, sealed.

    Yields:
        The open ledger; closed and unlocked at the end.

    Raises:
        LedgerError: Another process has it, it is newer than this version, or the key is wrong.
    """
    with lock_ledger(path, command):
        text_storage = TextStorage(Sealer(key), keep_sent)
        if read_revision(path) is not None:
            require_undamaged(path)
            verify_stored_key(path, key)  # before anything is sealed with it
        migrate(path, text_storage)
        drop_old_copies(path)
        with writing(path, text_storage) as connection:
            verify_key(connection, key)
        if not keep_sent:
            erase_sent_text(path, text_storage)
        ledger = Ledger(path, text_storage)
        try:
            yield ledger
        finally:
            ledger.close()


@contextmanager
def lock_ledger(path: Path, command: str) -> Iterator[None]:
    """Lock the ledger for the one process that sends from it; the lock ends with the process.

    Raises:
        LedgerError: Another process has it, named with its command, process id and start.
    """
    descriptor = _open_lock(path)
    try:
        if not _locked(descriptor):
            holder = _holder_of_lock(descriptor)
            by_itself = "it reads and sends by itself, and `trakor-bridge sync` lets it read now; otherwise "
            raise LedgerError(
                f"the ledger {path.name} is in use: {holder}",
                advice=f"{by_itself if holder.startswith(DAEMON) else ''}wait for it to end, or stop it; "
                "`status` and `records` work beside it",
            )
        _require_one_name(path)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        os.ftruncate(descriptor, 0)
        os.pwrite(
            descriptor, json.dumps({"command": command, "pid": os.getpid(), "since": since}).encode(), 0
        )
        yield
    finally:
        os.close(descriptor)


def _require_one_name(path: Path) -> None:
    """Refuse a second name of the file: it would have another lock, and a log that SQLite would not find."""
    if path.exists() and path.stat().st_nlink > 1:
        raise LedgerError(
            f"the ledger {path.name} has a second name (a hard link), under which it could be opened as well",
            advice="remove the other name, or make a copy with `trakor-bridge ledger backup` in its place",
        )


def _locked(descriptor: int) -> bool:
    """Take the lock, with a few retries: a process that only looks (``find_owner``) has it for an instant."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_RETRY_SECONDS)
        else:
            return True
    return False


def _open_lock(path: Path) -> int:
    """Open the lock file beside a ledger; create it and its folder if necessary."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A symbolic link could lead to a file that another ledger's owner has locked.
        return os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _no_place(path.parent, error) from error


def _no_place(folder: Path, error: OSError) -> LedgerError:
    return LedgerError(
        f"the ledger's place cannot be used: {error.strerror} ({folder})",
        advice="[ledger] url must name a file in a folder that this user may write in",
    )


def find_owner(path: Path) -> str:
    """Return which process sends from this ledger now; empty if none does. It creates and locks nothing."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDONLY)
    except OSError:
        return ""  # the first owner creates it
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder_of_lock(descriptor)
    finally:
        os.close(descriptor)
    return ""


def is_daemon_running(path: Path) -> bool:
    """Return whether the process that sends from this ledger is a daemon."""
    return find_owner(path).startswith(DAEMON)


def _holder_of_lock(descriptor: int) -> str:
    """Describe the process that holds the lock, as far as it has written that already."""
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        since = datetime.fromisoformat(holder["since"]).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
        return f"`{holder['command']}` (process {holder['pid']}) has held it since {since}"
    except (ValueError, KeyError, TypeError):
        return "another process has just opened it"


def require_undamaged(path: Path, *, at_most: float = CHECK_SECONDS) -> None:
    """Refuse a file with a damaged structure: writing to it could destroy more.

    SQLite's quick check reads one table after the other, as long as there is time. A value that is invalid
    for its column stops only its own record, and is no reason to refuse.

    Args:
        path: The ledger's file, which exists.
        at_most: Seconds after which no further table is begun.

    Raises:
        LedgerError: It is damaged.
    """
    began = time.monotonic()
    with closing(sqlite3.connect(read_only(path), uri=True)) as driver:
        for table in _tables(path, driver):
            if time.monotonic() - began > at_most:
                log.info("ledger not wholly looked through", seconds=at_most, from_table=table)
                return
            for line in _quick_check(driver, table):
                if _STRUCTURE.search(line):
                    raise LedgerError(
                        f"the ledger {path.name} is damaged: {line.splitlines()[-1]}",
                        advice="nothing was written to it. Restore the newest backup with its key; "
                        "`trakor-bridge ledger check` shows what else is damaged. A disk that failed once "
                        "is likely to fail again",
                    )


def _tables(path: Path, driver: sqlite3.Connection) -> list[str]:
    """Return the tables of a ledger, the history last: it is the largest, and no decision depends on it."""
    try:
        found = driver.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error
    return sorted(
        (name for (name,) in found if not name.startswith("sqlite_")), key=lambda name: name == "history"
    )


def _quick_check(driver: sqlite3.Connection, table: str) -> list[str]:
    try:
        found = driver.execute(f'PRAGMA quick_check("{table}")')
        return [str(line) for (line,) in found]
    except sqlite3.DatabaseError as error:
        return [str(error)]


def migrate(path: Path, text_storage: TextStorage) -> None:
    """Create the ledger's tables, or bring them up to date. A copy from before is kept for a week.

    Text that an older version kept in clear is sealed, and the file is rebuilt without its traces.

    Args:
        path: The ledger's file.
        text_storage: Seals the ledger's text.

    Raises:
        LedgerError: The file is not a ledger, or was made by a newer version.
    """
    found = read_revision(path)
    if found != HEAD:
        known = _known_revisions() if found is not None else ()
        if found is not None and found not in known:
            raise _too_new(path, found)
        copy = None if found is None else back_up_before_migration(path, found)
        with writing(path, text_storage) as connection:
            if found is None:
                create_tables(connection)
            else:
                _upgrade(connection)
            if copy is not None:
                connection.execute(insert(facts).values(name=_IN_CLEAR, value=copy.name))
    _leave_no_traces(path)


def _leave_no_traces(path: Path) -> None:
    """Rebuild a file that was migrated, and log where its copy in clear is.

    The migration itself has noted that this is to be done. A process that dies before it is done does it at
    the next start; one that dies before it is noted as done does it, and logs it, once more.
    """
    with reading(path) as connection:
        name = connection.scalar(select(facts.c.value).where(facts.c.name == _IN_CLEAR))
    if name is None:
        return
    copy = name_copy(path, name)
    vacuum(path)
    log.warning(
        "ledger brought up to date",
        now=HEAD,
        copy=str(copy),
        kept_days=KEPT_SECONDS // 86_400,
        advice="the copy may contain text in clear; it is deleted after a week",
    )
    if is_log_empty(path):
        with writing(path) as connection:
            connection.execute(delete(facts).where(facts.c.name == _IN_CLEAR))


def is_outdated(path: Path) -> bool:
    """Return whether an older version made a ledger. That is no error: its owner migrates it."""
    found = read_revision(path)
    return found not in (None, HEAD) and found in _known_revisions()


def require_current(path: Path) -> None:
    """Refuse a ledger that this version cannot read as it is; for readers, which never migrate.

    Raises:
        LedgerError: There is none yet, it is older or newer, or it is not a ledger.
    """
    found = read_revision(path)
    if found is None:
        raise LedgerError(
            f"there is no ledger at {path} yet", advice="`trakor-bridge backfill` creates it at its first run"
        )
    if found == HEAD:
        return
    if found not in _known_revisions():
        raise _too_new(path, found)
    raise LedgerError(
        f"the ledger {path.name} was made by an older version (schema {found}, now {HEAD})",
        advice="`trakor-bridge backfill` brings it up to date",
    )


def read_revision(path: Path) -> str | None:
    """Return the schema revision of a ledger's file; None if there is none yet.

    Raises:
        LedgerError: The file is something else, or cannot be read.
    """
    try:
        if not path.exists() or path.stat().st_size == 0:
            return None
        with closing(sqlite3.connect(read_only(path), uri=True)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise _unreadable(path, error) from error
        _roll_back(path)
        return read_revision(path)
    except (OSError, sqlite3.Error) as error:
        raise _unreadable(path, error) from error
    except UnicodeDecodeError as error:  # SQLite quotes the damaged part of its schema
        raise _unreadable(path, sqlite3.DatabaseError("its schema is damaged")) from error
    return str(row[0]) if row else None


def _roll_back(path: Path) -> None:
    """Undo the transaction that a process left behind when it died before the file had its write-ahead log.

    A connection that only reads cannot do that: such a ledger could never be opened again.
    """
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError | sqlite3.Error) -> LedgerError:
    """Return the error for a file that this user may not use, or that is not a ledger or damaged."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
    if isinstance(error, OSError) or code in _NOT_PERMITTED:
        why = error.strerror if isinstance(error, OSError) else error
        advice = "run this as the user who owns the ledger: SQLite writes beside it even to read"
        return LedgerError(f"the ledger {path} cannot be opened: {why}", advice=advice)
    return LedgerError(
        f"{path} cannot be read as a ledger: {error}",
        # About an empty ledger in its place, see docs/first-backfill.md, "lost ledger".
        advice="if this was your ledger, restore the last backup with its key: without it, the bridge can no "
        "longer tell which of two contacts with the same name came first, and may create records twice "
        "(docs/first-backfill.md, lost ledger). If it never was one, name another file in [ledger] url",
    )


def _too_new(path: Path, found: str) -> LedgerError:
    return LedgerError(
        f"the ledger {path.name} was made by a newer version (schema {found}; this one knows up to {HEAD})",
        advice="install that version again, or restore a backup from before the update",
    )


def _known_revisions() -> tuple[str, ...]:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - 0.1 s that most commands do not need

    return tuple(script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions())


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - likewise

    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _alembic() -> Config:
    from alembic.config import Config  # noqa: PLC0415 - likewise

    config = Config()
    config.set_main_option("script_location", "bridge.ledger:migrations")
    return config


def verify_key(connection: Connection, key: bytes) -> None:
    """Verify that the key is the one that the ledger's hashes were made with; record it the first time.

    If it is recorded already, nothing is written, so that readers can call this too.

    Raises:
        LedgerError: It is another key: every record would look changed, and names would look free.
    """
    proof = hashlib.blake2b(b"trakor-bridge ledger", key=key, digest_size=16).hexdigest()
    noted = connection.scalar(select(facts.c.value).where(facts.c.name == _PROOF))
    if noted is None:
        connection.execute(insert(facts).values(name=_PROOF, value=proof))
    elif noted != proof:
        raise LedgerError(
            "the ledger's key is not the one that its hashes were made with",
            advice="put back the ledger.key (or [ledger] key) that belongs to this ledger",
        )


def verify_stored_key(path: Path, key: bytes) -> None:
    """Verify that a key is a ledger's, without writing anything.

    Raises:
        LedgerError: It is another key.
    """
    with reading(path) as connection:
        if connection.scalar(select(facts.c.value).where(facts.c.name == _PROOF)) is not None:
            verify_key(connection, key)


def read_or_make_key(path: Path, *, make: bool = True) -> bytes:
    """Read the key of the keyed hashes from its file beside the ledger; create it at first use.

    Args:
        path: The key's file.
        make: False only reads: for commands beside the owner.

    Returns:
        The key's bytes.

    Raises:
        LedgerError: The file is missing (and not to be created), empty, or cannot be read or written.
    """
    try:
        if make and not path.exists():
            _write_key(path)
    except OSError as error:
        raise _no_place(path.parent, error) from error
    try:
        key = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise _no_key(path, "does not exist") from None
    except OSError as error:
        raise LedgerError(
            f"the ledger's key {path} cannot be read: {error.strerror}",
            advice="run this as the user who owns the ledger",
        ) from error
    except UnicodeDecodeError:
        raise _no_key(path, "is not a key: it has other characters than a key has") from None
    if len(key) < KEY_BYTES:
        raise _no_key(path, "is too short")
    return derive_key(key)


def _no_key(path: Path, why: str) -> LedgerError:
    return LedgerError(
        f"the ledger's key {path} {why}",
        advice="it was created beside the ledger at first use; restore both from a backup",
    )


def derive_key(text: str) -> bytes:
    """Return the key of the hashes from the user's text or the key's file, as long as BLAKE2 takes."""
    return hashlib.blake2b(text.encode(), person=b"trakor-ledger").digest()


def _write_key(path: Path) -> None:
    """Write a new key so that a crash leaves either no file or a complete one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, (secrets.token_hex(KEY_BYTES) + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)  # unlike a rename, this never replaces a key that another process just created
    except FileExistsError:
        pass
    finally:
        draft.unlink()

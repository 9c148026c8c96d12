"""Opening a ledger: its schema brought up to date, its key proven, its one owner named.

::

    take_over ──> lock file ──> require_whole, try_key ──> prepare ──> prove_key ──> Ledger
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
    erase_sent,
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

KEY_BYTES = 32
LOCK_TRIES: Final = 20
LOCK_RETRY_SECONDS: Final = 0.01
"""Seconds after which the lock is tried again, and how often: whoever only looks has long gone by then."""

CHECK_SECONDS: Final = 10.0
"""Seconds that a start spends on looking for damage: some gigabytes on a fast disk."""

_STRUCTURE: Final = re.compile(r"malformed|\btree\b|btree|\bcell\b|\bout of order", re.IGNORECASE)
"""What a quick check says of pages, as opposed to values and to space that is merely not used."""

log = structlog.get_logger()

_PROOF = "key_proof"
_IN_CLEAR = "to_be_vacuumed"
"""Of a ledger that was migrated and not rebuilt since: the name of the copy from before."""

_NOT_PERMITTED = {sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}


@contextmanager
def open_ledger(path: Path, key: bytes, command: str, *, keep_sent: bool = True) -> Iterator[Ledger]:
    """Open a ledger as its one owner, making or migrating it where that is due.

    Args:
        path: The ledger's file.
        key: The key of its hashes.
        command: What is running, for whoever finds the ledger taken.
        keep_sent: What was sent stays, sealed.

    Yields:
        The open ledger; closed and given up at the end.

    Raises:
        LedgerError: Another process has it, it is newer than this version, or the key is not its own.
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
            erase_sent(path, text_storage)
        ledger = Ledger(path, text_storage)
        try:
            yield ledger
        finally:
            ledger.close()


@contextmanager
def lock_ledger(path: Path, command: str) -> Iterator[None]:
    """Be the one process that sends from this ledger; the lock ends with the process, however it ends.

    Raises:
        LedgerError: Another one is, named with its command, process id and start.
    """
    descriptor = _open_lock(path)
    try:
        if not _locked(descriptor):
            raise LedgerError(
                f"the ledger {path.name} is in use: {_holder_of_lock(descriptor)}",
                advice="wait for it to end, or stop it; `status` and `records` work beside it",
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
    """Under another name it has another lock, and another log, which SQLite would not find."""
    if path.exists() and path.stat().st_nlink > 1:
        raise LedgerError(
            f"the ledger {path.name} has a second name (a hard link), under which it could be opened as well",
            advice="remove the other name, or make a copy with `trakor-bridge ledger backup` in its place",
        )


def _locked(descriptor: int) -> bool:
    """Take the lock; tried a few times, since who only looks (``find_owner``) has it for an instant."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_RETRY_SECONDS)
        else:
            return True
    return False


def _open_lock(path: Path) -> int:
    """The lock file beside a ledger, made with its folder where it is not there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A symbolic link would be followed to a file that another ledger's owner may have locked.
        return os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _no_place(path.parent, error) from error


def _no_place(folder: Path, error: OSError) -> LedgerError:
    return LedgerError(
        f"the ledger's place cannot be used: {error.strerror} ({folder})",
        advice="[ledger] url must name a file in a folder that this user may write in",
    )


def find_owner(path: Path) -> str:
    """Which process sends from this ledger at the moment; empty where none does. Nothing is made or taken."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDONLY)
    except OSError:
        return ""  # it is made by the first owner
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder_of_lock(descriptor)
    finally:
        os.close(descriptor)
    return ""


def is_daemon_running(path: Path) -> bool:
    """Whether the process that sends from this ledger is a daemon."""
    return find_owner(path).startswith("`trakor-bridge run`")


def _holder_of_lock(descriptor: int) -> str:
    """Who holds the lock, as far as it has said so already."""
    try:
        said = json.loads(os.pread(descriptor, 4096, 0))
        since = datetime.fromisoformat(said["since"]).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
        return f"`{said['command']}` (process {said['pid']}) has held it since {since}"
    except (ValueError, KeyError, TypeError):
        return "another process has just opened it"


def require_undamaged(path: Path, *, at_most: float = CHECK_SECONDS) -> None:
    """Refuse a file whose structure is damaged: what is written to it may take more with it.

    SQLite's quick check reads a table after the other, as many as there is time for. A value that is not what
    its column is for stops only its own record, and is no reason.

    Args:
        path: The ledger's file, which is there.
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
                        "`trakor-bridge ledger check` says what else is damaged. A disk that did this once "
                        "does it again",
                    )


def _tables(path: Path, driver: sqlite3.Connection) -> list[str]:
    """The tables of a ledger, the history last: it is the largest, and nothing is decided by it."""
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
    """Make the ledger's tables, or bring them up to date; a copy from before that is kept for a week.

    What an older version kept in clear is sealed, and the file is rebuilt without its traces.

    Args:
        path: The ledger's file.
        text_storage: Seals what the ledger keeps.

    Raises:
        LedgerError: The file is no ledger, or was made by a newer version.
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
    """Rebuild a file that was migrated, and say where its copy in clear lies.

    The migration itself noted that this is to be done: who dies before it is done does it at the next start,
    and who dies before it is noted as done does it, and says it, once more.
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
        advice="the copy may say in clear what waited; it is deleted after a week",
    )
    if is_log_empty(path):
        with writing(path) as connection:
            connection.execute(delete(facts).where(facts.c.name == _IN_CLEAR))


def is_outdated(path: Path) -> bool:
    """Whether a ledger was made by an older version, which is no fault: its owner brings it up to date."""
    found = read_revision(path)
    return found not in (None, HEAD) and found in _known_revisions()


def require_current(path: Path) -> None:
    """Refuse a ledger that this version cannot read as it is; for readers, which never migrate.

    Raises:
        LedgerError: There is none yet, it is older, newer, or no ledger at all.
    """
    found = read_revision(path)
    if found is None:
        raise LedgerError(
            f"there is no ledger at {path} yet", advice="`trakor-bridge backfill` makes it at its first run"
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
    """The schema revision of a ledger's file; None where there is none yet.

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
    except (OSError, sqlite3.Error) as error:
        raise _unreadable(path, error) from error
    except UnicodeDecodeError as error:  # SQLite quotes what is damaged in its schema
        raise _unreadable(path, sqlite3.DatabaseError("its schema is damaged")) from error
    return str(row[0]) if row else None


def _unreadable(path: Path, error: OSError | sqlite3.Error) -> LedgerError:
    """A file that this user may not use is told apart from one that is no ledger, or a damaged one."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what an extended code adds
    if isinstance(error, OSError) or code in _NOT_PERMITTED:
        why = error.strerror if isinstance(error, OSError) else error
        advice = "run this as the user who owns the ledger: SQLite writes beside the file, also to read it"
        return LedgerError(f"the ledger {path} cannot be opened: {why}", advice=advice)
    return LedgerError(
        f"{path} cannot be read as a ledger: {error}",
        # Of an empty ledger in its place: docs/first-backfill.md, about a ledger that was lost.
        advice="if this was your ledger, restore the last backup with its key: without it nobody knows which"
        " of two equal names came first, and records may be made twice (docs/first-backfill.md, lost ledger)."
        " If it never was one, name another file in [ledger] url",
    )


def _too_new(path: Path, found: str) -> LedgerError:
    return LedgerError(
        f"the ledger {path.name} was made by a newer version (schema {found}; this one knows up to {HEAD})",
        advice="install that version again, or restore a backup from before the update",
    )


def _known_revisions() -> tuple[str, ...]:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - 0.1 s that most commands need not pay

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
    """Make sure that the key is the one that the ledger's hashes were made with; noted at the first time.

    Where it is noted already nothing is written, so that readers can ask, too.

    Raises:
        LedgerError: It is another one: every record would look changed, and names would look free.
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
    """Make sure that a key is a ledger's, without writing anything.

    Raises:
        LedgerError: It is another one.
    """
    with reading(path) as connection:
        if connection.scalar(select(facts.c.value).where(facts.c.name == _PROOF)) is not None:
            verify_key(connection, key)


def read_or_make_key(path: Path, *, make: bool = True) -> bytes:
    """The key of the keyed hashes, from its file beside the ledger; made at first use.

    Args:
        path: The key's file.
        make: False only reads: for commands beside the owner.

    Returns:
        The key's bytes.

    Raises:
        LedgerError: The file is missing (and not to be made), empty, or cannot be read or written.
    """
    try:
        if make and not path.exists():
            _write_key(path)
    except OSError as error:
        raise _no_place(path.parent, error) from error
    try:
        key = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise _no_key(path, "is not there") from None
    except OSError as error:
        raise LedgerError(
            f"the ledger's key {path} cannot be read: {error.strerror}",
            advice="run this as the user who owns the ledger",
        ) from error
    except UnicodeDecodeError:
        raise _no_key(path, "is none, it has other characters than a key has") from None
    if len(key) < KEY_BYTES:
        raise _no_key(path, "is too short")
    return derive_key(key)


def _no_key(path: Path, why: str) -> LedgerError:
    return LedgerError(
        f"the ledger's key {path} {why}",
        advice="it was made beside the ledger at first use; restore both from a backup",
    )


def derive_key(text: str) -> bytes:
    """The key of the hashes from what the user or the key's file says: always as long as BLAKE2 takes."""
    return hashlib.blake2b(text.encode(), person=b"trakor-ledger").digest()


def _write_key(path: Path) -> None:
    """Write a fresh key so that a crash leaves either no file or a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, (secrets.token_hex(KEY_BYTES) + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)  # unlike a rename, never replaces a key that another process just made
    except FileExistsError:
        pass
    finally:
        draft.unlink()

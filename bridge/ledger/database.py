"""SQLite as the ledger's database, and the one thread that owns its one writing connection.

A transaction is a plain function over a connection; it runs whole in the owner's thread::

    await ledger.call_first(keep_events, …) ──┐ first of all
    await ledger.call(observe, page, …)     ──┤
    await ledger.call(claim_all, feeds, …)  ──┤ queue ──> owner ──> BEGIN IMMEDIATE, function, COMMIT
    await ledger.call(settle, outcomes, …)  ──┘

so nothing can be cancelled in its middle: who stops waiting leaves the transaction to its end.
Checkpoints of the write-ahead log are made by the owner at quiet moments, since automatic ones
make the slowest commits four times as slow. Settings follow SQLite's documentation, "PRAGMA
Statements" and "Write-Ahead Logging": ``synchronous=FULL``, because an acknowledged webhook must
outlive a power cut.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeAlias, TypeVar, cast
from urllib.parse import quote

import orjson
import structlog
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.pool import NullPool, StaticPool

from bridge.errors import LedgerError, LedgerReplacedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine
    from sqlalchemy.pool import ConnectionPoolEntry

    from bridge.encryption import Sealer

__all__ = ["Ledger", "TextStorage", "read_only", "reading", "writing"]

P = ParamSpec("P")
T = TypeVar("T")
Transaction = Callable[Concatenate[Connection, P], T]
QueuedCall: TypeAlias = "tuple[int, int, Callable[[], None] | None]"
"""What the owner does: how urgent, in which order it came, and what; None ends the owner's life."""

FIRST: Final = 0
"""Urgency of what somebody outside waits for: a webhook that is answered when it is on disk."""

IN_TURN: Final = 1
LAST: Final = 2

BUSY_TIMEOUT = 30_000
"""Milliseconds that a writer waits for another process's short transaction."""

CHECKPOINT_PATIENCE = 200
"""Milliseconds that a checkpoint waits for readers, while all transactions wait for it."""

WAL_QUIET = 16 * 2**20
"""Bytes of write-ahead log from which a quiet moment is used for a checkpoint."""

WAL_MAX = 64 * 2**20
"""Bytes of write-ahead log from which no quiet moment is waited for."""

TRUNCATE_EVERY = 1800.0
"""Seconds after which the write-ahead log is emptied. What was deleted in between, drafts of delivered
records above all, is in the file no longer than that: the promise is an hour."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TextStorage:
    """What a connection to the ledger needs to keep text, and to show it.

    Attributes:
        sealer: Seals and opens text.
        sent: What was sent stays, sealed (``[ledger] keep``); else only what waits.
    """

    sealer: Sealer
    sent: bool = True

    def attach(self, info: dict[str, Any]) -> None:
        """Put it where a function that is handed a connection finds it (``row_mapping.sealer_of``)."""
        info["sealer"] = self.sealer
        info["keeps_sent"] = self.sent


_AS_TEXT: Final = partial(str, encoding="utf-8", errors="replace")
"""Reads a text whose bytes are damaged as one that nothing is equal to: the rows beside it can be read, too.

The driver would refuse all that a statement finds.
"""


def _settings(*, owner: bool) -> tuple[str, ...]:
    """The PRAGMAs of a writing connection, in the order in which they must come."""
    return (
        f"PRAGMA busy_timeout = {BUSY_TIMEOUT}",
        "PRAGMA auto_vacuum = INCREMENTAL",  # only takes effect before the first table
        "PRAGMA secure_delete = ON",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA wal_autocheckpoint = 0",
        "PRAGMA journal_size_limit = 0",  # a log begun anew is short again: its size tells what is in it
        "PRAGMA foreign_keys = ON",
        "PRAGMA temp_store = MEMORY",
        f"PRAGMA cache_size = -{16_384 if owner else 2_048}",
    )


def _writer(path: Path, text_storage: TextStorage | None, *, owner: bool) -> Engine:
    """An engine whose transactions all begin as writers, on a file that only its owner can read."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise LedgerError(
            f"the ledger {path.name} cannot be written: {error.strerror}",
            advice="run this as the user who owns the ledger; the disk must not be read-only",
        ) from error
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=partial(sqlite3.connect, path, check_same_thread=False, isolation_level=None),
        poolclass=StaticPool,
        hide_parameters=True,  # they are what records say, and an error's text may reach a log
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        if text_storage is not None:
            text_storage.attach(record.info)
        connection.text_factory = _AS_TEXT
        for pragma in _settings(owner=owner):
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # A deferred transaction that turns writer fails at once, whatever the busy time-out.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def read_only(path: Path) -> str:
    """The URI that opens a SQLite file for reading only, whatever characters its path has."""
    return f"file:{quote(str(path))}?mode=ro"


_ADVICE: Final = (
    "is the disk full, read-only or on a network? `trakor-bridge ledger check` looks through the file; "
    "restore the last backup where it is damaged"
)


@contextmanager
def _errors_explained(path: Path) -> Iterator[None]:
    """Say what a fault of the disk or of the file means, in place of the driver's words alone."""
    try:
        yield
    except IntegrityError:
        raise  # a constraint did its work: a fault of ours, not of the file
    except (UnicodeDecodeError, orjson.JSONDecodeError):
        # Not said is which bytes: they may be of a client's name.
        raise LedgerError(
            f"the ledger {path.name} holds bytes that are no text: it is damaged", advice=_ADVICE
        ) from None
    except (DatabaseError, sqlite3.Error) as error:  # the driver's own: while a connection is made
        raise LedgerError(
            f"the ledger {path.name} cannot be used: {getattr(error, 'orig', error)}",
            advice=_ADVICE,
        ) from error


@contextmanager
def writing(path: Path, text_storage: TextStorage | None = None) -> Iterator[Connection]:
    """One short transaction from a process that is not the owner: for deciding commands.

    Args:
        path: The ledger's file.
        text_storage: For what keeps or shows text; None where nothing does.

    Yields:
        A connection inside a transaction; committed at the end, rolled back at any exception.
    """
    engine = _writer(path, text_storage, owner=False)
    try:
        with _errors_explained(path), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def reading(path: Path, text_storage: TextStorage | None = None) -> Iterator[Connection]:
    """A read-only connection beside the writer, on one snapshot while it is open.

    Args:
        path: The ledger's file; it must exist.
        text_storage: For what shows text; None where nothing does.

    Yields:
        A connection that cannot write.
    """
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=partial(sqlite3.connect, read_only(path), uri=True, isolation_level=None),
        poolclass=NullPool,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        if text_storage is not None:
            text_storage.attach(record.info)
        connection.text_factory = _AS_TEXT
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
        connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    try:
        with _errors_explained(path), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _files_of(path: Path) -> tuple[str, ...]:
    """The ledger's file, SQLite's log and index beside it, and the lock of its owner."""
    return tuple(f"{path}{suffix}" for suffix in ("", "-wal", "-shm", ".lock"))


def _identity(file: str) -> tuple[int, int] | None:
    """Which file it is that has a name: its device and number; None where there is none."""
    try:
        found = os.stat(file)  # noqa: PTH116 - half the time of a Path's, at each commit
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Ledger:
    """The ledger as the flows use it: transactions by one owning thread.

    Each transaction is followed by a look at whether file, log and lock are still those that were opened. A
    log that somebody removed takes all writes and is gone with the process; beside a lock that was removed a
    second owner may begin.

    Args:
        path: The ledger's file, opened and migrated already (``open.open_ledger``).
        text_storage: What it needs to keep text.
        truncate_every: Seconds; see ``TRUNCATE_EVERY``.
    """

    def __init__(
        self, path: Path, text_storage: TextStorage | None = None, *, truncate_every: float = TRUNCATE_EVERY
    ) -> None:
        self.path = path
        self.text_storage = text_storage
        self._truncate_every = truncate_every
        self._truncated = time.monotonic()
        self._engine = _writer(path, text_storage, owner=True)
        self._queue: queue.PriorityQueue[QueuedCall] = queue.PriorityQueue()
        self._order = itertools.count()
        with _errors_explained(path):
            self._version = self._data_version()
        self._files = {file: found for file in _files_of(path) if (found := _identity(file)) is not None}
        self._thread = threading.Thread(target=self._own, name="ledger", daemon=True)
        self._thread.start()

    async def call(self, transaction: Transaction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one transaction in the owner's thread.

        Args:
            transaction: A plain function whose first argument is the connection.
            args: Its further arguments.
            kwargs: Its further arguments by name.

        Returns:
            What it returns, once it is committed. A caller that is cancelled only stops waiting.

        Raises:
            LedgerReplacedError: It was committed, but not to the file that others find.
        """
        return await asyncio.shield(asyncio.wrap_future(self._submit(transaction, *args, **kwargs)))

    async def call_first(self, transaction: Transaction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one transaction before all that wait in the queue; after the one that is under way.

        Args:
            transaction: A plain function whose first argument is the connection.
            args: Its further arguments.
            kwargs: Its further arguments by name.

        Returns:
            What it returns, once it is committed. A caller that is cancelled only stops waiting.
        """
        run = partial(self._transact, lambda connection: transaction(connection, *args, **kwargs))
        return await asyncio.shield(asyncio.wrap_future(self._enqueue(FIRST, run)))

    async def changed_elsewhere(self) -> bool:
        """Whether another process has committed since this was asked last, or since the ledger was opened."""
        return await asyncio.shield(asyncio.wrap_future(self._enqueue(IN_TURN, self._is_new_version)))

    def close(self) -> None:
        """End what was submitted, checkpoint, close the file. Nothing can be called afterwards."""
        self._queue.put((LAST, next(self._order), None))
        self._thread.join()
        self._engine.dispose()

    def _submit(self, transaction: Transaction[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        run = partial(self._transact, lambda connection: transaction(connection, *args, **kwargs))
        return self._enqueue(IN_TURN, run)

    def _transact(self, transaction: Callable[[Connection], T]) -> T:
        with _errors_explained(self.path), self._engine.begin() as connection:
            result = transaction(connection)
        self._require_same_files()
        return result

    def _require_same_files(self) -> None:
        for file, opened in self._files.items():
            if _identity(file) != opened:
                what = os.path.basename(file)  # noqa: PTH119 - a text
                raise LedgerReplacedError(
                    f"{what} was removed, replaced or moved while this process used it",
                    advice="stop whatever does that. What was kept until now is written to the ledger's file "
                    "as this ends, if that is still there: start again, then `trakor-bridge ledger check`",
                )

    def _enqueue(self, urgency: int, act: Callable[[], T]) -> Future[T]:
        """Let the owner do something, and hand on what comes of it."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = act()
            except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
                future.set_exception(error)
            else:
                future.set_result(result)

        self._queue.put((urgency, next(self._order), run))
        return future

    def _is_new_version(self) -> bool:
        with _errors_explained(self.path):
            before, self._version = self._version, self._data_version()
        self._require_same_files()
        return self._version != before

    def _data_version(self) -> int:
        """SQLite's number that changes with each commit of another connection, and with none of this one."""
        with self._engine.connect() as connection:
            driver = cast("sqlite3.Connection", connection.connection.driver_connection)
            (version,) = driver.execute("PRAGMA data_version").fetchone()
            return int(version)

    def _own(self) -> None:
        """The owner's life: one transaction after the other, checkpoints in between, until None comes."""
        while True:
            try:
                _, _, run = self._queue.get(timeout=self._until_truncation())
            except queue.Empty:
                self._checkpoint("TRUNCATE")
                continue
            if run is None:
                self._checkpoint("TRUNCATE")
                return
            run()
            size = self._wal_size()
            if size > WAL_MAX or not self._until_truncation():
                self._checkpoint("TRUNCATE")
            elif size > WAL_QUIET and self._queue.empty():
                self._checkpoint("PASSIVE")

    def _until_truncation(self) -> float:
        return max(0.0, self._truncated + self._truncate_every - time.monotonic())

    def _wal_size(self) -> int:
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def _checkpoint(self, mode: str) -> None:
        """Move the log's content into the file; one that readers or the disk prevent is made later."""
        if mode == "TRUNCATE":
            self._truncated = time.monotonic()
        with self._engine.connect() as connection:
            driver = cast("sqlite3.Connection", connection.connection.driver_connection)
            try:
                driver.execute(f"PRAGMA busy_timeout = {CHECKPOINT_PATIENCE}")
                driver.execute(f"PRAGMA wal_checkpoint({mode})")
            except sqlite3.Error as error:
                log.warning("checkpoint failed", ledger=self.path.name, error=str(error))
            finally:
                driver.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")

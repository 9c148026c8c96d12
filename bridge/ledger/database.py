"""SQLite as the ledger's database, and the one thread that owns its only writing connection.

A transaction is a plain function over a connection. It runs as a whole in the owner's thread::

    await ledger.call_first(store_webhooks, …)   ──┐ first of all
    await ledger.call(observe, page, …)          ──┤
    await ledger.call(claim_for_feeds, feeds, …) ──┤ queue ──> owner ──> BEGIN IMMEDIATE, function, COMMIT
    await ledger.call(settle, outcomes, …)       ──┘

So nothing can be cancelled halfway: a caller that stops waiting leaves the transaction running. The owner
checkpoints the write-ahead log when the queue is empty, because automatic checkpoints make the slowest
commits four times as slow. The settings follow SQLite's documentation, "PRAGMA Statements" and "Write-Ahead
Logging": ``synchronous=FULL``, because an acknowledged webhook must survive a power cut.
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
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeAlias, TypeVar, cast
from urllib.parse import quote

import orjson
import structlog
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.pool import NullPool, StaticPool
from sqlalchemy.util import LRUCache

from bridge.errors import LedgerError, LedgerReplacedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.pool import ConnectionPoolEntry, Pool

    from bridge.encryption import Sealer

__all__ = ["Ledger", "TextStorage", "make_engine", "read_only", "reading", "writing"]

P = ParamSpec("P")
T = TypeVar("T")
Transaction = Callable[Concatenate[Connection, P], T]
QueuedCall: TypeAlias = "tuple[int, int, Callable[[], None] | None]"
"""A queued call: its priority, its order of arrival, and what to run. None ends the owner's thread."""

FIRST: Final = 0
"""Priority of a call that an external client waits for: a webhook is answered when it is on disk."""

IN_TURN: Final = 1
LAST: Final = 2

BUSY_TIMEOUT = 30_000
"""Milliseconds that a writer waits for another process's short transaction."""

CHECKPOINT_PATIENCE = 200
"""Milliseconds that a checkpoint waits for readers. All transactions wait meanwhile."""

WAL_QUIET = 16 * 2**20
"""Bytes of write-ahead log from which an empty queue starts a checkpoint."""

WAL_MAX = 64 * 2**20
"""Bytes of write-ahead log from which a checkpoint no longer waits for an empty queue."""

TRUNCATE_EVERY = 1800.0
"""Seconds between two truncations of the write-ahead log.

Deleted data, above all drafts of delivered records, stays in the file no longer than that: the promise is
an hour.
"""

MAX_COMPILED = 500
"""How many compiled statements a process keeps: SQLAlchemy's own number for an engine."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TextStorage:
    """What a connection to the ledger needs to seal and open text.

    Attributes:
        sealer: Seals and opens text.
        sent: Text that was sent is kept, sealed (``[ledger] keep``); otherwise only text that waits.
    """

    sealer: Sealer
    sent: bool = True

    def attach(self, info: dict[str, Any]) -> None:
        """Store it in the connection's ``info``, where ``row_mapping.sealer_of`` finds it."""
        info["sealer"] = self.sealer
        info["keeps_sent"] = self.sent


_AS_TEXT: Final = partial(str, encoding="utf-8", errors="replace")
"""Decodes damaged text with replacement characters, so that the rows beside it can be read.

By default the driver would fail the whole statement.
"""


def _settings(*, owner: bool) -> tuple[str, ...]:
    """Return the PRAGMAs of a writing connection, in their required order."""
    return (
        f"PRAGMA busy_timeout = {BUSY_TIMEOUT}",
        "PRAGMA auto_vacuum = INCREMENTAL",  # only takes effect before the first table
        "PRAGMA secure_delete = ON",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA wal_autocheckpoint = 0",
        "PRAGMA journal_size_limit = 0",  # a restarted log is short again, so its size shows its content
        "PRAGMA foreign_keys = ON",
        "PRAGMA temp_store = MEMORY",
        f"PRAGMA cache_size = -{16_384 if owner else 2_048}",
    )


@cache
def _shared_engine() -> Engine:
    """Return the engine whose dialect and compiled statements all engines of this process use."""
    engine = create_engine("sqlite+pysqlite://", execution_options={"compiled_cache": LRUCache(MAX_COMPILED)})
    with engine.connect():  # with its first connection a dialect finds out what this SQLite can do
        return engine


def make_engine(connect: Callable[[], Any], pool_class: type[Pool]) -> Engine:
    """Create an engine that compiles no statement which another engine of this process has compiled.

    Engines are created for single transactions. Most of the time of those went into compiling.

    Args:
        connect: Opens SQLite's connection.
        pool_class: What keeps it.
    """
    shared = _shared_engine()
    return Engine(
        pool_class(connect, dialect=shared.dialect),
        shared.dialect,
        shared.url,
        hide_parameters=True,  # they contain text of records, and an error message may reach a log
        execution_options=shared.get_execution_options(),
    )


def _writer(path: Path, text_storage: TextStorage | None, *, owner: bool) -> Engine:
    """Create an engine whose transactions all begin as writers, on a file that only its owner can read."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise LedgerError(
            f"the ledger {path.name} cannot be written: {error.strerror}",
            advice="run this as the user who owns the ledger; the disk must not be read-only",
        ) from error
    connect = partial(sqlite3.connect, path, check_same_thread=False, isolation_level=None)
    engine = make_engine(connect, StaticPool)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        if text_storage is not None:
            text_storage.attach(record.info)
        connection.text_factory = _AS_TEXT
        for pragma in _settings(owner=owner):
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # A deferred transaction that becomes a writer fails at once, whatever the busy timeout.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def read_only(path: Path) -> str:
    """Return the URI that opens a SQLite file for reading only, whatever characters its path has."""
    return f"file:{quote(str(path))}?mode=ro"


_ADVICE: Final = (
    "is the disk full, read-only or on a network? `trakor-bridge ledger check` examines the file; "
    "restore the last backup if it is damaged"
)


@contextmanager
def _errors_explained(path: Path) -> Iterator[None]:
    """Explain errors of the disk or the file, instead of the driver's message alone."""
    try:
        yield
    except IntegrityError:
        raise  # a violated constraint: a bug in the bridge, not a damaged file
    except (UnicodeDecodeError, orjson.JSONDecodeError):
        # The bytes are not shown: they may be part of a client's name.
        raise LedgerError(
            f"the ledger {path.name} contains bytes that are not text: it is damaged", advice=_ADVICE
        ) from None
    except (DatabaseError, sqlite3.Error) as error:  # the driver's own error, while connecting
        raise LedgerError(
            f"the ledger {path.name} cannot be used: {getattr(error, 'orig', error)}",
            advice=_ADVICE,
        ) from error


@contextmanager
def writing(path: Path, text_storage: TextStorage | None = None) -> Iterator[Connection]:
    """Open one short transaction in a process that is not the owner, for commands that decide.

    Args:
        path: The ledger's file.
        text_storage: For transactions that seal or open text; otherwise None.

    Yields:
        A connection inside a transaction: committed at the end, rolled back at any exception.
    """
    engine = _writer(path, text_storage, owner=False)
    try:
        with _errors_explained(path), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def reading(path: Path, text_storage: TextStorage | None = None) -> Iterator[Connection]:
    """Open a read-only connection beside the writer, on one snapshot.

    Args:
        path: The ledger's file; it must exist.
        text_storage: For readers that open text; otherwise None.

    Yields:
        A connection that cannot write.
    """
    engine = make_engine(partial(sqlite3.connect, read_only(path), uri=True, isolation_level=None), NullPool)

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
    """Return the ledger's file, SQLite's log and index beside it, and the owner's lock."""
    return tuple(f"{path}{suffix}" for suffix in ("", "-wal", "-shm", ".lock"))


def _identity(file: str) -> tuple[int, int] | None:
    """Return the device and number of the file at a path; None if there is no file."""
    try:
        found = os.stat(file)  # noqa: PTH116 - half the time of a Path's, at each commit
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Ledger:
    """The ledger as the flows use it: transactions in one owning thread.

    After each transaction it checks that file, log and lock are still those that it opened. If someone
    removes the log, later writes are lost with the process; if someone removes the lock, a second owner may
    start.

    Args:
        path: The ledger's file, opened and migrated already (``open.open_ledger``).
        text_storage: What it needs to seal and open text.
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
            kwargs: Its further keyword arguments.

        Returns:
            What it returns, once it is committed. A cancelled caller only stops waiting.

        Raises:
            LedgerReplacedError: It was committed, but the file was replaced meanwhile.
        """
        return await asyncio.shield(asyncio.wrap_future(self._submit(transaction, *args, **kwargs)))

    async def call_first(self, transaction: Transaction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one transaction before all that are queued, after the one that is running.

        Args:
            transaction: A plain function whose first argument is the connection.
            args: Its further arguments.
            kwargs: Its further keyword arguments.

        Returns:
            What it returns, once it is committed. A cancelled caller only stops waiting.
        """
        run = partial(self._transact, lambda connection: transaction(connection, *args, **kwargs))
        return await asyncio.shield(asyncio.wrap_future(self._enqueue(FIRST, run)))

    async def changed_elsewhere(self) -> bool:
        """Return whether another process has committed since the last call, or since opening the ledger."""
        return await asyncio.shield(asyncio.wrap_future(self._enqueue(IN_TURN, self._is_new_version)))

    def close(self) -> None:
        """Finish what was submitted, checkpoint, and close the file. Nothing can be called afterwards."""
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
                    advice="stop whatever does that. If the ledger's file still exists, everything stored so "
                    "far is written to it when this process ends. Start again, then run "
                    "`trakor-bridge ledger check`",
                )

    def _enqueue(self, urgency: int, act: Callable[[], T]) -> Future[T]:
        """Queue a call for the owner, and return the future of its result."""
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
        """Return SQLite's number that changes with each commit of another connection, but not of this one."""
        with self._engine.connect() as connection:
            driver = cast("sqlite3.Connection", connection.connection.driver_connection)
            (version,) = driver.execute("PRAGMA data_version").fetchone()
            return int(version)

    def _own(self) -> None:
        """Run the owner's loop: transactions one by one, with checkpoints in between, until None arrives."""
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
        """Move the log's content into the file. If that fails, a later checkpoint does it."""
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

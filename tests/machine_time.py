"""Time that passes as fast as it can, and a ledger in memory: what the state machine runs in.

::

    selector: nothing is ready ──> the loop's time jumps to what is due next
    transaction ──call──> BEGIN IMMEDIATE, function, COMMIT, on the real schema; whole even if nobody waits
"""

from __future__ import annotations

import asyncio
import selectors
import sqlite3
from functools import cache, partial
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import create_engine, event
from sqlalchemy.pool import StaticPool

from bridge.encryption import Sealer
from bridge.ledger.database import TextStorage
from bridge.ledger.schema import create_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

__all__ = ["Book", "Handle", "VirtualLoop"]


class _Jumping(selectors.SelectSelector):
    """Never sleeps: lets time jump instead."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise AssertionError("everything waits, and nothing will ever happen")
            self._jump(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which an hour passes at once where nothing is to be done in it."""

    def __init__(self) -> None:
        self._passed = 0.0
        super().__init__(_Jumping(self._pass))

    def time(self) -> float:
        """Seconds; they begin with the loop."""
        return self._passed

    def _pass(self, seconds: float) -> None:
        self._passed += seconds


class Book:
    """The ledger's database in memory, which outlives each process that opens it.

    Args:
        key: The ledger's.
    """

    def __init__(self, key: bytes) -> None:
        self.engine = _engine()
        self._raw = cast("sqlite3.Connection", self.engine.raw_connection().driver_connection)
        TextStorage(_sealer(key)).attach(_info())
        self.restore(_empty())

    def write(self, transaction: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as Ledger.call
        """One transaction."""
        with self.engine.begin() as connection:
            return transaction(connection, *args, **kwargs)

    def text(self) -> bytes:
        """The bytes of the database's file."""
        return self._raw.serialize()

    def copy(self) -> sqlite3.Connection:
        """A copy of the database as it is."""
        copied = sqlite3.connect(":memory:")
        self._raw.backup(copied)
        return copied

    def restore(self, copied: sqlite3.Connection) -> None:
        """The database is as it was."""
        copied.backup(self._raw)
        self._raw.execute("PRAGMA secure_delete = ON")

    def rows(self, table: str, where: str = "", *values: object) -> list[dict[str, Any]]:
        """Rows of a table, all unless a condition is given."""
        found = self._raw.execute(f"SELECT * FROM {table} {where}", values)  # noqa: S608 - names of ours
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]


class Handle:
    """A process's way to the ledger (``bridge.ledger.database.Ledger``): dead with it.

    Args:
        book: The database.
        loop: Where transactions run, each in one go.
    """

    def __init__(self, book: Book, loop: asyncio.AbstractEventLoop) -> None:
        self._book = book
        self._loop = loop
        self.dead = False

    async def call(self, transaction: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as Ledger
        """See ``Ledger.call``: whoever stops waiting leaves the transaction to its end."""
        done = self._loop.create_future()
        self._loop.call_soon(self._run, done, partial(self._book.write, transaction, *args, **kwargs))
        return await done

    def _run(self, done: asyncio.Future[Any], write: Callable[[], Any]) -> None:
        if self.dead:
            done.cancel()
            return
        try:
            result = write()
        except Exception as error:
            if done.cancelled():
                raise
            done.set_exception(error)
        else:
            if not done.cancelled():
                done.set_result(result)


@cache
def _engine() -> Engine:
    engine = create_engine("sqlite+pysqlite://", poolclass=StaticPool, connect_args={"isolation_level": None})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _info() -> dict[str, Any]:
    """What the one connection tells those that it is handed to."""
    with _engine().connect() as connection:
        return cast("dict[str, Any]", connection.info)


@cache
def _empty() -> sqlite3.Connection:
    """A new ledger."""
    with _engine().begin() as connection:
        create_tables(connection)
    copied = sqlite3.connect(":memory:", check_same_thread=False)
    cast("sqlite3.Connection", _engine().raw_connection().driver_connection).backup(copied)
    return copied


@cache
def _sealer(key: bytes) -> Sealer:
    return Sealer(key)

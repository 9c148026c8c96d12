"""One thread writes, readers read beside it, and whoever stops waiting stops nothing."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from books import empty_ledger
from bridge.errors import LedgerError
from bridge.ledger.database import WAL_QUIET, Ledger, reading, writing
from bridge.ledger.open import derive_key, open_ledger
from bridge.ledger.schema import facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

KEY = derive_key("the tests' key")


@pytest.fixture
def path(ledger_template: Path, tmp_path: Path) -> Path:
    """An empty ledger's file."""
    return empty_ledger(ledger_template, tmp_path / "ledger.db")


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """An open ledger."""
    with open_ledger(path, KEY, "test") as opened:
        yield opened


def note(connection: Connection, name: str, value: str = "") -> str:
    connection.execute(facts.insert().values(name=name, value=value))
    return name


def known(connection: Connection) -> set[str]:
    return set(connection.scalars(select(facts.c.name))) - {"key_proof"}


def wal_size(path: Path) -> int:
    return path.with_name(f"{path.name}-wal").stat().st_size


async def test_a_transaction_gives_what_its_function_returns_once_it_is_committed(ledger: Ledger) -> None:
    assert await ledger.call(note, "a") == "a"
    with reading(ledger.path) as connection:
        assert known(connection) == {"a"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
async def test_any_exception_rolls_back_and_reaches_the_caller(
    ledger: Ledger, error: type[BaseException]
) -> None:
    def fails(connection: Connection) -> None:
        note(connection, "a")
        raise error

    waiting = asyncio.ensure_future(ledger.call(note, "b"))
    # Awaited in a thread of its own: KeyboardInterrupt in a task would end the whole loop.
    caught = await asyncio.to_thread(lambda: ledger._submit(fails).exception(10))  # noqa: SLF001
    assert isinstance(caught, error)
    await waiting
    assert await ledger.call(known) == {"b"}


async def test_who_stops_waiting_leaves_the_transaction_to_its_end(ledger: Ledger) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        note(connection, "first half")
        begun.set()
        assert go_on.wait(10)
        note(connection, "second half")

    waiter = asyncio.create_task(ledger.call(slow))
    assert await asyncio.to_thread(begun.wait, 10)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    go_on.set()
    assert await ledger.call(known) == {"first half", "second half"}


async def test_transactions_run_one_after_the_other_in_the_order_of_their_calls(ledger: Ledger) -> None:
    def nth(connection: Connection, n: int) -> int:
        note(connection, str(n))
        return len(known(connection))

    assert await asyncio.gather(*(ledger.call(nth, n) for n in range(1, 30))) == list(range(1, 30))


async def test_a_reader_stays_on_one_moment_beside_the_writer(ledger: Ledger) -> None:
    await ledger.call(note, "a")
    with reading(ledger.path) as connection:
        assert known(connection) == {"a"}
        await ledger.call(note, "b")
        assert known(connection) == {"a"}
    with reading(ledger.path) as connection:
        assert known(connection) == {"a", "b"}


async def test_a_reader_cannot_write(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="readonly"), reading(ledger.path) as connection:
        note(connection, "a")
    assert await ledger.call(known) == set()


async def test_another_process_writes_between_the_owners_transactions(ledger: Ledger) -> None:
    with writing(ledger.path) as connection:
        note(connection, "a")
        owners = asyncio.create_task(ledger.call(known))
        await asyncio.sleep(0)
        assert not owners.done()
    assert await owners == {"a"}


def test_a_transaction_beside_the_owner_is_rolled_back_by_any_exception(path: Path) -> None:
    def interrupted() -> None:
        with writing(path) as connection:
            note(connection, "a")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with reading(path) as connection:
        assert known(connection) == set()


def test_a_transaction_writes_from_its_beginning_on(path: Path) -> None:
    """One that began to read and then turns to write would fail whatever it waits."""
    with writing(path) as first:
        known(first)
        with closing(sqlite3.connect(path, timeout=0)) as other, pytest.raises(sqlite3.OperationalError):
            other.execute("BEGIN IMMEDIATE")
        note(first, "a")


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("synchronous", 2), ("secure_delete", 1), ("foreign_keys", 1), ("wal_autocheckpoint", 0)],
)
async def test_every_writing_connection_is_set_to_what_the_promises_need(
    ledger: Ledger, pragma: str, value: int
) -> None:
    def ask(connection: Connection) -> int:
        return int(connection.execute(text(f"PRAGMA {pragma}")).scalar_one())

    assert await ledger.call(ask) == value
    with writing(ledger.path) as connection:
        assert ask(connection) == value


def test_closing_ends_what_was_called_and_empties_the_log(path: Path) -> None:
    """What is closed is one file, complete without any beside it."""
    ledger = Ledger(path)
    noted = [ledger._submit(note, str(n)) for n in range(20)]  # noqa: SLF001 - without waiting for it
    ledger.close()
    assert all(future.done() for future in noted)
    assert not path.with_name(f"{path.name}-wal").exists()
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM facts").fetchone() == (20,)


def is_in_the_file(path: Path) -> bool:
    """Whether the note is in the file itself, without the log beside it."""
    try:
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as file_alone:
            found = file_alone.execute("SELECT count(*) FROM facts WHERE name = 'long'").fetchone()
    except sqlite3.DatabaseError:
        return False  # it is being written
    return bool(found == (1,))


async def moved(ledger: Ledger) -> None:
    """Wait for the quiet moment: nothing else is called meanwhile, which would leave none."""
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(is_in_the_file, ledger.path):
            pass


async def test_a_quiet_moment_moves_a_long_log_into_the_file(ledger: Ledger) -> None:
    await ledger.call(note, "long", "x" * (WAL_QUIET + 2**20))
    await moved(ledger)


async def test_the_log_is_short_again_once_it_was_moved(ledger: Ledger) -> None:
    """Else every later transaction would find it long, and be followed by a checkpoint of its own."""
    await ledger.call(note, "long", "x" * (WAL_QUIET + 2**20))
    await moved(ledger)
    await ledger.call(note, "next")
    await ledger.call(known)
    assert wal_size(ledger.path) < WAL_QUIET / 10


async def test_a_reader_does_not_hold_up_the_writer_while_the_log_is_long(ledger: Ledger) -> None:
    with reading(ledger.path) as connection:
        known(connection)
        for n in range(3):
            await asyncio.wait_for(ledger.call(note, str(n), "x" * WAL_QUIET), 10)
    assert len(await ledger.call(known)) == 3


async def test_a_fault_of_the_file_is_said_as_one_without_what_was_written(ledger: Ledger) -> None:
    def broken(connection: Connection) -> None:
        connection.execute(text("INSERT INTO nowhere VALUES (:value)"), {"value": "Ann's secret"})

    with pytest.raises(LedgerError) as caught:
        await ledger.call(broken)
    assert "Ann's secret" not in f"{caught.value} {caught.value.__cause__}"
    assert isinstance(caught.value.__cause__, DatabaseError)

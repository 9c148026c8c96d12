"""What a delivered record said is gone from the ledger's files within the promised time."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from sqlalchemy import text

from books import KEEPING
from bridge.ledger.engine import TRUNCATE_EVERY, Ledger
from bridge.ledger.opening import prepare
from builders import answered, draft

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from books import Book

CANARY = "canary.of.a.client@example.com"


def _keep(connection: Connection) -> None:
    connection.execute(text("INSERT INTO spaces (number, scope, stream) VALUES (1, 'x', 'contacts')"))
    connection.execute(
        text("INSERT INTO feeds (number, connection, stream, space) VALUES (1, 'x', 'contacts', 1)")
    )
    for number in range(1, 50):
        connection.execute(
            text(
                "INSERT INTO records (number, feed, source_id, state, read_at, since_at)"
                " VALUES (:number, 1, :number, 'pending', 0, 0)"
            ),
            {"number": number},
        )
        connection.execute(
            text("INSERT INTO waiting (record, slot, body, meta) VALUES (:number, 0, :body, '')"),
            {"number": number, "body": f"{number} {CANARY} " * 20},
        )


def _deliver(connection: Connection) -> None:
    connection.execute(text("DELETE FROM waiting"))


def _bytes(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir() if file.name.startswith(path.name))


async def test_without_any_further_work_the_files_forget_what_was_delivered(tmp_path: Path) -> None:
    """The owner empties the log by itself: nobody has to close the ledger, or to send anything more."""
    path = tmp_path / "ledger.db"
    prepare(path, KEEPING)
    ledger = Ledger(path, truncate_every=0.2)
    try:
        await ledger.call(_keep)
        assert CANARY.encode() in _bytes(path)
        await ledger.call(_deliver)
        async with asyncio.timeout(20):
            while CANARY.encode() in _bytes(path):
                await ledger.call(lambda _: None)
    finally:
        ledger.close()


def test_the_time_promised_is_an_hour() -> None:
    """What the documents promise is kept with room to spare."""
    assert TRUNCATE_EVERY <= 3600 / 2


def test_what_a_record_says_is_never_in_the_file_in_clear(book: Book) -> None:
    """Waiting, sent, qualified, noted while under way, merged or dropped: it stands nowhere in clear."""
    secret = "Wombat O'Hara"
    book.see(
        draft(secret, "wombat@example.com", id="c1", same_as="s", qualifier="wombat@example.com"),
        draft(secret, "wombat@example.com", id="c2", qualifier="wombat@example.com"),
        draft(secret, "wombat@example.com", id="c3", same_as="s"),
        draft(f"{secret} too", id="c4"),
    )
    works = book.claim()
    book.see(draft(secret, "new.wombat@example.com", id="c1", at=20))
    book.drop("c4")
    assert b"ombat" not in emptied(book.path), "sealed while it waits"
    book.settle(*(answered(work) for work in works))
    assert [book.stands(f"c{n}") for n in (1, 2, 3, 4)] == ["drifted", "delivered", "merged", "dropped"]
    assert b"ombat" not in emptied(book.path)


def emptied(path: Path) -> bytes:
    """All bytes of a ledger's files, its log moved into the file and emptied."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return _bytes(path)

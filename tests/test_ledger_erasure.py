"""What a delivered record said is gone from the ledger's files within the promised time."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from sqlalchemy import text

from books import KEEPING, KEY
from bridge.encryption import Sealer
from bridge.ledger.database import TRUNCATE_EVERY, Ledger, TextStorage
from bridge.ledger.maintenance import back_up
from bridge.ledger.open import migrate, open_ledger
from bridge.records import NameClaim, Rejection
from builders import answered, draft, later, of

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
    migrate(path, KEEPING)
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


ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be")


def in_clear(path: Path) -> list[str]:
    """Encodings in which the secret stands in the ledger's files: itself, its log, its backups."""
    content = _bytes(path) + b"".join(copy.read_bytes() for copy in path.parent.glob("*.copy"))
    return [encoding for encoding in ENCODINGS if "ombat".encode(encoding) in content]


def test_nothing_is_in_clear_in_file_log_and_backup_whatever_becomes_of_it(book: Book) -> None:
    """While the log is full, too: pending, refused with its words, held, accepted, renamed, retried."""
    back_up_to = iter(book.path.parent / f"{n}.copy" for n in range(9))

    def looked_at() -> None:
        back_up(book.path, next(back_up_to))
        assert in_clear(book.path) == []

    names = ("Wombat One", "Wombat Two", "Wombat One", "Wombat Four")
    book.see(*(draft(name, "wombat@example.com", id=f"c{n}") for n, name in enumerate(names, 1)))
    looked_at()
    one, two, four = book.claim()
    refused = Rejection(two, "400", response_text="name: Wombat Two is not liked")
    book.settle(answered(one), refused, later(four))
    looked_at()
    book.accept("c3", NameClaim("Wombat Three", of("Wombat Three")))
    book.see(draft("Wombat Uno", "wombat@example.com", id="c1", at=2000))
    book.retry("c2")
    looked_at()
    book.accept("c1")
    book.settle(*(answered(work, f"t{work.number}-2") for work in book.claim()))
    assert {book.stands(f"c{n}") for n in (1, 2, 3, 4)} == {"delivered"}
    looked_at()
    assert book.shown("c3").name == "Wombat Three"


def test_with_hashes_only_nothing_stays_of_what_was_delivered_or_shares_it(book: Book) -> None:
    book.text_storage = TextStorage(Sealer(KEY), sent=False)
    book.see(
        *(draft("Ann", f"of c{n}", id=f"c{n}", same_as="s") for n in (1, 2)),
        draft("Bo", "0412", id="c3"),
    )
    book.settle(*(answered(work) for work in book.claim()))
    was = draft("Bo", "0412", id="c3", at=20)
    book.see(draft("Bo", "Tel. 0412", id="c3", rules="rules 2", at=20, before=was))
    assert (book.stands("c3"), book.shown("c3").marks) == ("delivered", ("remapped",))
    assert rows(book.path, "contents") == rows(book.path, "waiting") == 0
    book.see(draft("Bo", "0499", id="c3", rules="rules 2", at=30))
    assert (book.stands("c3"), book.shown("c3").fields) == ("drifted", ("contact_info",))
    book.accept("c3")
    assert rows(book.path, "contents") == rows(book.path, "waiting") == 0


def test_a_change_to_hashes_erases_what_does_not_wait_and_leaves_what_does(book: Book) -> None:
    book.see(*(draft("Ann", id=f"c{n}", same_as="s") for n in (1, 2)), draft("Bo", id="c3"))
    [ann, _] = book.claim()
    book.settle(answered(ann))
    assert (rows(book.path, "contents"), rows(book.path, "waiting")) == (1, 2)
    with open_ledger(book.path, KEY, "test", keep_sent=False):
        pass
    assert (rows(book.path, "contents"), rows(book.path, "waiting")) == (0, 1)
    assert book.waiting("c3")[0].send_as == "Bo"
    assert book.shown("c1").name == ""


def rows(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - ours

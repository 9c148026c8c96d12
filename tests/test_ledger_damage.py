"""A damaged row is listed and stops nobody; at its next sight it is decided with the name that it has."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bridge.records import Stream
from bridges import Bridge
from builders import answered, draft, of

if TYPE_CHECKING:
    from pathlib import Path

    from books import Book
    from bridge.sandbox import Sandbox

FAULTS = (
    "UPDATE records SET sent = 'not hashes' WHERE source_id = '{id}'",
    "UPDATE records SET seen = CAST(x'ff3b66' AS TEXT) WHERE source_id = '{id}'",
    "UPDATE records SET identifiers = '[1]' WHERE source_id = '{id}'",
    "UPDATE records SET identifiers = CAST(x'7bff' AS TEXT) WHERE source_id = '{id}'",
    "UPDATE records SET reason = 'unheard of' WHERE source_id = '{id}'",
    "UPDATE records SET merged_by = 'nobody' WHERE source_id = '{id}'",
    "UPDATE links SET sent = '2;name' WHERE record = (SELECT number FROM records WHERE source_id = '{id}')",
)


def damage(path: Path, fault: str, identity: str = "c1") -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as driver:
        driver.execute("PRAGMA ignore_check_constraints = ON")
        assert driver.execute(fault.replace("{id}", identity)).rowcount == 1


@pytest.fixture
def three(book: Book) -> Book:
    """Three that are delivered."""
    book.see(*(draft(name, id=f"c{n}") for n, name in enumerate(("Ann", "Bo", "Cy"), 1)))
    book.settle(*(answered(work) for work in book.claim()))
    return book


@pytest.mark.parametrize("fault", FAULTS)
def test_its_neighbours_of_the_page_go_on(three: Book, fault: str) -> None:
    damage(three.path, fault)
    three.see(draft("Ann", id="c1", at=20), draft("Bo", "0499", id="c2", at=20), draft("Di", id="c4", at=20))
    assert [three.stands(f"c{n}") for n in (2, 3, 4)] == ["drifted", "delivered", "pending"]


@pytest.mark.parametrize("fault", FAULTS)
def test_it_keeps_its_claim_and_its_link_and_is_never_sent_again_as_if_it_were_new(
    three: Book, fault: str
) -> None:
    """What Trakor has of it is not known any more: a person is asked, by the field `rules`."""
    damage(three.path, fault)
    three.see(draft("Ann", id="c1", at=20))
    assert three.claim() == []
    assert (three.stands(), three.shown().fields) == ("drifted", ("rules",))
    assert three.claimed()[of("Ann")] == three.number("c1")
    assert set(three.linked().values()) == {1, 2, 3}
    three.see(draft("Ann", id="x9", at=20))
    assert three.stands("x9") == "held: same-name"


def test_once_a_person_has_looked_it_is_as_any_other(three: Book) -> None:
    damage(three.path, FAULTS[0])
    three.see(draft("Ann", id="c1", at=20))
    three.accept()
    three.see(draft("Ann", id="c1", at=30))
    assert three.stands() == "delivered"
    three.see(draft("Ann", "0499", id="c1", at=40))
    assert (three.stands(), three.shown().fields) == ("drifted", ("contact_info",))


def test_a_draft_that_cannot_be_read_stops_only_itself_and_is_sent_after_its_next_sight(book: Book) -> None:
    book.see(draft("Ann", id="c1"), draft("Bo", id="c2"))
    damage(book.path, "UPDATE waiting SET body = x'0102' WHERE record = 1")
    assert [work.payload.name for work in book.claim()] == ["Bo"]
    assert book.stands("c1") == "rejected: damaged"
    book.see(draft("Ann", id="c1", at=20))
    assert [work.payload.name for work in book.claim()] == ["Ann"]


@pytest.mark.parametrize(
    "fault",
    [
        "UPDATE waiting SET meta = '[' WHERE record = 1",
        "UPDATE waiting SET meta = '[]' WHERE record = 1",
        'UPDATE waiting SET meta = \'["a","b","?","[1]",1]\' WHERE record = 1',
    ],
)
def test_what_is_sent_is_proved_by_its_seal_whatever_became_of_the_hashes_beside_it(
    book: Book, fault: str
) -> None:
    book.see(draft("Ann", id="c1"))
    damage(book.path, fault)
    assert [work.payload.name for work in book.claim()] == ["Ann"]


async def test_a_backfill_delivers_all_others_and_lists_it(sandbox: Sandbox, tmp_path: Path) -> None:
    """It ended with exit status 1, and what was new never arrived."""
    bridge = Bridge(tmp_path, sandbox)
    marred, also = (sandbox.contacts.add(name, email=f"{name[:3]}@example.com") for name in ("Una", "Duo"))
    await bridge.backfill(Stream.CONTACTS)
    damage(tmp_path / "ledger.db", FAULTS[0], marred)
    damage(tmp_path / "ledger.db", FAULTS[3], also)
    new = [sandbox.contacts.add(f"New Contact {n}", email=f"n{n}@example.com") for n in range(5)]
    report = await bridge.backfill(Stream.CONTACTS)
    assert report.connections["default"].complete
    assert {bridge.books.contact(one).state for one in new} == {"delivered"}
    # Unchanged they are not even mapped: it is at a change that nobody knows what Trakor has.
    sandbox.contacts.change_phone(marred, "0491 570 156")
    sandbox.contacts.change_phone(also, "0491 570 157")
    await bridge.backfill(Stream.CONTACTS)
    assert {bridge.books.contact(one).state for one in (marred, also)} == {"drifted"}
    posts = sandbox.trakor.traffic.statuses[201]
    await bridge.backfill(Stream.CONTACTS)
    assert sandbox.trakor.traffic.statuses[201] == posts

"""Two scopes become one: no name is sent without a claim, no Trakor record becomes two records'."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from books import Book
from bridge.ledger.connection_and_scope_renames import find_without_name
from bridge.ledger.database import reading
from bridge.ledger.send_queue import open_feed
from builders import answered, draft, later, of

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.records import WorkItem

ONE = "one Trakor for two"


@pytest.fixture
def there(book: Book) -> Book:
    """Another connection, in the scope that becomes that of both."""
    return Book(book.path, connection="b", scope=ONE)


def moved(book: Book) -> Book:
    """The same connection under the scope that both have from now on."""
    return Book(book.path, scope=ONE, now=book.now)


def taken(book: Book, trakor_id: str, *, id: str = "c1") -> None:  # noqa: A002 - the domain's word
    """A record is seen, sent and answered."""
    book.see(draft("Ann", id=id))
    [work] = book.claim()
    book.settle(answered(work, trakor_id))


def sendable(book: Book) -> list[WorkItem]:
    book.now += 10_000
    return book.claim()


def kept_without_name(path: Path) -> list[str]:
    with reading(path) as connection:
        return [one.source_id for one in find_without_name(connection)]


def test_what_waits_for_a_name_that_is_taken_there_is_held_and_not_sent(book: Book, there: Book) -> None:
    taken(there, "p1", id="b1")
    book.see(draft("Ann", id="c1", qualifier="q"), draft("Bo", id="c2"))
    here = moved(book)
    assert here.stands("c1") == "held: same-name"
    assert [work.number for work in sendable(here)] == [here.number("c2")]
    assert here.claimed() == {of("Ann"): there.number("b1"), of("Bo"): here.number("c2")}
    here.see(draft("Ann", id="c1", qualifier="q", at=30))
    assert here.waiting("c1")[0].send_as == "Ann (q)"


def test_what_waits_there_gives_way_to_what_trakor_has(book: Book, there: Book) -> None:
    there.see(draft("Ann", id="b1"))
    taken(book, "p1")
    here = moved(book)
    assert here.stands("c1") == "delivered"
    assert there.stands("b1") == "held: same-name"
    assert sendable(there) == []
    assert here.claimed()[of("Ann")] == here.number("c1")


def opens(book: Book, scope: str = ONE) -> Book:
    """A new process opens the ledger for this connection, in this scope."""
    book.feed = book.write(
        lambda connection: open_feed(
            connection, book.connection, scope, book.stream, now=book.now, wait=150_000
        )
    )
    return book


@pytest.mark.parametrize("first", ["moves", "stays"])
@pytest.mark.parametrize("under_way", ["moves", "stays"])
def test_what_was_under_way_at_a_death_waits_though_its_scope_became_one_with_another(
    book: Book, there: Book, under_way: str, first: str
) -> None:
    """Trakor may still be storing it: the other one of that name is not sent beside it."""
    for one, id_ in ((there, "b1"), (book, "c1")):
        one.see(draft("Ann", id=id_))
        one.settle(*(later(work) for work in one.claim()))
    there.now = book.now = book.now + 10_000
    [_] = (book if under_way == "moves" else there).claim()
    for one in (book, there) if first == "moves" else (there, book):
        one.now = book.now
        opens(one)
    assert {book.stands("c1"), there.stands("b1")} == {"pending", "held: same-name"}
    assert (book.claim(), there.claim()) == ([], [])
    assert (sendable(book), sendable(there)) == ([], [])
    there.now = book.now = book.now + 150_000
    assert len([*book.claim(), *there.claim()]) == 1


def test_a_request_under_way_is_the_winners_when_scopes_become_one(book: Book, there: Book) -> None:
    """By a reload, beside a connection that goes on: what is answered is for who has the name now."""
    book.see(draft("Ann", id="c1"))  # the older record, so that it has the name
    book.settle(*(later(work) for work in book.claim()))
    there.now = book.now
    there.see(draft("Ann", id="b1"))
    [work] = there.claim()
    here = opens(book)
    assert (here.stands("c1"), there.stands("b1")) == ("pending", "held: same-name")
    assert sendable(here) == []
    there.now = here.now
    there.settle(answered(work, "p1"))
    assert (here.stands("c1"), there.stands("b1")) == ("delivered", "held: same-name")


def test_a_name_that_was_tried_goes_before_one_that_was_not(book: Book, there: Book) -> None:
    """Trakor may have it, and the answer has to find the record that it was for."""
    there.see(draft("Ann", id="b1"))
    book.see(draft("Ann", id="c1"))
    book.claim()
    here = moved(book)
    here.die()
    assert (here.stands("c1"), there.stands("b1")) == ("pending", "held: same-name")
    assert here.claimed() == {of("Ann"): here.number("c1")}


def test_an_edit_seen_while_it_was_under_way_is_what_is_decided_on(book: Book, there: Book) -> None:
    taken(there, "p1", id="b1")
    book.see(draft("Ann", id="c1"))
    book.claim()
    book.see(draft("Ann", "new number", id="c1", at=30))
    here = moved(book)
    waits = here.waiting("c1")
    assert list(waits) == [0]
    assert replace(waits[0].draft.payload) == draft("Ann", "new number").payload


def test_one_trakor_record_is_never_two_records(book: Book, there: Book) -> None:
    taken(book, "p1")
    there.now = book.now + 100
    taken(there, "p1", id="b1")
    here = moved(book)
    assert (there.stands("b1"), here.stands("c1")) == ("held: same-party", "delivered"), "the older has it"
    assert there.row("b1").merged_into == here.number("c1")
    assert "p1" in there.history("b1")[-1].detail
    assert here.claimed()[of("Ann")] == here.number("c1")
    assert kept_without_name(book.path) == []


def test_the_younger_of_two_with_one_name_keeps_its_link_and_is_listed(book: Book, there: Book) -> None:
    taken(book, "p1")
    there.now = book.now + 100
    taken(there, "p2", id="b1")
    here = moved(book)
    assert (here.stands("c1"), there.stands("b1")) == ("delivered", "delivered")
    assert here.linked() == {"p1": here.number("c1"), "p2": there.number("b1")}
    in_one = {key: number for key, number in here.claimed().items() if number == here.number("c1")}
    assert in_one == {of("Ann"): here.number("c1")}
    assert kept_without_name(book.path) == ["b1"]
    assert there.history("b1")[-1].event == "kept"


def test_back_and_forth_changes_nothing(book: Book, there: Book) -> None:
    taken(there, "p1", id="b1")
    taken(book, "p2")
    here = moved(book)
    before = (here.claimed(), here.linked(), here.stands("c1"), there.stands("b1"))
    again = moved(Book(book.path, now=here.now))
    assert (again.claimed(), again.linked(), again.stands("c1"), there.stands("b1")) == before

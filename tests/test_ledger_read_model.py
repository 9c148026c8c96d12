"""What readers find in a ledger: records by what a person knows of them, and no name longer than it waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from books import KEEPING, Book
from bridge.ledger.database import reading
from bridge.ledger.observe import Observation
from bridge.ledger.read_model import (
    RecordQuery,
    count_records,
    find_record_numbers,
    find_records,
    iterate_records,
    list_feeds,
)
from bridge.ledger.record_relations_and_history import load_relations
from bridge.ledger.runs_and_sweeps import begin_sweep, end_sweep, find_last_sweeps
from bridge.ledger.statistics import count_states, find_oldest_pending
from bridge.records import Stream
from builders import answered, draft, filtered, later, of, unmapped

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bridge.ledger.read_model import RecordSummary
    from bridge.ledger.runs_and_sweeps import Sweep


def ids(book: Book, wanted: RecordQuery) -> list[str]:
    with reading(book.path) as connection:
        found = find_records(connection, wanted)
        assert count_records(connection, wanted) == len(found)
        assert list(find_record_numbers(connection, wanted)) == [one.number for one in found]
        return [one.id for one in found]


@pytest.fixture
def some(book: Book) -> Book:
    """A delivered one, one that drifted, one merged, one held, one pending, one rejected, one skipped."""
    book.see(
        draft("Ann", id="c1", same_as="s"),
        draft("Bo", id="c2"),
        draft("Ann", id="c3", same_as="s"),
        draft("Ann", id="c4"),
        unmapped(id="c5"),
        filtered(id="c6"),
    )
    book.settle(*(answered(work, f"t-{work.payload.name}") for work in book.claim()))
    book.see(draft("Bo", "0499", id="c2", at=20), draft("Cy", id="c7"))
    return book


def test_all_are_listed_those_known_longest_first(some: Book) -> None:
    assert ids(some, RecordQuery()) == ["c1", "c2", "c3", "c4", "c5", "c6", "c7"]
    with reading(some.path) as connection:
        assert [one.id for one in iterate_records(connection, RecordQuery(), limit=2)] == ["c1", "c2"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (RecordQuery(states=["held", "drifted"]), ["c2", "c4"]),
        (RecordQuery(reasons=["same-name", "mapping"]), ["c4", "c5"]),
        (RecordQuery(states=["rejected"], reasons=["same-name"]), []),
        (RecordQuery(either="c7"), ["c7"]),
        (RecordQuery(either="t-Bo"), ["c2"]),
        (RecordQuery(either="nobody's"), []),
        (RecordQuery(key=of("BO")), ["c2"]),
        (RecordQuery(key=of("Ann")), ["c1", "c3", "c4"]),
        (RecordQuery(key=of("Cy")), ["c7"]),
        (RecordQuery(key=of("Ann"), states=["held"]), ["c4"]),
        (RecordQuery(feeds=[99]), []),
    ],
    ids=repr,
)
def test_records_are_found_by_what_a_person_knows(some: Book, wanted: RecordQuery, found: list[str]) -> None:
    """State, reason, an id of either side, a name: sent, shared, or waiting to be decided on."""
    assert ids(some, wanted) == found


def test_a_product_is_found_by_its_sku_and_a_contact_by_none(book: Book) -> None:
    book.see(draft("Ann"))
    book.settle(*(answered(work) for work in book.claim()))
    products = Book(book.path, stream=Stream.PRODUCTS)
    products.see(draft("Plus", id="p1", product=True))
    products.settle(*(answered(work, "t-plus", sku="PRD-00042") for work in products.claim()))
    assert ids(products, RecordQuery(either="PRD-00042")) == ["p1"]
    assert ids(products, RecordQuery(either="")) == ["c1", "p1"]
    assert ids(products, RecordQuery(feeds=[products.feed.number])) == ["p1"]


def names(found: list[RecordSummary]) -> dict[str, str]:
    return {one.id: one.name for one in found}


def test_a_name_is_the_one_to_be_sent_or_else_the_one_that_was(some: Book) -> None:
    with reading(some.path, KEEPING) as connection:
        found = names(find_records(connection, RecordQuery()))
    assert found == {"c1": "Ann", "c2": "Bo", "c3": "Ann", "c4": "Ann", "c5": "", "c6": "", "c7": "Cy"}


def test_without_the_key_no_name_is_known_and_all_else_is(some: Book) -> None:
    with reading(some.path) as connection:
        found = find_records(connection, RecordQuery())
    assert [one.state for one in found if one.name] == []
    assert [one.fields for one in found if one.fields] == [("contact_info",)]


def test_what_differs_is_shown_of_what_trakor_has(some: Book) -> None:
    shown = some.shown("c2")
    assert (shown.state, shown.fields, shown.trakor_id) == ("drifted", ("contact_info",), "t-Bo")
    assert some.shown("c4").fields == ()


def test_marks_stand_beside_the_state(some: Book) -> None:
    some.see(filtered(id="c1", at=30))
    assert some.shown("c1").marks == ("filtered",)


def test_after_an_accepted_rename_the_newer_trakor_id_is_shown(book: Book) -> None:
    book.see(draft("Ann"))
    book.settle(*(answered(work, "t1") for work in book.claim()))
    book.see(draft("Bo", at=20))
    book.accept()
    book.settle(*(answered(work, "t2") for work in book.claim()))
    assert book.shown().trakor_id == "t2"
    with reading(book.path) as connection:
        assert load_relations(connection, book.shown()).trakor_ids == ("t1", "t2")


def test_how_a_record_stands_to_others(some: Book) -> None:
    with reading(some.path, KEEPING) as connection:
        by_id = {one.id: one for one in find_records(connection, RecordQuery())}
        assert load_relations(connection, by_id["c1"]).merged_here == ("c3",)
        claimant = load_relations(connection, by_id["c3"]).claimant
        assert claimant is not None
        assert claimant.id == "c1"
        assert load_relations(connection, by_id["c4"]).name_holder == "c1"
        assert load_relations(connection, by_id["c7"]).name_holder == ""


def test_states_are_counted_by_feed(some: Book) -> None:
    some.see(filtered(id="c1", at=30))
    with reading(some.path) as connection:
        counted = count_states(connection)
    assert counted == {
        some.feed.number: {
            ("delivered", "", frozenset()): 1,  # c3, which keeps the party
            ("drifted", "", frozenset()): 1,
            ("merged", "", frozenset({"filtered"})): 1,
            ("held", "same-name", frozenset()): 1,
            ("rejected", "mapping", frozenset()): 1,
            ("skipped", "filtered", frozenset()): 1,
            ("pending", "", frozenset()): 1,
        }
    }


def test_the_longest_waiting_pending_record_is_known(book: Book) -> None:
    with reading(book.path) as connection:
        assert find_oldest_pending(connection) == {}
    book.see(draft("Ann", id="c1"))
    since = book.row("c1").since_at
    book.see(draft("Bo", id="c2"))
    book.settle(*(later(work) for work in book.claim()))
    with reading(book.path) as connection:
        assert find_oldest_pending(connection) == {book.feed.number: since}


def test_the_newest_sweep_of_each_feed_is_known(book: Book) -> None:
    def begin(connection: Connection) -> Sweep:
        return begin_sweep(connection, book.feed, "q", restart=True, now=book.now)

    first = book.write(begin)
    book.write(lambda connection: end_sweep(connection, first, complete=True, now=book.now))
    second = book.write(begin)
    book.see(draft("Ann", at=book.now), observation=Observation(sweep=second.number, position="1"))
    with reading(book.path) as connection:
        last = find_last_sweeps(connection)[book.feed.number]
        assert [feed.number for feed in list_feeds(connection)] == [book.feed.number]
    assert (last.complete, last.ended_at, last.read) == (False, None, 1)


def test_a_qualified_name_that_drifts_is_told_in_full(book: Book) -> None:
    """Whoever corrected it as shown gave it the other one's name."""
    book.see(draft("Ada", id="a", same_as="x", qualifier="a@example.com", at=book.now))
    book.settle(*(answered(work, "t1") for work in book.claim()))
    for mail in ("b@example.com", "c@example.com", "d@example.com"):
        book.see(draft("Ada", mail, id="b", same_as=mail, qualifier=mail, at=book.now))
        book.settle(*(answered(work, "t2", name=work.payload.name) for work in book.claim()))
        if book.stands("b") == "drifted":
            assert book.shown("b").name == f"Ada ({mail})"
            book.accept("b")
        assert book.in_trakor("b")["name"] == f"Ada ({mail})"

"""What was delivered is counted by the hour as it is settled, and what runs came to is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.ledger.runs_and_sweeps import begin_run, end_run, list_runs
from bridge.ledger.statistics import HOUR, HOURS_KEPT, count_delivered_since
from builders import answered, draft, later

if TYPE_CHECKING:
    from books import Book


def send(book: Book, *names: str, created: bool = True) -> None:
    book.see(*(draft(name, id=name) for name in names))
    works = book.claim()
    book.settle(*(answered(work, created=created) for work in works))


def test_each_answer_is_counted_in_its_hour(book: Book) -> None:
    book.now = 5 * HOUR
    send(book, "Ann", "Bo")
    send(book, "Cy", created=False)
    book.now = 7 * HOUR
    send(book, "Di")
    assert book.write(lambda connection: count_delivered_since(connection, 0)) == {"default": {5: 3, 7: 1}}
    assert book.write(lambda connection: count_delivered_since(connection, 6)) == {"default": {7: 1}}


def test_what_was_not_answered_is_not_counted(book: Book) -> None:
    book.see(draft("Ann"))
    book.settle(*(later(work) for work in book.claim()))
    assert book.write(lambda connection: count_delivered_since(connection, 0)) == {}


def test_old_hours_are_forgotten(book: Book) -> None:
    book.now = 5 * HOUR
    send(book, "Ann")
    book.now = (6 + HOURS_KEPT) * HOUR
    send(book, "Bo")
    assert book.write(lambda connection: count_delivered_since(connection, 0)) == {
        "default": {6 + HOURS_KEPT: 1}
    }


def test_the_newest_runs_are_told_first_with_their_numbers(book: Book) -> None:
    counts = {"contacts": {"read": 2, "created": 2}}
    first = book.write(lambda connection: begin_run(connection, "default", "backfill", [book.feed], now=1))
    book.write(lambda connection: end_run(connection, first, complete=True, counts=counts, now=5))
    book.write(lambda connection: begin_run(connection, "default", "contacts", [book.feed], now=9))
    book.write(lambda connection: begin_run(connection, "another", "contacts", [book.feed], now=9))
    newest, oldest = book.write(lambda connection: list_runs(connection, "default", 5))
    assert (newest.command, newest.ended_at, newest.counts) == ("contacts", None, {})
    assert (oldest.complete, oldest.ended_at, oldest.counts) == (True, 5, counts)
    assert book.write(lambda connection: list_runs(connection, "default", 1)) == [newest]

"""Many records that changed alike in one sweep: noted as one, until they are decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.ledger.mass_change_detection import FEW, MassChange, detect_mass_change, find_mass_change
from bridge.ledger.observe import Observation
from bridge.ledger.runs_and_sweeps import begin_sweep, end_sweep
from builders import answered, draft

if TYPE_CHECKING:
    from books import Book


def say(book: Book, number: int, contact: str, *, at: int) -> MassChange | None:
    """A sweep in which so many of the clients say something else."""
    sweep = book.write(lambda ledger: begin_sweep(ledger, book.feed, "query", restart=True, now=book.now))
    book.see(
        *(draft(f"Client {one}", contact, id=f"c{one}", at=at) for one in range(number)),
        observation=Observation(sweep=sweep.number),
    )
    book.write(lambda ledger: end_sweep(ledger, sweep, complete=True, now=book.now))
    return book.write(lambda ledger: detect_mass_change(ledger, book.feed, sweep.number))


def noted(book: Book) -> MassChange | None:
    return book.write(lambda ledger: find_mass_change(ledger, book.feed.number))


def deliver(book: Book, number: int) -> None:
    say(book, number, "old", at=10)
    book.settle(*(answered(work, f"t{work.number}") for work in book.claim(number)))


def test_more_than_a_few_that_changed_alike_are_a_burst_until_they_are_decided(book: Book) -> None:
    number = FEW + 5
    deliver(book, number)
    assert noted(book) is None
    burst = say(book, number, "new", at=100)
    assert burst is not None
    assert (burst.number, burst.fields) == (number, ("contact_info",))
    assert noted(book) == burst
    for one in range(4):
        book.accept(f"c{one}")
    assert noted(book) == burst
    book.dismiss("c4")
    assert noted(book) is None, "no more than a few still wait"


def test_a_few_and_what_drifted_in_an_earlier_sweep_are_none(book: Book) -> None:
    deliver(book, FEW + 5)
    assert say(book, FEW, "new", at=100) is None
    assert say(book, FEW + 5, "new", at=200) is None, "five more, in a later sweep"


def test_a_few_among_many_are_none(book: Book) -> None:
    """One in fifty of a large list changes every day somewhere."""
    deliver(book, 60 * FEW)
    assert say(book, FEW + 1, "new", at=100) is None


def test_the_next_burst_takes_the_place_of_the_last_one(book: Book) -> None:
    deliver(book, 2 * FEW + 2)
    first = say(book, FEW + 1, "new", at=100)
    second = say(book, 2 * FEW + 2, "new", at=200)
    assert first is not None
    assert second is not None
    assert second.sweep > first.sweep
    assert (second.number, noted(book)) == (FEW + 1, second)

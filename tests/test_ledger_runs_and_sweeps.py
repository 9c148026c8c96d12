"""Runs and sweeps: where to go on reading, and numbers that add up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from books import Book
from bridge.ledger.observe import Observation
from bridge.ledger.runs_and_sweeps import (
    CHECKPOINT_LIFE,
    COUNTS,
    SweepProgress,
    begin_run,
    begin_sweep,
    count_needing_operator,
    count_run,
    end_run,
    end_sweep,
    load_sweep_progress,
    note_missing,
    note_problem,
)
from bridge.ledger.schema import runs
from bridge.records import Policy, Stream
from builders import answered, draft, filtered, later, not_taken, unmapped, unnamed

if TYPE_CHECKING:
    from bridge.ledger.runs_and_sweeps import Sweep


def sweep(book: Book, query: str = "q", *, restart: bool = False, now: int = 0) -> Sweep:
    """Begin a sweep, or go on with one."""
    at = now or book.now
    return book.write(lambda connection: begin_sweep(connection, book.feed, query, restart=restart, now=at))


def interrupted(book: Book) -> Sweep:
    """A sweep that was interrupted at position 100."""
    begun = sweep(book)
    book.see(draft("Ann"), observation=Observation(sweep=begun.number, position="100"))
    return begun


def run(book: Book) -> int:
    """Begin a run of the book's stream."""
    return book.write(
        lambda connection: begin_run(connection, book.connection, "backfill", [book.feed], now=book.now)
    )


def counted(book: Book, number: int) -> dict[str, int]:
    """A run's numbers that are not 0."""
    numbers = book.write(lambda connection: count_run(connection, book.feed, number))
    assert set(numbers) == set(COUNTS)
    assert numbers["read"] == sum(number for word, number in numbers.items() if word != "read")
    return {word: number for word, number in numbers.items() if number}


# -- sweeps


def test_an_interrupted_sweep_goes_on_where_it_was(book: Book) -> None:
    begun = interrupted(book)
    again = sweep(book)
    assert (again.number, again.position) == (begun.number, "100")


def test_a_sweep_of_another_query_starts_over(book: Book) -> None:
    """Its checkpoint belongs to the query's text and variables."""
    begun = interrupted(book)
    other = sweep(book, "another query")
    assert (other.number, other.position) == (begun.number + 1, "")


def test_a_restart_starts_over(book: Book) -> None:
    interrupted(book)
    assert sweep(book, restart=True).position == ""


@pytest.mark.parametrize(
    ("age", "position"),
    [(CHECKPOINT_LIFE - 1, "100"), (CHECKPOINT_LIFE, ""), (-1, "")],
    ids=["almost a day", "a day", "of a time to come"],
)
def test_a_checkpoint_is_good_for_a_day_from_its_last_page(book: Book, age: int, position: str) -> None:
    interrupted(book)
    moved_at = book.now
    assert sweep(book, now=moved_at + age).position == position


def test_a_sweep_that_came_to_its_end_is_not_gone_on_with(book: Book) -> None:
    begun = interrupted(book)
    book.write(lambda connection: end_sweep(connection, begun, complete=False, now=book.now))
    again = sweep(book)
    assert (again.number, again.position) == (begun.number + 1, "")


def test_each_feed_has_sweeps_of_its_own(book: Book) -> None:
    interrupted(book)
    products = Book(book.path, stream=Stream.PRODUCTS)
    assert sweep(products).position == ""
    assert sweep(book).position == "100"


# -- runs


def test_every_record_of_a_run_counts_once(book: Book) -> None:
    """One of each kind: the numbers add up to what was read."""
    book.see(
        draft("Delivered", id="before"),
        draft("Drifts", id="drifts"),
        draft("Leaves", id="leaves"),
        draft("Dropped", id="dropped"),
    )
    book.drop("dropped")
    book.settle(*(answered(work) for work in book.claim()), run=0)
    number = run(book)
    observation = Observation(run=number)
    book.see(
        draft("Delivered", id="before", at=20),
        draft("Drifts", "0499", id="drifts", at=20),
        filtered(id="leaves", at=20),
        draft("Dropped", id="dropped", at=20),
        draft("Created", id="created", same_as="s"),
        draft("Existing", id="existing"),
        draft("Unclear", id="unclear"),
        draft("Refused", id="refused"),
        draft("Waits", id="waits"),
        draft("Created", id="merged", same_as="s"),
        draft("Created", id="held"),
        filtered(id="filtered"),
        unnamed(id="unnamed"),
        unmapped(id="unmapped"),
        observation=observation,
    )
    works = {work.payload.name: work for work in book.claim()}
    book.settle(later(works["Unclear"]), run=number)
    [again] = book.claim()
    book.settle(
        answered(works["Created"]),
        answered(works["Existing"], created=False),
        answered(again, created=False),
        not_taken(works["Refused"]),
        later(works["Waits"], 10**9),
        run=number,
    )
    assert counted(book, number) == {
        "read": 14,
        "created": 1,
        "existing": 2,
        "unchanged": 1,
        "merged": 1,
        "skipped": 4,
        "held": 1,
        "rejected": 2,
        "drifted": 1,
        "pending": 1,
    }
    assert book.write(lambda connection: count_needing_operator(connection, [book.feed])) == 3


def test_a_run_is_accountable_for_what_the_one_before_left_pending(book: Book) -> None:
    book.see(draft("Ann"), observation=Observation(run=run(book)))
    number = run(book)
    assert counted(book, number) == {"read": 1, "pending": 1}
    book.settle(*(answered(work) for work in book.claim()), run=number)
    assert counted(book, number) == {"read": 1, "created": 1}


def test_a_later_run_has_it_unchanged(book: Book) -> None:
    first = run(book)
    book.see(draft("Ann"), observation=Observation(run=first))
    book.settle(*(answered(work) for work in book.claim()), run=first)
    second = run(book)
    book.see(draft("Ann", at=20), observation=Observation(run=second))
    assert counted(book, second) == {"read": 1, "unchanged": 1}


def test_what_was_answered_and_then_held_counts_as_held(book: Book) -> None:
    book.policy = Policy(on_existing="hold")
    number = run(book)
    book.see(draft("Ann"), observation=Observation(run=number))
    book.settle(*(answered(work, created=False) for work in book.claim()), run=number)
    assert counted(book, number) == {"read": 1, "held": 1}


def test_a_runs_numbers_are_kept(book: Book) -> None:
    number = run(book)
    numbers = {"contacts": {"read": 3, "created": 3}}
    book.write(lambda connection: end_run(connection, number, complete=True, counts=numbers, now=book.now))
    kept = book.write(lambda connection: connection.execute(select(runs)).one())
    assert (kept.command, kept.streams, kept.complete, json.loads(kept.counts)) == (
        "backfill",
        "contacts",
        1,
        numbers,
    )


# -- how far all sweeps have come


def far(book: Book) -> SweepProgress | None:
    return book.write(load_sweep_progress).get(book.feed.number)


def swept(book: Book, at: int, *, complete: bool = True, problem: str = "", missing: int = 0) -> None:
    """A sweep from ``at`` on that ended a second later."""
    begun = sweep(book, restart=True, now=at)
    book.write(
        lambda connection: end_sweep(connection, begun, complete=complete, now=at + 1000, problem=problem)
    )
    if missing:
        book.write(lambda connection: note_missing(connection, begun.number, missing))


def test_a_feed_without_a_sweep_has_come_nowhere(book: Book) -> None:
    assert far(book) is None


def test_the_newest_good_sweep_counts_whatever_failed_since(book: Book) -> None:
    """Also one of what has changed only; not one that left records out, nor one that goes on."""
    begun = sweep(book, now=5000)
    book.write(lambda connection: note_problem(connection, begun, "no answer"))
    assert far(book) == SweepProgress(5000, None, 0)
    swept(book, 10_000)
    swept(book, 20_000, complete=False)
    swept(book, 30_000, complete=False, problem="2 could not be read")
    sweep(book, restart=True, now=40_000)
    assert far(book) == SweepProgress(5000, 21_000, 0)


def test_what_was_missing_counts_until_a_whole_list_has_it(book: Book) -> None:
    """A sweep of what has changed says nothing of that."""
    swept(book, 10_000, missing=40)
    swept(book, 20_000, complete=False)
    assert far(book) == SweepProgress(10_000, 21_000, 40)
    swept(book, 30_000)
    assert far(book) == SweepProgress(10_000, 31_000, 0)

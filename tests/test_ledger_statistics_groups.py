"""Who shares a name, who was merged, who waits: the groups of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.ledger.observe import Observation
from bridge.ledger.statistics import RunGroup, find_groups
from builders import draft, unmapped

if TYPE_CHECKING:
    from books import Book

FAMILY = {"email": "family@x"}


def groups(book: Book, run: int = 1, examples: int = 0) -> list[RunGroup]:
    return book.write(lambda ledger: find_groups(ledger, book.feed, run, examples))


def seen(book: Book) -> None:
    """Two people of one name, a family, one person twice, one that cannot be mapped, and one alone."""
    book.see(
        draft("John Doe", id="j1", qualifier="1@x", same_as="1"),
        draft("John Doe", id="j2", qualifier="2@x", same_as="2"),
        draft("Otto Ashby", id="o1", same_as={**FAMILY, "phone": "1"}),
        draft("Otto Ashby", id="o2", same_as={**FAMILY, "phone": "2"}),
        draft("Twyla Twice", id="t1", same_as="t"),
        draft("Twyla Twice", id="t2", same_as="t"),
        draft("Ann Lee", id="a1"),
        unmapped(id="u1"),
        observation=Observation(run=1),
    )


def test_each_group_is_counted_with_its_reason(book: Book) -> None:
    seen(book)
    assert groups(book) == [
        RunGroup("shared", 6, names=3),
        RunGroup("qualified", 1),
        RunGroup("merged", 1),
        RunGroup("held: same-person", 1),
        RunGroup("rejected: mapping", 1),
    ]
    assert groups(book, run=2) == [], "what another run is accountable for"


def test_a_few_of_each_are_named_where_that_is_asked_for(book: Book) -> None:
    seen(book)
    named = {group.kind: group.examples for group in groups(book, examples=2)}
    assert named["shared"] == ("John Doe (2@x)", "Otto Ashby")
    assert (named["qualified"], named["merged"]) == (("John Doe (2@x)",), ("Twyla Twice",))
    assert named["rejected: mapping"] == (), "it has no name"

"""Canaries: a few payloads that Trakor took lately, never one that somebody may have changed there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from books import Book
from bridge.ledger.canaries import FRESH, canaries_of, note_canaries
from bridge.ledger.engine import writing
from bridge.ledger.forgetting import forget
from bridge.records import Policy, Stream
from builders import answered, draft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from bridge.records import Payload, Work


class Box:
    """Keeps texts for one place; that they cannot be read otherwise is not for these tests."""

    def seal(self, texts: Sequence[str], place: str) -> bytes:
        return orjson.dumps([list(texts), place])

    def open(self, sealed: bytes, place: str) -> list[str]:
        texts, kept_for = orjson.loads(sealed)
        assert kept_for == place
        return [str(text) for text in texts]


def taken(book: Book, *names: str) -> list[Work]:
    """Records of these names and ids that Trakor took."""
    book.see(*(draft(name, "0400", id=name, product=book.stream is Stream.PRODUCTS) for name in names))
    works = book.claim()
    book.settle(*(answered(work) for work in works))
    return works


def note(book: Book, works: Sequence[Work]) -> None:
    def noted(connection: Connection) -> None:
        connection.info["sealer"] = Box()
        note_canaries(connection, book.feed, works, now=book.now)

    book.write(noted)


def kept(book: Book) -> list[Payload]:
    def found(connection: Connection) -> list[Payload]:
        connection.info["sealer"] = Box()
        return canaries_of(connection, book.feed)

    return book.write(found)


def test_three_are_kept_as_they_were_sent(book: Book) -> None:
    works = taken(book, *"ABCDE")
    note(book, works)
    assert kept(book) == [work.payload for work in works[:3]]


def test_products_are_kept_whole(book: Book) -> None:
    products = Book(book.path, stream=Stream.PRODUCTS)
    works = taken(products, "Loan")
    note(products, works)
    assert kept(products) == [work.payload for work in works]


def test_newer_ones_take_the_place_of_old_ones_only(book: Book) -> None:
    note(book, taken(book, *"ABC"))
    note(book, taken(book, "D"))
    assert [payload.name for payload in kept(book)] == ["A", "B", "C"]
    book.now += FRESH
    note(book, taken(book, "E"))
    assert [payload.name for payload in kept(book)] == ["E", "A", "B"]


def _rename(book: Book) -> None:
    book.see(draft("Other", id="A", at=10**6))


def _forget(book: Book) -> None:
    number = book.number("A")
    book.write(lambda connection: forget(connection, number, now=book.now))


@pytest.mark.parametrize("change", [_rename, _forget])
def test_what_may_be_corrected_by_hand_is_none(book: Book, change: Callable[[Book], None]) -> None:
    """Sent again under its old name it would be a second party."""
    book.policy = Policy(on_rename="hold")
    note(book, taken(book, "A", "B"))
    change(book)
    assert [payload.name for payload in kept(book)] == ["B"]


def test_where_nothing_can_be_sealed_none_is_kept(book: Book) -> None:
    works = taken(book, "A")
    with writing(book.path) as connection:  # as somebody who has no key
        note_canaries(connection, book.feed, works, now=book.now)
    assert kept(book) == []

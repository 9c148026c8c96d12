"""Canaries: a few payloads that Trakor took lately, never one that somebody may have changed there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, select, text

from books import KEEPING, Book
from bridge.delivery.destination_and_streams import OutgoingStream
from bridge.delivery.probe_requests import ProbeRequests
from bridge.errors import Transient, Unanswered
from bridge.ledger.canary_payloads import FRESH_MS, open_canaries, open_each_canary
from bridge.ledger.database import Ledger, TextStorage
from bridge.ledger.erasure import forget_record
from bridge.ledger.feeds import load_or_add_feed
from bridge.ledger.gone_records import mark_gone_by_id
from bridge.ledger.observe import Observation, survey
from bridge.ledger.schema import canaries
from bridge.records import Policy, Stream, TrakorAnswer
from builders import answered, draft

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.records import Draft, Payload, Unsendable


def deliver(book: Book, *names: str, ids: str = "") -> list[Payload]:
    """Records of these names and ids are seen, and Trakor takes them."""
    book.see(*(said(book, name) for name in names))
    works = book.claim()
    book.settle(*(answered(work, f"{ids}t{work.number}") for work in works))
    return [work.payload for work in works]


def said(book: Book, name: str, contact: str = "0400", *, id: str = "", qualifier: str = "") -> Draft:  # noqa: A002
    product = book.stream is Stream.PRODUCTS
    return draft(name, contact, id=id or name, at=book.now, product=product, qualifier=qualifier)


def sweep(book: Book, *seen: Draft | Unsendable) -> set[str]:
    """A page is read as a sweep does it; the ids of what is mapped."""
    inputs = [(one.id, one.input) for one in seen]
    found = book.write(lambda connection: survey(connection, book.feed, inputs, seen[0].rules))
    mapped = [one for one in seen if one.id not in found.unchanged]
    book.see(*mapped, observation=Observation(unchanged=found.unchanged, began_at=book.now))
    return {one.id for one in mapped}


def kept(book: Book) -> list[Payload]:
    return book.write(lambda connection: open_canaries(connection, book.feed))


def kept_names(book: Book) -> list[str]:
    return [payload.name for payload in kept(book)]


def lose(book: Book) -> None:
    """As a migrated ledger has it: no canary was ever noted."""
    book.write(lambda connection: connection.execute(delete(canaries)))


def test_three_are_kept_as_they_were_sent(book: Book) -> None:
    taken = deliver(book, *"ABCDE")
    assert kept(book) == taken[:3]


def test_products_are_kept_whole(book: Book) -> None:
    products = Book(book.path, stream=Stream.PRODUCTS)
    taken = deliver(products, "Loan")
    assert kept(products) == taken


def test_newer_ones_take_the_place_of_old_ones_only(book: Book) -> None:
    deliver(book, *"ABC")
    deliver(book, "D")
    assert kept_names(book) == ["A", "B", "C"]
    book.now += FRESH_MS
    deliver(book, "E")
    assert kept_names(book) == ["E", "A", "B"]
    rows = book.write(lambda connection: connection.execute(select(canaries)).all())
    assert len(rows) == 3, "and no more is on the disk"


# -- from unchanged observations


@pytest.mark.parametrize("keeps", [True, False], ids=["sealed", "hashes"])
def test_a_ledger_without_canaries_has_three_after_one_unchanged_page(book: Book, *, keeps: bool) -> None:
    """Three of its records are mapped for it; from then on none is."""
    book.text_storage = TextStorage(KEEPING.sealer, keeps)
    deliver(book, *"ABCDE")
    lose(book)
    page = [said(book, name) for name in "ABCDE"]
    assert len(sweep(book, *page)) == 3
    assert len(kept(book)) == 3
    assert {payload.fields()["contact_info"] for payload in kept(book)} == {"0400"}
    assert sweep(book, *page) == set()


def test_one_that_is_missing_is_made_up_for_by_one(book: Book) -> None:
    deliver(book, *"ABCDE")
    _go(book)
    assert kept_names(book) == ["B", "C"]
    assert len(sweep(book, *(said(book, name) for name in "BCDE"))) == 1
    assert len(kept(book)) == 3


def test_an_unchanged_sight_renews_an_old_one(book: Book) -> None:
    deliver(book, *"ABC")
    book.now += FRESH_MS
    assert sweep(book, *(said(book, name) for name in "ABC")) == set()
    deliver(book, "D")
    assert kept_names(book) == ["A", "B", "C"]


def test_where_none_is_fit_nothing_is_mapped_for_it(book: Book) -> None:
    """Of a qualified name a draft does not tell how exactly it was spelled when it was sent."""
    deliver(book, "Ann")
    twin = said(book, "Ann", "0411", id="c2", qualifier="Q@X.COM")
    book.see(twin)
    book.settle(*(answered(work, "t9") for work in book.claim()))
    assert sorted(kept_names(book)) == ["Ann", "Ann (Q@X.COM)"]
    lose(book)
    assert sweep(book, said(book, "Ann"), twin) == {"Ann"}
    assert sweep(book, said(book, "Ann"), twin) == set()
    assert kept_names(book) == ["Ann"]


def test_an_old_page_makes_no_canary(book: Book) -> None:
    """A webhook that was read later said more."""
    deliver(book, "A")
    old = replace(said(book, "a"), id="A", read_at=1)
    lose(book)
    book.see(old)
    assert kept(book) == []


# -- whose record changes


def _rename(book: Book) -> None:
    book.see(said(book, "Other", id="A"))


def _respell(book: Book) -> None:
    """A person corrects in Trakor by hand how it is spelled, or says so."""
    book.see(said(book, "a", id="A"))
    book.accept("A")
    assert book.stands("A") == "delivered"
    sweep(book, said(book, "a", id="A"), said(book, "B"))


def _ignore(book: Book) -> None:
    """How it is spelled by now is not what Trakor has."""
    book.policy = Policy(on_change="ignore")
    for _ in range(2):
        sweep(book, said(book, "a", id="A"), said(book, "B"))
    assert book.stands("A") == "delivered"


def _dismiss(book: Book) -> None:
    book.see(said(book, "A", "0499"))
    book.dismiss("A")


def _go(book: Book) -> None:
    now = book.now
    book.write(
        lambda connection: mark_gone_by_id(connection, book.feed, ["A"], Policy(), read_at=now, now=now)
    )


def _forget(book: Book) -> None:
    number = book.number("A")
    book.write(lambda connection: forget_record(connection, number, now=book.now))


@pytest.mark.parametrize("change", [_rename, _respell, _ignore, _dismiss, _go, _forget])
def test_what_may_be_corrected_by_hand_is_none(book: Book, change: Callable[[Book], None]) -> None:
    """Sent again under its old name it would be a second party."""
    book.policy = Policy(on_rename="hold")
    deliver(book, "A", "B")
    change(book)
    assert kept_names(book) == ["B"]


def test_after_an_accepted_rename_it_is_the_new_name(book: Book) -> None:
    """Somebody renamed it in Trakor by hand, so that the old name would be a second party."""
    deliver(book, *"ABC")
    _rename(book)
    book.accept("A")
    (work,) = book.claim()
    book.settle(answered(work, f"t{work.number}", created=False))
    assert book.stands("A") == "delivered"
    assert sorted(kept_names(book)) == ["B", "C", "Other"]


def test_what_was_sent_for_another_is_no_canary_of_its_successor(book: Book) -> None:
    """The other one may be forgotten, and the text is its own."""
    book.see(*(draft("Ann", "0400", id=one, same_as="s") for one in ("c1", "c2")))
    works = book.claim()
    book.drop("c1")
    book.settle(*(answered(work) for work in works))
    assert (book.stands("c1"), book.stands("c2"), kept(book)) == ("dropped", "delivered", [])


class Sent:
    """Takes all that is posted, and makes it anew."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def probe(self) -> None: ...

    async def post(self, payload: Payload) -> TrakorAnswer:
        self.names.append(payload.name)
        return TrakorAnswer("t99", payload.name, created=True)


async def test_of_what_was_forgotten_nothing_is_sent_even_by_who_took_it(book: Book) -> None:
    deliver(book, "A")
    ledger, sent = Ledger(book.path, KEEPING), Sent()
    try:
        known = ProbeRequests(ledger, sent, 150)
        known.record_success(Stream.CONTACTS)
        _forget(book)
        assert not await known.send_canary(OutgoingStream(book.feed, book.policy))
    finally:
        ledger.close()
    assert sent.names == []


class Silent(Sent):
    """Never answers."""

    async def post(self, payload: Payload) -> TrakorAnswer:
        self.names.append(payload.name)
        raise Unanswered("no answer from Trakor")


async def test_a_canary_without_an_answer_is_not_sent_again_beside_itself(book: Book) -> None:
    """No two requests for one name overlap: a party that was deleted in Trakor would be made twice."""
    deliver(book, "A", "B")
    ledger, silent = Ledger(book.path, KEEPING), Silent()
    try:
        known, lane = ProbeRequests(ledger, silent, 150), OutgoingStream(book.feed, book.policy)
        for _ in range(5):
            with pytest.raises(Transient):
                await known.send_canary(lane)
    finally:
        ledger.close()
    assert sorted(silent.names) == ["A", "B"]


# -- scopes, damage


def test_where_scopes_became_one_only_who_holds_the_name_is_one(book: Book) -> None:
    """The other one's id may come back, or its own."""
    deliver(book, "Ann")
    other = Book(book.path, connection="other", scope="other", now=book.now)
    deliver(other, "Ann", "Bo", ids="other ")
    other.feed = other.write(lambda connection: load_or_add_feed(connection, "other", "org", Stream.CONTACTS))
    assert (kept_names(book), kept_names(other)) == (["Ann"], ["Bo"])


@pytest.mark.parametrize("body", ["x'01dead'", "'text'", "5"])
def test_a_damaged_one_stops_nobody(book: Book, body: str) -> None:
    deliver(book, *"AB")
    spoil = text(f"UPDATE canaries SET body = {body} WHERE record = {book.number('A')}")  # noqa: S608
    book.write(lambda connection: connection.execute(spoil))
    assert kept_names(book) == ["B"]
    assert None in book.write(lambda connection: open_each_canary(connection, book.feed))

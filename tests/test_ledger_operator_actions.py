"""A person's decisions on a real ledger, beside its owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from books import KEY
from bridge.encryption import Sealer
from bridge.errors import UserError
from bridge.ledger import operator_actions
from bridge.ledger.database import TextStorage
from bridge.ledger.gone_records import mark_gone_by_id
from bridge.ledger.row_writes import NOTED, TO_SEND
from bridge.records import NameClaim, NoAnswer, Policy
from bridge.status import event
from builders import answered, draft, later, not_taken, of, unmapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from books import Book

    Decide = Callable[..., Any]


def deliver(book: Book) -> None:
    """Everything that is due is sent, and Trakor makes it."""
    book.settle(*(answered(work, f"t{work.number}-{work.attempt}") for work in book.claim()))


def names_sent(book: Book) -> list[str]:
    return [work.payload.name for work in book.claim()]


def test_an_accepted_rename_is_sent_and_both_names_are_the_records(book: Book) -> None:
    book.see(draft("Ann"))
    deliver(book)
    book.see(draft("Bo", at=20))
    book.accept()
    assert book.stands() == "pending"
    [work] = book.claim()
    assert (work.payload.name, work.attempt) == ("Bo", 1)
    book.settle(answered(work, "t9"))
    assert set(book.claimed()) == {of("Ann"), of("Bo")}
    assert set(book.linked().values()) == {book.number("c1")}


def test_an_accepted_remap_is_sent_under_the_new_name(book: Book) -> None:
    book.see(draft("Ann Lee"))
    deliver(book)
    book.see(draft("Lee, Ann", rules="rules 2", at=20))
    assert book.stands() == "held: remapped"
    book.accept()
    assert names_sent(book) == ["Lee, Ann"]


def test_an_accepted_same_name_is_sent_qualified(book: Book) -> None:
    book.policy = Policy(on_same_name="hold")
    book.see(draft("Ann", id="c1"), draft("Ann", id="c2", qualifier="q"))
    book.accept("c2")
    assert names_sent(book) == ["Ann", "Ann (q)"]


def test_an_accepted_same_name_is_sent_under_a_given_name_and_keeps_it(book: Book) -> None:
    book.see(draft("Ann", id="c1"), draft("Ann", id="c2"))
    book.accept("c2", NameClaim("Ann the Second", of("Ann the Second")))
    book.see(draft("Ann", "0412", id="c2", at=20))
    works = {work.payload.name: work.payload.fields()["contact_info"] for work in book.claim()}
    assert works == {"Ann": "", "Ann the Second": "0412"}


def test_a_given_name_that_is_taken_is_refused_and_changes_nothing(book: Book) -> None:
    book.see(draft("Ann", id="c1"), draft("Ann", id="c2"))
    before = book.row("c2")
    with pytest.raises(UserError, match="taken"):
        book.accept("c2", NameClaim("ANN", of("ANN")))
    assert book.row("c2") == before


def test_an_accepted_same_party_shares_it_and_a_change_meanwhile_is_decided(book: Book) -> None:
    book.see(draft("Ann", id="c1"), draft("Ánn", id="c2"))
    ann, accented = book.claim()
    book.settle(answered(ann, "t1"), answered(accented, "t1", created=False))
    book.see(draft("Bo", id="c2", at=20))
    assert book.stands("c2") == "held: same-party"
    book.accept("c2")
    assert book.stands("c2") == "held: renamed"
    book.see(draft("Ánn", id="c2", at=30))
    assert (book.stands("c2"), book.row("c2").merged_into) == ("merged", ann.number)


def test_an_accepted_existing_one_is_delivered(book: Book) -> None:
    book.policy = Policy(on_existing="hold")
    book.see(draft("Ann"))
    book.settle(*(answered(work, created=False) for work in book.claim()))
    assert book.stands() == "held: existing"
    book.accept()
    assert (book.stands(), book.waiting()) == ("delivered", {})


def test_a_dismissed_existing_one_that_changed_meanwhile_is_left_as_it_is(book: Book) -> None:
    """Nothing is said until it changes again, and nothing waits of what was noted."""
    book.policy = Policy(on_existing="hold")
    book.see(draft("Ann", "0412"))
    book.settle(*(answered(work, created=False) for work in book.claim()))
    book.see(draft("Ann", "0499", at=20))
    book.dismiss()
    assert (book.stands(), book.shown().marks) == ("delivered", ("dismissed",))
    assert NOTED not in book.waiting()
    book.see(draft("Ann", "0499", at=30))
    assert book.stands() == "delivered"
    book.see(draft("Ann", "0433", at=40))
    assert (book.stands(), book.shown().fields) == ("drifted", ("contact_info",))


def test_existing_ones_are_delivered_by_a_retry_once_the_policy_says_so(book: Book) -> None:
    book.policy = Policy(on_existing="hold")
    book.see(draft("Ann"))
    book.settle(*(answered(work, created=False) for work in book.claim()))
    book.see(draft("Ann", "0499", at=20))
    with pytest.raises(UserError):
        book.retry()
    book.policy = Policy(on_existing="adopt")
    book.retry()
    assert (book.stands(), set(book.waiting())) == ("drifted", {TO_SEND})


def test_an_accepted_drift_is_delivered_until_it_changes_again(book: Book) -> None:
    book.see(draft("Ann"))
    deliver(book)
    book.see(draft("Ann", "0499", at=20))
    book.accept()
    book.see(draft("Ann", "0499", at=30))
    assert book.stands() == "delivered"
    book.see(draft("Ann", at=40))
    assert book.stands() == "drifted"


def test_a_dropped_record_gives_its_name_to_its_heir(book: Book) -> None:
    book.see(draft("Ann", id="c1", same_as="s"), draft("Ann", id="c2", same_as="s"))
    book.drop("c1")
    assert book.stands("c1") == "dropped"
    assert book.stands("c2") == "pending"
    assert book.claimed() == {of("Ann"): book.number("c2")}


def test_a_dropped_record_that_was_tried_leaves_its_name_and_its_attempts_to_its_heir(book: Book) -> None:
    """The name may be in Trakor: its answer says `unclear`, whoever tried it."""
    book.see(draft("Ann", id="c1", same_as="s"), draft("Ann", id="c2", same_as="s"))
    book.settle(*(later(work, no_answer=NoAnswer(book.now, 0)) for work in book.claim()))
    book.drop("c1")
    assert (book.stands("c1"), book.stands("c2")) == ("dropped", "pending")
    [work] = book.claim()
    assert (work.number, work.attempt) == (book.number("c2"), 2)
    book.settle(answered(work, created=False))
    assert (book.stands("c2"), book.shown("c2").origin) == ("delivered", "unclear")


def reject(book: Book) -> None:
    """A request had no answer; the next ones failed until the record was rejected."""
    [work] = book.claim()
    book.settle(later(work, no_answer=NoAnswer(book.now, 0)))
    [again] = book.claim()
    book.settle(not_taken(again, caused_by_record=False))


def take_back(book: Book) -> None:
    """A request had no answer; then a person dropped the record."""
    [work] = book.claim()
    book.settle(later(work, no_answer=NoAnswer(book.now, 0)))
    book.drop()


@pytest.mark.parametrize("end", [reject, take_back])
@pytest.mark.parametrize("when", ["edited before the retry", "edited after it", "gone"])
def test_what_was_tried_goes_out_again_to_the_letter_whatever_changed_since(
    book: Book, end: Callable[[Book], None], when: str
) -> None:
    """Trakor may have it: what it has is what was tried, and the change is listed once that is known."""
    book.see(draft("Ann", "0412"))
    end(book)
    if when == "gone":
        book.write(
            lambda connection: mark_gone_by_id(
                connection, book.feed, ["c1"], book.policy, read_at=book.now, now=book.now
            )
        )
        book.retry()
    elif when == "edited after it":
        book.retry()
    book.see(draft("Ann", "0499", at=book.now))
    if when == "edited before the retry":
        book.retry()
        book.see(draft("Ann", "0499", at=book.now))
    [work] = book.claim()
    assert work.payload.fields()["contact_info"] == "0412"
    book.settle(answered(work, "t1", created=False))
    assert (book.stands(), book.shown().fields, book.shown().origin) == (
        "drifted",
        ("contact_info",),
        "unclear",
    )
    assert book.in_trakor()["contact_info"] == "0412"


@pytest.mark.parametrize("end", [reject, take_back])
def test_another_name_is_decided_on_once_the_tried_one_is_answered(
    book: Book, end: Callable[[Book], None]
) -> None:
    book.see(draft("Ann"))
    end(book)
    book.retry()
    book.see(draft("Bo", at=book.now))
    assert book.stands() == "pending"
    deliver(book)
    assert (book.stands(), set(book.linked())) == ("held: renamed", {"t1-3" if end is reject else "t1-2"})


def test_where_what_was_tried_is_not_kept_the_name_at_least_is_the_tried_one(book: Book) -> None:
    """`keep = "hashes"`, and it was dropped: what differs from what was tried is a drift all the same."""
    book.text_storage = TextStorage(Sealer(KEY), sent=False)
    book.see(draft("Ann", "0412"))
    take_back(book)
    assert book.waiting() == {}
    book.retry()
    book.see(draft("Ann", "0499", at=book.now))
    [work] = book.claim()
    assert work.payload.fields() == {"name": "Ann", "contact_info": "0499"}
    book.settle(answered(work, "t1", created=False))
    assert (book.stands(), book.shown().fields) == ("drifted", ("contact_info",))


def test_a_dropped_record_stays_dropped_until_it_is_retried_and_read_again(book: Book) -> None:
    book.see(draft("Ann"))
    book.drop()
    book.see(draft("Bo", at=20))
    assert book.stands() == "dropped"
    book.retry()
    assert book.stands() == "dropped"
    book.see(draft("Bo", at=30))
    assert book.stands() == "pending"
    assert names_sent(book) == ["Bo"]


def test_a_refused_record_is_sent_once_more_by_a_retry(book: Book) -> None:
    book.see(draft("Ann"))
    book.settle(*(not_taken(work) for work in book.claim()))
    book.see(draft("Ann", at=20))
    assert book.stands() == "rejected: refused-by-trakor"
    book.retry()
    [work] = book.claim()
    assert (work.payload.name, work.attempt) == ("Ann", 1)
    assert [line.event for line in book.history()] == ["pending", "rejected", "retried"]


def test_a_retry_after_server_errors_sends_the_same_name_and_is_no_first_attempt(book: Book) -> None:
    book.see(draft("Ann", id="c1"), draft("Ann", id="c2", qualifier="q"))
    first, second = book.claim()
    book.settle(not_taken(first), not_taken(second, caused_by_record=False))
    book.retry("c2")
    [work] = book.claim()
    assert (work.payload.name, work.attempt, work.failures) == ("Ann (q)", 2, 0)


def test_a_failed_mapping_is_retried_at_the_next_sight(book: Book) -> None:
    book.see(unmapped())
    book.retry()
    assert book.row().retry
    book.see(unmapped(at=20))
    assert (book.stands(), bool(book.row().retry)) == ("rejected: mapping", False)


def test_a_pending_record_is_sent_without_waiting(book: Book) -> None:
    book.see(draft("Ann"))
    book.settle(*(later(work, 10**6, failed=True) for work in book.claim()))
    assert book.claim() == []
    book.retry()
    [work] = book.claim()
    assert (work.attempt, work.failures) == (2, 0)


def test_a_same_name_is_decided_at_once_by_a_retry(book: Book) -> None:
    book.see(draft("Ann", id="c1"), draft("Ann", id="c2"))
    book.drop("c1")
    book.retry("c2")
    assert book.stands("c2") == "pending"


def test_a_same_party_whose_name_was_changed_is_sent_after_a_retry(book: Book) -> None:
    book.see(draft("Ann", id="c1"), draft("Ánn", id="c2"))
    ann, accented = book.claim()
    book.settle(answered(ann, "t1"), answered(accented, "t1", created=False))
    book.retry("c2")
    book.see(draft("Anna", id="c2", at=20))
    assert book.stands("c2") == "pending"
    assert names_sent(book) == ["Anna"]
    assert book.row("c2").merged_into is None


def test_a_merged_record_whose_accepted_name_is_taken_waits_and_is_decided_at_each_sight(
    book: Book,
) -> None:
    book.see(draft("Ann", id="c1", same_as="s"), draft("Ann", id="c2", same_as="s"), draft("Bo", id="c3"))
    book.see(draft("Bo", id="c2", same_as="s", at=20))
    book.accept("c2")
    assert book.stands("c2") == "held: same-name"
    book.see(draft("Bo", id="c2", same_as="s", at=30))
    assert book.stands("c2") == "held: same-name"
    book.see(draft("Cy", id="c3", at=30))
    book.see(draft("Bo", id="c2", same_as="s", at=40))
    assert book.stands("c2") == "pending"


def test_a_record_that_is_not_there_any_more_is_said_to_be_so(book: Book) -> None:
    with pytest.raises(UserError, match="no longer in the ledger"):
        book.write(
            lambda connection: operator_actions.drop(connection, book.feed, 99, book.policy, now=book.now)
        )


def test_what_a_person_is_asked_about_is_kept_and_shown_by_name(book: Book) -> None:
    book.see(draft("Ann", id="c1"), draft("Ann", id="c2"))
    assert (book.shown("c2").name, set(book.waiting("c2"))) == ("Ann", {TO_SEND})


@pytest.mark.parametrize("decide", [operator_actions.accept, operator_actions.drop])
def test_the_history_says_from_where_a_person_decided(book: Book, decide: Decide) -> None:
    book.see(draft("Ann", "0412"))
    deliver(book)
    book.see(draft("Bo", "0412", at=20))
    number = book.number("c1")
    book.write(
        lambda connection: decide(
            connection, book.feed, number, book.policy, now=book.now, by="on the command line"
        )
    )
    *before, last = book.history()
    assert last.by == "on the command line"
    assert {line.by for line in before} == {""}
    assert event(last).endswith(" (on the command line).")

"""Nobody stays merged into what will never be in Trakor; what a person merged or dismissed stays so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from books import Book
from bridge.errors import UserError
from bridge.ledger.connection_and_scope_renames import note_configured
from bridge.ledger.feeds import load_or_add_feed
from bridge.ledger.gone_records import mark_gone_by_id
from bridge.ledger.observe import Observation, survey
from bridge.ledger.runs_and_sweeps import begin_sweep
from bridge.records import NoAnswer, Party, Policy
from builders import answered, draft, later, made_by, unmapped

if TYPE_CHECKING:
    from bridge.records import Draft, WorkItem

FATHER, SON = {"email": "family", "phone": "1"}, {"email": "family", "phone": "2"}


def gone(book: Book, *ids: str) -> None:
    book.now += 1
    at = book.now
    book.write(
        lambda connection: mark_gone_by_id(connection, book.feed, ids, book.policy, read_at=at, now=at)
    )


def sweep(book: Book, *drafts: Draft) -> None:
    """As a sweep does: what is unchanged is passed over."""
    seen = [(one.id, one.input) for one in drafts]
    found = book.write(lambda connection: survey(connection, book.feed, seen, made_by()))
    others = [one for one in drafts if one.id not in found.unchanged]
    book.see(*others, observation=Observation(unchanged=found.unchanged, began_at=book.now))


def twin(book: Book, number: int) -> Draft:
    return draft("Ann", str(number), id=f"c{number}", same_as="s", at=book.now)


def deliver(book: Book, trakor_id: str, created: bool = True) -> list[WorkItem]:  # noqa: FBT001, FBT002 - as answered
    work = book.claim()
    book.settle(*(answered(one, trakor_id, created=created) for one in work))
    return work


@pytest.mark.parametrize("verb", ["accept", "dismiss"])
def test_the_twins_of_an_accepted_same_party_follow_it(book: Book, verb: str) -> None:
    """Each accept made the other twin pending: it was posted, held and accepted for ever."""
    book.see(draft("Carl", id="c0", same_as={"email": "c"}, at=book.now))
    deliver(book, "t1")
    twins = [draft("Karl", str(n), id=f"c{n}", same_as={"email": "k"}, at=book.now) for n in (1, 2)]
    book.see(*twins)
    deliver(book, "t1", created=False)
    assert book.stands("c1") == "held: same-party"
    getattr(book, verb)("c1")
    assert book.claim() == []
    assert [book.row(one).merged_into for one in ("c1", "c2")] == [book.number("c0")] * 2
    sweep(book, *twins)
    assert book.claim() == []
    assert book.stands("c2") == "merged"


def test_after_two_scopes_became_one_those_merged_are_decided_on_again(book: Book) -> None:
    """A twin stayed merged into a record that was dropped, and was passed over as unchanged for ever."""
    other = Book(book.path, connection="other", scope="two")
    book.see(draft("Ann", id="s1", same_as="stranger", at=book.now))
    deliver(book, "t1")
    other.now = book.now
    other.see(twin(other, 1), twin(other, 2))
    assert other.stands("c2") == "merged"
    other.feed = other.write(
        lambda connection: load_or_add_feed(connection, "other", book.scope, other.stream)
    )
    assert other.feed.namespace == book.feed.namespace
    sweep(other, twin(other, 1), twin(other, 2))
    assert {other.stands("c1"), other.stands("c2")} == {"held: same-name"}


def test_whose_claimant_was_set_aside_and_deleted_is_sent_itself(book: Book) -> None:
    book.see(twin(book, 1), twin(book, 2))
    book.write(
        lambda connection: connection.exec_driver_sql("UPDATE waiting SET body = x'00' WHERE record = 1")
    )
    assert book.claim() == []
    gone(book, "c1")
    sweep(book, twin(book, 2))
    assert [work.payload for work in book.claim()] == [Party("Ann", "2")]


@pytest.mark.parametrize("who", ["heir", "claimant"])
def test_a_connection_that_is_not_configured_for_a_while_keeps_nobody_from_being_sent(
    book: Book, who: str
) -> None:
    other = Book(book.path, connection="other")
    book.see(twin(book, 1))
    other.now = book.now
    other.see(twin(other, 2))
    assert other.stands("c2") == "merged"
    if who == "heir":
        book.write(lambda connection: note_configured(connection, ["default"]))
        gone(book, "c1")
        book.write(lambda connection: note_configured(connection, ["default", "other"]))
    else:
        book.write(lambda connection: note_configured(connection, ["other"]))
    other.now = book.now
    sweep(other, twin(other, 2))
    assert [work.payload for work in other.claim()] == [Party("Ann", "2")]


def test_what_was_never_sent_is_not_dismissed_with_what_it_was_merged_into(book: Book) -> None:
    book.see(twin(book, 1), twin(book, 2))
    book.see(draft("Anna", "2", id="c2", same_as="s", at=book.now))
    assert book.stands("c2") == "held: renamed"
    gone(book, "c1")
    with pytest.raises(UserError, match="was ever sent"):
        book.dismiss("c2")
    assert book.stands("c2") == "held: renamed"


@pytest.mark.parametrize("order", ["before", "after"])
def test_an_adopted_party_is_in_doubt_whenever_one_who_is_perhaps_the_same_wants_it(
    book: Book, order: str
) -> None:
    """After a lost ledger the father silently got what may be the son's."""
    father = draft("Jan", "f", id="c1", same_as=FATHER, at=book.now)
    son = draft("Jan", "s", id="c2", same_as=SON, at=book.now)
    begun = book.write(lambda connection: begin_sweep(connection, book.feed, "q", restart=True, now=book.now))
    observation = Observation(sweep=begun.number)
    book.see(father, *([son] if order == "before" else []), observation=observation)
    deliver(book, "t1", created=False)
    if order == "after":
        book.see(son, observation=observation)
    assert (book.stands("c1"), book.stands("c2")) == ("held: existing", "held: same-person")


def test_a_map_that_is_broken_for_a_while_ends_no_dismissal(book: Book) -> None:
    book.see(draft("Ann", "1", at=book.now))
    deliver(book, "t1")
    changed = draft("Ann", "2", at=book.now)
    book.see(changed)
    book.dismiss()
    book.see(unmapped("contact_info", rules="rules 2", at=book.now))
    assert book.stands() == "delivered"
    book.see(changed)
    assert (book.stands(), book.row().dismissed) == ("delivered", True)
    book.see(draft("Ann", "3", at=book.now))
    assert book.stands() == "drifted"


def test_a_map_that_is_broken_for_a_while_ends_nothing_that_a_person_merged(book: Book) -> None:
    family = [
        draft("Jan", "f", id="c1", same_as=FATHER, at=book.now),
        draft("Jan", "s", id="c2", same_as=SON, at=book.now),
    ]
    book.see(*family)
    deliver(book, "t1")
    book.accept("c2")
    book.see(*(unmapped(id=one, rules="rules 2", at=book.now) for one in ("c1", "c2")))
    assert book.stands("c2") == "merged"
    book.see(*(replace(one, read_at=book.now) for one in family))
    assert (book.stands("c1"), book.stands("c2")) == ("delivered", "merged")


def test_a_party_that_a_person_says_is_anothers_goes_to_no_twin(book: Book) -> None:
    book.policy = Policy(on_existing="hold")
    book.see(twin(book, 1), twin(book, 2))
    deliver(book, "t1", created=False)
    assert book.stands("c1") == "held: existing"
    book.drop("c1")
    for _ in range(2):
        assert (book.stands("c1"), book.stands("c2")) == ("dropped", "held: same-person")
        book.see(twin(book, 1), twin(book, 2))
    book.accept("c2")
    assert book.stands("c2") == "drifted", "a person said that it is this one's"


def test_what_was_dropped_is_not_forgotten_while_another_sends_its_words(book: Book) -> None:
    """A phone number of the forgotten one went to Trakor after all, and was kept as the other one's."""
    book.see(twin(book, 1), twin(book, 2))
    book.settle(*(later(work, no_answer=NoAnswer(book.now, 0)) for work in book.claim()))
    book.drop("c1")
    with pytest.raises(UserError, match="still being sent by c2"):
        book.forget("c1")
    deliver(book, "t1")
    book.forget("c1")
    assert book.stands("c2") in {"delivered", "drifted"}

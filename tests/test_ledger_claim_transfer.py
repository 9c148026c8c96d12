"""One takes another's place under a name: claim, attempts, link and sealed text move together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from books import KEY, Book
from bridge import names
from bridge.ledger.erasure import forget_record
from bridge.ledger.gone_records import mark_gone_by_id
from bridge.ledger.integrity import check_ledger
from bridge.ledger.observe import Observation, survey
from bridge.ledger.open import verify_key
from bridge.ledger.row_writes import NOTED, TO_SEND
from bridge.ledger.runs_and_sweeps import begin_sweep
from bridge.ledger.schema import links, records
from bridge.records import NoAnswer, Policy
from builders import answered, draft, filtered, later, not_taken, of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.ledger.erasure import ErasureResult


def gone(book: Book, *ids: str) -> None:
    at = book.now
    book.write(
        lambda connection: mark_gone_by_id(connection, book.feed, ids, book.policy, read_at=at, now=at)
    )


def forgotten(book: Book, identity: str = "c1") -> ErasureResult:
    number = book.number(identity)
    return book.write(lambda connection: forget_record(connection, number, now=book.now))


def sound(book: Book) -> None:
    book.write(lambda connection: verify_key(connection, KEY))
    assert [one for one in check_ledger(book.path, lambda: KEY) if not one.ok] == []


@pytest.fixture
def twins(book: Book) -> Book:
    """Three entries of one person; the first is the claimant, and each says something else."""
    book.see(*(draft("Ann", f"of c{n}", id=f"c{n}", same_as="s", at=10) for n in (1, 2, 3)))
    return book


@pytest.fixture
def delivered(twins: Book) -> Book:
    """The same, once Trakor has them."""
    twins.settle(*(answered(work, "t1") for work in twins.claim()))
    return twins


# -- not in Trakor: the heir takes the claim


def test_the_oldest_living_one_takes_claim_attempts_and_the_payload_that_was_tried(twins: Book) -> None:
    """What was tried may be in Trakor: it goes out again to the letter, and the heir's own waits."""
    twins.see(filtered(id="c2", at=20))
    twins.settle(*(later(work, no_answer=NoAnswer(twins.now, 0)) for work in twins.claim()))
    twins.drop("c1")
    assert [twins.stands(f"c{n}") for n in (1, 2, 3)] == ["dropped", "merged", "pending"]
    assert (twins.claimed(), twins.attempts("c3")) == ({of("Ann"): twins.number("c3")}, 1)
    assert set(twins.waiting("c3")) == {TO_SEND, NOTED}
    [work] = twins.claim()
    assert (work.payload.fields()["contact_info"], work.attempt) == ("of c1", 2)
    twins.settle(answered(work, "t1", created=False))
    assert (twins.stands("c3"), twins.shown("c3").origin) == ("drifted", "unclear")
    assert twins.in_trakor("c3")["contact_info"] == "of c1"
    assert twins.row("c2").merged_into == twins.number("c3")
    sound(twins)


def test_after_server_errors_the_heir_is_sent(twins: Book) -> None:
    """Nobody was in Trakor, and all counted as merged."""
    twins.settle(*(not_taken(work, caused_by_record=False) for work in twins.claim()))
    assert [twins.stands(f"c{n}") for n in (1, 2, 3)] == ["rejected: server-error", "pending", "merged"]
    twins.settle(*(answered(work) for work in twins.claim()))
    assert twins.shown("c2").trakor_id
    sound(twins)


def test_one_that_is_gone_before_it_was_sent_leaves_its_name(twins: Book) -> None:
    gone(twins, "c1")
    assert twins.stands("c2") == "pending"
    assert [work.payload.fields()["contact_info"] for work in twins.claim()] == ["of c2"]
    sound(twins)


def test_what_a_person_is_asked_about_is_never_handed_on(book: Book) -> None:
    """Held as existing: the question is about this one."""
    book.policy = Policy(on_existing="hold")
    book.see(*(draft("Ann", id=f"c{n}", same_as="s") for n in (1, 2)))
    book.settle(*(answered(work, created=False) for work in book.claim()))
    gone(book, "c1")
    assert (book.stands("c1"), book.stands("c2")) == ("held: existing", "merged")
    assert book.linked() == {"t1": book.number("c1")}


# -- in Trakor: the heir keeps the party


def _goes(book: Book) -> None:
    gone(book, "c1")


def _is_archived(book: Book) -> None:
    book.see(filtered(id="c1", at=20))


def _is_renamed(book: Book) -> None:
    book.policy = Policy(on_rename="create")
    book.see(draft("Beth", "of c1", id="c1", same_as="s", at=20))


@pytest.mark.parametrize("leave", [_goes, _is_archived, _is_renamed])
def test_the_keeper_has_claim_link_and_text_and_what_differs_is_listed(
    delivered: Book, leave: Callable[[Book], None]
) -> None:
    leave(delivered)
    assert (delivered.stands("c2"), delivered.shown("c2").fields) == ("drifted", ("contact_info",))
    assert delivered.linked() == {"t1": delivered.number("c2")}
    assert delivered.claimed()[of("Ann")] == delivered.number("c2")
    assert delivered.in_trakor("c2") == {"name": "Ann", "contact_info": "of c1"}
    assert delivered.row("c3").merged_into == delivered.number("c2")
    assert delivered.shown("c2").origin == "created"
    assert delivered.history("c2")[-1].event == "keeper"
    sound(delivered)


def test_a_change_of_the_keeper_is_listed(delivered: Book) -> None:
    """It went on living, and nobody was told of its new number."""
    gone(delivered, "c1")
    delivered.accept("c2")
    delivered.see(draft("Ann", "0499", id="c2", same_as="s", at=2000))
    assert (delivered.stands("c2"), delivered.shown("c2").fields) == ("drifted", ("contact_info",))


def test_the_former_one_that_comes_back_is_merged_into_its_keeper(delivered: Book) -> None:
    gone(delivered, "c1")
    delivered.see(draft("Ann", "of c1", id="c1", same_as="s", at=2000))
    assert delivered.stands("c1") == "merged"
    assert delivered.row("c1").merged_into == delivered.number("c2")
    assert delivered.claim() == []
    sound(delivered)


def test_one_that_was_deleted_and_entered_again_keeps_the_party(book: Book) -> None:
    """Under another id, whether it is seen before or after the old one is found to be gone."""
    book.see(draft("Ann", "0412", id="old", same_as="s"))
    book.settle(*(answered(work, "t1") for work in book.claim()))
    gone(book, "old")
    book.see(draft("Ann", "0412", id="new", same_as="s", at=2000))
    assert (book.stands("new"), book.claim(), book.linked()) == ("delivered", [], {"t1": book.number("new")})
    book.see(draft("Ann", "0499", id="new", same_as="s", at=3000))
    assert book.stands("new") == "drifted"
    sound(book)


def test_a_name_that_trakor_answered_with_goes_with_the_party(book: Book) -> None:
    """Else a stranger of that name would be told apart from nobody."""
    book.see(*(draft("Ánn", id=f"c{n}", same_as="s") for n in (1, 2)))
    book.settle(*(answered(work, "t1", created=False, name="Ann") for work in book.claim()))
    gone(book, "c1")
    keeper = book.number("c2")
    assert book.claimed() == {of("Ánn"): keeper, of("Ann"): keeper}


def test_a_rename_that_is_held_moves_nothing(delivered: Book) -> None:
    delivered.see(draft("Beth", id="c1", same_as="s", at=20))
    assert (delivered.stands("c1"), delivered.stands("c2")) == ("held: renamed", "merged")
    assert delivered.linked() == {"t1": delivered.number("c1")}


def test_where_nobody_living_is_left_nothing_moves(delivered: Book) -> None:
    gone(delivered, "c2", "c3")
    gone(delivered, "c1")
    assert delivered.linked() == {"t1": delivered.number("c1")}
    delivered.see(draft("Ann", "of c3", id="c3", same_as="s", at=5000))
    assert delivered.linked() == {"t1": delivered.number("c3")}


# -- hashes of an older ledger


SPELLED = "Ann | ANN@example.com"
"""Its hash of before is another one than that of today, though it says the same."""


@pytest.fixture
def older(book: Book) -> Book:
    """Two of one person, delivered and merged, as an older version hashed them."""
    both = [draft("Ann", SPELLED, id=one, same_as="s") for one in ("c1", "c2")]
    book.see(*both)
    book.settle(*(answered(work, "t1") for work in book.claim()))
    before = names.encode(both[0].first_hashes, 1)
    assert both[0].first_hashes != both[0].hashes
    book.write(lambda connection: connection.execute(update(records).values(sent=before)))
    book.write(lambda connection: connection.execute(update(links).values(sent=before)))
    return book


def test_a_keeper_of_an_older_ledger_has_not_drifted_by_other_hashes(older: Book) -> None:
    """Where both are still hashed as before; and what it says next is compared by today's rules."""
    gone(older, "c1")
    assert older.stands("c2") == "delivered"
    older.see(draft("Ann", SPELLED, id="c2", same_as="s", at=2000))
    assert older.stands("c2") == "delivered"
    older.see(draft("Ann", "Ann | other@example.com", id="c2", same_as="s", at=3000))
    assert (older.stands("c2"), older.shown("c2").fields) == ("drifted", ("contact_info",))


@pytest.mark.parametrize("seen", ["c1", "c2"])
def test_one_that_is_hashed_otherwise_than_its_claimant_keeps_the_party_at_its_next_sight(
    older: Book, seen: str
) -> None:
    """One of them was observed by the new version, then the claimant is found to be gone."""
    older.see(draft("Ann", SPELLED, id=seen, same_as="s", at=20))
    gone(older, "c1")
    assert older.stands("c2") == "merged"
    older.see(draft("Ann", SPELLED, id="c2", same_as="s", at=2000))
    assert (older.stands("c2"), older.shown("c2").fields) == ("delivered", ())
    assert older.linked() == {"t1": older.number("c2")}


def test_it_is_read_again_for_that_though_it_says_what_it_said(older: Book) -> None:
    same = draft("Ann", SPELLED, id="c2", same_as="s", at=20)
    older.see(same)
    gone(older, "c1")
    given = [("c2", same.input)]
    looked = older.write(lambda connection: survey(connection, older.feed, given, same.rules))
    assert looked.unchanged == frozenset()


# -- forgotten


def test_a_forgotten_ones_party_is_its_keepers_and_is_not_to_be_deleted(delivered: Book) -> None:
    told = forgotten(delivered)
    assert (told.trakor_ids, told.kept) == ((), (("t1", "c2"),))
    assert set(told.merged) == {"c2", "c3"}
    assert delivered.linked() == {"t1": delivered.number("c2")}
    assert delivered.row("c1").forgotten
    delivered.see(draft("Ann", id="c1", same_as="s", at=9000))
    assert delivered.stands("c1") == "dropped"
    sound(delivered)


def test_a_forgotten_one_that_was_tried_leaves_its_attempts_and_none_of_its_words(twins: Book) -> None:
    twins.settle(*(later(work) for work in twins.claim()))
    told = forgotten(twins)
    assert (told.trakor_ids, told.kept) == ((), ())
    assert (twins.stands("c2"), twins.attempts("c2")) == ("pending", 1)
    [work] = twins.claim()
    assert (work.payload.fields()["contact_info"], work.attempt) == ("of c2", 2)
    sound(twins)


def test_of_a_forgotten_one_that_was_tried_the_spelling_is_sent_again(book: Book) -> None:
    """Where names are compared to the letter, another spelling would make a second party."""
    book.see(draft("Ada Ashby", id="c1", same_as="s"), draft("ADA ASHBY", SPELLED, id="c2", same_as="s"))
    [work] = book.claim()
    book.settle(later(work))
    forgotten(book)
    [work] = book.claim()
    assert (work.payload.name, work.payload.fields()["contact_info"]) == ("Ada Ashby", SPELLED)


def test_one_that_shares_with_nobody_leaves_an_id_to_be_deleted(book: Book) -> None:
    book.see(draft("Ann"))
    book.settle(*(answered(work, "t1") for work in book.claim()))
    told = forgotten(book)
    assert (told.trakor_ids, told.kept, book.linked()) == (("t1",), (), {})


# -- two connections of one organisation


def test_text_of_a_record_of_another_connection_is_sealed_for_its_new_place(book: Book) -> None:
    other = Book(book.path, connection="b", scope=book.scope)
    book.see(draft("Ann", "0412", id="c1", same_as="s"))
    other.see(draft("Ann", "0412", id="b1", same_as="s"))
    book.settle(*(answered(work, "t1") for work in book.claim()))
    gone(book, "c1")
    assert (other.stands("b1"), other.in_trakor("b1")["contact_info"]) == ("delivered", "0412")
    sound(book)


# -- adopted twice


def test_who_was_adopted_and_is_wanted_twice_in_one_sweep_is_held(book: Book) -> None:
    """After a lost ledger nobody knows which of two Johns the party is."""
    sweep = book.write(lambda one: begin_sweep(one, book.feed, "q", restart=True, now=book.now))
    observation = Observation(sweep=sweep.number)
    book.see(draft("John", id="c1", qualifier="q1", at=book.now), observation=observation)
    book.settle(*(answered(work, "t1", created=False) for work in book.claim()))
    assert (book.stands("c1"), book.shown("c1").origin) == ("delivered", "existing")
    book.see(draft("John", id="c2", qualifier="q2", at=book.now), observation=observation)
    assert (book.stands("c1"), book.stands("c2")) == ("held: existing", "pending")

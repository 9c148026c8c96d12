"""Whoever shares a party, or a name, when the one that has it goes: no silent merging, nothing goes stale."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from books import KEY, Book
from bridge.errors import UserError
from bridge.ledger.connection_and_scope_renames import note_configured
from bridge.ledger.gone_records import mark_gone_by_id
from bridge.ledger.integrity import check_ledger
from bridge.ledger.open import verify_key
from bridge.ledger.read_model import RecordQuery, find_records
from bridge.ledger.record_relations_and_history import load_relations
from bridge.records import Draft, NameClaim, Policy
from bridge.status.possible_actions import ways
from builders import answered, draft, filtered, later, not_taken, of

if TYPE_CHECKING:
    from collections.abc import Mapping


def gone(book: Book, *ids: str) -> None:
    at = book.now
    book.write(
        lambda connection: mark_gone_by_id(connection, book.feed, ids, book.policy, read_at=at, now=at)
    )


def sound(book: Book) -> None:
    book.write(lambda connection: verify_key(connection, KEY))
    assert [one for one in check_ledger(book.path, lambda: KEY) if not one.ok] == []


def deliver(book: Book, trakor_id: str = "t1") -> None:
    book.settle(*(answered(work, trakor_id) for work in book.claim()))


def sent(book: Book) -> list[str]:
    return [work.payload.name for work in book.claim()]


FAMILY = {"email": "family", "phone": "his"}


# -- perhaps the same person: never an heir (H3)


@pytest.fixture
def told_apart(book: Book) -> tuple[Book, Draft]:
    """Merged by the family's e-mail; then one of the two got a number of his own."""
    book.see(draft("Ann Lee", "his", id="father", same_as=FAMILY))
    book.see(draft("Ann Lee", id="son", same_as={"email": "family"}))
    deliver(book)
    own = draft("Ann Lee", "own", id="son", same_as={"email": "family", "phone": "own"}, at=2000)
    book.now = 2000
    book.see(own)
    assert book.stands("son") == "held: same-person"
    return book, own


def test_one_that_is_perhaps_the_same_takes_no_party(told_apart: tuple[Book, Draft]) -> None:
    book, _ = told_apart
    gone(book, "father")
    again = draft("Ann Lee", "own", id="son", same_as={"email": "family", "phone": "own"}, at=book.now)
    book.see(again)
    assert book.stands("son") == "held: same-person"
    assert book.linked() == {"t1": book.number("father")}
    book.accept("son")
    assert book.linked() == {"t1": book.number("son")}, "a person said that they are one"
    sound(book)


def test_one_that_comes_back_as_perhaps_another_takes_no_party(book: Book) -> None:
    """It was merged when it went, and was changed meanwhile."""
    book.see(draft("Ann Lee", id="father", same_as=FAMILY), draft("Ann Lee", id="son", same_as=FAMILY))
    deliver(book)
    gone(book, "son")
    gone(book, "father")
    book.see(draft("Ann Lee", id="son", same_as={"email": "family", "phone": "own"}, at=5000))
    assert book.stands("son") == "held: same-person"
    assert book.linked() == {"t1": book.number("father")}


# -- a party that is shared under another name (H7)


@pytest.fixture
def met(book: Book) -> Book:
    """Trakor takes two names for one, and a person is asked."""
    book.see(draft("Ann", "1", id="first"), draft("Aann", "1", id="second"))
    works = book.claim()
    book.settle(*(answered(one, "t1", created=one.payload.name == "Ann", name="Ann") for one in works))
    assert book.stands("second") == "held: same-party"
    return book


@pytest.fixture
def shared(met: Book) -> Book:
    """A person said that both are one party."""
    met.accept("second")
    assert met.stands("second") == "merged"
    return met


@pytest.mark.parametrize("dismissed", [True, False])
def test_who_is_said_to_share_a_party_keeps_it_at_once_if_the_other_one_is_gone(
    met: Book,
    dismissed: bool,  # noqa: FBT001
) -> None:
    gone(met, "first")
    (met.dismiss if dismissed else met.accept)("second")
    assert (met.stands("second"), met.linked()) == ("delivered", {"t1": met.number("second")})
    sound(met)


def test_who_is_asked_about_a_party_is_asked_about_its_keeper(met: Book) -> None:
    met.see(draft("Ann", "1", id="third", same_as="s"))
    met.see(draft("Ann", "1", id="first", same_as="s", at=1500))
    met.see(draft("Ann", "1", id="third", same_as="s", at=1500))
    assert met.stands("third") == "merged"
    gone(met, "first")
    assert met.row("second").merged_into == met.number("third")


def test_nobody_shares_the_party_of_a_forgotten_one(met: Book) -> None:
    assert met.forget("first").namesakes == ("second",)
    with pytest.raises(UserError, match="forgotten"):
        met.accept("second")
    met.retry("second")
    met.see(draft("Aann", "1", id="second", at=5000))
    assert sent(met) == ["Aann"]


def test_one_that_shared_a_forgotten_ones_party_under_its_own_name_is_asked_about(shared: Book) -> None:
    """It was not there to keep the party."""
    shared.see(filtered(id="second", at=1500))
    shared.forget("first")
    shared.see(draft("Aann", "1", id="second", at=5000))
    assert (shared.stands("second"), sent(shared)) == ("held: same-person", [])
    shared.accept("second")
    assert sent(shared) == ["Aann"]


def test_one_person_under_a_qualified_name_is_merged_into_the_one_that_has_that(book: Book) -> None:
    """It was merged into a stranger of the plain name."""
    named = {"email": "e", "phone": "1"}
    book.see(draft("Ann", "0", id="stranger", same_as={"email": "other"}, qualifier="x"))
    book.see(*(draft("Ann", "1", id=one, same_as=named, qualifier="e") for one in ("c1", "c2")))
    assert book.row("c2").merged_into == book.number("c1")
    book.see(draft("Ann", "2", id="c2", same_as={"email": "e", "phone": "2"}, qualifier="e", at=1500))
    assert book.stands("c2") == "held: same-person"
    book.accept("c2")
    assert (book.stands("c2"), book.row("c2").merged_into) == ("merged", book.number("c1"))


def test_an_accepted_same_party_keeps_the_party_of_one_that_is_gone(shared: Book) -> None:
    gone(shared, "first")
    assert shared.linked() == {"t1": shared.number("second")}
    assert shared.stands("second") == "delivered", "a person agreed to the name"
    both = {of("Ann"): shared.number("second"), of("Aann"): shared.number("second")}
    assert shared.claimed() == both
    assert shared.in_trakor("second") == {"name": "Ann", "contact_info": "1"}
    shared.see(draft("Aann", "1", id="second", at=5000))
    assert shared.stands("second") == "delivered"
    shared.see(draft("Aann", "2", id="second", at=6000))
    assert (shared.stands("second"), shared.shown("second").fields) == ("drifted", ("contact_info",))
    assert sent(shared) == []
    sound(shared)


def test_what_it_says_otherwise_is_listed_when_it_keeps_the_party(shared: Book) -> None:
    shared.see(draft("Aann", "2", id="second", at=1500))
    assert shared.stands("second") == "merged"
    gone(shared, "first")
    assert (shared.stands("second"), shared.shown("second").fields) == ("drifted", ("contact_info",))


def test_both_names_go_on_with_the_party(shared: Book) -> None:
    """The first comes back, then the keeper goes: the party is the first one's again."""
    gone(shared, "first")
    shared.see(draft("Ann", "1", id="first", at=5000))
    assert shared.row("first").merged_into == shared.number("second")
    shared.now = 5000
    gone(shared, "second")
    assert (shared.stands("first"), shared.stands("second")) == ("delivered", "merged")
    assert shared.linked() == {"t1": shared.number("first")}
    assert set(shared.claimed().values()) == {shared.number("first")}
    sound(shared)


def test_forgetting_names_the_one_that_shares_the_party(shared: Book) -> None:
    told = shared.forget("first")
    assert (told.trakor_ids, told.kept) == ((), (("t1", "second"),))
    assert shared.stands("second") == "delivered"
    sound(shared)


def test_an_accepted_same_party_that_is_filtered_for_a_while_stays_merged(shared: Book) -> None:
    shared.see(filtered(id="second", at=1500))
    assert shared.stands("second") == "merged"
    shared.see(draft("Aann", "1", id="second", at=1600))
    assert (shared.stands("second"), sent(shared)) == ("merged", [])
    shared.see(filtered(id="second", at=1700))
    gone(shared, "first")
    shared.see(draft("Aann", "1", id="second", at=5000))
    assert shared.linked() == {"t1": shared.number("second")}, "it was not there when the first one went"
    sound(shared)


def test_a_twin_under_the_name_that_trakor_answered_with_keeps_the_party(book: Book) -> None:
    """It was delivered without a Trakor record, or left with one that is gone."""
    book.see(draft("Ánn", "1", id="first", same_as="s"))
    book.settle(*(answered(work, "t1", name="Ann") for work in book.claim()))
    book.see(draft("Ann", "1", id="second", same_as="s"))
    assert book.stands("second") == "merged"
    gone(book, "first")
    assert (book.stands("second"), book.linked()) == ("delivered", {"t1": book.number("second")})
    assert set(book.claimed().values()) == {book.number("second")}
    sound(book)


# -- a connection that is not configured (H9)


def test_nothing_goes_to_a_connection_that_is_not_configured(book: Book) -> None:
    """Nobody would send it, and the twin that could be sent was held."""
    other = Book(book.path, connection="b", scope=book.scope)
    book.write(lambda connection: note_configured(connection, ["default", "b"]))
    book.see(draft("Ann", id="first", same_as="s"))
    other.see(draft("Ann", id="theirs", same_as="s"))
    book.see(draft("Ann", id="second", same_as="s"))
    book.write(lambda connection: note_configured(connection, ["default"]))
    book.drop("first")
    assert (other.stands("theirs"), book.stands("second")) == ("merged", "pending")
    assert other.row("theirs").merged_into == book.number("second")
    deliver(book)
    gone(book, "second")
    assert book.linked() == {"t1": book.number("second")}
    sound(book)


# -- a name that is given back (M1)


def person_of_three(book: Book, same_as: Mapping[str, Mapping[str, str]]) -> None:
    drafts = [draft("Ann", one, id=one, same_as=named, qualifier=one) for one, named in same_as.items()]
    book.see(*drafts)


def test_those_merged_stay_one_when_the_name_is_given_back(book: Book) -> None:
    """What made them one was the claimant, which Trakor turned down at the only attempt."""
    person_of_three(book, {"c1": {"email": "e", "phone": "p"}, "c2": {"phone": "p"}, "c3": {"email": "e"}})
    assert [book.stands(one) for one in ("c2", "c3")] == ["merged", "merged"]
    book.settle(*(not_taken(work) for work in book.claim()))
    assert [book.stands(one) for one in ("c1", "c2", "c3")] == [
        "rejected: refused-by-trakor", "pending", "merged",
    ]  # fmt: skip
    assert book.row("c3").merged_into == book.number("c2")
    assert (sent(book), book.attempts("c2")) == (["Ann"], 1)
    sound(book)


def test_of_a_page_the_later_ones_know_who_took_the_place(book: Book) -> None:
    """A person said that they are one: they were told apart by what they say."""
    person_of_three(
        book, {"c1": {"email": "e", "phone": "p"}, "c2": {"email": "e"}, "c3": {"email": "e", "phone": "q"}}
    )
    book.accept("c3")
    assert book.stands("c3") == "merged"
    edited = draft("Ann", "edited", id="c3", same_as={"email": "e", "phone": "q"}, qualifier="c3", at=1500)
    book.see(filtered(id="c1", at=1500), edited)
    assert [book.stands(one) for one in ("c1", "c2", "c3")] == ["skipped: filtered", "pending", "merged"]
    assert book.row("c3").merged_into == book.number("c2")
    assert sent(book) == ["Ann"]


# -- what the user chose, and what a person gave


def test_a_keeper_does_not_drift_where_changes_are_ignored(book: Book) -> None:
    book.policy = Policy(on_change="ignore")
    book.see(*(draft("Ann", one, id=one, same_as="s") for one in ("c1", "c2", "c3")))
    deliver(book)
    gone(book, "c1")
    assert book.stands("c2") == "delivered"
    book.forget("c2")
    assert book.stands("c3") == "delivered"


def test_a_given_name_stays_though_its_record_was_gone_for_a_moment(book: Book) -> None:
    book.policy = Policy(on_same_name="hold")
    book.see(draft("Ann", "1", id="c1"), draft("Ann", "2", id="c2"))
    book.accept("c2", NameClaim("Ann of Perth", of("Ann of Perth")))
    gone(book, "c2")
    assert of("Ann of Perth") not in book.claimed(), "what was never sent holds no name"
    book.see(draft("Ann", "3", id="c2", at=5000))
    assert book.stands("c2") == "pending"
    assert {(one.payload.name, one.payload.fields()["contact_info"]) for one in book.claim()} == {
        ("Ann", "1"), ("Ann of Perth", "3"),
    }  # fmt: skip


def test_a_given_name_that_another_has_by_now_is_asked_about_again(book: Book) -> None:
    book.policy = Policy(on_same_name="hold")
    book.see(draft("Ann", "1", id="c1"), draft("Ann", "2", id="c2"))
    book.accept("c2", NameClaim("Ann of Perth", of("Ann of Perth")))
    gone(book, "c2")
    book.see(draft("Ann of Perth", "4", id="c3", at=4000))
    book.see(draft("Ann", "2", id="c2", at=5000))
    assert book.stands("c2") == "held: same-name"


# -- held: renamed, and its claimant goes


@pytest.fixture
def renamed(book: Book) -> Book:
    book.see(draft("Ann", "1", id="c1", same_as="s"), draft("Ann", "1", id="c2", same_as="s"))
    return book


BETH = draft("Beth", "1", id="c2", same_as="s", at=5000)


@pytest.mark.parametrize("how", ["forgotten", "gone", "dropped", "failed", "refused"])
@pytest.mark.parametrize("sent_before", [True, False])
def test_a_rename_that_waits_for_a_person_does_so_whatever_becomes_of_its_claimant(
    renamed: Book,
    how: str,
    sent_before: bool,  # noqa: FBT001
) -> None:
    book = renamed
    if sent_before:
        deliver(book)
    book.see(draft("Beth", "1", id="c2", same_as="s", at=1200))
    assert book.stands("c2") == "held: renamed"
    if how == "forgotten":
        book.forget("c1")
    elif how == "dropped" and not sent_before:
        book.drop("c1")
    elif how in {"failed", "refused"} and not sent_before:
        book.settle(*(not_taken(work, caused_by_record=how == "refused") for work in book.claim()))
    else:
        gone(book, "c1")
    for at in (5000, 6000):
        book.see(draft("Beth", "1", id="c2", same_as="s", at=at))
        assert (book.stands("c2"), sent(book)) == ("held: renamed", [])
    book.accept("c2")
    assert sent(book) == ["Beth"]


# -- the claimant is another person by now (A7)


@pytest.mark.parametrize("keep", [True, False])
def test_those_merged_are_asked_about_when_their_claimant_is_identified_otherwise(
    book: Book,
    keep: bool,  # noqa: FBT001
) -> None:
    """The twin kept the old number, and was counted as delivered with the new one."""
    book.text_storage = replace(book.text_storage, sent=keep)
    book.see(*(draft("Ann", "1", id=one, same_as={"email": "e", "phone": "1"}) for one in ("c1", "c2")))
    deliver(book)
    book.see(draft("Ann", "2", id="c1", same_as={"email": "e", "phone": "2"}, at=1500))
    assert (book.stands("c1"), book.stands("c2")) == ("drifted", "held: same-person")
    book.accept("c1")
    lines = len(book.history("c2"))
    for at in (1600, 1700):
        book.see(
            draft("Ann", "2", id="c1", same_as={"email": "e", "phone": "2"}, at=at),
            draft("Ann", "1", id="c2", same_as={"email": "e", "phone": "1"}, at=at),
        )
        assert book.stands("c2") == "held: same-person"
    assert len(book.history("c2")) <= lines + (not keep)
    book.accept("c2")
    assert book.stands("c2") == "merged"
    book.see(draft("Ann", "2", id="c1", same_as={"email": "f", "phone": "3"}, at=1800))
    assert book.stands("c2") == "merged", "a person said that they are one"
    sound(book)


def test_both_that_change_alike_stay_merged(book: Book) -> None:
    book.see(*(draft("Ann", "1", id=one, same_as={"email": "e", "phone": "1"}) for one in ("c1", "c2")))
    deliver(book)
    book.see(
        *(draft("Ann", "2", id=one, same_as={"email": "e", "phone": "2"}, at=1500) for one in ("c1", "c2"))
    )
    assert (book.stands("c1"), book.stands("c2")) == ("drifted", "merged")
    assert book.row("c2").merged_by == "rule"


def test_a_changed_map_asks_about_nobody(book: Book) -> None:
    book.see(*(draft("Ann", "1", id=one, same_as={"email": "e"}) for one in ("c1", "c2")))
    deliver(book)
    was = draft("Ann", "1", id="c1", same_as={"email": "e"}, at=1500)
    now = {"email": "e", "phone": "1"}
    book.see(draft("Ann", "1", id="c1", same_as=now, rules="rules 2", before=was, at=1500))
    assert book.stands("c2") == "merged"


def test_one_that_was_gone_meanwhile_is_asked_about_when_it_is_back(book: Book) -> None:
    book.see(*(draft("Ann", "1", id=one, same_as={"email": "e", "phone": "1"}) for one in ("c1", "c2")))
    deliver(book)
    gone(book, "c2")
    book.see(draft("Ann", "2", id="c1", same_as={"email": "e", "phone": "2"}, at=1500))
    assert book.stands("c2") == "merged"
    book.see(draft("Ann", "1", id="c2", same_as={"email": "e", "phone": "1"}, at=5000))
    assert book.stands("c2") == "held: same-person"


# -- a forgotten one's party is nobody's (A1)


@pytest.fixture
def family(book: Book) -> Book:
    """Father and son of one name and one e-mail; the father is in Trakor, the son is asked about."""
    book.see(
        draft("Otto Ashby", "1", id="father", same_as=FAMILY, qualifier="family"),
        draft("Otto Ashby", "2", id="son", same_as={"email": "family", "phone": "own"}, qualifier="family"),
    )
    deliver(book)
    assert book.stands("son") == "held: same-person"
    return book


def see_son(book: Book) -> None:
    named = {"email": "family", "phone": "own"}
    book.see(draft("Otto Ashby", "2", id="son", same_as=named, qualifier="family", at=book.now + 100))


def test_a_namesake_is_not_given_the_party_of_one_that_is_forgotten(family: Book) -> None:
    told = family.forget("father")
    assert (told.trakor_ids, told.namesakes) == (("t1",), ("son",))
    for _ in range(2):
        see_son(family)
        assert (family.stands("son"), sent(family)) == ("held: same-person", [])
    assert family.claimed() == {of("Otto Ashby"): family.number("father")}
    sound(family)


def test_once_it_was_deleted_by_hand_the_namesake_is_sent_at_a_persons_word(family: Book) -> None:
    family.forget("father")
    see_son(family)
    family.accept("son")
    [work] = family.claim()
    assert (work.payload.name, work.attempt) == ("Otto Ashby", 1)
    family.settle(answered(work, "t2"))
    assert (family.stands("son"), family.linked()) == ("delivered", {"t2": family.number("son")})
    sound(family)


def test_what_accepting_does_to_a_namesake_is_told_and_the_forgotten_one_is_not_found(family: Book) -> None:
    family.forget("father")
    found = family.shown("son")
    standing = family.write(lambda connection: load_relations(connection, found))
    assert "forgotten" in ways(found, standing)[0].effect
    listed = family.write(lambda connection: find_records(connection, RecordQuery(key=of("Otto Ashby"))))
    assert [one.id for one in listed] == ["son"]


def test_what_trakor_still_has_of_a_forgotten_one_is_not_taken_for_known(family: Book) -> None:
    """It was accepted before anybody deleted anything: it was there before, and that is said."""
    family.forget("father")
    family.accept("son")
    family.settle(*(answered(work, "t1", created=False) for work in family.claim()))
    assert (family.stands("son"), family.shown("son").origin) == ("delivered", "existing")


def test_a_namesake_that_is_to_be_decided_again_is_told_apart_by_its_name(family: Book) -> None:
    family.forget("father")
    family.retry("son")
    assert sent(family) == ["Otto Ashby (family)"]


def test_one_that_was_tried_and_is_forgotten_keeps_its_name(book: Book) -> None:
    """Trakor may have it, though it never answered."""
    book.policy = Policy(on_same_name="hold")
    book.see(draft("Ann", "1", id="c1"), draft("Ann", "2", id="c2"))
    book.settle(*(later(work) for work in book.claim()))
    told = book.forget("c1")
    assert (told.maybe_in_trakor, told.namesakes) == (True, ("c2",))
    book.see(draft("Ann", "2", id="c2", at=5000))
    assert (book.stands("c2"), sent(book)) == ("held: same-name", [])


def test_a_name_that_was_never_sent_is_free_once_its_record_is_forgotten(book: Book) -> None:
    book.policy = Policy(on_same_name="hold")
    book.see(draft("Ann", "1", id="c1"), draft("Ann", "2", id="c2"))
    assert book.forget("c1").namesakes == ()
    book.see(draft("Ann", "2", id="c2", at=5000))
    assert (book.stands("c2"), sent(book)) == ("pending", ["Ann"])


def test_a_namesake_without_a_qualifier_is_sent_under_the_name_at_a_persons_word(book: Book) -> None:
    book.policy = Policy(on_same_name="hold")
    book.see(draft("Ann", "1", id="c1"), draft("Ann", "2", id="c2"))
    deliver(book)
    book.forget("c1")
    book.see(draft("Ann", "2", id="c2", at=5000))
    assert book.stands("c2") == "held: same-name"
    book.accept("c2")
    assert sent(book) == ["Ann"]
    sound(book)


@pytest.mark.parametrize("rule", ["qualify", "hold", "merge"])
def test_a_newcomer_is_not_sent_under_the_name_of_one_that_is_forgotten(book: Book, rule: str) -> None:
    """Whoever it is: what Trakor has under that name was another one's."""
    book.policy = Policy(on_same_name=rule)
    book.see(draft("Ann", "1", id="c1", same_as="s", qualifier="one"))
    deliver(book)
    book.forget("c1")
    book.see(draft("Ann", "1", id="c2", same_as="s", qualifier="two", at=5000))
    assert sent(book) == (["Ann (two)"] if rule == "qualify" else [])
    assert book.stands("c2") == ("pending" if rule == "qualify" else "held: same-name")


def test_one_that_shared_a_forgotten_ones_party_and_comes_back_is_asked_about(book: Book) -> None:
    """Nobody living was there to keep the party: a person was told to delete it."""
    book.see(*(draft("Ann", "1", id=one, same_as="s") for one in ("c1", "c2")))
    deliver(book)
    gone(book, "c2")
    told = book.forget("c1")
    assert (told.trakor_ids, told.merged) == (("t1",), ("c2",))
    for at in (5000, 6000):
        book.see(draft("Ann", "1", id="c2", same_as="s", at=at))
        assert (book.stands("c2"), sent(book)) == ("held: same-person", [])
    book.accept("c2")
    assert sent(book) == ["Ann"]
    sound(book)

"""A page is decided on and written in one transaction, and so is its checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from books import Book, kept
from bridge.ledger.database import writing
from bridge.ledger.observe import Observation, ObserveResult, observe, survey
from bridge.ledger.runs_and_sweeps import begin_sweep
from bridge.ledger.schema import history, records, sweeps
from bridge.mapping import Mapper
from bridge.records import Policy, Record, Stream
from builders import HASHER, answered, draft, filtered, later, not_taken, of, unmapped, unnamed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from bridge.records import Draft, Unsendable


def test_two_of_one_page_that_want_one_name_are_told_apart(book: Book) -> None:
    seen = book.see(draft("Ann", id="c1", qualifier="q1"), draft("ann", id="c2", qualifier="q2"))
    assert seen == ObserveResult(fresh=2, pending=2)
    assert book.claimed() == {of("Ann"): book.number("c1"), of("Ann (q2)"): book.number("c2")}
    assert book.waiting("c2")[0].send_as == "ann (q2)"


def test_two_of_one_page_that_are_one_person_are_merged(book: Book) -> None:
    book.see(draft("Ann", id="c1", same_as="s"), draft("Ann", id="c2", same_as="s"))
    assert (book.stands("c1"), book.stands("c2")) == ("pending", "merged")
    assert book.row("c2").merged_into == book.number("c1")


def test_three_of_one_page_share_a_qualified_name_only_if_they_are_one(book: Book) -> None:
    book.see(*(draft("Ann", id=f"c{n}", qualifier="q") for n in (1, 2, 3)))
    assert [book.stands(f"c{n}") for n in (1, 2, 3)] == ["pending", "pending", "held: same-name"]


def test_the_same_name_in_another_scope_is_free_and_in_the_same_one_is_not(book: Book) -> None:
    """A scope is a Trakor organisation: two connections can share one."""
    elsewhere = Book(book.path, connection="b", scope="other organisation")
    sharing = Book(book.path, connection="c", scope=book.scope)
    for one in (book, elsewhere, sharing):
        one.see(draft("Ann"))
    assert [one.stands() for one in (book, elsewhere, sharing)] == ["pending", "pending", "held: same-name"]


def test_the_oldest_heir_takes_a_name_that_is_given_back(book: Book) -> None:
    book.see(*(draft("Ann", f"of c{n}", id=f"c{n}", same_as="s") for n in (1, 2, 3)))
    book.see(draft("Bo", id="c1", same_as="s", at=20))
    assert [book.stands(f"c{n}") for n in (1, 2, 3)] == ["pending", "pending", "merged"]
    assert book.claimed() == {of("Bo"): book.number("c1"), of("Ann"): book.number("c2")}
    assert book.row("c3").merged_into == book.number("c2")
    assert {work.payload.name for work in book.claim()} == {"Ann", "Bo"}


def test_an_heir_is_sent_as_it_was_seen_last(book: Book) -> None:
    book.see(draft("Ann", id="c1", same_as="s"), draft("Ann", "old", id="c2", same_as="s"))
    book.see(draft("Ann", "new", id="c2", same_as="s", at=20))
    book.see(filtered(id="c1", at=30))
    assert [work.payload.fields() for work in book.claim()] == [{"name": "Ann", "contact_info": "new"}]


def test_an_heir_that_is_filtered_takes_nothing_and_is_skipped(book: Book) -> None:
    book.see(draft("Ann", id="c1", same_as="s"), draft("Ann", id="c2", same_as="s"))
    book.see(filtered(id="c2", at=20))
    book.see(filtered(id="c1", at=30))
    assert book.stands("c2") == "skipped: filtered"
    assert book.waiting("c2") == {}
    book.see(draft("Ann", id="c2", same_as="s", at=40))
    assert book.stands("c2") == "pending"


def test_an_heir_whose_other_name_is_asked_about_is_not_sent_under_it_unasked(book: Book) -> None:
    """Though Trakor never had the name that it shared: nobody has answered."""
    book.see(draft("Ann", id="c1", same_as="s"), draft("Ann", id="c2", same_as="s"))
    book.see(draft("Bo", id="c2", same_as="s", at=20))
    assert book.stands("c2") == "held: renamed"
    book.see(filtered(id="c1", at=30))
    book.see(draft("Bo", id="c2", same_as="s", at=30))
    assert (book.stands("c2"), book.claimed()) == ("held: renamed", {})
    book.accept("c2")
    assert book.claimed() == {of("Bo"): book.number("c2")}


def test_an_heir_that_has_no_name_any_more_in_the_same_page_leaves_no_draft(book: Book) -> None:
    book.see(draft("Ann", id="c1", same_as="s"), draft("Ann", id="c2", same_as="s"))
    book.see(draft("Bo", id="c2", same_as="s", at=20))
    book.see(draft("Bo", id="c1", at=30), unnamed(id="c2", at=30))
    assert (book.stands("c1"), book.stands("c2")) == ("pending", "skipped: no-name")
    assert book.waiting("c2") == {}


def test_a_renamed_heir_of_what_trakor_has_stays_held_when_that_is_renamed_too(book: Book) -> None:
    book.policy = Policy(on_rename="hold")
    book.see(draft("Ann", id="c1", same_as="s"), draft("Ann", id="c2", same_as="s"))
    book.settle(*(answered(work) for work in book.claim()))
    book.see(draft("Bo", id="c2", same_as="s", at=20), draft("Cy", id="c1", same_as="s", at=20))
    book.accept("c1")
    assert (book.stands("c1"), book.stands("c2")) == ("pending", "held: renamed")


def test_an_heir_of_the_same_page_is_not_decided_twice(book: Book) -> None:
    book.see(draft("Ann", id="c1", same_as="s"), draft("Ann", id="c2", same_as="s"))
    book.see(draft("Bo", id="c1", same_as="s", at=20), draft("Ann", id="c2", same_as="s", at=20))
    assert (book.stands("c1"), book.stands("c2")) == ("pending", "pending")
    assert [line.event for line in book.history("c2")] == ["merged", "pending"]


def test_the_last_of_an_id_that_stands_in_a_page_twice_counts(book: Book) -> None:
    seen = book.see(draft("Ann"), draft("Bo"))
    assert seen == ObserveResult(fresh=1, pending=1)
    assert book.claimed() == {of("Bo"): book.number("c1")}


def test_an_old_page_changes_nothing(book: Book) -> None:
    book.see(draft("Ann", "new", at=20))
    before = book.row()
    book.see(draft("Bo", "old", at=19))
    assert book.row() == before
    assert book.waiting()[0].draft.payload.fields()["contact_info"] == "new"


def test_an_old_page_counts_as_seen_by_its_sweep(book: Book) -> None:
    """Else what a webhook brought meanwhile would be gone."""
    sweep = book.write(lambda connection: begin_sweep(connection, book.feed, "q", restart=False, now=5))
    book.see(draft("Ann", at=20))
    book.see(draft("Bo", at=19), observation=Observation(run=3, sweep=sweep.number))
    assert (book.row().sweep, book.row().run) == (sweep.number, 3)


def test_unchanged_pages_write_no_history(book: Book) -> None:
    """A sweep without changes costs one look-up and one update a page."""
    page: list[Draft | Unsendable] = [draft(f"Name {n}", id=f"c{n}") for n in range(50)]
    page += [filtered(id="f"), unmapped(id="m"), draft("Name 1", id="same")]
    book.see(*page)
    lines = book.write(lambda connection: connection.scalar(select(func.count()).select_from(history)))
    assert book.see(*page) == ObserveResult(fresh=53, pending=0)
    again = book.write(lambda connection: connection.scalar(select(func.count()).select_from(history)))
    assert again == lines


def test_an_unchanged_record_is_known_to_be_read_later_and_by_newer_rules(book: Book) -> None:
    book.see(draft("Ann", at=10))
    book.see(draft("Ann", at=20, rules="rules 2"))
    assert (book.row().read_at, book.rules().map) == (20, "rules 2")
    book.see(draft("Bo", at=15))
    assert book.claimed() == {of("Ann"): book.number("c1")}


GOOD = {"id": "id", "name": "name", "contact_info": "phone", "same_as": "", "qualifier": ""}
ANN = {"id": "c1", "name": "Ann", "phone": "0412 345 678", "active": True}
EDITED = {**ANN, "phone": "0499 345 678"}


def read(book: Book, data: Mapping[str, object], at: int, **changed: str) -> None:
    """Read a record as a sweep does: surveyed, mapped by the map of before, too, and observed."""
    made = Mapper(Stream.CONTACTS, {**GOOD, **changed}, "active", HASHER, "query 1")
    record = Record(Stream.CONTACTS, "c1", data, at)
    inputs = [("c1", made.input_of(record))]
    known = book.write(lambda connection: survey(connection, book.feed, inputs, made.rules))
    if "c1" not in known.unchanged:
        book.see(made(record, made.earlier_mapper(known.maps.get("c1"))))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"name": "nick"}, ANN),
        ({"contact_info": "join(phone, phone)"}, ANN),
        ({"contact_info": "name"}, {**ANN, "active": False}),
    ],
    ids=["no name", "mapping", "filtered"],
)
@pytest.mark.parametrize("mended", [{}, {"contact_info": "join(' | ', [name, phone])"}])
def test_an_edit_between_a_broken_map_and_a_mended_one_is_listed(
    book: Book, broken: dict[str, str], says: dict[str, object], mended: dict[str, str]
) -> None:
    """Nothing was compared while the map was broken: what changed then is not the doing of the mended one."""
    read(book, ANN, 10)
    book.settle(*(answered(work) for work in book.claim()))
    read(book, says, 20, **broken)
    read(book, says, 21, **broken)
    read(book, EDITED, 30, **mended)
    assert (book.stands(), book.shown().fields) == ("drifted", ("contact_info",))
    read(book, ANN, 40)
    assert book.stands() == "delivered", "as it was sent, by the map that it was sent by"


def test_a_map_that_names_otherwise_makes_no_party_of_what_nobody_looked_at(book: Book) -> None:
    """Of one that was filtered or dropped when the map changed, nothing was compared either."""
    book.policy = Policy(on_rename="create")
    read(book, ANN, 10)
    book.settle(*(answered(work) for work in book.claim()))
    for at in (20, 21):
        read(book, {**ANN, "active": False}, at, name="join(' ', [name, 'Lee'])")
    read(book, ANN, 30, name="join(' ', [name, 'Lee'])")
    assert (book.stands(), book.claim()) == ("held: remapped", [])


def test_what_only_the_map_changed_while_it_was_unanswered_makes_no_second_party(book: Book) -> None:
    book.policy = Policy(on_rename="create")
    read(book, ANN, 10)
    (sent,) = book.claim()
    read(book, ANN, 20, name="join(' ', [name, 'Lee'])")
    book.settle(answered(sent))
    assert (book.stands(), book.claim()) == ("delivered", [])
    read(book, ANN, 30, name="join(' ', [name, 'Lee'])")
    assert (book.stands(), book.claim()) == ("held: remapped", [])


def test_what_only_another_map_makes_of_a_delivered_record_is_no_drift(book: Book) -> None:
    """It is marked: Trakor has what the older map made. A change at the source is listed all the same."""
    book.see(draft("Ann", "0412"))
    book.settle(*(answered(work) for work in book.claim()))
    was = draft("Ann", "0412", at=20)
    book.see(draft("Ann", "Ann | 0412", rules="rules 2", at=20, before=was))
    assert (book.stands(), book.shown().marks) == ("delivered", ("remapped",))
    assert book.rules().map == "rules 2"
    assert book.in_trakor()["contact_info"] == "0412"
    book.see(draft("Ann", "Ann | 0499", rules="rules 2", at=30))
    assert (book.stands(), book.shown().fields) == ("drifted", ("contact_info",))


def test_the_time_of_a_state_is_when_it_began(book: Book) -> None:
    book.see(draft("Ann", at=10))
    since = book.row().since_at
    book.see(draft("Ann", "0412", at=20))
    assert book.row().since_at == since
    book.see(filtered(at=30))
    assert book.row().since_at > since


def test_fresh_counts_what_the_sweep_had_not_seen_yet(book: Book) -> None:
    sweep = book.write(lambda connection: begin_sweep(connection, book.feed, "q", restart=False, now=5))
    observation = Observation(sweep=sweep.number)
    assert book.see(draft("Ann", id="c1"), draft("Bo", id="c2"), observation=observation).fresh == 2
    assert book.see(draft("Bo", id="c2"), draft("Cy", id="c3"), observation=observation).fresh == 1
    assert book.see(draft("Bo", id="c2"), draft("Cy", id="c3"), observation=observation).fresh == 0


def test_the_checkpoint_moves_with_its_page(book: Book) -> None:
    sweep = book.write(lambda connection: begin_sweep(connection, book.feed, "q", restart=False, now=5))
    book.see(draft("Ann"), observation=Observation(sweep=sweep.number, position="100"))
    again = book.write(
        lambda connection: begin_sweep(connection, book.feed, "q", restart=False, now=book.now)
    )
    assert (again.number, again.position) == (sweep.number, "100")


class _PowerCutError(Exception):
    """In the middle of a transaction."""


def test_a_transaction_that_ends_in_its_middle_leaves_neither_page_nor_checkpoint(book: Book) -> None:
    sweep = book.write(lambda connection: begin_sweep(connection, book.feed, "q", restart=False, now=5))

    def dies(connection: Connection) -> None:
        observation = Observation(sweep=sweep.number, position="100")
        observe(connection, book.feed, [draft("Ann")], observation, policy=Policy(), now=10)
        raise _PowerCutError

    with pytest.raises(_PowerCutError):
        book.write(dies)
    assert book.write(lambda connection: connection.execute(select(records)).all()) == []
    assert book.write(lambda connection: connection.scalar(select(sweeps.c.position))) == ""


def test_a_decision_that_fails_leaves_nothing_of_its_page(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise _PowerCutError

    monkeypatch.setattr("bridge.ledger.observe.decide", fails)
    with pytest.raises(_PowerCutError), writing(book.path, kept(book.path)) as connection:
        observe(connection, book.feed, [draft("Ann")], Observation(), policy=Policy(), now=10)
    assert book.claimed() == {}


def test_a_merged_record_whose_claimant_was_refused_is_sent_in_its_place(book: Book) -> None:
    book.see(draft("Ann", "bad", id="c1", same_as="s"), draft("Ann", "good", id="c2", same_as="s"))
    [work] = book.claim()
    book.settle(not_taken(work))
    assert (book.stands("c1"), book.stands("c2")) == ("rejected: refused-by-trakor", "pending")


def test_a_new_record_takes_the_place_of_one_that_is_not_sent_any_more(book: Book) -> None:
    """Merged into that one it would be in Trakor only as far as anybody knows."""
    book.see(draft("Ann", id="c1", same_as="s"))
    book.settle(*(later(work) for work in book.claim()))
    book.drop("c1")
    book.see(draft("Ann", id="c2", same_as="s"))
    assert (book.stands("c1"), book.stands("c2")) == ("dropped", "pending")
    assert (book.claimed(), book.attempts("c2")) == ({of("Ann"): book.number("c2")}, 1)


def test_a_tried_one_that_is_rejected_stays_so_whatever_its_name_is_by_now(book: Book) -> None:
    """And who is the same person takes its place under the name that was tried."""
    book.policy = Policy(on_rename="create")
    book.see(draft("Ann", id="c1", same_as="s"))
    [work] = book.claim()
    book.settle(not_taken(work, caused_by_record=False))
    book.see(draft("Beth", id="c1", same_as="s", at=20))
    book.see(draft("Ann", id="c2", same_as="s", at=20))
    assert (book.stands("c1"), book.stands("c2")) == ("rejected: server-error", "pending")
    assert book.claimed() == {of("Ann"): book.number("c2")}


def test_a_name_that_trakor_answered_for_is_not_given_back(book: Book) -> None:
    """Not even by a record that went back to it, and on to another, before it was sent again."""
    book.policy = Policy(on_rename="create")
    book.see(draft("Ann", id="c1"))
    [work] = book.claim()
    book.settle(answered(work))
    for at, name in ((20, "Beth"), (30, "Ann"), (40, "Cara")):
        book.see(draft(name, id="c1", at=at))
    number = book.number("c1")
    assert book.claimed() == {of("Ann"): number, of("Cara"): number}


# -- the clock was set back


def test_a_read_noted_in_the_future_does_not_hide_what_is_seen_now(book: Book) -> None:
    """A clock that was a day ahead is put right: changes are not to wait for a day in silence."""
    book.now = 90_000_000
    book.see(draft("Ann", at=90_000_000))
    [work] = book.claim()
    book.settle(answered(work))
    book.now = 1_000_000
    book.see(draft("Bo", at=1_000_000))
    assert book.stands() == "held: renamed"
    assert book.row().read_at == 1_000_000


def test_a_read_noted_in_the_future_is_put_right_by_a_sight_without_news(book: Book) -> None:
    book.now = 90_000_000
    book.see(draft("Ann", at=90_000_000))
    book.now = 1_000_000
    book.see(draft("Ann", at=1_000_000))
    assert book.row().read_at == 1_000_000


# -- the scope gets another name


def test_a_name_that_trakor_has_is_taken_under_the_scopes_new_name_too(book: Book) -> None:
    book.see(draft("Ann", id="c1"))
    [work] = book.claim()
    book.settle(answered(work))
    renamed = Book(book.path, scope="one Trakor for two", now=book.now)
    renamed.see(draft("Ann", id="c2", at=30))
    assert renamed.stands("c2") == "held: same-name"
    sharing = Book(book.path, connection="b", scope="one Trakor for two", now=book.now)
    sharing.see(draft("Ann", id="b1", at=30))
    assert sharing.stands("b1") == "held: same-name"


def test_who_is_answered_with_a_linked_id_is_held_under_the_scopes_new_name_too(book: Book) -> None:
    book.see(draft("Ann", id="c1"))
    [work] = book.claim()
    book.settle(answered(work, "p1"))
    renamed = Book(book.path, scope="one Trakor for two", now=book.now)
    renamed.see(draft("Anne", id="c2", at=30))
    [work] = renamed.claim()
    renamed.settle(answered(work, "p1", created=False))
    assert renamed.stands("c2") == "held: same-party"


def test_a_waiting_name_that_is_taken_in_the_new_scope_is_decided_anew(book: Book) -> None:
    shared = Book(book.path, connection="b", scope="one Trakor for two")
    shared.see(draft("Ann", id="b1"))
    book.see(draft("Ann", id="c1", qualifier="q"), draft("Bo", id="c2"))
    moved = Book(book.path, scope="one Trakor for two", now=book.now)
    moved.see(draft("Ann", id="c1", qualifier="q", at=30), draft("Bo", id="c2", at=30))
    assert moved.claimed() == {
        of("Ann"): shared.number("b1"),
        of("Ann (q)"): moved.number("c1"),
        of("Bo"): moved.number("c2"),
    }
    assert moved.waiting("c1")[0].send_as == "Ann (q)"


def test_one_that_is_filtered_is_skipped_once_nobody_is_sent_whom_it_could_share_with(book: Book) -> None:
    """Whether or not the name was tried: it would count as merged into what is not in Trakor."""
    book.see(draft("Ann", id="c1", same_as="s"), draft("Ann", id="c2", same_as="s"))
    book.settle(*(later(work) for work in book.claim()))
    book.see(filtered(id="c2", at=20))
    assert book.stands("c2") == "merged"
    book.drop("c1")
    assert book.stands("c2") == "skipped: filtered"
    book.see(draft("Ann", id="c2", same_as="s", at=40))
    assert (book.stands("c2"), book.attempts("c2")) == ("pending", 1)

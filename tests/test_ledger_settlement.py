"""From pending to Trakor's answer: attempts are noted first, and every outcome is written whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from books import KEY, Book
from books import kept as keeping_of
from bridge.decision import decide
from bridge.encryption import Sealer
from bridge.errors import UserError
from bridge.ledger import send_queue
from bridge.ledger.database import TextStorage, writing
from bridge.ledger.gone_records import mark_gone_by_id
from bridge.ledger.observe import Observation, observe
from bridge.ledger.row_writes import NOTED, TO_SEND
from bridge.ledger.schema import claims, feeds, links, namespaces, records, stored_texts
from bridge.records import NoAnswer, Policy, Stream
from builders import answered, draft, filtered, later, nobody, not_taken, of

if TYPE_CHECKING:
    from sqlalchemy import Table

    from bridge.decision import HolderOf
    from bridge.records import Decision, Draft, LedgerRow, Unsendable, WorkItem

DUE_LATER = 10**6
HOUR = 60 * 60 * 1000


def in_flight(book: Book, *names: str) -> list[WorkItem]:
    """Records c1, c2, … of these names, claimed for sending."""
    book.see(*(draft(name, id=f"c{n}") for n, name in enumerate(names, 1)))
    return book.claim()


# -- claiming


def test_an_attempt_is_noted_before_it_is_made(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    assert (work.attempt, work.failures, work.payload.name) == (1, 0, "Ann")
    assert book.attempts() == 1


def test_what_is_claimed_is_not_claimed_again_until_its_time_is_over(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    assert book.claim() == []
    book.now += 10_000
    [again] = book.claim()
    assert (again.number, again.attempt) == (work.number, 2)


def test_a_dead_owners_claims_end_and_its_attempts_count(book: Book) -> None:
    """What was in flight may have arrived: an answer to the next attempt says `unclear`."""
    in_flight(book, "Ann")
    book.die()
    [again] = book.claim()
    assert again.attempt == 2
    book.settle(answered(again, created=False))
    assert book.shown().origin == "unclear"


def test_no_more_is_claimed_than_asked_for_and_the_longest_due_first(book: Book) -> None:
    first, second, third = in_flight(book, "Ann", "Bo", "Cy")
    book.settle(later(first, 30), later(second, 10), later(third, 20))
    assert [work.number for work in book.claim(2)] == [second.number, third.number]


def test_what_is_not_due_yet_is_left_and_its_time_is_known(book: Book) -> None:
    ann, bo = in_flight(book, "Ann", "Bo")
    book.settle(later(ann, DUE_LATER + 1), later(bo, DUE_LATER))
    assert book.claim() == []
    assert (
        book.write(lambda connection: send_queue.find_next_due(connection, book.feed, now=book.now))
        == DUE_LATER
    )


def test_an_answer_counts_for_the_run_that_the_record_is_of(book: Book) -> None:
    """Where one delivery serves many runs: each record's own, and none where it was read by its id."""
    book.see(draft("Ann", id="c1"), observation=Observation(run=7))
    book.see(draft("Bo", id="c2"), observation=Observation(run=8))
    book.see(draft("Cy", id="c3"))
    work = book.claim()
    book.settle(*(answered(one) for one in work), run=None)
    found = book.write(lambda connection: connection.execute(records.select()).all())
    assert {row.source_id: row.answered_run for row in found} == {"c1": 7, "c2": 8, "c3": 0}


def test_nothing_is_due_where_all_is_claimed(book: Book) -> None:
    in_flight(book, "Ann")
    assert (
        book.write(lambda connection: send_queue.find_next_due(connection, book.feed, now=book.now)) is None
    )


# -- outcomes


def test_created_is_delivered_linked_and_keeps_its_name_for_ever(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.settle(answered(work, "t1"), run=7)
    assert (book.stands(), book.shown().origin, book.shown().trakor_id) == ("delivered", "created", "t1")
    assert (book.linked(), book.claimed()) == ({"t1": work.number}, {of("Ann"): work.number})
    assert (book.waiting(), book.row().answered_run, book.row().claimed_until) == ({}, 7, 0)
    assert [line.event for line in book.history()] == ["pending", "delivered"]


@pytest.mark.parametrize(("on_existing", "stands"), [("adopt", "delivered"), ("hold", "held: existing")])
def test_what_was_there_before_is_adopted_or_held(book: Book, on_existing: str, stands: str) -> None:
    book.policy = Policy(on_existing=on_existing)
    [work] = in_flight(book, "Ann")
    book.settle(answered(work, created=False))
    assert (book.stands(), book.shown().origin) == (stands, "existing")
    assert book.linked() == {"t1": work.number}


def test_what_is_there_after_a_request_without_an_answer_is_unclear(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.settle(later(work, no_answer=NoAnswer(book.now, 0)))
    [again] = book.claim()
    book.settle(later(again))  # answered with 503, which says nothing of the one before
    [last] = book.claim()
    book.settle(answered(last, created=False))
    assert (book.stands(), book.shown().origin) == ("delivered", "unclear")


def test_what_is_there_after_answers_that_made_nothing_was_there_before(book: Book) -> None:
    """A 503 is an answer: what Trakor has under that name is a stranger's, as far as is known."""
    [work] = in_flight(book, "Ann")
    book.settle(later(work))
    [again] = book.claim()
    book.settle(answered(again, created=False))
    assert (book.stands(), book.shown().origin) == ("delivered", "existing")
    assert set(book.in_trakor()) == {"name"}


def test_two_that_want_a_name_ask_a_person_though_the_first_request_was_put_off(book: Book) -> None:
    """The ledger was lost, and a 503 came first: nobody knows which John Trakor has."""
    book.see(
        draft("John Smith", "1", id="c1", same_as="1", qualifier="q1"),
        draft("John Smith", "2", id="c2", same_as="2", qualifier="q2"),
    )
    book.settle(*(later(work) for work in book.claim()))
    plain, qualified = book.claim()
    assert plain.payload.name == "John Smith"
    book.settle(answered(plain, "t1", created=False), answered(qualified, "t2"))
    assert book.stands("c1") == "held: existing"


def test_the_answered_attempts_of_a_name_that_came_back_prove_nothing(book: Book) -> None:
    """Renamed in Trakor by hand, then back here: what has that name there by now is a stranger's."""
    book.policy = Policy(on_rename="create")
    book.see(draft("Ann", at=book.now))
    book.settle(*(answered(work, "t1") for work in book.claim()))
    book.see(draft("Bea", at=book.now))
    book.settle(*(answered(work, "t1", created=False) for work in book.claim()))
    book.see(draft("Ann", at=book.now))
    book.settle(*(answered(work, "t9", created=False) for work in book.claim()))
    assert (book.stands(), book.shown().origin) == ("delivered", "existing")


def test_an_attempt_that_never_began_does_not_make_the_origin_unclear(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.settle(later(work, begun=False))
    assert book.attempts() == 0
    [again] = book.claim()
    book.settle(answered(again, created=False))
    assert book.shown().origin == "existing"


def test_failures_of_its_own_are_counted_and_others_are_not(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.settle(later(work, failed=True))
    [work] = book.claim()
    assert work.failures == 1
    book.settle(later(work))
    [work] = book.claim()
    assert (work.failures, work.attempt) == (1, 3)


def test_refused_is_rejected_with_its_message_and_its_name_is_free(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.settle(not_taken(work, "400: name is odd"))
    assert book.stands() == "rejected: refused-by-trakor"
    assert book.history()[-1].detail == "400: name is odd"
    assert book.claimed() == {}
    assert book.waiting()[TO_SEND].send_as == "Ann"  # a person may retry it


def test_a_server_error_is_rejected_and_keeps_its_name(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.settle(not_taken(work, caused_by_record=False))
    assert book.stands() == "rejected: server-error"
    assert book.claimed() == {of("Ann"): work.number}


def test_a_mixed_batch_is_settled_each_by_its_own(book: Book) -> None:
    ann, bo, cy = in_flight(book, "Ann", "Bo", "Cy")
    book.settle(answered(ann), not_taken(bo), later(cy, DUE_LATER))
    assert [book.stands(f"c{n}") for n in (1, 2, 3)] == [
        "delivered",
        "rejected: refused-by-trakor",
        "pending",
    ]


def test_two_records_that_trakor_takes_for_one_are_not_merged_in_silence(book: Book) -> None:
    """Both answers in one batch; and likewise in two."""
    ann, rene, renee = in_flight(book, "Ann", "Rene", "René")
    book.settle(answered(ann, "t1"), answered(rene, "t2"), answered(renee, "t2", created=False))
    assert (book.stands("c2"), book.stands("c3")) == ("delivered", "held: same-party")
    assert book.row("c3").merged_into == rene.number
    assert (book.row("c3").trakor_id, book.linked()["t2"]) == (None, rene.number)
    book.see(draft("Ánn", id="c4"))
    book.settle(*(answered(work, "t1", created=False) for work in book.claim()))
    assert book.stands("c4") == "held: same-party"


def test_a_returned_name_with_another_key_is_claimed_as_well(book: Book) -> None:
    [work] = in_flight(book, "Ánn")
    book.settle(answered(work, "t1", created=False, name="Ann"))
    assert book.claimed() == {of("Ánn"): work.number, of("Ann"): work.number}
    book.see(draft("Ann", id="c2"))
    assert book.stands("c2") == "held: same-name"


def test_a_returned_name_that_another_record_has_stays_that_ones(book: Book) -> None:
    ann, accented = in_flight(book, "Ann", "Ánn")
    book.settle(answered(accented, "t9", name="Ann"), answered(ann, "t1"))
    assert book.claimed() == {of("Ann"): ann.number, of("Ánn"): accented.number}


def test_a_products_sku_is_kept_with_its_link(book: Book) -> None:
    products = Book(book.path, stream=Stream.PRODUCTS)
    products.see(draft("Plus", product=True, price="600.00"))
    [work] = products.claim()
    assert work.payload.fields()["price"] == "600.00"
    products.settle(answered(work, sku="PRD-00042"))
    assert products.shown().sku == "PRD-00042"


# -- what changed while it was under way


def test_a_change_under_way_is_noted_and_decided_after_the_answer(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.see(draft("Ann", "0499", at=20))
    assert (book.stands(), set(book.waiting())) == ("pending", {TO_SEND, NOTED})
    book.settle(answered(work))
    assert (book.stands(), book.shown().fields) == ("drifted", ("contact_info",))
    assert book.waiting()[TO_SEND].draft.payload.fields()["contact_info"] == "0499"
    assert (set(book.waiting()), book.in_trakor()["contact_info"]) == ({TO_SEND}, "")


def test_the_old_payload_goes_out_again_until_it_is_answered(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.see(draft("Bo", "0499", at=20))
    book.settle(later(work))
    assert [again.payload for again in book.claim()] == [work.payload]


@pytest.mark.parametrize(
    ("on_rename", "stands", "sent"), [("hold", "held: renamed", []), ("create", "pending", ["Bo"])]
)
def test_a_rename_under_way_is_held_or_sent_by_the_policy(
    book: Book, on_rename: str, stands: str, sent: list[str]
) -> None:
    book.policy = Policy(on_rename=on_rename)
    [work] = in_flight(book, "Ann")
    book.see(draft("Bo", at=20))
    book.settle(answered(work))
    assert book.stands() == stands
    assert [again.payload.name for again in book.claim()] == sent
    assert set(book.waiting()) == {TO_SEND}
    assert book.linked() == {"t1": work.number}


def test_a_second_name_has_its_own_attempts_and_the_first_link_stays(book: Book) -> None:
    book.policy = Policy(on_rename="create")
    [work] = in_flight(book, "Ann")
    book.settle(answered(work, "t1"))
    book.see(draft("Bo", at=20))
    [second] = book.claim()
    assert second.attempt == 1
    book.settle(answered(second, "t2"))
    assert book.linked() == {"t1": work.number, "t2": work.number}
    assert book.claimed() == {of("Ann"): work.number, of("Bo"): work.number}
    book.see(draft("Ann", at=30))
    [back] = book.claim()
    book.policy = Policy(on_rename="create", on_existing="hold")
    book.settle(answered(back, "t1", created=False))
    assert book.stands() == "delivered"  # its own: nobody has to be asked


def test_a_change_that_was_undone_under_way_leaves_no_trace(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.see(draft("Bo", at=20))
    book.see(draft("Ann", at=30))
    book.settle(answered(work))
    assert (book.stands(), book.shown().fields) == ("delivered", ())


def test_a_note_of_an_attempt_that_never_began_makes_no_drift(book: Book) -> None:
    """It was seen again as it was, before it was ever sent."""
    [work] = in_flight(book, "Ann")
    book.see(draft("Ann", "0499", at=20))
    book.settle(later(work, begun=False))
    book.see(draft("Ann", at=30))
    assert set(book.waiting()) == {TO_SEND}
    book.settle(*(answered(again) for again in book.claim()))
    assert book.stands() == "delivered"


def test_an_attempt_that_never_began_lets_the_newer_payload_go_out(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.see(draft("Ann", "0499", at=20))
    book.settle(later(work, begun=False))
    book.see(draft("Ann", "0499", at=30))
    [again] = book.claim()
    assert again.payload.fields()["contact_info"] == "0499"
    book.settle(answered(again))
    assert (book.stands(), book.waiting()) == ("delivered", {})


def test_a_record_filtered_under_way_is_delivered_and_marked(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.see(draft("Bo", at=20))
    book.see(filtered(at=30))
    book.settle(answered(work))
    assert (book.stands(), book.shown().marks) == ("delivered", ("filtered",))
    assert book.waiting() == {}


def test_a_refused_record_that_changed_under_way_is_sent_as_it_is_now(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.see(draft("Ann", "mended", at=20))
    book.settle(not_taken(work))
    assert book.stands() == "pending"
    [again] = book.claim()
    assert (again.attempt, again.payload.fields()["contact_info"]) == (1, "mended")


def test_a_record_that_is_gone_by_the_time_it_is_refused_claims_no_other_name(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.see(draft("Bo", at=20))
    book.write(
        lambda connection: mark_gone_by_id(connection, book.feed, ["c1"], book.policy, read_at=30, now=40)
    )
    book.settle(not_taken(work))
    assert (book.stands(), book.shown().marks) == ("rejected: refused-by-trakor", ("gone",))
    assert book.claimed() == {}
    book.see(draft("Bo", at=50))
    assert (book.stands(), book.shown().marks) == ("pending", ())


def test_a_drift_noted_while_a_person_is_asked_is_decided_after_them(book: Book) -> None:
    book.policy = Policy(on_existing="hold")
    [work] = in_flight(book, "Ann")
    book.see(draft("Ann", "0499", at=20))
    book.settle(answered(work, created=False))
    assert (book.stands(), set(book.waiting())) == ("held: existing", {TO_SEND, NOTED})
    book.accept()
    assert (book.stands(), set(book.waiting())) == ("drifted", {TO_SEND})


def test_a_name_that_a_record_was_tried_under_is_known_to_be_when_it_comes_back_to_it(book: Book) -> None:
    """Server errors, a rename, and back: what is there at the next attempt may be its own."""
    [work] = in_flight(book, "Ann")
    book.settle(not_taken(work, caused_by_record=False))
    book.see(draft("Bo", at=20))
    book.see(draft("Ann", at=30))
    assert book.stands() == "rejected: server-error"
    book.retry()
    [again] = book.claim()
    assert (again.attempt, again.payload.name) == (2, "Ann")
    book.settle(answered(again, created=False))
    assert (book.stands(), book.shown().origin) == ("delivered", "existing"), "a server error is an answer"


def test_a_name_that_came_back_counts_no_attempt_that_was_answered(book: Book) -> None:
    """Renamed back before it is sent: it has a name to give up, not one that Trakor may be storing."""
    book.policy = Policy(on_rename="create")
    book.settle(*(answered(work) for work in in_flight(book, "Ann")))
    book.see(draft("Bo", at=20))
    book.see(draft("Ann", at=30))
    book.see(draft("Ann", "0499", at=40))
    [work] = book.claim()
    assert work.payload.fields() == {"name": "Ann", "contact_info": "0499"}
    book.settle(later(work, no_answer=NoAnswer(book.now, book.now)))
    book.see(draft("Cy", at=50))
    assert [again.payload for again in book.claim()] == [work.payload]


# -- dropped under way


def test_dropped_under_way_and_answered_stays_dropped_but_is_known_to_be_there(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.drop()
    book.settle(answered(work, "t1"))
    assert (book.stands(), book.shown().trakor_id, book.linked()) == ("dropped", "t1", {"t1": work.number})
    book.see(draft("Ann", id="c2", at=20))
    assert book.stands("c2") == "held: same-name"


def test_dropped_under_way_and_refused_gives_its_name_back(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.drop()
    book.settle(not_taken(work))
    assert (book.stands(), book.claimed()) == ("dropped", {})


def test_dropped_before_it_left_gives_its_name_back(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.drop()
    assert book.claimed() == {of("Ann"): work.number}
    book.settle(later(work, begun=False))
    assert (book.stands(), book.claimed()) == ("dropped", {})


@pytest.mark.parametrize("failed", [True, False])
def test_dropped_and_without_an_answer_keeps_its_name(book: Book, failed: bool) -> None:  # noqa: FBT001
    """The request that was lost may have made it."""
    [work] = in_flight(book, "Ann")
    book.drop()
    book.settle(later(work, failed=failed))
    assert book.claimed() == {of("Ann"): work.number}
    assert book.claim() == []


def test_dropped_under_way_cannot_be_retried_until_it_is_known_what_came_of_it(book: Book) -> None:
    """It would be sent by two at the same time."""
    [work] = in_flight(book, "Ann")
    book.drop()
    with pytest.raises(UserError, match="under way"):
        book.retry()
    book.settle(later(work))
    book.retry()
    book.see(draft("Ann", at=20))
    assert [again.attempt for again in book.claim()] == [2]


# -- merged


@pytest.mark.parametrize(("sent", "kept"), [(True, {TO_SEND}), (False, set())])
def test_drafts_of_merged_records_stay_after_the_claimants_answer_only_where_that_is_wanted(
    book: Book,
    sent: bool,  # noqa: FBT001
    kept: set[int],
) -> None:
    book.text_storage = TextStorage(Sealer(KEY), sent)
    book.see(draft("Ann", id="c1", same_as="s"), draft("Ann", id="c2", same_as="s"))
    assert set(book.waiting("c2")) == {TO_SEND}
    book.settle(*(answered(work) for work in book.claim()))
    assert (book.stands("c2"), set(book.waiting("c2"))) == ("merged", kept)
    book.see(draft("Ann", id="c3", same_as="s"))
    assert (book.stands("c3"), set(book.waiting("c3"))) == ("merged", kept)


# -- the database itself


def test_the_database_refuses_a_second_claim_on_a_name(book: Book) -> None:
    in_flight(book, "Ann", "Bo")
    values = {"space": book.feed.namespace, "key": of("Ann"), "record": book.number("c2")}
    with pytest.raises(IntegrityError):
        book.write(lambda connection: connection.execute(insert(claims).values(values)))


def test_the_database_refuses_a_second_link_to_a_trakor_id(book: Book) -> None:
    book.settle(*(answered(work, "t1") for work in in_flight(book, "Ann")))
    book.see(draft("Bo", id="c2"))
    values = {"space": book.feed.namespace, "trakor_id": "t1", "record": book.number("c2"), "at": 0}
    with pytest.raises(IntegrityError):
        book.write(lambda connection: connection.execute(insert(links).values(values)))


def test_the_database_refuses_a_source_id_twice(book: Book) -> None:
    in_flight(book, "Ann")
    values = {"feed": book.feed.number, "source_id": "c1", "state": "pending", "read_at": 0, "since_at": 0}
    with pytest.raises(IntegrityError):
        book.write(lambda connection: connection.execute(insert(records).values(values)))


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (records, {"feed": 1, "source_id": "x", "state": "unheard of", "read_at": 0, "since_at": 0}),
        (
            records,
            {"feed": 1, "source_id": "x", "state": "pending", "origin": "?", "read_at": 0, "since_at": 0},
        ),
        (namespaces, {"scope": "x", "stream": "deals"}),
        (feeds, {"connection": "x", "stream": "deals", "space": 1}),
        (stored_texts, {"record": 999, "slot": 0, "body": b""}),
    ],
    ids=["state", "origin", "space", "feed", "draft of no record"],
)
def test_the_database_refuses_words_that_do_not_exist(
    book: Book, table: Table, values: dict[str, object]
) -> None:
    with pytest.raises(IntegrityError):
        book.write(lambda connection: connection.execute(insert(table).values(values)))


def test_a_claim_that_another_holds_ends_the_transaction_and_is_not_passed_over(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should a decision ever claim what is taken, nothing of its page is written."""
    in_flight(book, "Ann")

    def blind(
        seen: Draft | Unsendable, row: LedgerRow | None, _: HolderOf, policy: Policy
    ) -> Decision | None:
        return decide(seen, row, nobody, policy)

    page = [draft("Bo", id="c2"), draft("Ann", id="c3")]
    monkeypatch.setattr("bridge.ledger.observe.decide", blind)
    with pytest.raises(IntegrityError), writing(book.path, keeping_of(book.path)) as connection:
        observe(connection, book.feed, page, Observation(), policy=Policy(), now=0)
    assert book.claimed() == {of("Ann"): book.number("c1")}

"""The queue of what is to be sent: whose turn it is, and what is not to be sent yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, select

from books import Book
from bridge.errors import UserError
from bridge.ledger import send_queue
from bridge.ledger.erasure import forget_record
from bridge.ledger.gone_records import mark_gone_by_id
from bridge.ledger.schema import claims, stored_texts
from bridge.ledger.send_queue import WaitLimits
from bridge.records import NoAnswer, Policy, Retry
from builders import answered, draft, later, not_taken

if TYPE_CHECKING:
    from bridge.records import WorkItem

WAITS = WaitLimits(retry=5_000, unanswered=2_000)
DAY = 86_400_000


def in_flight(book: Book, *names: str) -> list[WorkItem]:
    """Records c1, c2, … of these names, claimed for sending."""
    book.see(*(draft(name, id=f"c{n}") for n, name in enumerate(names, 1)))
    return book.claim()


def of_claims(book: Book) -> list[Any]:
    """The claims as they stand, in the order of their records."""
    found = select(claims).order_by(claims.c.record)
    return book.write(lambda connection: list(connection.execute(found)))


def silent(book: Book, sent: WorkItem, wait: int = 2_000) -> Retry:
    """The request for it ended now, without an answer."""
    return later(sent, no_answer=NoAnswer(book.now + 10, book.now + 10 + wait))


def claim(book: Book) -> list[WorkItem]:
    """Claimed by somebody who waits no longer than ``WAITS``."""
    return book.write(
        lambda connection: send_queue.claim_work(
            connection, book.feed, 100, now=book.now, until=book.now + DAY, waits=WAITS
        )
    )


def due(book: Book, *, patient: bool = True) -> int | None:
    """When it is worth looking again."""
    return book.write(
        lambda connection: send_queue.find_next_due(
            connection, book.feed, now=book.now, waits=WAITS, patient=patient
        )
    )


# -- attempts belong to the claim


def test_the_first_attempt_notes_what_is_tried_and_since_when(book: Book) -> None:
    in_flight(book, "Ann")
    [found] = of_claims(book)
    assert (found.attempts, found.tried, found.unanswered_at > 0) == (1, book.row().sent, True)


def test_an_attempt_that_never_began_leaves_no_trace(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.settle(later(work, begun=False))
    [found] = of_claims(book)
    assert (found.attempts, found.unanswered_at, found.not_before) == (0, 0, 0)


def test_an_answer_that_takes_nothing_leaves_no_attempt_open(book: Book) -> None:
    """503 and an application's 500 are answers: the name may be sent again."""
    [work] = in_flight(book, "Ann")
    book.settle(later(work))
    [found] = of_claims(book)
    assert (found.attempts, found.unanswered_at, found.not_before) == (1, 0, 0)


def test_an_answer_after_silence_leaves_the_silence_open(book: Book) -> None:
    """A later 503 says nothing of what an earlier request made."""
    [work] = in_flight(book, "Ann")
    book.settle(silent(book, work))
    since = of_claims(book)[0].unanswered_at
    book.now += 3_000
    [again] = claim(book)
    book.settle(later(again))
    assert of_claims(book)[0].unanswered_at == since > 0


# -- unanswered


def test_a_name_without_an_answer_is_not_sent_before_its_time(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.settle(silent(book, work))
    until = of_claims(book)[0].not_before
    assert claim(book) == []
    assert due(book) == until
    assert due(book, patient=False) is None
    book.now = until - 10
    assert [again.number for again in claim(book)] == [work.number]


def test_a_persons_retry_does_not_shorten_the_wait(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    book.settle(silent(book, work))
    book.retry()
    assert claim(book) == []


def test_what_is_awaited_is_counted(book: Book) -> None:
    ann, bo, cy = in_flight(book, "Ann", "Bo", "Cy")
    book.settle(silent(book, ann), silent(book, bo), later(cy, book.now + 500))
    until = max(found.not_before for found in of_claims(book))
    found = book.write(
        lambda connection: send_queue.count_awaited(connection, [book.feed], now=book.now, waits=WAITS)
    )
    assert (found.number, found.until) == (2, until)


def test_what_was_under_way_at_a_death_waits_once_and_a_crash_loop_postpones_nothing(book: Book) -> None:
    in_flight(book, "Ann", "Bo")
    book.die(wait=2_000)
    [until] = {found.not_before for found in of_claims(book)}
    assert until > book.now
    for _ in range(3):
        book.now += 500
        assert claim(book) == []
        book.die(wait=2_000)
    assert {found.not_before for found in of_claims(book)} == {until}
    book.now = until
    assert len(claim(book)) == 2


def test_one_dropped_under_way_when_the_process_died_waits_too(book: Book) -> None:
    """It may be wanted again at once by a person's retry."""
    in_flight(book, "Ann")
    book.drop()
    book.die(wait=2_000)
    assert of_claims(book)[0].not_before > book.now
    book.retry()
    assert claim(book) == []


def test_one_that_was_rejected_for_its_silence_waits_all_the_same(book: Book) -> None:
    [work] = in_flight(book, "Ann")
    end = NoAnswer(book.now, book.now + 2_000)
    book.settle(type(not_taken(work))(work, "no answer", caused_by_record=False, no_answer=end))
    assert of_claims(book)[0].not_before == end.until


def test_what_is_gone_is_sent_once_more_where_trakor_may_have_it(book: Book) -> None:
    ann, bo = in_flight(book, "Ann", "Bo")
    book.settle(silent(book, ann), later(bo, begun=False))
    is_gone(book, "c1", "c2")
    book.now += 3_000
    [again] = claim(book)
    assert again.number == ann.number
    book.settle(answered(again))
    assert (book.stands(), book.shown().marks) == ("delivered", ("gone",))


# -- a name that Trakor has answered for, and that came back


def came_back(book: Book) -> list[WorkItem]:
    """Ann, who was Bea for a while, is claimed for sending under her first name again."""
    book.policy = Policy(on_rename="create")
    for number, name in enumerate(("Ann", "Bea"), 1):
        book.see(draft(name, at=book.now))
        book.settle(*(answered(work, f"t{number}") for work in book.claim()))
    book.see(draft("Ann", at=book.now))
    return book.claim()


def is_gone(book: Book, *ids: str) -> None:
    """The source does not have these any more."""
    read_at = book.now + 1
    book.write(
        lambda connection: mark_gone_by_id(
            connection, book.feed, ids, book.policy, read_at=read_at, now=read_at
        )
    )


def test_a_name_that_came_back_waits_after_a_death_like_any_other(book: Book) -> None:
    [work] = came_back(book)
    book.die(wait=2_000)
    assert claim(book) == []
    book.now += 2_000
    assert [again.number for again in claim(book)] == [work.number]


def test_a_name_that_came_back_is_sent_once_more_though_its_record_is_gone(book: Book) -> None:
    [work] = came_back(book)
    book.settle(silent(book, work))
    is_gone(book, "c1")
    book.now += 3_000
    assert [again.number for again in claim(book)] == [work.number]


def test_a_record_is_not_forgotten_while_a_name_that_came_back_has_no_answer(book: Book) -> None:
    [work] = came_back(book)
    book.settle(silent(book, work))
    number = book.number("c1")
    with pytest.raises(UserError, match="had no answer"):
        book.write(lambda connection: forget_record(connection, number, now=book.now))


def test_what_was_tried_first_is_noted_anew_for_a_name_that_came_back(book: Book) -> None:
    [work] = came_back(book)
    book.settle(silent(book, work))
    [found] = [one for one in of_claims(book) if one.key == book.row().sent_key]
    assert found.tried == book.row().sent


# -- damage


def test_a_record_whose_draft_is_lost_is_set_aside_and_keeps_nobody_busy(book: Book) -> None:
    """Else it would be due for ever, and could never be claimed."""
    book.see(draft("Ann", id="c1"), draft("Bo", id="c2"))
    book.write(lambda connection: connection.execute(delete(stored_texts).where(stored_texts.c.record == 1)))
    found = book.write(
        lambda connection: send_queue.claim_for_feeds(
            connection, [book.feed], 100, now=book.now, until=book.now + DAY, waits=WAITS
        )
    )
    assert [work.payload.name for work in found.work] == ["Bo"]
    assert (found.next_due, book.stands("c1")) == (None, "rejected: damaged")
    book.see(draft("Ann", id="c1", at=book.now))
    assert [work.payload.name for work in book.claim()] == ["Ann"]


# -- whose turn it is


def test_what_was_tried_goes_behind_what_was_not(book: Book) -> None:
    ann, bo, cy = in_flight(book, "Ann", "Bo", "Cy")
    book.settle(later(ann, 0), later(bo, None, begun=False), later(cy, 0))
    book.see(draft("Dee", id="c4"))
    assert [work.payload.name for work in book.claim()] == ["Bo", "Dee", "Ann", "Cy"]


def test_what_is_given_back_keeps_its_time(book: Book) -> None:
    """It never goes before what was tried less often, nor before its own time."""
    [work] = in_flight(book, "Ann")
    book.settle(later(work, book.now + 500))
    book.now += 600
    [again] = book.claim()
    before = book.row().next_try_at
    book.settle(later(again, None, begun=False))
    assert (book.row().next_try_at, book.row().turn) == (before, 1)


@pytest.mark.parametrize("state", ["many tried", "all new"])
def test_the_queue_is_read_off_its_index(book: Book, state: str) -> None:
    """A million that wait are not put in order for each claim."""
    works = in_flight(book, *(f"Ann {n}" for n in range(5)))
    book.settle(*(later(work, 0) for work in works) if state == "many tried" else ())
    known = send_queue._parameters(book.feed, 0, WAITS) | {"most": 5}  # noqa: SLF001 - how it is carried out
    statement = send_queue._CLAIMABLE.compile(compile_kwargs={"render_postcompile": True})  # noqa: SLF001

    def plan(connection: Any) -> str:  # noqa: ANN401 - a connection
        text = f"EXPLAIN QUERY PLAN {statement}"
        values = {**statement.params, **known}
        return " ".join(row[3] for row in connection.exec_driver_sql(text, values))

    told = book.write(plan)
    assert "records_due" in told
    assert "TEMP B-TREE" not in told


# -- the clock


def test_a_clock_set_back_by_a_day_keeps_nothing_waiting_that_had_a_time(book: Book) -> None:
    book.now += 2 * DAY
    ann, bo = in_flight(book, "Ann", "Bo")
    book.settle(later(ann, book.now + 4_000), silent(book, bo))
    assert claim(book) == []
    book.now -= DAY
    assert due(book) == 0
    assert {work.payload.name for work in claim(book)} == {"Ann"}
    book.now += WAITS.unanswered
    assert {work.payload.name for work in claim(book)} == {"Bo"}


@pytest.mark.parametrize("back", [2 * 10, 5_000, DAY])
def test_a_clock_set_back_makes_a_name_without_an_answer_wait_once_more_and_no_longer(
    book: Book, back: int
) -> None:
    """Trakor may be at work still: sent at once, it would make a second party."""
    book.now += 2 * DAY
    [work] = in_flight(book, "Ann")
    book.settle(silent(book, work))
    book.now = of_claims(book)[0].not_before - WAITS.unanswered - back
    begun = book.now
    for _ in range(3):
        assert claim(book) == []
    assert of_claims(book)[0].not_before <= begun + WAITS.unanswered + 100
    book.now = of_claims(book)[0].not_before
    assert claim(book)


def test_another_connection_of_the_scope_does_not_shorten_a_longer_wait(book: Book) -> None:
    """Each has an ``unanswered_wait`` of its own."""
    [work] = in_flight(book, "Ann")
    book.settle(silent(book, work, wait=WAITS.unanswered * 10))
    until = of_claims(book)[0].not_before
    other = Book(book.path, connection="other", scope=book.scope, now=book.now)
    other.see(draft("Bo", id="c1"))
    assert [found.payload.name for found in claim(other)] == ["Bo"]
    assert of_claims(book)[0].not_before == until

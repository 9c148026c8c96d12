"""The records that wait are listed a page at a time, and no page looks at more than it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from bridge.ledger.database import reading
from bridge.ledger.read_model import AttentionKind, RecordQuery, find_numbers, find_page, find_records
from bridge.records import Policy
from builders import draft, filtered

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from books import Book


@pytest.fixture
def waiting(book: Book) -> Book:
    """Twenty records: every second one is held for its name, the others are to be sent."""
    book.policy = Policy(on_same_name="hold")
    for number in range(10):
        book.see(draft(f"Ann {number}", id=f"a{number}"), draft(f"ann {number}", id=f"b{number}"))
    return book


def held(book: Book) -> AttentionKind:
    return AttentionKind(book.feed.number, "held", "same-name")


def ids(book: Book, *kinds: AttentionKind, **where: int) -> tuple[list[str], bool, bool]:
    with reading(book.path) as connection:
        page = find_page(connection, kinds, **where)
    return [record.id for record in page.records], page.earlier, page.later


def test_pages_follow_each_other_and_lead_back(waiting: Book) -> None:
    number = waiting.number
    first = ids(waiting, held(waiting), most=4)
    assert first == (["b0", "b1", "b2", "b3"], False, True)
    second = ids(waiting, held(waiting), after=number("b3"), most=4)
    assert second == (["b4", "b5", "b6", "b7"], True, True)
    last = ids(waiting, held(waiting), after=number("b7"), most=4)
    assert last == (["b8", "b9"], True, False)
    assert ids(waiting, held(waiting), before=number("b8"), most=4) == second
    assert ids(waiting, held(waiting), before=number("b4"), most=4) == first


def test_several_kinds_are_one_list_in_the_order_in_which_they_are_known(waiting: Book) -> None:
    waiting.see(filtered(id="c1"))
    waiting.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE records SET state = 'drifted', reason = NULL WHERE source_id IN ('a3', 'a9')"
        )
    )
    drifted = AttentionKind(waiting.feed.number, "drifted", "")
    found, _, _ = ids(waiting, held(waiting), drifted, most=50)
    assert found == ["b0", "b1", "b2", "a3", "b3", "b4", "b5", "b6", "b7", "b8", "a9", "b9"]
    assert ids(waiting, drifted) == (["a3", "a9"], False, False)


def test_nothing_that_waits_is_an_empty_page(waiting: Book) -> None:
    assert ids(waiting) == ([], False, False)
    assert ids(waiting, AttentionKind(waiting.feed.number, "rejected", "mapping")) == ([], False, False)


def test_all_numbers_of_a_kind_are_told(waiting: Book) -> None:
    with reading(waiting.path) as connection:
        assert [*find_numbers(connection, held(waiting))] == [waiting.number(f"b{one}") for one in range(10)]


class Plans:
    """What SQLite does for each statement of a connection."""

    def __init__(self, connection: Connection) -> None:
        self.lines: list[str] = []
        self._explaining = False
        event.listen(connection, "before_cursor_execute", self._explain)

    def _explain(self, connection: Connection, _: object, statement: str, *given: Any) -> None:  # noqa: ANN401
        if self._explaining:
            return
        self._explaining = True
        found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given[0])
        self.lines += [row[3] for row in found]
        self._explaining = False

    @property
    def walks(self) -> list[str]:
        """Those that look at every record."""
        return [line for line in self.lines if line.startswith("SCAN records")]


@pytest.mark.parametrize("where", [{}, {"after": 3}, {"before": 12}])
def test_no_page_looks_at_all_records(waiting: Book, where: dict[str, int]) -> None:
    with reading(waiting.path) as connection:
        plans = Plans(connection)
        find_page(connection, [held(waiting), AttentionKind(waiting.feed.number, "drifted", "")], **where)
        find_numbers(connection, held(waiting))
    walk = "SEARCH records USING COVERING INDEX records_waiting (feed=? AND state=? AND reason=? AND rowid"
    assert any(line.startswith(walk) for line in plans.lines)
    assert plans.walks == []


def test_what_is_marked_is_found_without_looking_at_all_records(waiting: Book) -> None:
    with reading(waiting.path) as connection:
        plans = Plans(connection)
        find_records(connection, RecordQuery(marks=("remapped", "dismissed")))
    assert plans.walks == []


def test_looking_at_all_records_would_be_seen(waiting: Book) -> None:
    with reading(waiting.path) as connection:
        plans = Plans(connection)
        find_records(connection, RecordQuery(states=("held",)))
    assert plans.walks

"""What says what it said is not mapped, and not written but for when it was read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from books import Book
from bridge.ledger.gone_records import mark_gone_by_id
from bridge.ledger.observe import Observation, ObserveResult, survey
from bridge.ledger.runs_and_sweeps import begin_sweep
from bridge.ledger.schema import history, records
from builders import answered, draft, filtered, made_by, not_taken, unmapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.ledger.observe import SurveyResult
    from bridge.records import Draft, Rules, Unsendable

RULES = made_by()


def look(book: Book, *seen: Draft | Unsendable, rules: Rules = RULES) -> SurveyResult:
    given = [(one.id, one.input) for one in seen]
    return book.write(lambda connection: survey(connection, book.feed, given, rules))


@pytest.fixture
def known(book: Book) -> Book:
    """One delivered, one merged into it, one skipped."""
    book.see(*page())
    book.settle(*(answered(work) for work in book.claim()))
    return book


def page(contact: str = "") -> list[Draft | Unsendable]:
    return [
        draft("Ann", contact, id="c1", same_as="s"),
        draft("Ann", id="c2", same_as="s"),
        replace(filtered(id="c3"), input="what c3 says"),
    ]


def test_what_is_delivered_merged_or_skipped_and_unchanged_needs_no_draft(known: Book) -> None:
    assert look(known, *page()).unchanged == {"c1", "c2", "c3"}


def test_a_changed_input_does(known: Book) -> None:
    assert look(known, *page("0499")).unchanged == {"c2", "c3"}


def test_what_is_not_known_or_whose_input_could_not_be_hashed_does(known: Book) -> None:
    assert look(known, draft("New", id="c9")).unchanged == frozenset()
    known.see(replace(draft("Ann", "0499", id="c1", same_as="s", at=20), input=""))
    assert look(known, replace(page()[0], input="")).unchanged == frozenset()


@pytest.mark.parametrize(
    "fault",
    [
        "sent = CAST(sent AS BLOB)",
        "sent = 'not hashes'",
        "seen = CAST('' AS BLOB)",
        "identifiers = '[1]'",
        "key = 'zzz'",
        "sent_key = CAST(sent_key AS BLOB)",
        "read_at = 'x'",
        "since_at = 'abc'",
        "merged_by = 'nobody'",
    ],
)
def test_a_damaged_row_is_not_unchanged_and_is_decided_again(known: Book, fault: str) -> None:
    with closing(sqlite3.connect(known.path, isolation_level=None)) as driver:
        driver.execute(f"UPDATE records SET {fault} WHERE source_id = 'c1'")  # noqa: S608 - names of ours
    assert look(known, *page()).unchanged == {"c2", "c3"}
    known.see(draft("Ann", id="c1", same_as="s", at=20))
    assert known.stands() == "drifted"
    known.accept()
    known.see(draft("Ann", id="c1", same_as="s", at=30))
    assert known.stands() == "delivered"
    assert look(known, *page()).unchanged == {"c1", "c2", "c3"}


@pytest.mark.parametrize("changed", ["query", "map", "choices"])
def test_another_query_map_or_choice_makes_all_be_mapped(known: Book, changed: str) -> None:
    assert look(known, *page(), rules=replace(RULES, **{changed: "another"})).unchanged == frozenset()


def test_the_old_map_is_handed_out_only_where_it_is_another_one(known: Book) -> None:
    other = replace(RULES, map="another", text="its text")
    assert look(known, *page(), rules=other).maps == dict.fromkeys(("c1", "c2", "c3"), RULES.text)
    assert look(known, *page(), rules=replace(RULES, choices="other")).maps == {}
    assert look(known, *page()).maps == {}


def _gone(book: Book) -> None:
    book.write(
        lambda connection: mark_gone_by_id(connection, book.feed, ["c1"], book.policy, read_at=30, now=40)
    )


def _retry(book: Book) -> None:
    book.write(lambda connection: connection.execute(records.update().values(retry=1)))


@pytest.mark.parametrize("mark", [_gone, _retry])
def test_what_is_gone_or_to_be_retried_is_never_passed_over(
    known: Book, mark: Callable[[Book], None]
) -> None:
    mark(known)
    assert "c1" not in look(known, page()[0]).unchanged


def test_what_waits_is_never_passed_over(book: Book) -> None:
    """Pending, held, rejected, drifted: what others do may decide it, though it says the same."""
    seen: list[Draft | Unsendable] = [
        draft("Ann", id="c1"),
        draft("Ann", id="c2"),
        unmapped(id="c3"),
        draft("Bo", id="c4"),
    ]
    seen.append(draft("Cy", id="c5"))
    book.see(*seen)
    works = {work.payload.name: work for work in book.claim()}
    book.settle(not_taken(works["Bo"]), answered(works["Cy"]))
    seen[-1] = draft("Cy", "0499", id="c5", at=20)
    book.see(seen[-1])
    assert [book.stands(one.id).partition(":")[0] for one in seen] == [
        *("pending", "held", "rejected", "rejected", "drifted")
    ]
    given = [replace(one, input=one.input or "something") for one in seen]
    assert look(book, *given).unchanged == frozenset()


def test_an_unchanged_page_writes_when_it_was_read_and_its_sweep_and_nothing_else(known: Book) -> None:
    sweep = known.write(lambda connection: begin_sweep(connection, known.feed, "q", restart=True, now=5))
    before = {one: known.row(one)._asdict() for one in ("c1", "c2", "c3")}
    lines = known.write(lambda connection: connection.scalar(select(func.count()).select_from(history)))
    unchanged = frozenset({"c1", "c2", "c3"})
    observation = Observation(run=7, sweep=sweep.number, position="3", unchanged=unchanged, began_at=50)
    assert known.see(observation=observation) == ObserveResult(fresh=3, pending=0)
    noted = {"run": 7, "sweep": sweep.number, "read_at": 50}
    assert {one: known.row(one)._asdict() for one in before} == {
        one: row | noted for one, row in before.items()
    }
    assert lines == known.write(lambda one: one.scalar(select(func.count()).select_from(history)))
    assert known.see(observation=observation).fresh == 0


def test_an_old_page_of_unchanged_ones_does_not_turn_the_time_back(known: Book) -> None:
    """Else a page from before it would be believed next."""
    known.see(draft("Ann", id="c1", same_as="s", at=60))
    known.now = 100
    known.see(observation=Observation(unchanged=frozenset({"c1"}), began_at=50))
    assert known.row("c1").read_at == 60


def test_a_change_that_is_observed_is_unchanged_the_next_time(known: Book) -> None:
    known.policy = replace(known.policy, on_change="ignore")
    changed = draft("Ann", "0499", id="c1", same_as="s", at=20)
    known.see(changed)
    assert look(known, changed).unchanged == {"c1"}
    assert look(known, page()[0]).unchanged == frozenset()


def edited(id: str, at: int) -> Draft:  # noqa: A002 - the domain's word
    """What a record says after an edit."""
    name, same_as = ("Ann", "another") if id == "c2" else ("Bob", "")
    return draft(name, "0499", id=id, same_as=same_as, at=at)


@pytest.mark.parametrize(
    ("id", "finally_"), [("c4", "drifted"), ("c2", "held: same-person")], ids=["delivered", "merged"]
)
def test_an_edit_made_while_where_says_no_is_found_once_it_is_back(
    known: Book,
    id: str,  # noqa: A002
    finally_: str,
) -> None:
    """`where` changes for one sweep and comes back as it was: the edit was swallowed for good."""
    known.see(draft("Bob", id="c4"))
    known.settle(*(answered(work) for work in known.claim()))
    narrow = replace(RULES, choices="narrow")
    known.see(replace(filtered(id=id, at=30), rules=narrow, input=edited(id, 30).input))
    assert known.row(id).filtered
    assert look(known, edited(id, 30), rules=narrow).unchanged == {id}, "by those rules it says what it said"
    assert look(known, edited(id, 30)).unchanged == frozenset()
    known.see(edited(id, 40))
    assert (known.stands(id), known.row(id).filtered) == (finally_, 0)


@pytest.mark.parametrize("decide", [Book.accept, Book.dismiss])
def test_an_edit_made_while_a_map_fails_is_found_once_it_is_mended(
    known: Book, decide: Callable[[Book, str], None]
) -> None:
    known.see(draft("Bob", id="c4"))
    known.settle(*(answered(work) for work in known.claim()))
    fails = unmapped("contact_info", id="c4", rules="fails", at=20)
    known.see(replace(fails, input=draft("Bob", id="c4").input))
    decide(known, "c4")
    known.see(replace(fails, input=edited("c4", 30).input, read_at=30))
    assert look(known, edited("c4", 30)).unchanged == frozenset()
    known.see(edited("c4", 40))
    assert known.stands("c4") == "drifted"


def test_what_an_earlier_version_noted_beside_other_rules_is_read_once_more(known: Book) -> None:
    """It wrote the input of now beside the rules of before: such a row looked unchanged."""
    now = draft("Ann", "0499", id="c1", same_as="s", at=20)
    known.write(lambda connection: connection.execute(records.update().values(input=now.input, filtered=1)))
    assert look(known, now).unchanged == frozenset()
    known.see(now)
    assert (known.stands("c1"), known.row("c1").filtered) == ("drifted", 0)

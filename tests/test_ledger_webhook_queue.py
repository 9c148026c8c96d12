"""Webhooks in the ledger: one read for all that wait for a record, numbers that stay, bodies that go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from books import empty_ledger, kept
from bridge.errors import UserError
from bridge.ledger import statistics, webhook_queue
from bridge.ledger import webhook_queue as looking
from bridge.ledger.database import Ledger, reading, writing
from bridge.ledger.schema import events as table
from bridge.ledger.statistics import WebhookCounts, load_webhook_counts
from bridge.ledger.webhook_queue import (
    WebhookGroup,
    find_due_webhooks,
    finish_webhooks,
    list_webhooks,
    prune_webhooks,
    replay_webhook,
    store_webhooks,
)
from bridge.records import ReceivedWebhook, WebhookAction
from bridge.records.webhooks import UNKNOWN_ACTION, UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

CANARY = "canary.of.a.client@example.com"


@pytest.fixture
def path(ledger_template: Path, tmp_path: Path) -> Path:
    """An empty ledger's file."""
    return empty_ledger(ledger_template, tmp_path / "ledger.db")


@pytest.fixture
def ledger(path: Path) -> Iterator[Connection]:
    """A writing transaction."""
    with writing(path, kept(path)) as connection:
        yield connection


def came(at: int, source_id: str = "c1", action: str = "contact-updated", name: str = "a") -> ReceivedWebhook:
    return ReceivedWebhook(name, action, source_id, at)


def nobody_understands(at: int, problem: str = UNREADABLE, name: str = "a") -> ReceivedWebhook:
    action = "contact-updated" if problem == UNREADABLE else "contact-sneezed"
    return ReceivedWebhook(name, action, "", at, f"{at} {CANARY} " * 20, problem)


def due(ledger: Connection, before: int = 1000, now: int = 2000, limit: int = 100) -> list[WebhookGroup]:
    return find_due_webhooks(ledger, "a", before=before, now=now, limit=limit).groups


def test_every_action_says_what_its_id_is_of_and_whether_it_deletes() -> None:
    subjects = {action: action.subject for action in WebhookAction}
    assert {subject: list(subjects.values()).count(subject) for subject in subjects.values()} == {
        "contact": 3,
        "deal": 4,
        "product": 3,
    }
    assert {action for action in WebhookAction if action.deletes} == {
        "contact-deleted",
        "deal-deleted",
        "product-deleted",
    }


def test_what_nobody_understands_is_sealed_and_shown_to_who_has_the_key(path: Path) -> None:
    """It may tell of a client."""
    with writing(path, kept(path)) as connection:
        store_webhooks(connection, [nobody_understands(10)])
    content = b"".join(file.read_bytes() for file in path.parent.glob("ledger.db*"))
    assert CANARY.encode() not in content
    with reading(path, kept(path)) as connection:
        [shown] = list_webhooks(connection, ["a"], 10)
    assert CANARY in (shown.body or "")
    with reading(path) as connection:
        [hidden] = list_webhooks(connection, ["a"], 10)
    assert hidden.body is None


# -- what is due


def test_all_that_wait_for_one_record_are_one(ledger: Connection) -> None:
    """By what the id is of: a contact and a deal may have the same."""
    store_webhooks(
        ledger,
        [came(10), came(20, "c2"), came(30, action="deal-updated"), came(40, action="contact-deleted")],
    )
    assert due(ledger) == [
        WebhookGroup("contact", "c1", (1, 4), deleted=True, first_at=10),
        WebhookGroup("contact", "c2", (2,), deleted=False, first_at=20),
        WebhookGroup("deal", "c1", (3,), deleted=False, first_at=30),
    ]


def test_the_window_begins_with_the_first_event(ledger: Connection) -> None:
    """However many follow it; what is not due yet says from when on it counts."""
    store_webhooks(ledger, [came(500), came(900), came(1001, "c2"), came(1500), came(1600, "c3")])
    found = find_due_webhooks(ledger, "a", before=1000, now=2000, limit=100)
    assert [(group.id, group.numbers) for group in found.groups] == [("c1", (1, 2, 4))]
    assert found.next_at == 1001


def test_no_more_records_than_asked_for_and_the_oldest_first(ledger: Connection) -> None:
    store_webhooks(ledger, [came(10 + n, f"c{n}") for n in range(5)] + [came(30, "c0")])
    found = find_due_webhooks(ledger, "a", before=1000, now=2000, limit=2)
    assert [(group.id, group.numbers) for group in found.groups] == [("c0", (1, 6)), ("c1", (2,))]
    assert found.next_at == 12


def test_nothing_waits_that_is_done_or_of_another_connection(ledger: Connection) -> None:
    store_webhooks(ledger, [came(10), came(20, name="b"), nobody_understands(30)])
    finish_webhooks(ledger, [1], "read", 100)
    found = find_due_webhooks(ledger, "a", before=1000, now=2000, limit=100)
    assert (found.groups, found.next_at) == ([], None)


def test_an_event_from_before_the_clock_was_set_back_is_due(ledger: Connection) -> None:
    store_webhooks(ledger, [came(10**9), came(1990, "c2")])
    found = find_due_webhooks(ledger, "a", before=1000, now=2000, limit=100)
    assert [group.id for group in found.groups] == ["c1"]
    assert found.next_at == 1990


def test_a_burst_for_few_records_costs_one_read_of_each(
    ledger: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where more wait than one look goes through: what is behind is taken along."""
    monkeypatch.setattr(looking, "MAX_LOOKED_AT", 20)
    store_webhooks(ledger, [came(10 + n, f"c{n % 5}") for n in range(36)])
    found = find_due_webhooks(ledger, "a", before=1000, now=2000, limit=100)
    assert {number for group in found.groups for number in group.numbers} == set(range(1, 37))
    assert [len(group.numbers) for group in found.groups] == [8, 7, 7, 7, 7]
    assert found.next_at is not None  # it may be that more waits


def test_whatever_waits_is_worked_off_in_the_end(ledger: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much more waits than one look goes through: each look finds something, until nothing waits."""
    monkeypatch.setattr(looking, "MAX_LOOKED_AT", 10)
    store_webhooks(ledger, [came(10 + n, f"c{n % 17}") for n in range(100)])
    looks = 0
    while (found := find_due_webhooks(ledger, "a", before=1000, now=2000, limit=7)).groups:
        for group in found.groups:
            finish_webhooks(ledger, group.numbers, "read", 3000)
        looks += 1
    assert looks < 20
    assert all(event.done_at == 3000 for event in list_webhooks(ledger, ["a"], 200))


def test_what_is_finished_says_what_came_of_it_once(ledger: Connection) -> None:
    store_webhooks(ledger, [came(10), came(20)])
    finish_webhooks(ledger, [1], "read", 100)
    finish_webhooks(ledger, [1, 2], "not found", 200)
    assert [(one.number, one.outcome, one.done_at) for one in list_webhooks(ledger, ["a"], 9)] == [
        (2, "not found", 200),
        (1, "read", 100),
    ]


# -- by a person


def test_events_are_listed_the_newest_first_and_by_what_they_are(ledger: Connection) -> None:
    store_webhooks(ledger, [came(10), came(20, name="b"), nobody_understands(30), came(40)])
    finish_webhooks(ledger, [1], "read", 50)

    def listed(*names: str, limit: int = 9, waiting: bool = False, problems: bool = False) -> list[int]:
        found = list_webhooks(ledger, names, limit, only_waiting=waiting, only_problems=problems)
        return [one.number for one in found]

    assert listed() == [4, 3, 2, 1]
    assert listed("a", limit=2) == [4, 3]
    assert listed("a", "b", waiting=True) == [4, 2]
    assert listed("a", problems=True) == [3]
    [shown] = list_webhooks(ledger, ["a"], 1, only_problems=True)
    assert (shown.problem, shown.action, CANARY in (shown.body or "")) == (
        UNREADABLE,
        "contact-updated",
        True,
    )


def test_a_replayed_event_waits_as_if_it_had_come_now(ledger: Connection) -> None:
    store_webhooks(ledger, [came(10), came(20, "c2")])
    finish_webhooks(ledger, [1, 2], "not found", 100)
    again = replay_webhook(ledger, 1, 1500)
    assert (again.received_at, again.done_at, again.outcome) == (1500, None, "")
    assert due(ledger, before=1499) == []
    [group] = due(ledger, before=1500)
    assert group.numbers == (1,)
    assert load_webhook_counts(ledger)["a"].received == 2


def test_a_replayed_event_holds_nobody_up(ledger: Connection) -> None:
    """It has an old number and a new time: what came before it was replayed is due before it."""
    store_webhooks(ledger, [came(10), came(800, "c2")])
    finish_webhooks(ledger, [1], "read", 100)
    replay_webhook(ledger, 1, 1500)
    assert [group.id for group in due(ledger, before=1000)] == ["c2"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_nobody_understands_cannot_be_replayed(ledger: Connection, number: int) -> None:
    store_webhooks(ledger, [nobody_understands(10), nobody_understands(20, UNKNOWN_ACTION)])
    with pytest.raises(UserError) as refused:
        replay_webhook(ledger, number, 100)
    assert "webhooks list" in refused.value.advice


# -- numbers


def test_numbers_are_kept_when_events_are_deleted(ledger: Connection) -> None:
    store_webhooks(ledger, [came(10), came(30), came(20), nobody_understands(40)])
    store_webhooks(ledger, [came(50, action="deal-created"), nobody_understands(60, UNKNOWN_ACTION)])
    store_webhooks(ledger, [came(5, name="b")])
    finish_webhooks(ledger, [1, 2, 3], "read", 100)
    before = load_webhook_counts(ledger)
    assert prune_webhooks(ledger, 10**6) == 5
    assert prune_webhooks(ledger, 10**6) == 0
    assert load_webhook_counts(ledger) == before
    assert before == {
        "a": WebhookCounts(
            received=6,
            waiting=1,
            last_at=60,
            unreadable=2,
            unreadable_at=60,
            by_action={"contact-updated": (4, 40), "deal-created": (1, 50)},
        ),
        "b": WebhookCounts(1, 1, 5, 0, None, {"contact-updated": (1, 5)}),
    }


def test_unknown_actions_take_no_room(ledger: Connection) -> None:
    """Whoever has the token can think of any number of them, of any length."""
    store_webhooks(
        ledger, [ReceivedWebhook("a", "x" * 10_000 + str(n), "", 10, "", UNKNOWN_ACTION) for n in range(50)]
    )
    assert len(ledger.exec_driver_sql("SELECT * FROM arrivals").all()) == 1
    assert {len(one.action) for one in list_webhooks(ledger, [], 50)} == {64}


def test_the_numbers_are_read_without_looking_at_what_is_done(ledger: Connection) -> None:
    """A million events that are done must cost nothing: the plan goes by the index on what waits."""
    statement = str(statistics.load_webhook_counts.__globals__["_HOW_MANY_WAIT"])
    plan = ledger.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all()
    assert all("events_waiting" in row.detail for row in plan)


# -- what goes


def test_only_what_is_done_and_old_enough_goes_a_part_at_a_time(
    ledger: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_queue, "AT_ONCE", 2)
    store_webhooks(ledger, [came(10, f"c{n}") for n in range(6)])
    finish_webhooks(ledger, [1, 2, 3], "read", 100)
    finish_webhooks(ledger, [4], "read", 200)
    assert [prune_webhooks(ledger, 200) for _ in range(3)] == [2, 1, 0]
    assert [one.number for one in list_webhooks(ledger, [], 9)] == [6, 5, 4]


def test_what_nobody_understands_can_go_earlier(ledger: Connection) -> None:
    store_webhooks(ledger, [came(10), nobody_understands(20), nobody_understands(300)])
    finish_webhooks(ledger, [1], "read", 30)
    assert prune_webhooks(ledger, 5, problems_before=300) == 1
    assert [one.number for one in list_webhooks(ledger, [], 9)] == [3, 1]


async def test_what_was_sent_is_gone_from_the_files_when_its_event_is_deleted(path: Path) -> None:
    """Like a delivered record's words: nothing of it is left in the file or in its log, not even sealed."""

    def kept_bodies(connection: Connection) -> list[bytes]:
        return list(connection.scalars(select(table.c.body).where(table.c.body.is_not(None))))

    def in_files(sealed: list[bytes]) -> bool:
        content = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
        return any(body in content for body in sealed)

    def all_pruned(connection: Connection) -> None:
        while prune_webhooks(connection, 0, problems_before=10**6):
            pass

    ledger = Ledger(path, kept(path))
    for start in range(0, 600, 100):
        mixed: list[Callable[[int], ReceivedWebhook]] = [came, nobody_understands]
        await ledger.call(store_webhooks, [mixed[n % 2](start + n) for n in range(100)])
    sealed = await ledger.call(kept_bodies)
    assert len(sealed) == 300
    assert in_files(sealed)
    await ledger.call(all_pruned)
    ledger.close()
    assert not in_files(sealed)
    with writing(path, kept(path)) as connection:
        assert len(list_webhooks(connection, [], 1000)) == 300

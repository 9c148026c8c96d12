"""Webhooks whose record could not be read: they wait for a time that grows, and keep nobody's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from books import empty_ledger, kept
from bridge.ledger import webhook_queue as looking
from bridge.ledger.database import writing
from bridge.ledger.statistics import load_webhook_counts
from bridge.ledger.webhook_queue import (
    READABLE_FOR,
    WebhookGroup,
    find_due_webhooks,
    finish_webhooks,
    list_webhooks,
    postpone_webhooks,
    replay_webhook,
    store_webhooks,
)
from bridge.records import ReceivedWebhook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from bridge.ledger.webhook_queue import DueWebhooks, StoredWebhook

NOW = 1_000_000
LONGEST = 900_000


@pytest.fixture
def ledger(ledger_template: Path, tmp_path: Path) -> Iterator[Connection]:
    """A writing transaction of an empty ledger."""
    with writing(
        empty_ledger(ledger_template, tmp_path / "ledger.db"),
        kept(empty_ledger(ledger_template, tmp_path / "ledger.db")),
    ) as connection:
        yield connection


def came(at: int, source_id: str = "c1", action: str = "contact-updated", name: str = "a") -> ReceivedWebhook:
    return ReceivedWebhook(name, action, source_id, at)


def look(ledger: Connection, now: int, limit: int = 100) -> DueWebhooks:
    return find_due_webhooks(ledger, "a", before=now - 1000, now=now, limit=limit, longest=LONGEST)


def postpone(ledger: Connection, group: WebhookGroup, now: int, wait: int) -> int:
    return postpone_webhooks(ledger, group.numbers, why="an error", next_at=now + wait, now=now)


def shown(ledger: Connection, number: int) -> StoredWebhook:
    return next(event for event in list_webhooks(ledger, ["a"], 1000) if event.number == number)


def test_what_could_not_be_read_waits_for_its_time_and_says_why(ledger: Connection) -> None:
    store_webhooks(ledger, [came(NOW - 5000)])
    [group] = look(ledger, NOW).groups
    assert postpone(ledger, group, NOW, 4000) == 0
    found = look(ledger, NOW + 3999)
    assert (found.groups, found.next_at, found.again_at) == ([], None, NOW + 4000)
    event = shown(ledger, 1)
    assert (event.done_at, event.tries, event.next_try_at) == (None, 1, NOW + 4000)
    assert (event.failing_since, event.waits_for, event.problem) == (NOW, "an error", "")
    assert load_webhook_counts(ledger)["a"].waiting == 1
    [again] = look(ledger, NOW + 4000).groups
    assert (again.numbers, again.tries) == ((1,), 1)


def test_a_new_event_of_the_record_does_not_wait_for_that_time_and_takes_the_old_one_along(
    ledger: Connection,
) -> None:
    """It may be readable by now; the waits begin anew with it."""
    store_webhooks(ledger, [came(NOW - 5000)])
    [group] = look(ledger, NOW).groups
    postpone(ledger, group, NOW, 600_000)
    store_webhooks(ledger, [came(NOW + 10, action="contact-deleted"), came(NOW + 10, name="b")])
    assert look(ledger, NOW + 1009).groups == []
    [group] = look(ledger, NOW + 1010).groups
    assert (group.numbers, group.deleted, group.tries) == ((1, 2), True, 0)
    finish_webhooks(ledger, group.numbers, "gone", NOW + 2000)
    assert look(ledger, NOW + 700_000).groups == []


def test_however_many_could_not_be_read_others_are_looked_at(
    ledger: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that fails for a thousand contacts keeps no other webhook waiting."""
    monkeypatch.setattr(looking, "MAX_LOOKED_AT", 5)
    store_webhooks(ledger, [came(NOW - 5000 + n, f"p{n}") for n in range(20)])
    for _ in range(4):
        for group in look(ledger, NOW).groups:
            postpone(ledger, group, NOW, 600_000)
    store_webhooks(ledger, [came(NOW, "c1")])
    found = look(ledger, NOW + 1000)
    assert [group.id for group in found.groups] == ["c1"]
    assert found.again_at == NOW + 600_000


def test_all_of_them_get_their_turn_when_their_time_has_come(
    ledger: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "MAX_LOOKED_AT", 5)
    store_webhooks(ledger, [came(NOW - 5000 + n, f"p{n}") for n in range(20)])
    for _ in range(4):
        for group in look(ledger, NOW).groups:
            postpone(ledger, group, NOW, 1000)
    read: set[str] = set()
    while groups := look(ledger, NOW + 1000, limit=2).groups:
        read |= {group.id for group in groups}
        finish_webhooks(ledger, [number for group in groups for number in group.numbers], "read", NOW)
    assert read == {f"p{n}" for n in range(20)}


def test_the_longest_waiting_is_first_of_those_that_came_and_those_that_wait(ledger: Connection) -> None:
    store_webhooks(ledger, [came(NOW - 9000, "failed"), came(NOW - 5000, "older")])
    postpone_webhooks(ledger, [1], why="an error", next_at=NOW - 3000, now=NOW - 4000)
    store_webhooks(ledger, [came(NOW - 2000, "newer")])
    assert [group.id for group in look(ledger, NOW).groups] == ["older", "failed", "newer"]
    assert look(ledger, NOW, limit=1).again_at == NOW


def test_after_a_day_of_that_it_ends_as_unreadable(ledger: Connection) -> None:
    """From the first read that failed, not from when it came: an outage before it does not count."""
    store_webhooks(ledger, [came(0)])
    now = 3 * READABLE_FOR
    [group] = look(ledger, now).groups
    assert postpone(ledger, group, now, 1000) == 0
    assert postpone(ledger, group, now + READABLE_FOR - 1, 1000) == 0
    assert postpone(ledger, group, now + READABLE_FOR, 1000) == 1
    event = shown(ledger, 1)
    assert (event.outcome, event.done_at, event.tries) == ("unreadable", now + READABLE_FOR, 3)
    assert look(ledger, now + 2 * READABLE_FOR).groups == []


def test_a_clock_that_was_set_back_lengthens_no_wait(ledger: Connection) -> None:
    """What is to be tried later than any wait can be is due now, and its day begins now."""
    store_webhooks(ledger, [came(NOW - 5000)])
    [group] = look(ledger, NOW).groups
    ahead = NOW + 5 * READABLE_FOR
    postpone(ledger, group, ahead, 1000)
    [group] = look(ledger, NOW).groups
    postpone(ledger, group, NOW, 1000)
    assert shown(ledger, 1).failing_since == NOW


def test_a_replayed_event_begins_anew(ledger: Connection) -> None:
    store_webhooks(ledger, [came(NOW - 5000)])
    [group] = look(ledger, NOW).groups
    postpone(ledger, group, NOW, 600_000)
    again = replay_webhook(ledger, 1, NOW + 50)
    assert (again.tries, again.failing_since, again.next_try_at, again.waits_for) == (0, 0, 0, "")
    assert [group.id for group in look(ledger, NOW + 1050).groups] == ["c1"]


def test_an_event_that_is_done_is_not_postponed(ledger: Connection) -> None:
    store_webhooks(ledger, [came(NOW - 5000)])
    finish_webhooks(ledger, [1], "read", NOW)
    assert postpone_webhooks(ledger, [1], why="an error", next_at=NOW, now=NOW) == 0
    assert (shown(ledger, 1).tries, shown(ledger, 1).outcome) == (0, "read")


@pytest.mark.parametrize(
    ("statement", "index"),
    [("_OLDEST", "events_waiting"), ("_AGAIN", "events_retried"), ("_NEXT_TRY", "events_retried")],
)
def test_a_look_goes_by_the_index_on_what_it_looks_for(
    ledger: Connection, statement: str, index: str
) -> None:
    """However many events are done, or wait for another time."""
    text = str(looking.__dict__[statement].compile(ledger))
    plan = ledger.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", ("[]",) * text.count("?")).all()
    assert f" INDEX {index} " in " ".join(row.detail for row in plan)

"""Pauses, wishes and moments: what a restart must know, and what others may look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from books import empty_ledger, kept
from bridge.ledger.database import writing
from bridge.ledger.scheduled_jobs import (
    ScheduledJob,
    complete_job,
    load_scheduled_jobs,
    request_job,
    set_next_due,
)
from bridge.ledger.stored_pauses import Direction, Pause, clear_pause, list_pauses, load_pause, set_pause
from bridge.ledger.token_and_alive_times import TimestampName, load_timestamps, set_timestamp
from bridge.records import Job

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

SENDING = Direction.SENDING


@pytest.fixture
def ledger(ledger_template: Path, tmp_path: Path) -> Iterator[Connection]:
    """A writing transaction."""
    with writing(
        empty_ledger(ledger_template, tmp_path / "ledger.db"),
        kept(empty_ledger(ledger_template, tmp_path / "ledger.db")),
    ) as connection:
        yield connection


# -- pauses


def test_a_pause_says_why_and_when_it_is_tried_again(ledger: Connection) -> None:
    set_pause(ledger, "a", SENDING, reason="401", now=10, next_try_at=40, tries=1)
    assert load_pause(ledger, "a", SENDING) == Pause("a", "sending", 10, "401", 40, 1, by_person=False)
    assert load_pause(ledger, "a", Direction.READING) is None
    assert load_pause(ledger, "b", SENDING) is None


def test_a_pause_that_goes_on_stands_since_it_began(ledger: Connection) -> None:
    set_pause(ledger, "a", SENDING, reason="401", now=10, next_try_at=40, tries=0)
    set_pause(ledger, "a", SENDING, reason="403", now=50, next_try_at=90, tries=1)
    assert load_pause(ledger, "a", SENDING) == Pause("a", "sending", 10, "403", 90, 1)


def test_a_refusal_changes_nothing_about_a_persons_pause(ledger: Connection) -> None:
    """Nor does its end: else a probe would resume what a person stopped."""
    set_pause(ledger, "a", SENDING, reason="by hand", now=10, by_person=True)
    set_pause(ledger, "a", SENDING, reason="401", now=50, next_try_at=90, tries=1)
    assert load_pause(ledger, "a", SENDING) == Pause("a", "sending", 10, "by hand", 0, 0, by_person=True)
    assert not clear_pause(ledger, "a", SENDING)
    assert load_pause(ledger, "a", SENDING) is not None


def test_a_person_takes_over_a_pause_and_ends_any(ledger: Connection) -> None:
    set_pause(ledger, "a", SENDING, reason="401", now=10, next_try_at=40, tries=3)
    set_pause(ledger, "a", SENDING, reason="by hand", now=50, by_person=True)
    assert load_pause(ledger, "a", SENDING) == Pause("a", "sending", 10, "by hand", 0, 0, by_person=True)
    assert clear_pause(ledger, "a", SENDING, by_person=True)
    set_pause(ledger, "a", SENDING, reason="401", now=60, next_try_at=90, tries=0)
    assert clear_pause(ledger, "a", SENDING, by_person=True)
    assert list_pauses(ledger) == []


def test_a_pause_ends_alone_and_once(ledger: Connection) -> None:
    for name, direction in (("a", "sending"), ("a", "sending contacts"), ("a", "reading"), ("b", "sending")):
        set_pause(ledger, name, direction, reason="x", now=10, next_try_at=40, tries=0)
    assert clear_pause(ledger, "a", SENDING)
    assert not clear_pause(ledger, "a", SENDING)
    assert {(one.connection, one.direction) for one in list_pauses(ledger)} == {
        ("a", "sending contacts"),
        ("a", "reading"),
        ("b", "sending"),
    }


# -- wishes


def test_a_wish_stands_until_it_is_fulfilled(ledger: Connection) -> None:
    request_job(ledger, "a", Job.CONTACTS, now=10)
    assert load_scheduled_jobs(ledger, "a") == {Job.CONTACTS: ScheduledJob(10, 0)}
    complete_job(ledger, "a", Job.CONTACTS, wanted_at=10)
    assert load_scheduled_jobs(ledger, "a") == {Job.CONTACTS: ScheduledJob(0, 0)}


def test_a_wish_that_comes_while_it_is_being_fulfilled_stands(ledger: Connection) -> None:
    """What is wanted then was perhaps read already; also where the clock was set back in between."""
    for later in (20, 5):
        request_job(ledger, "a", Job.CONTACTS, now=10)
        request_job(ledger, "a", Job.CONTACTS, now=later)
        complete_job(ledger, "a", Job.CONTACTS, wanted_at=10)
        assert load_scheduled_jobs(ledger, "a")[Job.CONTACTS].wanted_at == later


def test_when_a_job_is_due_next_is_no_wish_and_outlives_one(ledger: Connection) -> None:
    set_next_due(ledger, "a", Job.RECONCILE, 100)
    assert load_scheduled_jobs(ledger, "a") == {Job.RECONCILE: ScheduledJob(0, 100)}
    request_job(ledger, "a", Job.RECONCILE, now=10)
    set_next_due(ledger, "a", Job.RECONCILE, 200)
    assert load_scheduled_jobs(ledger, "a") == {Job.RECONCILE: ScheduledJob(10, 200)}
    complete_job(ledger, "a", Job.RECONCILE, wanted_at=10)
    assert load_scheduled_jobs(ledger, "a") == {Job.RECONCILE: ScheduledJob(0, 200)}
    assert load_scheduled_jobs(ledger, "b") == {}


# -- moments


def test_a_moment_is_replaced_and_forgotten(ledger: Connection) -> None:
    set_timestamp(ledger, "a", TimestampName.TOKEN_EXPIRES, 10)
    set_timestamp(ledger, "a", TimestampName.TOKEN_EXPIRES, 20)
    set_timestamp(ledger, "", TimestampName.ALIVE, 30)
    set_timestamp(ledger, "a", TimestampName.TOKEN_NEXT_TRY, None)
    assert load_timestamps(ledger) == {("a", TimestampName.TOKEN_EXPIRES): 20, ("", TimestampName.ALIVE): 30}
    set_timestamp(ledger, "a", TimestampName.TOKEN_EXPIRES, None)
    assert load_timestamps(ledger) == {("", "alive"): 30}

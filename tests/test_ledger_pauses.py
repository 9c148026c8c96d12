"""Pauses, wishes and moments: what a restart must know, and what others may look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from books import empty_ledger, kept
from bridge.ledger.daemon_state import Moment, Wish, fulfil, moments_of, note, set_next, want, wishes_of
from bridge.ledger.database import writing
from bridge.ledger.pauses import Direction, Pause, clear_pause, pause_of, pauses_of, set_pause
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
    assert pause_of(ledger, "a", SENDING) == Pause("a", "sending", 10, "401", 40, 1, by_person=False)
    assert pause_of(ledger, "a", Direction.READING) is None
    assert pause_of(ledger, "b", SENDING) is None


def test_a_pause_that_goes_on_stands_since_it_began(ledger: Connection) -> None:
    set_pause(ledger, "a", SENDING, reason="401", now=10, next_try_at=40, tries=0)
    set_pause(ledger, "a", SENDING, reason="403", now=50, next_try_at=90, tries=1)
    assert pause_of(ledger, "a", SENDING) == Pause("a", "sending", 10, "403", 90, 1)


def test_a_refusal_changes_nothing_about_a_persons_pause(ledger: Connection) -> None:
    """Nor does its end: else a probe would resume what a person stopped."""
    set_pause(ledger, "a", SENDING, reason="by hand", now=10, by_person=True)
    set_pause(ledger, "a", SENDING, reason="401", now=50, next_try_at=90, tries=1)
    assert pause_of(ledger, "a", SENDING) == Pause("a", "sending", 10, "by hand", 0, 0, by_person=True)
    assert not clear_pause(ledger, "a", SENDING)
    assert pause_of(ledger, "a", SENDING) is not None


def test_a_person_takes_over_a_pause_and_ends_any(ledger: Connection) -> None:
    set_pause(ledger, "a", SENDING, reason="401", now=10, next_try_at=40, tries=3)
    set_pause(ledger, "a", SENDING, reason="by hand", now=50, by_person=True)
    assert pause_of(ledger, "a", SENDING) == Pause("a", "sending", 10, "by hand", 0, 0, by_person=True)
    assert clear_pause(ledger, "a", SENDING, by_person=True)
    set_pause(ledger, "a", SENDING, reason="401", now=60, next_try_at=90, tries=0)
    assert clear_pause(ledger, "a", SENDING, by_person=True)
    assert pauses_of(ledger) == []


def test_a_pause_ends_alone_and_once(ledger: Connection) -> None:
    for name, direction in (("a", "sending"), ("a", "sending contacts"), ("a", "reading"), ("b", "sending")):
        set_pause(ledger, name, direction, reason="x", now=10, next_try_at=40, tries=0)
    assert clear_pause(ledger, "a", SENDING)
    assert not clear_pause(ledger, "a", SENDING)
    assert {(one.connection, one.direction) for one in pauses_of(ledger)} == {
        ("a", "sending contacts"),
        ("a", "reading"),
        ("b", "sending"),
    }


# -- wishes


def test_a_wish_stands_until_it_is_fulfilled(ledger: Connection) -> None:
    want(ledger, "a", Job.CONTACTS, now=10)
    assert wishes_of(ledger, "a") == {Job.CONTACTS: Wish(10, 0)}
    fulfil(ledger, "a", Job.CONTACTS, wanted_at=10)
    assert wishes_of(ledger, "a") == {Job.CONTACTS: Wish(0, 0)}


def test_a_wish_that_comes_while_it_is_being_fulfilled_stands(ledger: Connection) -> None:
    """What is wanted then was perhaps read already; also where the clock was set back in between."""
    for later in (20, 5):
        want(ledger, "a", Job.CONTACTS, now=10)
        want(ledger, "a", Job.CONTACTS, now=later)
        fulfil(ledger, "a", Job.CONTACTS, wanted_at=10)
        assert wishes_of(ledger, "a")[Job.CONTACTS].wanted_at == later


def test_when_a_job_is_due_next_is_no_wish_and_outlives_one(ledger: Connection) -> None:
    set_next(ledger, "a", Job.RECONCILE, 100)
    assert wishes_of(ledger, "a") == {Job.RECONCILE: Wish(0, 100)}
    want(ledger, "a", Job.RECONCILE, now=10)
    set_next(ledger, "a", Job.RECONCILE, 200)
    assert wishes_of(ledger, "a") == {Job.RECONCILE: Wish(10, 200)}
    fulfil(ledger, "a", Job.RECONCILE, wanted_at=10)
    assert wishes_of(ledger, "a") == {Job.RECONCILE: Wish(0, 200)}
    assert wishes_of(ledger, "b") == {}


# -- moments


def test_a_moment_is_replaced_and_forgotten(ledger: Connection) -> None:
    note(ledger, "a", Moment.TOKEN_EXPIRES, 10)
    note(ledger, "a", Moment.TOKEN_EXPIRES, 20)
    note(ledger, "", Moment.ALIVE, 30)
    note(ledger, "a", Moment.TOKEN_NEXT_TRY, None)
    assert moments_of(ledger) == {("a", Moment.TOKEN_EXPIRES): 20, ("", Moment.ALIVE): 30}
    note(ledger, "a", Moment.TOKEN_EXPIRES, None)
    assert moments_of(ledger) == {("", "alive"): 30}

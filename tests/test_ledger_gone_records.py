"""Absence: only a complete sweep proves it, and never for a suspicious share of the list."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bridge.backfill import backfill
from bridge.ledger.database import reading
from bridge.ledger.gone_records import UnseenCount, count_unseen, mark_gone_by_id
from bridge.ledger.read_model import RecordQuery, iterate_records
from bridge.ledger.runs_and_sweeps import begin_sweep
from bridge.records import Stream
from bridge.sandbox import BrokenField, configuration
from bridge.settings import load
from bridges import Silent
from builders import draft

if TYPE_CHECKING:
    from pathlib import Path

    from books import Book
    from bridge.backfill import ConnectionReport
    from bridge.sandbox import Sandbox


@pytest.mark.parametrize(
    ("unseen", "known", "too_many"),
    [(10, 11, False), (11, 55, False), (11, 54, True), (0, 0, False), (200_001, 1_000_000, True)],
)
def test_a_few_may_always_be_gone_and_beyond_that_no_more_than_the_share(
    unseen: int, known: int, *, too_many: bool
) -> None:
    """Ten are few; above, the share of [schedule] gone_limit counts."""
    assert UnseenCount(unseen, known).too_many(0.2) is too_many


def test_what_was_read_by_id_since_the_sweep_began_is_not_absent(book: Book) -> None:
    """It may have been made, or put at another place of the list, after the sweep had passed there."""
    book.see(draft("Ann", id="before", at=book.now), draft("Beth", id="since", at=book.now))
    begun = book.write(
        lambda connection: begin_sweep(connection, book.feed, "q", restart=False, now=book.now)
    )
    book.see(draft("Beth", id="since", at=book.now))
    assert book.write(lambda connection: count_unseen(connection, book.feed, begun.number)) == UnseenCount(
        1, 2
    )


@pytest.mark.parametrize(
    ("read_after", "is_gone"),
    [(-1000, True), (1, False), (3_600_000, True)],
    ids=["before", "since", "to come"],
)
def test_what_a_webhook_says_was_deleted_is_gone_unless_it_was_read_since(
    book: Book, read_after: int, *, is_gone: bool
) -> None:
    """A read at a time to come is no later one: the clock was set back since."""
    asked_at = book.now
    book.see(draft("Ann", id="a", at=asked_at + read_after))
    marked = book.write(
        lambda connection: mark_gone_by_id(
            connection, book.feed, ["a"], book.policy, read_at=asked_at, now=asked_at + 5000
        )
    )
    assert bool(marked) is is_gone


def _configure(folder: Path, sandbox: Sandbox) -> None:
    unhurried = configuration(sandbox).replace(
        "[salestrekker]", "[salestrekker]\nrequests_per_minute = 100000"
    )
    (folder / "config.toml").write_text(unhurried)


async def _backfill(folder: Path) -> ConnectionReport:
    report = await backfill(
        load(folder / "config.toml", {}),
        streams=[Stream.CONTACTS],
        connections=["default"],
        restart=False,
        stop=asyncio.Event(),
        watch=Silent(),
    )
    return report.connections["default"]


def _gone(folder: Path) -> set[str]:
    with reading(folder / "ledger.db") as connection:
        return {found.id for found in iterate_records(connection, RecordQuery()) if "gone" in found.marks}


async def test_what_a_complete_list_no_longer_holds_is_marked_and_loses_the_mark_when_seen(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Few that are missing are marked gone; one that comes back is not gone any more."""
    _configure(tmp_path, sandbox)
    await _backfill(tmp_path)
    removed = [sandbox.contacts.id_at(position) for position in range(15)]
    for one in removed:
        sandbox.contacts.remove(one)

    await _backfill(tmp_path)

    assert _gone(tmp_path) == set(removed)
    sandbox.contacts.add("Ada Back-Again", email="back@example.com", identity=removed[0])
    await _backfill(tmp_path)
    assert _gone(tmp_path) == set(removed[1:])


async def test_a_list_that_shrank_suspiciously_marks_nothing_and_says_so(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """More than a fifth missing: no mark, a warning with the number."""
    _configure(tmp_path, sandbox)
    await _backfill(tmp_path)
    for one in [sandbox.contacts.id_at(position) for position in range(50)]:
        sandbox.contacts.remove(one)

    report = await _backfill(tmp_path)

    assert _gone(tmp_path) == set()
    assert any("lacks 50" in warning for warning in report.warnings)


async def test_a_sweep_with_a_broken_record_proves_no_absence(sandbox: Sandbox, tmp_path: Path) -> None:
    """One record that could not be read: nothing is marked, though another is missing."""
    _configure(tmp_path, sandbox)
    await _backfill(tmp_path)
    sandbox.contacts.remove(sandbox.contacts.id_at(0))
    sandbox.salestrekker.world.break_field(
        BrokenField(stream="contacts", path="isActive", id=sandbox.contacts.id_at(5))
    )

    report = await _backfill(tmp_path)

    assert _gone(tmp_path) == set()
    assert not report.complete

"""An older ledger is brought up to date with what is in it; the numbers of each state stay true."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from alembic import command

from books import KEEPING, kept
from bridge.ledger.database import reading, writing
from bridge.ledger.open import _alembic, migrate, read_revision
from bridge.ledger.read_model import MARKS
from bridge.ledger.runs_and_sweeps import find_last_sweeps
from bridge.ledger.schema import HEAD
from bridge.ledger.statistics import count_states

if TYPE_CHECKING:
    from pathlib import Path

FILL = """
INSERT INTO spaces (number, scope, stream) VALUES (1, 's', 'contacts'), (2, 's', 'products');
INSERT INTO feeds (number, connection, stream, space) VALUES (1, 'a', 'contacts', 1), (2, 'a', 'products', 2);
INSERT INTO sweeps (number, feed, query, began_at, moved_at, ended_at, complete)
    VALUES (1, 1, 'q', 1, 2, 3, 1), (2, 1, 'q', 4, 5, 6, 0), (3, 2, 'q', 7, 8, NULL, 0);
INSERT INTO records (feed, source_id, state, reason, gone, filtered, read_at, since_at, sweep) VALUES
    (1, 'c1', 'delivered', NULL, 0, 0, 1, 1, 2), (1, 'c2', 'delivered', NULL, 0, 0, 1, 1, 2),
    (1, 'c3', 'delivered', NULL, 1, 0, 1, 1, 1), (1, 'c4', 'held', 'renamed', 0, 0, 1, 1, 2),
    (2, 'c1', 'delivered', NULL, 0, 1, 1, 1, 3), (2, 'c2', 'skipped', 'filtered', 0, 1, 1, 1, 0);
"""
MOVES = (
    (
        "INSERT INTO records (feed, source_id, state, reason, gone, filtered, read_at, since_at)"
        " VALUES ({feed}, '{id}', '{state}', {reason}, {gone}, {filtered}, 1, 1) ON CONFLICT DO NOTHING"
    ),
    "UPDATE records SET state = '{state}', reason = {reason} WHERE source_id = '{id}'",
    "UPDATE records SET gone = {gone} WHERE feed = {feed}",
    "UPDATE records SET filtered = {filtered}, reason = {reason} WHERE source_id = '{id}' AND feed = {feed}",
    "UPDATE records SET read_at = 7",
    "UPDATE records SET remapped = {gone}, dismissed = {filtered} WHERE source_id = '{id}'",
    "DELETE FROM records WHERE source_id = '{id}' AND feed = {feed}",
)


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A ledger as the first version made it, with records."""
    path = tmp_path / "ledger.db"
    with writing(path, kept(path)) as connection:
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with closing(sqlite3.connect(path)) as driver:
        driver.executescript(FILL)
    return path


def counted(path: Path) -> dict[int, dict[tuple[str, str, frozenset[str]], int]]:
    """What counting gives."""
    found: dict[int, dict[tuple[str, str, frozenset[str]], int]] = {}
    with closing(sqlite3.connect(path)) as driver:
        known = {column for _, column, *_ in driver.execute("PRAGMA table_info(records)")}
        marks = [mark for mark in MARKS if mark in known]
        for feed, state, reason, *marked, number in driver.execute(
            f"SELECT feed, state, coalesce(reason, ''), {', '.join(marks)}, count(*) FROM records"  # noqa: S608
            f" GROUP BY feed, state, reason, {', '.join(marks)}"
        ):
            having = frozenset(mark for mark, has in zip(marks, marked, strict=True) if has)
            found.setdefault(feed, {})[state, reason, having] = number
    return found


def test_an_older_ledger_is_migrated_with_its_records_and_a_copy_is_kept(older: Path) -> None:
    before = counted(older)
    migrate(older, KEEPING)
    assert read_revision(older) == HEAD
    assert counted(older) == before
    [copy] = older.parent.glob("ledger.before-0001-*.db")
    assert read_revision(copy) == "0001"
    assert counted(copy) == before


def test_what_is_there_already_is_counted(older: Path) -> None:
    migrate(older, KEEPING)
    with reading(older) as connection:
        assert count_states(connection) == counted(older)
        assert sum(sum(kinds.values()) for kinds in count_states(connection).values()) == 6


def test_older_sweeps_say_what_is_known_of_them(older: Path) -> None:
    """How many records the newest saw; and that one that ended and is not complete had some problem."""
    migrate(older, KEEPING)
    with reading(older) as connection:
        last = find_last_sweeps(connection)
    assert {feed: (one.read, one.complete, bool(one.problem)) for feed, one in last.items()} == {
        1: (3, False, True),
        2: (1, False, False),
    }


@pytest.mark.parametrize("seed", range(4))
def test_the_numbers_are_those_that_counting_gives_whatever_is_written(older: Path, seed: int) -> None:
    """Also what another program writes: the database itself keeps them."""
    migrate(older, KEEPING)
    chance = random.Random(seed)  # noqa: S311 - a sequence that can be repeated
    with closing(sqlite3.connect(older)) as driver:
        driver.execute("PRAGMA foreign_keys = ON")
        for _ in range(120):
            move = chance.choice(MOVES).format(
                feed=chance.choice((1, 2)),
                id=f"c{chance.randint(1, 9)}",
                state=chance.choice(("pending", "held", "delivered", "skipped")),
                reason=chance.choice(("NULL", "NULL", "'renamed'", "'filtered'")),
                gone=chance.randint(0, 1),
                filtered=chance.randint(0, 1),
            )
            driver.execute(move)
            if chance.random() < 0.1:
                driver.rollback()
            elif chance.random() < 0.2:
                driver.commit()
        driver.commit()
    with reading(older) as connection:
        assert count_states(connection) == counted(older)

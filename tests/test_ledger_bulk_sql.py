"""Rows go to SQLite, and come from it, as one JSON text: as they would one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, Table, Text, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from books import kept
from bridge.ledger.bulk_sql import execute_many, fetch_all, insert_each, row_value
from bridge.ledger.database import writing
from bridge.ledger.row_mapping import KNOWN, KnownRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

METADATA = MetaData()
THINGS = Table(
    "things",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("name", Text, unique=True, nullable=False),
    Column("size", Integer),
    Column("body", LargeBinary),
)
Index("things_size", THINGS.c.size)
INSERT = insert_each(insert(THINGS), "name", "size", "body", binary="body")
ALL = select(THINGS.c.name, THINGS.c.size, THINGS.c.body).order_by(THINGS.c.number)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    path = tmp_path / "things.db"
    with writing(path, kept(path)) as connection:
        METADATA.create_all(connection)
        yield connection


def things(*rows: tuple[str, int | None, bytes | None]) -> list[dict[str, object]]:
    return [{"name": name, "size": size, "body": body} for name, size, body in rows]


@pytest.mark.parametrize(
    "row",
    [
        ("a", 1, b"\x00\xff"),
        ("", None, None),
        ("Zoë 🦊 \"'\\ \\u0000 \n\t\x1f\x7f\u2028", -(2**62), b""),
        ('{"a": [1]}', 2**62, b"[1,2]"),
        ("null", 0, b"x" * 100_000),
        ("1e5", 1, b"1"),
    ],
)
def test_each_value_comes_back_as_it_went(
    connection: Connection, row: tuple[str, int | None, bytes | None]
) -> None:
    rows = [("before", 7, b"before"), row, ("after", 8, b"after")]
    execute_many(connection, INSERT, things(*rows))
    assert connection.execute(ALL).all() == rows
    assert fetch_all(connection, ALL, {}) == [*map(list, rows)]


def test_a_nul_ends_no_text(connection: Connection) -> None:
    execute_many(connection, INSERT, things(("a\0b \\u0000", 1, b"\0")))
    assert connection.execute(ALL).all() == [("a\N{REPLACEMENT CHARACTER}b \\u0000", 1, b"\0")]


def test_rows_are_written_in_their_order(connection: Connection) -> None:
    names = [f"{number * 7919 % 500}" for number in range(500)]
    execute_many(connection, INSERT, things(*((name, 1, None) for name in names)))
    assert [row.name for row in connection.execute(ALL)] == names


def test_an_update_changes_each_given_row_and_no_other(connection: Connection) -> None:
    execute_many(connection, INSERT, things(("a", 1, None), ("b", 2, None), ("c", 3, None)))
    longer = (
        update(THINGS).where(THINGS.c.name == row_value("of")).values(size=THINGS.c.size + row_value("more"))
    )
    execute_many(
        connection, longer, [{"of": "a", "more": 10}, {"of": "c", "more": 20}, {"of": "d", "more": 1}]
    )
    assert [row.size for row in connection.execute(ALL)] == [11, 2, 23]


def test_what_a_constraint_refuses_is_an_error(connection: Connection) -> None:
    with pytest.raises(IntegrityError):
        execute_many(connection, INSERT, things(("a", 1, None), ("a", 2, None)))
    either = insert_each(upsert(THINGS), "name", "size").on_conflict_do_nothing()
    execute_many(connection, either, [{"name": "b", "size": 1}, {"name": "b", "size": 2}])
    assert [row.size for row in connection.execute(ALL)] == [1]


def test_a_statement_finds_its_rows_by_an_index(connection: Connection) -> None:
    found = update(THINGS).where(THINGS.c.number == row_value("of")).values(size=row_value("more"))
    execute_many(connection, found, [{"of": 1, "more": 1}])
    (compiled,) = connection.info["bridge.ledger.bulk_sql"].values()
    plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled.text}", ("[]",))]
    assert any("SEARCH things" in step for step in plan)
    assert not any("SCAN things" in step for step in plan)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE things SET name = X'ff00' WHERE size = 1",
        "UPDATE things SET name = CAST(X'61ff' AS TEXT) WHERE size = 1",
        "UPDATE things SET name = 9e999 WHERE size = 1",
    ],
)
def test_what_json_cannot_hold_is_read_row_by_row(connection: Connection, damage: str) -> None:
    execute_many(connection, INSERT, things(("a", 1, None), ("b", 2, b"x")))
    connection.exec_driver_sql(damage)
    assert fetch_all(connection, ALL, {}) == [list(row) for row in connection.execute(ALL)]


def test_a_row_of_the_ledger_has_the_places_of_its_query() -> None:
    assert KnownRow._fields == tuple(column.name for column in KNOWN.selected_columns)

"""Damage as a disk does it: one value of a ledger's file becomes another, of whatever type."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["VALUES", "Place", "places", "put", "wrong"]

VALUES: Final = {
    "NULL": "NULL",
    "a number": "5",
    "a text": "'abc'",
    "a blob": "x'0102'",
    "the same bytes as a blob": "CAST({} AS BLOB)",
    "a huge number": str(2**63 - 1),
    "a huge negative number": str(-(2**63)),
    "a fraction": "1.5",
    "bytes that are no text": "CAST(x'ff3bfe' AS TEXT)",
}
"""What may stand in a place, as SQL."""


class Place(NamedTuple):
    """One column of one row; the row by its number in order of its table."""

    table: str
    column: str
    row: int


def places(path: Path) -> list[Place]:
    """Each column of each row."""
    with closing(sqlite3.connect(path)) as driver:
        names = [name for (name,) in driver.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [
            Place(table, column, row)
            for table in names
            for row in range(driver.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - names of ours
            for _, column, *_ in driver.execute(f"PRAGMA table_info({table})")
        ]


def put(path: Path, place: Place, value: str) -> bool:
    """Put a value in a place, past all types and constraints; False where no file can have that."""
    table, column, row = place
    with closing(sqlite3.connect(path, isolation_level=None)) as driver:
        driver.execute("PRAGMA writable_schema = ON")
        before = driver.execute("SELECT rowid, sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        triggers = driver.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            driver.execute(f"DROP TRIGGER {name}")
        _define(driver, before[0], _untyped(before[1]))
    with closing(sqlite3.connect(path, isolation_level=None)) as driver:
        where = "WHERE (SELECT count(*) FROM {0} AS o WHERE {1}) = {2}"
        keys = [name for _, name, *_, key in driver.execute(f"PRAGMA table_info({table})") if key] or [
            "rowid"
        ]
        mine, other = ", ".join(f"{table}.{key}" for key in keys), ", ".join(f"o.{key}" for key in keys)
        where = where.format(table, f"({other}) < ({mine})", row)
        try:
            done = (
                driver.execute(f"UPDATE {table} SET {column} = {value.format(column)} {where}").rowcount == 1  # noqa: S608 - names of ours
            )
        except (sqlite3.IntegrityError, sqlite3.OperationalError):
            done = False
        for _, sql in triggers:
            driver.execute(sql)
        driver.execute("PRAGMA writable_schema = ON")
        _define(driver, before[0], before[1])
    return done


def _define(driver: sqlite3.Connection, row: int, sql: str) -> None:
    """Change how a table is declared, and nothing of what stands in it."""
    driver.execute("UPDATE sqlite_master SET sql = ? WHERE rowid = ?", (sql, row))
    (version,) = driver.execute("PRAGMA schema_version").fetchone()
    driver.execute(f"PRAGMA schema_version = {version + 1}")


def _untyped(sql: str) -> str:
    """A declaration without types and conditions, as far as the file's form does not hang on them."""
    sql = re.sub(r"CONSTRAINT \w+ CHECK \([^)]*\)\s*\)", "CHECK (1)", sql)
    sql = re.sub(r"\b(TEXT|BIGINT|BLOB|VARCHAR\(\d+\))", "", sql)
    sql = re.sub(r"(?<!number )\bINTEGER\b", "", sql)
    return sql.replace("NOT NULL", "")


def wrong(path: Path, place: Place) -> bool:
    """Whether what stands in a place is of another type than its column's."""
    table, column, _ = place
    kinds = {"TEXT": "text", "INTEGER": "integer", "BIGINT": "integer", "BLOB": "blob", "VARCHAR(32)": "text"}
    with closing(sqlite3.connect(path)) as driver:
        driver.text_factory = bytes
        (declared,) = (
            (kind.decode(), needed, key)
            for _, name, kind, needed, _, key in driver.execute(f"PRAGMA table_info({table})")
            if name.decode() == column
        )
        found: list[Any] = driver.execute(f"SELECT {column}, typeof({column}) FROM {table}").fetchall()  # noqa: S608 - names of ours
    kind, needed, key = declared
    for value, type_ in found:
        if type_ == b"null":
            if needed or key:
                return True
        elif type_.decode() != kinds[kind] or (
            type_ == b"text" and value.decode(errors="replace").encode() != value
        ):
            return True
    return False

"""Many rows in one step of SQLite: they are passed in, and returned, as one JSON text.

Python's driver releases the interpreter at each step and waits to get it back. A row that takes SQLite 2 µs
then takes 30 to 200 µs while another thread is busy. docs/adr/0018 has the measurements. ::

    rows ──JSON──> one INSERT or UPDATE with ``row_value("…")`` for each value
    one SELECT ──json_group_array──> JSON ──> rows, each value converted by its column's type
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from sqlalchemy import LargeBinary, bindparam, case, column, func, literal_column, select, table, true
from sqlalchemy.exc import OperationalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, Connection, Select
    from sqlalchemy.dialects.sqlite.dml import Insert as Upsert
    from sqlalchemy.sql.dml import Insert, UpdateBase

__all__ = ["execute_many", "fetch_all", "insert_each", "row_bytes", "row_value"]

_GIVEN: Final = table("given_")
_BYTES: Final = "given_bytes"


def row_value(name: str) -> ColumnElement[Any]:
    """A value of the row that a statement runs for; used in place of a parameter."""
    if name not in _GIVEN.c:
        _GIVEN.append_column(column(name))
    return _GIVEN.c[name]


def row_bytes(name: str) -> ColumnElement[Any]:
    """Like ``row_value`` for bytes: JSON says where they are in the one parameter that holds all bytes."""
    start, length = (func.json_extract(row_value(name), literal_column(f"'$[{place}]'")) for place in (0, 1))
    return func.substr(bindparam(_BYTES, type_=LargeBinary), start, length)


def insert_each(insert: Insert | Upsert, *names: str, binary: str = "") -> Any:  # noqa: ANN401 - of either kind
    """Build an INSERT of each row.

    Args:
        insert: The table's INSERT.
        names: The columns that rows have values for, under the same names.
        binary: The column that holds bytes, if any.
    """
    values = [row_bytes(name) if name == binary else row_value(name) for name in names]
    return insert.from_select(list(names), select(*values).where(true()))


class _Compiled(NamedTuple):
    """A statement as the driver takes it.

    Attributes:
        text: The SQL, with a placeholder for the rows and for each parameter.
        places: The names of its parameters, in order.
        constants: The parameters that the statement contains.
    """

    text: str
    places: tuple[str, ...]
    constants: dict[str, Any]


def execute_many(connection: Connection, statement: UpdateBase, rows: Sequence[dict[str, Any]]) -> None:
    """Run a statement for each row, in order.

    Args:
        connection: Inside a writing transaction.
        statement: An INSERT, UPDATE or DELETE with ``row_value`` values that returns nothing. Create it
            once: its compiled form is cached with the connection.
        rows: The values, at least one row, always with the same names: numbers, texts, bytes, None. An
            UPDATE changes each row of the table once: of two rows for the same one, only one counts.

    Raises:
        IntegrityError: As for any statement.
    """
    names = tuple(rows[0])
    kept: dict[tuple[UpdateBase, tuple[str, ...]], _Compiled] = connection.info.setdefault(__name__, {})
    compiled = kept.get((statement, names))
    if compiled is None:
        compiled = kept[statement, names] = _compiled(connection, statement, names)
    pool = bytearray()
    values = [[row[name] for name in names] for row in rows]
    text = orjson.dumps(values, default=partial(_placed, pool)).decode()
    if "\\u0000" in text:  # SQLite would cut the text there
        text = orjson.dumps([*map(_without_nul, values)], default=partial(_placed, pool)).decode()
    parameters = compiled.constants | {_BYTES: bytes(pool)}
    connection.exec_driver_sql(compiled.text, (text, *[parameters[name] for name in compiled.places]))


def _compiled(connection: Connection, statement: UpdateBase, names: Sequence[str]) -> _Compiled:
    compiled = statement.compile(dialect=connection.dialect)
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(f"json_extract(value, '$[{place}]')" for place in range(len(names)))
    # Materialized: otherwise SQLite serializes each row to JSON once for each of its values.
    rows = (
        "WITH rows_ AS MATERIALIZED (SELECT value FROM json_each(?)),"  # noqa: S608 - names of ours
        f" given_ ({columns}) AS (SELECT {values} FROM rows_) "
    )
    return _Compiled(rows + str(compiled), tuple(compiled.positiontup or ()), dict(compiled.params))


def _placed(pool: bytearray, value: object) -> list[int]:
    """Append bytes to the pool, and return where they are, as ``substr`` counts."""
    if not isinstance(value, bytes):
        raise TypeError
    pool += value
    return [len(pool) - len(value) + 1, len(value)]


def _without_nul(values: list[Any]) -> list[Any]:
    return [one.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(one, str) else one for one in values]


class _Reading(NamedTuple):
    """A query that returns all of its rows as one JSON text, and the converters of its values."""

    statement: Select[*tuple[Any, ...]]
    readers: tuple[Callable[[Any], Any] | None, ...]


def fetch_all(
    connection: Connection, query: Select[*tuple[Any, ...]], parameters: dict[str, Any]
) -> list[list[Any]]:
    """Return the rows of a query, like ``connection.execute(…).all()``.

    Args:
        connection: To the ledger.
        query: The query. Create it once: its converted form is cached with the connection. Each column
            needs a unique name.
        parameters: Its parameters.
    """
    kept: dict[Select[*tuple[Any, ...]], _Reading] = connection.info.setdefault(f"{__name__}.at_once", {})
    reading = kept.get(query)
    if reading is None:
        reading = kept[query] = _reading(connection, query)
    try:
        rows: list[list[Any]] = orjson.loads(connection.scalar(reading.statement, parameters) or "")
    except (OperationalError, ValueError):
        # Bytes instead of text, or invalid text: the file is damaged. Row by row it can still be read.
        return [list(row) for row in connection.execute(query, parameters)]
    for place, read in enumerate(reading.readers):
        if read is not None:
            for row in rows:
                row[place] = read(row[place])
    return rows


def _reading(connection: Connection, query: Select[*tuple[Any, ...]]) -> _Reading:
    rows = query.subquery()
    values = [_as_json(one) for one in rows.c]
    statement = select(func.json_group_array(func.json_array(*values)))
    return _Reading(statement, tuple(_reader(connection, one) for one in rows.c))


def _as_json(column: ColumnElement[Any]) -> ColumnElement[Any]:
    if isinstance(column.type, LargeBinary):
        return case((column.is_not(None), func.hex(column)))
    return column


def _reader(connection: Connection, column: ColumnElement[Any]) -> Callable[[Any], Any] | None:
    if isinstance(column.type, LargeBinary):
        return _bytes
    return column.type.dialect_impl(connection.dialect).result_processor(connection.dialect, None)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)

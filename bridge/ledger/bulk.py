"""One statement for many rows: what SQLAlchemy does for each row anew is done once.

Of the time that settling a record takes, a third went into finding the same parameters of the same statement
again. The statement is SQLAlchemy's own; only its rows go to SQLite's driver directly, by their places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection
    from sqlalchemy.sql.dml import UpdateBase

__all__ = ["run_for_all"]


class _Compiled(NamedTuple):
    """A statement as the driver takes it.

    Attributes:
        text: SQL, with a place for each parameter.
        places: The names of its parameters, in their order.
        constants: Those that are the same for all rows.
    """

    text: str
    places: tuple[str, ...]
    constants: dict[str, Any]


def run_for_all(connection: Connection, statement: UpdateBase, rows: Sequence[dict[str, Any]]) -> None:
    """Run a statement once for each row.

    Args:
        connection: Inside a writing transaction.
        statement: An INSERT, UPDATE or DELETE that returns nothing; made once, since what it is compiled to
            is kept with the connection.
        rows: Its parameters, at least one row; always of the same names, with values as the driver takes
            them (no column here has a type that would turn them into others).

    Raises:
        IntegrityError: As for any statement.
    """
    kept: dict[UpdateBase, _Compiled] = connection.info.setdefault(__name__, {})
    compiled = kept.get(statement)
    if compiled is None:
        compiled = kept[statement] = _compiled(connection, statement, list(rows[0]))
    constants = compiled.constants
    complete = [constants | row for row in rows] if constants else rows
    connection.exec_driver_sql(
        compiled.text, [tuple([row[name] for name in compiled.places]) for row in complete]
    )


def _compiled(connection: Connection, statement: UpdateBase, names: list[str]) -> _Compiled:
    compiled = statement.compile(dialect=connection.dialect, column_keys=names)
    constants = {name: value for name, value in compiled.params.items() if name not in names}
    return _Compiled(str(compiled), tuple(compiled.positiontup or ()), constants)

"""SQL conditions that find damaged rows: a value that is not valid for its column, whatever the damage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    Integer,
    and_,
    func,
    literal_column,
    or_,
    true,
    type_coerce,
)
from sqlalchemy.types import NullType

from bridge.ledger.damage_tolerant_columns import (
    MAX_NUMBER,
    MAX_TIME,
    SafeBigInteger,
    SafeBinary,
)
from bridge.ledger.schema import claims, feeds, links, namespaces, records
from bridge.records import (
    MergedBy,
    Origin,
    Reason,
    State,
    Stream,
)

if TYPE_CHECKING:
    from enum import StrEnum

    from sqlalchemy import ColumnElement, FromClause, Table


__all__ = ["is_sound", "is_unsound"]

_KEY_LENGTH: Final = 16


_KEYS: Final = frozenset({"key", "sent_key"})


_FORMS: Final = {**dict.fromkeys(("sent", "seen", "tried"), "[0-9]*;*"), "identifiers": "{*}"}
"""The forms of non-empty hashed texts."""


_WORDS: Final[dict[str, type[StrEnum]]] = {
    "state": State,
    "reason": Reason,
    "origin": Origin,
    "merged_by": MergedBy,
}


_FLAGS: Final = frozenset({
    *("gone", "filtered", "remapped", "dismissed", "retry", "forgotten", "given", "answered"),
    *("complete", "by_person"),
})  # fmt: skip


def is_sound(table: FromClause, *names: str) -> ColumnElement[bool]:
    """Build the condition that each value of a row has its column's type and form, whatever the damage.

    SQLite stores a type with each value: a flipped bit makes a text a blob or a 0 a NULL, and constraints
    are not checked when a row is read.

    Args:
        table: A table of the ledger, or an alias of one.
        names: Only these columns; none: all.
    """
    base: str = getattr(getattr(table, "element", table), "name", "")
    return and_(true(), *(_holds(base, column) for column in table.c if not names or column.name in names))


def is_unsound(table: Table) -> ColumnElement[bool]:
    """Build the condition that a value of a row is not valid for its column, or is a fraction."""
    numbers = [column for column in table.c if isinstance(column.type, Integer)]
    fractions = (func.typeof(type_coerce(column, NullType())) == "real" for column in numbers)
    return or_(func.coalesce(is_sound(table), literal_column("0")) == literal_column("0"), *fractions)


def _holds(table: str, column: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a column, perhaps of an alias
    """Build the condition that one value is valid for its column.

    SQLite orders NULL, numbers, texts, blobs. A comparison costs half as much as ``typeof``.
    """
    raw: ColumnElement[Any] = type_coerce(column, NullType())
    good: ColumnElement[bool]
    if isinstance(column.type, Integer):
        least, most = (0, MAX_TIME) if isinstance(column.type, SafeBigInteger) else (-1, MAX_NUMBER)
        good = raw.between(0, 1) if column.name in _FLAGS else raw.between(least, most)
    elif isinstance(column.type, SafeBinary):
        good = raw >= _NO_BYTES
    else:
        good = _is_text(table, column.name, raw)
    return raw.is_(None) | good if column.nullable else good


def _is_text(table: str, name: str, raw: ColumnElement[Any]) -> ColumnElement[bool]:
    """Build the condition that a value is a text and, as far as that is cheap, a valid one."""
    text = (raw >= "") & (raw < _NO_BYTES)
    if name == "stream" and table in {namespaces.name, feeds.name}:
        return raw.in_([*map(str, Stream)])
    if table not in _HASHED:
        return text
    if name in _WORDS:
        return raw.in_([*map(str, _WORDS[name])])
    if name in _FORMS:
        return (raw == "") | ((raw < _NO_BYTES) & raw.op("GLOB")(_FORMS[name]))
    return text & func.length(raw).in_((0, _KEY_LENGTH)) if name in _KEYS else text


_NO_BYTES: Final[ColumnElement[Any]] = literal_column("x''")


_HASHED: Final = frozenset({records.name, claims.name, links.name})
"""The tables whose texts are hashes and words of the bridge."""

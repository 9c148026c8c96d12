"""The records that wait for a person, a page at a time: each page costs the same, however many there are.

Records that are held, rejected or drifted stand in an index of their own, by feed, state and reason, and
within those by number; so do those with the mark remapped or dismissed. So the page after a record is a
short walk for each kind that is wanted, and the walks are merged here: nothing is counted, skipped over or
sorted by the database.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import func, select, text

from bridge.ledger.read_model import Wanted, find
from bridge.ledger.row_mapping import among
from bridge.ledger.schema import history, records

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection, Select

    from bridge.ledger.read_model import Found

__all__ = ["Kind", "Page", "numbers_of", "page_of", "rejections_of"]

_INDEXED: Final = {
    "": text("records.state IN ('held', 'rejected', 'drifted')"),
    "remapped": text("records.remapped = 1"),
    "dismissed": text("records.dismissed = 1"),
}
"""By mark, to the letter what the index is made for: only then SQLite knows that it may be used."""


class Kind(NamedTuple):
    """Records of one feed that wait for one reason, or have a mark: ``remapped`` or ``dismissed``."""

    feed: int
    state: str
    reason: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the records that wait, those known longest first.

    Attributes:
        records: The records.
        earlier: There are more before them.
        later: There are more after them.
    """

    records: list[Found]
    earlier: bool
    later: bool


def page_of(
    connection: Connection, kinds: Collection[Kind], *, after: int = 0, before: int = 0, most: int = 50
) -> Page:
    """The records of some kinds that follow one, or go before it.

    Args:
        connection: Inside any transaction.
        kinds: Which.
        after: The ledger's number of the last record of the page before; 0: from the beginning.
        before: Instead, the number of the first record of the page after; 0: none.
        most: How many at most.
    """
    walks = [_walk(connection, kind, after, before, most + 1) for kind in kinds]
    found = list(merge(*walks, reverse=bool(before)))
    more, shown = len(found) > most, sorted(found[:most])
    listed = find(connection, Wanted(numbers=shown)) if shown else []
    return Page(listed, earlier=more if before else after > 0, later=True if before else more)


def _walk(connection: Connection, kind: Kind, after: int, before: int, most: int) -> list[int]:
    beyond = records.c.number < before if before else records.c.number > after
    order = records.c.number.desc() if before else records.c.number
    return list(connection.scalars(_of(kind).where(beyond).order_by(order).limit(most)))


def _of(kind: Kind) -> Select[*tuple[Any, ...]]:
    """The numbers of one kind's records."""
    reason = records.c.reason == kind.reason if kind.reason else records.c.reason.is_(None)
    return select(records.c.number).where(
        _INDEXED[kind.mark], records.c.feed == kind.feed, records.c.state == kind.state, reason
    )


def rejections_of(connection: Connection, numbers: Collection[int]) -> dict[int, str]:
    """Why each of these records was rejected last, in words without personal data.

    Args:
        connection: Inside any transaction.
        numbers: Of a page's records: each costs a look at its own history.
    """
    rejected = (among(history.c.record, numbers), history.c.event == "rejected")
    newest = select(func.max(history.c.number)).where(*rejected).group_by(history.c.record)
    found = select(history.c.record, history.c.detail).where(history.c.number.in_(newest))
    return {row.record: row.detail for row in connection.execute(found)}


def numbers_of(connection: Connection, kind: Kind) -> array[int]:
    """The ledger's numbers of all records of a kind, in little room: for decisions on many."""
    return array("q", connection.scalars(_of(kind).order_by(records.c.number)))

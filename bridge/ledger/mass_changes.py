"""Many records that changed alike within one sweep: told as one, however many they are.

An import, or a new format of Salestrekker's, changes thousands at once. Each is listed with its own history;
noted here is that they belong together, so that a person is told once and can decide on all of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.ledger.row_mapping import KNOWN, row_of
from bridge.ledger.schema import facts, records, sweeps, tallies
from bridge.records import State

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bridge.ledger.row_mapping import Feed

__all__ = ["FEW", "Burst", "burst_of", "note_burst"]

FEW: Final = 20
"""Up to so many that change alike are told one by one."""

SHARE: Final = 0.02
"""More than this share of what a stream knows must have changed alike: of 50,000 records a thousand."""

AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Burst:
    """Records that drifted in the same fields within one sweep.

    Attributes:
        sweep: The sweep's number.
        since_at: When it began: all of them drifted since.
        fields: The fields that changed.
        number: How many they were at its end.
    """

    sweep: int
    since_at: int
    fields: tuple[str, ...]
    number: int


def note_burst(connection: Connection, feed: Feed, sweep: int) -> Burst | None:
    """Look at the end of a sweep whether many changed alike; that stays noted until the next such sweep.

    Args:
        connection: Inside a writing transaction.
        feed: Whose records were read.
        sweep: The sweep's number.

    Returns:
        The burst; None where there is none.
    """
    known = connection.scalar(select(func.sum(tallies.c.number)).where(tallies.c.feed == feed.number)) or 0
    least = max(FEW, SHARE * known)
    since_at = connection.scalar(select(sweeps.c.began_at).where(sweeps.c.number == sweep)) or 0
    if _drifted_since(connection, feed.number, since_at, FEW + 1) <= FEW:
        return None
    alike: Counter[tuple[str, ...]] = Counter()
    of_sweep = KNOWN.where(*_since(feed.number, since_at))
    for row in connection.execute(of_sweep).yield_per(AT_ONCE):
        alike[row_of(row).differing] += 1
    fields, number = max(alike.items(), key=lambda one: one[1])
    if not fields or number <= least:
        return None
    burst = Burst(sweep, since_at, fields, number)
    _write(connection, feed.number, burst)
    return burst


def burst_of(connection: Connection, feed: int) -> Burst | None:
    """The last burst of a feed, while more than a few of its records still wait for a person.

    Args:
        connection: Inside any transaction.
        feed: The feed's number.
    """
    text = connection.scalar(select(facts.c.value).where(facts.c.name == _name(feed)))
    if text is None:
        return None
    burst = _read(text)
    if burst is None:
        return None
    since_at = burst.since_at
    return burst if _drifted_since(connection, feed, since_at, FEW + 1) > FEW else None


def _read(text: str) -> Burst | None:
    """A burst as it was noted; None where that is damaged."""
    try:
        found = orjson.loads(text)
    except ValueError:
        return None
    if not isinstance(found, list) or list(map(type, found)) != [int, int, list, int]:
        return None
    sweep, since_at, fields, number = found
    return Burst(sweep, since_at, tuple(map(str, fields)), number)


def _since(feed: int, since_at: int) -> tuple[Any, ...]:
    return (
        records.c.feed == feed,
        records.c.state == State.DRIFTED,
        records.c.since_at >= since_at,
    )


def _drifted_since(connection: Connection, feed: int, since_at: int, most: int) -> int:
    """How many drifted since then, counted no further than to a number."""
    some = select(records.c.number).where(*_since(feed, since_at)).limit(most)
    return int(connection.scalar(select(func.count()).select_from(some.subquery())) or 0)


def _name(feed: int) -> str:
    return f"burst of {feed}"


def _write(connection: Connection, feed: int, burst: Burst) -> None:
    text = orjson.dumps((burst.sweep, burst.since_at, burst.fields, burst.number)).decode()
    written = upsert(facts).values(name=_name(feed), value=text)
    connection.execute(written.on_conflict_do_update(index_elements=["name"], set_={"value": text}))

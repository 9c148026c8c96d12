"""Mass changes: many records that changed alike within one sweep, for example after an import.

The end of a sweep detects one, so that the operator gets one notification and can decide on all of them
together.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.ledger.feeds import Feed
from bridge.ledger.row_mapping import KNOWN, to_ledger_row
from bridge.ledger.schema import facts, records, sweeps, tallies
from bridge.records import State

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bridge.ledger.feeds import Feed

__all__ = ["FEW", "MassChange", "detect_mass_change", "find_mass_change"]

FEW: Final = 20
"""Up to this many records that change alike are reported one by one."""


SHARE: Final = 0.02
"""The share of a stream's known records that must have changed alike: of 50,000 records, a thousand."""


ROWS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class MassChange:
    """Records that drifted in the same fields within one sweep.

    Attributes:
        sweep: The sweep's number.
        since_at: When it began: all of them drifted since then.
        fields: The fields that changed.
        number: How many they were at its end.
    """

    sweep: int
    since_at: int
    fields: tuple[str, ...]
    number: int


def detect_mass_change(connection: Connection, feed: Feed, sweep: int) -> MassChange | None:
    """Detect at the end of a sweep whether many records changed alike, and store that until the next one.

    Args:
        connection: Inside a writing transaction.
        feed: The feed of the records.
        sweep: The sweep's number.

    Returns:
        The mass change; None if there is none.
    """
    known = connection.scalar(select(func.sum(tallies.c.number)).where(tallies.c.feed == feed.number)) or 0
    least = max(FEW, SHARE * known)
    since_at = connection.scalar(select(sweeps.c.began_at).where(sweeps.c.number == sweep)) or 0
    if _drifted_since(connection, feed.number, since_at, FEW + 1) <= FEW:
        return None
    alike: Counter[tuple[str, ...]] = Counter()
    of_sweep = KNOWN.where(*_since(feed.number, since_at))
    for row in connection.execute(of_sweep).yield_per(ROWS_AT_ONCE):
        alike[to_ledger_row(row).differing] += 1
    fields, number = max(alike.items(), key=lambda one: one[1])
    if not fields or number <= least:
        return None
    burst = MassChange(sweep, since_at, fields, number)
    _save_mass_change(connection, feed.number, burst)
    return burst


def find_mass_change(connection: Connection, feed: int) -> MassChange | None:
    """Return the last mass change of a feed, while more than a few of its records still need a decision.

    Args:
        connection: Inside any transaction.
        feed: The feed's number.
    """
    text = connection.scalar(select(facts.c.value).where(facts.c.name == _fact_name(feed)))
    if text is None:
        return None
    burst = _parse_mass_change(text)
    if burst is None:
        return None
    since_at = burst.since_at
    return burst if _drifted_since(connection, feed, since_at, FEW + 1) > FEW else None


def _parse_mass_change(text: str) -> MassChange | None:
    """Parse a stored mass change; None if it is damaged."""
    try:
        found = orjson.loads(text)
    except ValueError:
        return None
    if not isinstance(found, list) or list(map(type, found)) != [int, int, list, int]:
        return None
    sweep, since_at, fields, number = found
    return MassChange(sweep, since_at, tuple(map(str, fields)), number)


def _since(feed: int, since_at: int) -> tuple[Any, ...]:
    return (
        records.c.feed == feed,
        records.c.state == State.DRIFTED,
        records.c.since_at >= since_at,
    )


def _drifted_since(connection: Connection, feed: int, since_at: int, most: int) -> int:
    """Count the records that drifted since then, up to a maximum."""
    some = select(records.c.number).where(*_since(feed, since_at)).limit(most)
    return int(connection.scalar(select(func.count()).select_from(some.subquery())) or 0)


def _fact_name(feed: int) -> str:
    return f"burst of {feed}"


def _save_mass_change(connection: Connection, feed: int, burst: MassChange) -> None:
    text = orjson.dumps((burst.sweep, burst.since_at, burst.fields, burst.number)).decode()
    written = upsert(facts).values(name=_fact_name(feed), value=text)
    connection.execute(written.on_conflict_do_update(index_elements=["name"], set_={"value": text}))

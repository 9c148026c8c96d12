"""Canaries: a few payloads that Trakor took lately, sent again to find out whether it takes anything.

Up to three of each stream, sealed. A canary is of a record that Trakor has as it says now: another one's
name may have been corrected in Trakor by hand, and sending it again would make a second party.
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.errors import LedgerError
from bridge.ledger.rows import among
from bridge.ledger.schema import canaries, records
from bridge.records import Party, Product, State, Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from bridge.ledger.rows import Feed
    from bridge.records import Payload, Work

__all__ = ["FRESH", "canaries_of", "erase_canary", "note_canaries"]

MOST: Final = 3
"""So many of each stream are kept."""

FRESH: Final = 60 * 60 * 1000
"""Milliseconds for which a canary is not replaced by a newer one."""


class _Sealer(Protocol):
    """Encrypts texts for one place; ``connection.info`` has it under ``sealer``."""

    def seal(self, texts: Sequence[str], place: str) -> bytes: ...

    def open(self, sealed: bytes, place: str) -> list[str]: ...


_FEED = canaries.c.feed == bindparam("of_feed")
_FIT = (
    records.c.state == State.DELIVERED,
    records.c.gone == 0,
    records.c.dismissed == 0,
    records.c.remapped == 0,
    records.c.forgotten == 0,
    records.c.given == 0,
    records.c.merged_into.is_(None),
    records.c.trakor_id.is_not(None),
)
_KEPT = (
    select(records.c.source_id, canaries.c.body)
    .join(canaries, canaries.c.record == records.c.number)
    .where(_FEED, *_FIT)
    .order_by(canaries.c.at.desc(), canaries.c.record)
)
_FITTING = select(records.c.number).where(records.c.number == canaries.c.record, *_FIT)
_NOT_FIT = delete(canaries).where(_FEED, ~_FITTING.exists())
_KEPT_SINCE = (
    select(func.count(), func.min(canaries.c.at))
    .select_from(canaries)
    .join(records, records.c.number == canaries.c.record)
    .where(_FEED, canaries.c.at > bindparam("since"), *_FIT)
)
_CANDIDATES = select(records.c.number, records.c.source_id).where(
    among(records.c.number, "numbers"), records.c.feed == bindparam("of_feed"), *_FIT
)
_NOTE = upsert(canaries).on_conflict_do_update(
    index_elements=["record"],
    set_={name: upsert(canaries).excluded[name] for name in ("at", "body")},
)
_SURPLUS = delete(canaries).where(
    _FEED,
    canaries.c.record.not_in(
        select(canaries.c.record)
        .where(_FEED)
        .order_by(canaries.c.at.desc(), canaries.c.record)
        .limit(MOST)
        .scalar_subquery()
    ),
)


def note_canaries(connection: Connection, feed: Feed, taken: Sequence[Work], *, now: int) -> int:
    """Keep some of what Trakor has just taken, where there are too few canaries or old ones.

    Args:
        connection: Inside a writing transaction; their answers are settled.
        feed: Whose records these are.
        taken: What was sent and taken.
        now: The time to note.

    Returns:
        When to call this again, milliseconds since the epoch: before that it would do nothing.
    """
    sealer = _sealer_of(connection)
    known = {"of_feed": feed.number}
    if sealer is None:
        return now + FRESH
    fresh, oldest = connection.execute(_KEPT_SINCE, known | {"since": now - FRESH}).one()
    if fresh >= MOST:
        return int(oldest) + FRESH
    payloads = {work.number: work.payload for work in taken}
    found = connection.execute(_CANDIDATES, known | {"numbers": list(payloads)}).all()
    rows = [
        {
            "record": row.number,
            "feed": feed.number,
            "at": now,
            "body": sealer.seal(_texts(payloads[row.number]), _place(feed, row.source_id)),
        }
        for row in found[: MOST - fresh]
    ]
    connection.execute(_NOT_FIT, known)
    if rows:
        connection.execute(_NOTE, rows)
        connection.execute(_SURPLUS, known)
    return now + FRESH if fresh + len(rows) >= MOST else now


def canaries_of(connection: Connection, feed: Feed) -> list[Payload]:
    """What may be sent again to find out whether Trakor takes anything, the latest first.

    Args:
        connection: To the ledger.
        feed: Of which stream.
    """
    sealer = _sealer_of(connection)
    if sealer is None:
        return []
    rows = connection.execute(_KEPT, {"of_feed": feed.number}).all()
    kept = []
    for row in rows:
        with suppress(LedgerError):  # one that is damaged is as good as none: `ledger check` tells
            kept.append(_payload(feed.stream, sealer.open(row.body, _place(feed, row.source_id))))
    return kept


def erase_canary(connection: Connection, number: int) -> None:
    """Keep nothing of a record as a canary: it is forgotten."""
    connection.execute(delete(canaries).where(canaries.c.record == number))


def _sealer_of(connection: Connection) -> _Sealer | None:
    """None where nothing can be sealed, so that nothing is kept."""
    sealer: _Sealer | None = connection.info.get("sealer")
    return sealer


def _place(feed: Feed, source_id: str) -> str:
    return f"{feed.number}\0{feed.stream}\0{source_id}"


def _texts(payload: Payload) -> list[str]:
    return list(payload.fields().values())


def _payload(stream: Stream, texts: Sequence[str]) -> Payload:
    if stream is Stream.CONTACTS:
        name, contact_info = texts
        return Party(name, contact_info)
    name, description, price = texts
    return Product(name, description, Decimal(price) if price else None)

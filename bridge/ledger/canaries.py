"""Canaries: a few payloads that Trakor took lately, sent again to find out whether it takes anything.

Up to three of each stream, sealed::

    Trakor answered, or a draft says what Trakor has ──note_canaries──> kept
    too few are kept ──wanted_as_canaries──> up to three unchanged records are mapped all the same
    anything is decided on its record ──end_canaries──> none

A canary is of a record that Trakor has as it says now, under a name that nobody changed there by hand:
sent again under any other name it would be a second party.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, exists, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.errors import LedgerError
from bridge.ledger.row_mapping import among, one_of, sealer_of
from bridge.ledger.schema import canaries, claims, contents, history, links, records
from bridge.ledger.stored_drafts import payload_to_send
from bridge.records import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import Connection, Row

    from bridge.ledger.row_mapping import Feed
    from bridge.records import Payload

__all__ = [
    "FRESH",
    "canaries_of",
    "end_canaries",
    "note_canaries",
    "opened_canaries",
    "sent_of",
    "wanted_as_canaries",
]

MOST: Final = 3
"""So many of each stream are kept."""

FRESH: Final = 24 * 60 * 60 * 1000
"""Milliseconds for which a canary is neither renewed nor replaced by a newer one."""

# Statements are made once: to build one costs ten times as much as to run it for one row.

_HOLDS_ITS_NAME = exists().where(
    claims.c.space == bindparam("of_space"),
    claims.c.key == records.c.sent_key,
    claims.c.record == records.c.number,
    claims.c.answered == 1,
)
_SPELLED_ANEW = exists().where(
    history.c.record == records.c.number,
    one_of(history.c.event, "drifted", "remapped"),
    history.c.detail.contains("name"),
)
"""Its name was another one for a while, though its key was not: somebody may have corrected it in Trakor."""

_FIT = (
    records.c.state == State.DELIVERED,
    *(records.c[mark] == 0 for mark in ("gone", "filtered", "dismissed", "remapped", "forgotten", "given")),
    records.c.seen.is_(None),
    records.c.merged_into.is_(None),
    records.c.trakor_id.is_not(None),
    _HOLDS_ITS_NAME,
    ~_SPELLED_ANEW,
)
_SENT = (
    select(records.c.source_id, contents.c.body)
    .select_from(records)
    .join(
        links,
        (links.c.space == bindparam("of_space"))
        & (links.c.trakor_id == records.c.trakor_id)
        & (links.c.record == records.c.number)
        & (links.c.key == records.c.sent_key),
    )
    .join(contents, (contents.c.space == links.c.space) & (contents.c.trakor_id == links.c.trakor_id))
    .where(
        records.c.feed == bindparam("of_feed"),
        one_of(records.c.state, State.DELIVERED, State.DRIFTED),
        *(records.c[mark] == 0 for mark in ("gone", "dismissed", "forgotten", "given")),
        links.c.sent != "",
        _HOLDS_ITS_NAME,
        ~_SPELLED_ANEW,
    )
    .order_by(links.c.at.desc())
    .limit(MOST)
)
_OF_FEED = canaries.c.feed == bindparam("of_feed")
_KEPT = (
    select(canaries.c.record, canaries.c.at, canaries.c.body, records.c.source_id)
    .join(records, records.c.number == canaries.c.record)
    .where(_OF_FEED, *_FIT)
    .order_by(canaries.c.at.desc(), canaries.c.record)
    .limit(MOST)
)
_FITTING = select(records.c.number, records.c.source_id, records.c.sent_key).where(
    among(records.c.number, "numbers"), records.c.feed == bindparam("of_feed"), *_FIT
)
_WANTED = (
    select(records.c.source_id)
    .where(
        records.c.feed == bindparam("of_feed"),
        among(records.c.source_id, "ids"),
        records.c.sent_key == records.c.key,  # of a qualified name a draft does not tell how it was spelled
        *_FIT,
    )
    .limit(bindparam("most"))
)
_RENEW = update(canaries).where(among(canaries.c.record, "numbers")).values(at=bindparam("renewed_at"))
_NOTE = upsert(canaries).on_conflict_do_update(
    index_elements=["record"],
    set_={name: upsert(canaries).excluded[name] for name in ("at", "body")},
)
_SURPLUS = delete(canaries).where(
    _OF_FEED,
    canaries.c.record.not_in(_KEPT.with_only_columns(canaries.c.record).correlate(None).scalar_subquery()),
)
_END = delete(canaries).where(among(canaries.c.record, "numbers"))


def note_canaries(
    connection: Connection,
    feed: Feed,
    taken: Iterable[tuple[int, str, Payload]],
    *,
    now: int,
    unchanged: Collection[str] = (),
) -> None:
    """Keep some of what Trakor has, where there are too few canaries or old ones.

    Args:
        connection: Inside a writing transaction; whatever was decided is written.
        feed: Whose records these are.
        taken: Number of a record, the key of a name, and the payload that Trakor has, or would be sent, under
            it. Those that are not fit for a canary by now are left out. Gone through only where it is needed.
        now: The time to note.
        unchanged: Ids of records that say what they said: canaries of these are renewed.
    """
    known = {"of_feed": feed.number, "of_space": feed.space}
    kept = connection.execute(_KEPT, known).all()
    fresh = {row.record for row in kept if row.at > now - FRESH}
    if len(fresh) >= MOST:
        return
    again = [row.record for row in kept if row.record not in fresh and row.source_id in unchanged]
    if again:
        connection.execute(_RENEW, {"numbers": again, "renewed_at": now})
    others = {number: (key, payload) for number, key, payload in taken if number not in fresh}
    room = MOST - len(fresh) - len(again)
    if not others or not room:
        return
    found = connection.execute(_FITTING, known | {"numbers": list(others)}).all()
    fitting = [row for row in found if row.sent_key == others[row.number][0]][:room]
    if fitting:
        connection.execute(
            _NOTE, [_sealed(connection, feed, row, others[row.number][1], now) for row in fitting]
        )
        connection.execute(_SURPLUS, known)


def _sealed(
    connection: Connection, feed: Feed, row: Row[*tuple[Any, ...]], payload: Payload, now: int
) -> dict[str, Any]:
    body = sealer_of(connection).seal(list(payload.fields().values()), feed.place(row.source_id))
    return {"record": row.number, "feed": feed.number, "at": now, "body": body}


def wanted_as_canaries(connection: Connection, feed: Feed, unchanged: Collection[str]) -> frozenset[str]:
    """Which unchanged records are to be mapped all the same, since there are too few canaries.

    Args:
        connection: To the ledger.
        feed: Whose records these are.
        unchanged: Ids of those that need no draft otherwise.

    Returns:
        The ids of as many as are missing, at most.
    """
    if not unchanged:
        return frozenset()
    known = {"of_feed": feed.number, "of_space": feed.space}
    kept = {row.source_id for row in connection.execute(_KEPT, known)}
    others = [one for one in unchanged if one not in kept]
    if len(kept) >= MOST or not others:
        return frozenset()
    return frozenset(connection.scalars(_WANTED, known | {"ids": others, "most": MOST - len(kept)}))


def end_canaries(connection: Connection, numbers: Collection[int]) -> None:
    """Keep no canaries of these records: something was decided on them."""
    connection.execute(_END, {"numbers": list(numbers)})


def canaries_of(connection: Connection, feed: Feed) -> list[Payload]:
    """What may be sent again to find out whether Trakor takes anything, the latest first.

    Args:
        connection: To the ledger; it knows the sealer.
        feed: Of which stream.
    """
    return [payload for payload in opened_canaries(connection, feed) if payload is not None]


def sent_of(connection: Connection, feed: Feed) -> list[Payload]:
    """What was really sent of some records that Trakor has, whatever the source or the map say by now.

    It proves which organisation a Trakor is as well as a canary does: a changed map, or a change of all
    records at once, leaves no canary.

    Args:
        connection: To the ledger; it knows the sealer.
        feed: Of which stream.
    """
    found = connection.execute(_SENT, {"of_feed": feed.number, "of_space": feed.space}).all()
    opened = (_opened(connection, feed, row.source_id, row.body) for row in found)
    return [payload for payload in opened if payload is not None]


def opened_canaries(connection: Connection, feed: Feed) -> list[Payload | None]:
    """The same, with None in place of one that is damaged."""
    known = {"of_feed": feed.number, "of_space": feed.space}
    kept = connection.execute(_KEPT, known).all()
    return [_opened(connection, feed, row.source_id, row.body) for row in kept]


def _opened(connection: Connection, feed: Feed, source_id: str, body: bytes) -> Payload | None:
    try:
        return payload_to_send(sealer_of(connection).open(body, feed.place(source_id)), feed.stream)
    except (LedgerError, ValueError, TypeError, ArithmeticError):
        return None

"""Canaries: payloads that Trakor took lately, stored to find out later whether it works and whose it is.

The ledger keeps up to three payloads of each stream, sealed::

    Trakor answered, or a draft equals what Trakor has ──store_canaries──> stored
    too few are stored ──choose_canaries──> up to three unchanged records are mapped all the same
    anything is decided on the record ──delete_canaries──> deleted

A canary belongs to a record that Trakor has unchanged, under a name that nobody edited there by hand. Under
any other name, Trakor would create a second party.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import bindparam, delete, exists, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.decision.canary_verdict import MAX_CANARIES
from bridge.errors import LedgerError
from bridge.ledger.row_mapping import is_in, is_one_of, sealer_of
from bridge.ledger.schema import canaries, claims, contents, history, links, records
from bridge.ledger.sealed_texts import payload_to_send
from bridge.records import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sqlalchemy import Connection, Row

    from bridge.ledger.feeds import Feed
    from bridge.records import Payload

__all__ = [
    "FRESH_MS",
    "Canary",
    "choose_canaries",
    "delete_canaries",
    "open_canaries",
    "open_each_canary",
    "open_sent_payloads",
    "select_canaries",
    "store_canaries",
]

MAX_STORED: Final = 3
"""How many canaries of each stream are stored."""


FRESH_MS: Final = 24 * 60 * 60 * 1000
"""Milliseconds for which a canary is neither renewed nor replaced."""


# Statements are built once: to build one costs ten times as much as to run it for one row.

_HOLDS_ITS_NAME = exists().where(
    claims.c.space == bindparam("of_space"),
    claims.c.key == records.c.sent_key,
    claims.c.record == records.c.number,
    claims.c.answered == 1,
)


_RESPELLED = exists().where(
    history.c.record == records.c.number,
    is_one_of(history.c.event, "drifted", "remapped"),
    history.c.detail.contains("name"),
)
"""Its name was spelled otherwise for a while: someone may have corrected it in Trakor."""


_FIT = (
    records.c.state == State.DELIVERED,
    *(records.c[mark] == 0 for mark in ("gone", "filtered", "dismissed", "remapped", "forgotten", "given")),
    records.c.seen.is_(None),
    records.c.merged_into.is_(None),
    records.c.trakor_id.is_not(None),
    _HOLDS_ITS_NAME,
    ~_RESPELLED,
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
        is_one_of(records.c.state, State.DELIVERED, State.DRIFTED),
        *(records.c[mark] == 0 for mark in ("gone", "dismissed", "forgotten", "given")),
        links.c.sent != "",
        _HOLDS_ITS_NAME,
        ~_RESPELLED,
    )
    .order_by(links.c.at.desc())
    .limit(MAX_STORED)
)


_OF_FEED = canaries.c.feed == bindparam("of_feed")


_KEPT = (
    select(canaries.c.record, canaries.c.at, canaries.c.body, records.c.source_id)
    .join(records, records.c.number == canaries.c.record)
    .where(_OF_FEED, *_FIT)
    .order_by(canaries.c.at.desc(), canaries.c.record)
    .limit(MAX_STORED)
)


_FITTING = select(records.c.number, records.c.source_id, records.c.sent_key).where(
    is_in(records.c.number, "numbers"), records.c.feed == bindparam("of_feed"), *_FIT
)


_WANTED = (
    select(records.c.source_id)
    .where(
        records.c.feed == bindparam("of_feed"),
        is_in(records.c.source_id, "ids"),
        records.c.sent_key == records.c.key,  # a draft does not show how a qualified name was spelled
        *_FIT,
    )
    .limit(bindparam("most"))
)


_RENEW = update(canaries).where(is_in(canaries.c.record, "numbers")).values(at=bindparam("renewed_at"))


_NOTE = upsert(canaries).on_conflict_do_update(
    index_elements=["record"],
    set_={name: upsert(canaries).excluded[name] for name in ("at", "body")},
)


_SURPLUS = delete(canaries).where(
    _OF_FEED,
    canaries.c.record.not_in(_KEPT.with_only_columns(canaries.c.record).correlate(None).scalar_subquery()),
)


_END = delete(canaries).where(is_in(canaries.c.record, "numbers"))


def store_canaries(
    connection: Connection,
    feed: Feed,
    taken: Iterable[tuple[int, str, Payload]],
    *,
    now: int,
    unchanged: Collection[str] = (),
) -> None:
    """Store some of what Trakor has, if there are too few canaries or only old ones.

    Args:
        connection: Inside a writing transaction, after all decisions are written.
        feed: The feed of these records.
        taken: Number of a record, the key of a name, and the payload that Trakor has, or would be sent,
            under that name. Unsuitable ones are skipped. Only iterated if needed.
        now: The time to note.
        unchanged: Ids of records that are unchanged: their canaries are renewed.
    """
    known = {"of_feed": feed.number, "of_space": feed.namespace}
    kept = connection.execute(_KEPT, known).all()
    fresh = {row.record for row in kept if row.at > now - FRESH_MS}
    if len(fresh) >= MAX_STORED:
        return
    again = [row.record for row in kept if row.record not in fresh and row.source_id in unchanged]
    if again:
        connection.execute(_RENEW, {"numbers": again, "renewed_at": now})
    others = {number: (key, payload) for number, key, payload in taken if number not in fresh}
    room = MAX_STORED - len(fresh) - len(again)
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
    body = sealer_of(connection).seal(list(payload.fields().values()), feed.seal_context(row.source_id))
    return {"record": row.number, "feed": feed.number, "at": now, "body": body}


def choose_canaries(connection: Connection, feed: Feed, unchanged: Collection[str]) -> frozenset[str]:
    """Choose the unchanged records that are mapped all the same, because there are too few canaries.

    Args:
        connection: To the ledger.
        feed: The feed of these records.
        unchanged: Ids of records that need no draft otherwise.

    Returns:
        The ids of at most as many records as canaries are missing.
    """
    if not unchanged:
        return frozenset()
    known = {"of_feed": feed.number, "of_space": feed.namespace}
    kept = {row.source_id for row in connection.execute(_KEPT, known)}
    others = [one for one in unchanged if one not in kept]
    if len(kept) >= MAX_STORED or not others:
        return frozenset()
    return frozenset(connection.scalars(_WANTED, known | {"ids": others, "most": MAX_STORED - len(kept)}))


def delete_canaries(connection: Connection, numbers: Collection[int]) -> None:
    """Delete the canaries of these records, because something was decided on them."""
    connection.execute(_END, {"numbers": list(numbers)})


def open_canaries(connection: Connection, feed: Feed) -> list[Payload]:
    """Return the payloads that may be posted again to test Trakor, the latest first.

    Args:
        connection: To the ledger, opened with its key.
        feed: The feed.
    """
    return [payload for payload in open_each_canary(connection, feed) if payload is not None]


def open_sent_payloads(connection: Connection, feed: Feed) -> list[Payload]:
    """Return what was sent of some records that Trakor has, whatever the source or the map say now.

    These prove which organisation a Trakor is as well as canaries do. After a changed map, or a change of
    all records at once, there is no canary.

    Args:
        connection: To the ledger, opened with its key.
        feed: The feed.
    """
    found = connection.execute(_SENT, {"of_feed": feed.number, "of_space": feed.namespace}).all()
    opened = (_opened(connection, feed, row.source_id, row.body) for row in found)
    return [payload for payload in opened if payload is not None]


def open_each_canary(connection: Connection, feed: Feed) -> list[Payload | None]:
    """Return the stored canaries, with None in place of a damaged one."""
    known = {"of_feed": feed.number, "of_space": feed.namespace}
    kept = connection.execute(_KEPT, known).all()
    return [_opened(connection, feed, row.source_id, row.body) for row in kept]


def _opened(connection: Connection, feed: Feed, source_id: str, body: bytes) -> Payload | None:
    try:
        return payload_to_send(sealer_of(connection).open(body, feed.seal_context(source_id)), feed.stream)
    except (LedgerError, ValueError, TypeError, ArithmeticError):
        return None


class Canary(NamedTuple):
    """A payload that Trakor has taken.

    Attributes:
        payload: What was sent.
        key: Hash of its name.
        ids: The ids that Trakor gave the record with that name.
    """

    payload: Payload
    key: str
    ids: frozenset[str]


def select_canaries(
    connection: Connection,
    feeds: Sequence[Feed],
    name_key: Callable[[str], str],
) -> list[Canary]:
    """Select the canaries of a connection, at most three of all its streams."""
    found = [
        Canary(payload, key := name_key(payload.name), _ids_of(connection, feed, key))
        for feed in feeds
        for payload in open_canaries(connection, feed) or open_sent_payloads(connection, feed)
    ]
    return [canary for canary in found if canary.ids][:MAX_CANARIES]


def _ids_of(connection: Connection, feed: Feed, key: str) -> frozenset[str]:
    """Return Trakor's ids of the record that holds a name."""
    held = (claims.c.space == feed.namespace, claims.c.key == key)
    linked = select(links.c.trakor_id).join(claims, claims.c.record == links.c.record)
    return frozenset(connection.scalars(linked.where(*held, links.c.space == feed.namespace)))

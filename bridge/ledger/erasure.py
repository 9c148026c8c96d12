"""Erases a record on request: everything but a tombstone.

The tombstone is the source id: without it, the next sweep would bring the record back. Trakor's API cannot
delete, so its ids are returned for someone to delete by hand. Until then, Trakor answers a request for the
name with the forgotten party. So the tombstone also holds the names that Trakor has or may have, as keyed
hashes, unless another record keeps the party. No record gets such a name, except from an operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, delete, exists, func, insert, or_, select, update

from bridge.errors import UserError
from bridge.ledger.decision_writer import DecisionWriter
from bridge.ledger.feeds import Feed, to_feed
from bridge.ledger.row_mapping import KNOWN, to_ledger_row
from bridge.ledger.schema import (
    canaries,
    claims,
    contents,
    events,
    feeds,
    history,
    links,
    records,
    stored_texts,
)
from bridge.ledger.send_queue import DEFAULT_LIMITS
from bridge.ledger.trakor_identity_check import forget_stray
from bridge.records import Policy, Reason, State

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bridge.records import LedgerRow

__all__ = ["ErasureResult", "forget_record"]

_DEFAULT = Policy()


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """What has to be done by hand after a record was forgotten.

    Attributes:
        id: Salestrekker's id, kept as the tombstone.
        trakor_ids: Ids of the parties or products to delete in Trakor.
        maybe_in_trakor: A request for it was begun and never answered: search Trakor for its name.
        merged: Salestrekker's ids of records that shared its party: they may be the same person's.
        kept: Trakor's ids that now belong to another record, each with Salestrekker's id of that record.
        namesakes: Salestrekker's ids of records that are held for its name, or for sharing with it, until
            an operator decides.
    """

    id: str
    trakor_ids: tuple[str, ...]
    maybe_in_trakor: bool
    merged: tuple[str, ...]
    kept: tuple[tuple[str, str], ...] = ()
    namesakes: tuple[str, ...] = ()


def forget_record(
    connection: Connection, number: int, *, now: int, policy: Policy = _DEFAULT
) -> ErasureResult:
    """Erase everything that the ledger knows of a record, except for the tombstone.

    Args:
        connection: Inside a writing transaction.
        number: The ledger's number of the record.
        now: The time to note.
        policy: What the user chose for its stream: it decides on the record that keeps the party.

    Raises:
        UserError: It is being sent to Trakor now, or may still be.
    """
    row, under_way_until = _known(connection, number)
    feed = _feed(connection, number)
    if under_way_until > now:  # pending, or dropped during the request
        raise UserError(
            f"record {row.id} is being sent right now",
            advice="wait for the backfill to end, or stop it, then run this again",
        )
    _refuse_while_successor_sends(connection, number)
    for key in {row.key, row.sent_key, *_names_had(connection, number)}:
        forget_stray(connection, key)
    had = _links(connection, number)
    merged = connection.scalars(
        select(records.c.source_id).where(records.c.merged_into == number, records.c.state == State.MERGED)
    ).all()
    _hand_over(connection, feed, row, policy, now)
    _refuse_unanswered(connection, row, now)
    left = _links(connection, number)
    kept = tuple((one, _keeper(connection, feed, one)) for one in had if one not in left)
    _erase(connection, feed, number, now)
    namesakes = tuple(connection.scalars(_NAMESAKES, {"of_record": number}))
    connection.execute(
        delete(events).where(events.c.connection == feed.connection, events.c.source_id == row.id)
    )
    connection.execute(insert(history).values(record=number, at=now, event="forgotten", detail=""))
    return ErasureResult(row.id, tuple(left), row.unanswered and not merged, tuple(merged), kept, namesakes)


def _known(connection: Connection, number: int) -> tuple[LedgerRow, int]:
    found = connection.execute(KNOWN.where(records.c.number == number)).one()
    until = connection.scalar(select(records.c.claimed_until).where(records.c.number == number))
    return to_ledger_row(found), until or 0


def _refuse_unanswered(connection: Connection, row: LedgerRow, now: int) -> None:
    """Refuse while a request has no answer: its name must not be sent again, not even by another record."""
    own = (claims.c.record == row.number, claims.c.unanswered_at > 0, claims.c.not_before > now)
    until = connection.scalar(select(func.max(claims.c.not_before)).where(*own)) or 0
    if 0 < until - now <= DEFAULT_LIMITS.retry:
        raise UserError(
            f"a request for record {row.id} had no answer, and Trakor may still be storing it",
            advice=f"run this again in {(until - now) // 1000 + 1} seconds",
        )


def _refuse_while_successor_sends(connection: Connection, number: int) -> None:
    """Refuse while a successor sends this record's text, which it does until Trakor answers."""
    sent = select(records.c.sent).where(records.c.number == number).scalar_subquery()
    tried = exists().where(claims.c.record == records.c.number, claims.c.attempts > 0)
    other = connection.scalar(
        select(records.c.source_id)
        .where(
            records.c.number != number,
            records.c.state == State.PENDING,
            records.c.trakor_id.is_(None),
            records.c.seen.is_not(None),
            records.c.sent != "",
            records.c.sent == sent,
            tried,
        )
        .limit(1)
    )
    if other is not None:
        raise UserError(
            f"this record's text is still being sent by {other}, which took its name over",
            advice="run this again once that record is delivered: a backfill, or the daemon, sends it",
        )


def _feed(connection: Connection, number: int) -> Feed:
    of_record = (
        select(feeds).join(records, records.c.feed == feeds.c.number).where(records.c.number == number)
    )
    row = connection.execute(of_record).one()
    return to_feed(row)


def _links(connection: Connection, number: int) -> list[str]:
    of_record = select(links.c.trakor_id).where(links.c.record == number).order_by(links.c.at)
    return list(connection.scalars(of_record))


def _names_had(connection: Connection, number: int) -> list[str]:
    """Return the keys of the names that it holds or held."""
    of_record = (select(table.c.key).where(table.c.record == number) for table in (claims, links))
    return [key for keys in of_record for key in connection.scalars(keys)]


def _hand_over(connection: Connection, feed: Feed, row: LedgerRow, policy: Policy, now: int) -> None:
    """Let a record that shares its party succeed it.

    If its name was tried, the spelling goes over too, because Trakor may have that spelling. Otherwise its
    text goes nowhere.
    """
    if not row.unanswered:
        connection.execute(delete(stored_texts).where(stored_texts.c.record == row.number))
    connection.execute(update(records).where(records.c.number == row.number).values(forgotten=1))
    batch = DecisionWriter(connection, feed, policy, now)
    batch.update_merged(row, row._replace(forgotten=True))
    batch.writes.flush()


def _keeper(connection: Connection, feed: Feed, trakor_id: str) -> str:
    """Return Salestrekker's id of the record that now has a party."""
    of_id = (links.c.space == feed.namespace, links.c.trakor_id == trakor_id)
    found = select(records.c.source_id).join(links, links.c.record == records.c.number).where(*of_id)
    return connection.scalar(found) or ""


def _erase(connection: Connection, feed: Feed, number: int, now: int) -> None:
    of_record = select(links.c.trakor_id).where(links.c.record == number)
    connection.execute(
        delete(contents).where(contents.c.space == feed.namespace, contents.c.trakor_id.in_(of_record))
    )
    for table in (canaries, links, stored_texts, history):
        connection.execute(delete(table).where(table.c.record == number))
    never_sent = (claims.c.record == number, claims.c.answered == 0, claims.c.attempts == 0)
    connection.execute(delete(claims).where(*never_sent))
    connection.execute(update(claims).where(claims.c.record == number).values(_KEPT_CLAIM))
    connection.execute(
        update(records).where(records.c.number == number).values(_TOMBSTONE | {"since_at": now})
    )


_KEPT_CLAIM = {"answered": 1, "attempts": 0, "tried": "", "unanswered_at": 0, "not_before": 0}
"""A name that Trakor has or may have. If an operator gives it to a record, it is sent for the first time."""

_NAMESAKES = (
    select(records.c.source_id)
    .where(
        records.c.state == State.HELD,
        or_(
            records.c.merged_into == bindparam("of_record"),
            and_(
                records.c.reason.in_((Reason.SAME_NAME, Reason.SAME_PERSON)),
                records.c.key.in_(select(claims.c.key).where(claims.c.record == bindparam("of_record"))),
            ),
        ),
    )
    .order_by(records.c.number)
)

_TOMBSTONE = {
    "state": str(State.DROPPED),
    "reason": None,
    "filtered": 0,
    "retry": 0,
    "forgotten": 1,
    "key": "",
    "sent_key": "",
    "sent": "",
    "seen": None,
    "identifiers": "",
    "input": "",
    "rules": 0,
    "remapped": 0,
    "dismissed": 0,
    "given": 0,
    "turn": 0,
    "failures": 0,
    "next_try_at": 0,
    "claimed_until": 0,
    "trakor_id": None,
    "origin": None,
    "merged_into": None,
    "merged_by": None,
}
"""What is left of a forgotten record: that it existed, and must not come back."""

"""The queue of records to send: claim them, put them back, find out when the next one is due.

::

    pending ──claim_work──> WorkItem ──delivery──> Outcome ──end_claims──> put back, or done

Records that were tried least often go first. A claim is noted before anything is sent, so a process that
dies leaves each record either untouched or known to have been tried. Attempts belong to the claim on a
name, whichever record holds it. A name whose request had no answer is not sent again before its time,
because Trakor may be storing it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import bindparam, case, exists, func, insert, literal_column, or_, select, update

from bridge.errors import LedgerError
from bridge.ledger.bulk_sql import execute_many, fetch_all, row_value
from bridge.ledger.feeds import Feed, load_or_add_feed
from bridge.ledger.row_mapping import is_in, sealer_of
from bridge.ledger.row_writes import TO_SEND
from bridge.ledger.schema import claims, feeds, history, records, stored_texts
from bridge.ledger.sealed_texts import payload_to_send
from bridge.records import Accepted, Reason, Retry, State, WorkItem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from bridge.encryption import Sealer
    from bridge.records import Outcome, Rejection, Stream

__all__ = [
    "DEFAULT_LIMITS",
    "AwaitedNames",
    "ClaimResult",
    "WaitLimits",
    "claim_for_feeds",
    "claim_work",
    "count_awaited",
    "end_claims",
    "find_next_due",
    "has_pending",
    "open_feed",
    "release_claims",
]


@dataclass(frozen=True, slots=True)
class WaitLimits:
    """The longest waits, in milliseconds.

    A time that is further ahead was noted before the clock was set back: it counts as now.

    Attributes:
        retry: Until the next try of a record.
        unanswered: For a name whose request had no answer.
    """

    retry: int = 60 * 60 * 1000
    unanswered: int = 150 * 1000


DEFAULT_LIMITS: Final = WaitLimits()

# Statements are built once: to build one costs ten times as much as to run it for one row.

_FEED = records.c.feed == bindparam("of_feed")
_OWN_CLAIM = (
    (claims.c.space == bindparam("of_space"))
    & (claims.c.key == records.c.sent_key)
    & (claims.c.record == records.c.number)
)
# As ``LedgerRow.unanswered``. A name that was answered once, and came back, is open again only while a
# request has no answer.
_UNANSWERED = (claims.c.attempts > 0) & ((claims.c.answered == 0) | (claims.c.unanswered_at > 0))
# What Trakor may have is sent until it is answered, even if the source no longer has it.
_TO_BE_SENT = (_FEED, records.c.state == State.PENDING, or_(records.c.gone == 0, _UNANSWERED))
_TRY_AT = case((records.c.next_try_at > bindparam("last_retry"), 0), else_=records.c.next_try_at)
_NOT_BEFORE = case((claims.c.not_before > bindparam("last_unanswered"), 0), else_=claims.c.not_before)
_CLAIMABLE = (
    select(
        records.c.number,
        records.c.failures,
        records.c.turn,
        records.c.source_id,
        records.c.sent,
        claims.c.key,
        claims.c.attempts,
        claims.c.unanswered_at,
        stored_texts.c.body,
    )
    .join(claims, _OWN_CLAIM)
    # A record without a stored draft is damaged: it is claimed so that it can be rejected.
    .outerjoin(stored_texts, (stored_texts.c.record == records.c.number) & (stored_texts.c.slot == TO_SEND))
    .where(
        *_TO_BE_SENT,
        bindparam("now") >= _TRY_AT,
        records.c.claimed_until <= bindparam("now"),
        bindparam("now") >= _NOT_BEFORE,
    )
    .order_by(records.c.turn, records.c.next_try_at, records.c.number)
    .limit(bindparam("most"))
)
_CLAIM = update(records).where(is_in(records.c.number, "numbers")).values(claimed_until=bindparam("until"))
_DAMAGED = (
    update(records)
    .where(is_in(records.c.number, "numbers"))
    .values(state=State.REJECTED, reason=Reason.DAMAGED, since_at=bindparam("changed_at"))
)
_THE_CLAIM = (claims.c.space == row_value("of_space")) & (claims.c.key == row_value("of_key"))
_ATTEMPT = (
    update(claims)
    .where(_THE_CLAIM)
    .values(
        attempts=claims.c.attempts + 1,
        tried=case((claims.c.unanswered_at == 0, row_value("sent")), else_=claims.c.tried),
        unanswered_at=case(
            (claims.c.unanswered_at == 0, row_value("changed_at")), else_=claims.c.unanswered_at
        ),
    )
)
_END_CLAIM = (
    update(claims)
    .where(_THE_CLAIM)
    .values(
        attempts=claims.c.attempts - row_value("taken_back"),
        unanswered_at=row_value("since"),
        tried=case((row_value("since") == 0, ""), else_=claims.c.tried),
        not_before=case((row_value("until") > 0, row_value("until")), else_=claims.c.not_before),
    )
)
_CLOCK_WENT_BACK = (
    update(claims)
    .where(
        claims.c.space == bindparam("of_space"),
        claims.c.not_before > literal_column("0"),  # as the index on it says
        claims.c.not_before > bindparam("latest"),
        # Another connection of this scope may have a longer wait.
        exists().where(records.c.number == claims.c.record, _FEED),
    )
    .values(not_before=bindparam("latest"))
)
"""A time beyond the longest wait was noted before the clock was set back. Nobody knows how long ago, so the
name waits for the whole time once more, because Trakor may be working on it.
"""
_UNDER_WAY = (_FEED, records.c.claimed_until > 0)
_MAY_BE_AT_WORK = (
    update(claims)
    .where(
        claims.c.space == bindparam("of_space"),
        claims.c.unanswered_at > 0,
        claims.c.key.in_(select(records.c.sent_key).where(*_UNDER_WAY)),
    )
    .values(not_before=bindparam("until"))
)
_GIVE_UP = update(records).where(*_UNDER_WAY).values(claimed_until=0)
_UNCLAIMED = (*_TO_BE_SENT, records.c.claimed_until == 0)
_NEXT_DUE = (
    select(func.min(case((_NOT_BEFORE > _TRY_AT, _NOT_BEFORE), else_=_TRY_AT)))
    .select_from(records)
    .join(claims, _OWN_CLAIM)
    .where(*_UNCLAIMED)
)
_NEXT_BUT_UNANSWERED = _NEXT_DUE.where(bindparam("now") >= _NOT_BEFORE)
_AWAITED = (
    select(func.count(), func.max(claims.c.not_before))
    .select_from(records)
    .join(claims, _OWN_CLAIM)
    .where(*_UNCLAIMED, bindparam("now") < _NOT_BEFORE)
)
_IS_WAITING = select(records.c.number).join(claims, _OWN_CLAIM).where(*_UNCLAIMED).limit(1)
_LATER = (
    update(records)
    .where(records.c.number == row_value("row_number"))
    .values(
        next_try_at=case((row_value("next_try") < 0, records.c.next_try_at), else_=row_value("next_try")),
        failures=records.c.failures + row_value("failed"),
        turn=records.c.turn + row_value("tried"),
        claimed_until=0,
    )
)


class _Due(NamedTuple):
    """What ``_CLAIMABLE`` selects, in order."""

    number: int
    failures: int
    turn: int
    source_id: str
    sent: str
    key: str
    attempts: int
    unanswered_at: int
    body: bytes | None


@dataclass(frozen=True, slots=True)
class AwaitedNames:
    """Names that are not to be sent yet, because Trakor may still be storing them.

    Attributes:
        number: How many.
        until: When the last of them may be sent again; 0 if there is none.
    """

    number: int = 0
    until: int = 0


NOTHING: Final = AwaitedNames()


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """The result of one claim of work.

    Attributes:
        work: What was claimed.
        next_due: When to look again; None if nothing else waits.
        awaited: Names that Trakor may still be storing; only looked up if nothing could be claimed.
    """

    work: list[WorkItem]
    next_due: int | None
    awaited: AwaitedNames


def claim_work(
    connection: Connection,
    feed: Feed,
    limit: int,
    *,
    now: int,
    until: int,
    waits: WaitLimits = DEFAULT_LIMITS,
) -> list[WorkItem]:
    """Claim pending records that are due, and note the attempt.

    Args:
        connection: Inside a writing transaction.
        feed: The feed.
        limit: Maximum number of records.
        now: The time to compare due times with.
        until: When the claim ends by itself, in case its owner dies.
        waits: The longest waits.

    Returns:
        The work: what was tried least often first, and of that, the longest due.
    """
    known = _parameters(feed, now, waits)
    before = {name: known[name] for name in ("of_feed", "of_space")} | {"latest": known["last_unanswered"]}
    connection.execute(_CLOCK_WENT_BACK, before)
    found = [_Due._make(row) for row in fetch_all(connection, _CLAIMABLE, known | {"most": limit})]
    if not found:
        return []
    sealer = sealer_of(connection)
    work = {row.number: _to_work_item(sealer, feed, row) for row in found}
    _reject_damaged(connection, [number for number, one in work.items() if one is None], now)
    readable = [row for row in found if work[row.number] is not None]
    if not readable:
        return []
    connection.execute(_CLAIM, {"numbers": [row.number for row in readable], "until": until})
    attempts = [
        {"of_space": feed.namespace, "of_key": row.key, "sent": row.sent, "changed_at": now}
        for row in readable
    ]
    execute_many(connection, _ATTEMPT, attempts)
    return [one for one in work.values() if one is not None]


def _reject_damaged(connection: Connection, damaged: Sequence[int], now: int) -> None:
    """Reject what cannot be read. It stops nothing else, and is decided again at its next read."""
    if damaged:
        connection.execute(_DAMAGED, {"numbers": list(damaged), "changed_at": now})
        lines = [
            {
                "record": number,
                "at": now,
                "event": "rejected",
                "detail": "its stored draft is damaged",
                "by": "",
            }
            for number in damaged
        ]
        connection.execute(insert(history), lines)


def _to_work_item(sealer: Sealer, feed: Feed, row: _Due) -> WorkItem | None:
    """Return what is to be sent of a record; None if its draft is not stored or unreadable."""
    if row.body is None:
        return None
    try:
        payload = payload_to_send(sealer.open(row.body, feed.seal_context(row.source_id)), feed.stream)
    except LedgerError:
        return None
    return WorkItem(
        number=row.number,
        stream=feed.stream,
        payload=payload,
        attempt=row.attempts + 1,
        failures=row.failures,
        turn=row.turn,
        key=row.key,
        unanswered_at=row.unanswered_at,
    )


def _parameters(feed: Feed, now: int, waits: WaitLimits) -> dict[str, int]:
    """Return the parameters that determine what is due."""
    return {
        "of_feed": feed.number,
        "of_space": feed.namespace,
        "now": now,
        "last_retry": now + waits.retry,
        "last_unanswered": now + waits.unanswered,
    }


def claim_for_feeds(
    connection: Connection,
    feeds: Sequence[Feed],
    limit: int,
    *,
    now: int,
    until: int,
    waits: WaitLimits = DEFAULT_LIMITS,
    patient: bool = True,
) -> ClaimResult:
    """Claim work of several feeds with one call, because each call waits behind other writes.

    Args:
        connection: Inside a writing transaction.
        feeds: The feeds.
        limit: Maximum number of records of each feed.
        now: The time to compare due times with.
        until: When the claims end by themselves, in case their owner dies.
        waits: The longest waits.
        patient: Names without an answer are worth waiting for.
    """
    work: list[WorkItem] = []
    due_times: list[int | None] = []
    for feed in feeds:
        claimed = claim_work(connection, feed, limit, now=now, until=until, waits=waits)
        work += claimed
        full = len(claimed) == limit
        due_times.append(
            now if full else find_next_due(connection, feed, now=now, waits=waits, patient=patient)
        )
    waiting_for = NOTHING if work else count_awaited(connection, feeds, now=now, waits=waits)
    return ClaimResult(
        work, min((due_time for due_time in due_times if due_time is not None), default=None), waiting_for
    )


def find_next_due(
    connection: Connection, feed: Feed, *, now: int, waits: WaitLimits = DEFAULT_LIMITS, patient: bool = True
) -> int | None:
    """Return when the next unclaimed pending record is due; None if there is none.

    It reads everything that waits: only for short queues.

    Args:
        connection: To the ledger.
        feed: The feed.
        now: The time to compare due times with.
        waits: The longest waits.
        patient: Include records that have to wait for an earlier request's answer.
    """
    statement = _NEXT_DUE if patient else _NEXT_BUT_UNANSWERED
    due: int | None = connection.scalar(statement, _parameters(feed, now, waits))
    return due


def has_pending(connection: Connection, feed: Feed) -> bool:
    """Return whether anything waits to be sent, now or later."""
    found = connection.scalar(_IS_WAITING, {"of_feed": feed.number, "of_space": feed.namespace})
    return found is not None


def count_awaited(
    connection: Connection, feeds: Sequence[Feed], *, now: int, waits: WaitLimits = DEFAULT_LIMITS
) -> AwaitedNames:
    """Count the names that are not to be sent yet, because Trakor may still be storing them.

    Args:
        connection: To the ledger.
        feeds: The feeds.
        now: The time to compare with.
        waits: The longest waits.
    """
    found = [connection.execute(_AWAITED, _parameters(feed, now, waits)).one() for feed in feeds]
    number = sum(count for count, _ in found)
    return AwaitedNames(number, max((until for _, until in found if until is not None), default=0))


def open_feed(connection: Connection, name: str, scope: str, stream: Stream, *, now: int, wait: int) -> Feed:
    """Return the feed of a stream of a connection, for the owner when it begins to work on it.

    It first releases what was under way when the last owner died. If the scope has another name, the feed
    moves, and names that its records hold may then belong to others.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        scope: The Trakor organisation's name.
        stream: The stream.
        now: The time.
        wait: See ``release_claims``.
    """
    found = select(feeds.c.number, feeds.c.space).where(feeds.c.connection == name, feeds.c.stream == stream)
    for before in connection.execute(found).all():
        release_claims(connection, Feed(before.number, name, stream, before.space), now=now, wait=wait)
    feed = load_or_add_feed(connection, name, scope, stream)
    release_claims(connection, feed, now=now, wait=wait)
    return feed


def release_claims(connection: Connection, feed: Feed, *, now: int, wait: int) -> None:
    """End all claims of a feed, for the owner when it opens the ledger.

    Trakor may still be working on what was under way when the last owner died. The time from which it may
    be sent again is noted once. The record is no longer claimed then, so another crash postpones nothing.

    Args:
        connection: Inside a writing transaction.
        feed: The feed.
        now: The time.
        wait: Milliseconds for which a name without an answer is not sent again.
    """
    known = {"of_feed": feed.number, "of_space": feed.namespace}
    connection.execute(_MAY_BE_AT_WORK, known | {"until": now + wait})
    connection.execute(_GIVE_UP, {"of_feed": feed.number})


def end_claims(connection: Connection, feed: Feed, outcomes: Sequence[Outcome]) -> None:
    """Update the queue and the claims on names after work has ended.

    Args:
        connection: Inside a writing transaction.
        feed: The feed of these records.
        outcomes: The outcomes. An attempt that never began is taken back; one without an answer blocks its
            name for a while.
    """
    later = [_put_back(one) for one in outcomes if isinstance(one, Retry)]
    if later:
        execute_many(connection, _LATER, later)
    # Answered claims end with their answer (``RowWrites.answer``).
    ended = [_ended(feed, one) for one in outcomes if one.work.key and not isinstance(one, Accepted)]
    if ended:
        execute_many(connection, _END_CLAIM, ended)


def _put_back(one: Retry) -> dict[str, int]:
    """Return what the queue has to know of a record that is sent again."""
    return {
        "row_number": one.work.number,
        "next_try": -1 if one.next_try_at is None else one.next_try_at,
        "failed": one.failed,
        "tried": int(one.tried),
    }


def _ended(feed: Feed, outcome: Retry | Rejection) -> dict[str, int | str]:
    """Return what an outcome means for the claim; an earlier request without an answer keeps it open."""
    no_answer, work = outcome.no_answer, outcome.work
    return {
        "of_space": feed.namespace,
        "of_key": work.key,
        "taken_back": int(isinstance(outcome, Retry) and not outcome.begun),
        "since": work.unanswered_at or (no_answer.at if no_answer else 0),
        "until": no_answer.until if no_answer else 0,
    }

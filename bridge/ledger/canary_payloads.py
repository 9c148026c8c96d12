"""Canaries: payloads that Trakor took lately, posted again to find out whether it works and whose it is.

The ledger keeps up to three payloads of each stream, sealed::

    Trakor answered, or a draft equals what Trakor has ──note_canaries──> stored
    too few are stored ──wanted_as_canaries──> up to three unchanged records are mapped all the same
    anything is decided on the record ──end_canaries──> deleted

A canary belongs to a record that Trakor has unchanged, under a name that nobody edited there by hand. Under
any other name, Trakor would create a second party.

If Trakor's address or key changed, canaries go first, one at a time::

    next_step ──> clear: as recorded, or recorded now
              ──> ask: post this canary, recorded as lost before it is sent ──> note_answer ──> next_step
              ──> wait: one is lost, and Trakor may still be working on it
              ──> stopped: another organisation

Each intent is written before its request, and each answer before the next request. So a process that dies
between two canaries continues with what is known. Only an id that the ledger has proves the organisation: a
name that an earlier canary created in another organisation never does.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import bindparam, delete, exists, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bridge.decision.same_trakor_organization import MAX_CANARIES, CanaryAnswer, CanaryVerdict, judge_canaries
from bridge.errors import LedgerError
from bridge.ledger.connection_organizations import (
    AskedCanary,
    KnownOrganizations,
    OrganizationMismatch,
    TrakorIdentity,
    load_known,
    pause_if_stopped,
    resume_if_clear,
    save_known,
)
from bridge.ledger.row_mapping import is_in, is_one_of, sealer_of
from bridge.ledger.schema import canaries, claims, contents, history, links, organizations, records
from bridge.ledger.sealed_texts import payload_to_send
from bridge.records import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Row

    from bridge.ledger.row_mapping import Feed
    from bridge.records import Payload

__all__ = [
    "FRESH_MS",
    "Canary",
    "CanaryStep",
    "CanaryStepKind",
    "choose_canaries",
    "delete_canaries",
    "forget_stray",
    "load_stray_names",
    "next_step",
    "note_answer",
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


class CanaryStepKind(StrEnum):
    """What to do next."""

    CLEAR = "clear"
    UNPROVEN = "unproven"
    ASK = "ask"
    WAIT = "wait"
    STOPPED = "stopped"


class CanaryStep(NamedTuple):
    """What to do next, with which canary, or until when to wait."""

    kind: CanaryStepKind
    canary: Canary | None = None
    until: int = 0
    made: int = 0


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


def next_step(
    connection: Connection,
    name: str,
    trakor: TrakorIdentity,
    find: Callable[[Connection], Sequence[Canary]],
    *,
    now: int,
    wait: int,
) -> CanaryStep:
    """Determine what to do before anything is sent to Trakor.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        trakor: Its Trakor as configured.
        find: Returns the canaries; only called if something has to be proved.
        now: The time.
        wait: Milliseconds for which Trakor may still be working on a lost request.
    """
    noted = load_known(connection, name)
    if not noted.trakor.address or noted.trakor.is_same_trakor(trakor):
        return _record_known(connection, noted, trakor)
    if not noted.mismatch.trakor.is_same_trakor(trakor):
        noted = replace(noted, mismatch=replace(noted.mismatch.without_trial(), trakor=trakor))
    if noted.mismatch.another:
        pause_if_stopped(connection, name, now=now)
        return CanaryStep(CanaryStepKind.STOPPED, made=len(noted.mismatch.made))
    return _judge(connection, noted, trakor, {canary.key: canary for canary in find(connection)}, now, wait)


def _record_known(connection: Connection, noted: KnownOrganizations, trakor: TrakorIdentity) -> CanaryStep:
    """Nothing has to be proved: end any trial of another Trakor."""
    settled = replace(noted, trakor=trakor, mismatch=noted.mismatch.without_trial())
    if settled != noted:
        save_known(connection, settled)
        if noted.stopped:
            resume_if_clear(connection, settled)
    return CanaryStep(CanaryStepKind.CLEAR)


def _judge(
    connection: Connection,
    noted: KnownOrganizations,
    trakor: TrakorIdentity,
    canaries: Mapping[str, Canary],
    now: int,
    wait: int,
) -> CanaryStep:
    asked = {key: _rejected_if_lost(key, one, canaries) for key, one in noted.mismatch.asked.items()}
    verdict = judge_canaries([one.answer for one in asked.values()])
    if verdict is CanaryVerdict.SAME:
        return _record_same(connection, noted, trakor)
    fresh = [canary for key, canary in canaries.items() if key not in asked][: MAX_CANARIES - len(asked)]
    if fresh:
        return _ask(connection, noted, fresh[0], now, wait)
    if verdict is CanaryVerdict.OPEN:
        return _ask_again(connection, noted, canaries, now, wait)
    if verdict is CanaryVerdict.UNTOLD:
        return _record_unproven(connection, noted, trakor)
    found = replace(noted, mismatch=replace(noted.mismatch, another=True))
    save_known(connection, found)
    pause_if_stopped(connection, noted.name, now=now)
    return CanaryStep(CanaryStepKind.STOPPED, made=len(found.mismatch.made))


def _rejected_if_lost(key: str, asked: AskedCanary, canaries: Mapping[str, Canary]) -> AskedCanary:
    """Treat a lost canary whose record was forgotten as rejected: it cannot prove anything any more."""
    lost_for_good = asked.answer is CanaryAnswer.LOST and key not in canaries
    return asked._replace(answer=CanaryAnswer.REJECTED) if lost_for_good else asked


def _ask(
    connection: Connection, noted: KnownOrganizations, canary: Canary, now: int, wait: int
) -> CanaryStep:
    """Record first that the canary is sent: after a crash, it counts as possibly created."""
    before = noted.mismatch.asked.get(canary.key)
    tries = 1 if before is None else before.tries + 1
    sealed = sealer_of(connection).seal([canary.payload.name], _seal_context(canary.key))
    name = b64encode(sealed).decode()
    asked = {**noted.mismatch.asked, canary.key: AskedCanary(CanaryAnswer.LOST, now + wait, tries, name)}
    save_known(connection, replace(noted, mismatch=replace(noted.mismatch, asked=asked)))
    return CanaryStep(CanaryStepKind.ASK, canary)


def _ask_again(
    connection: Connection, noted: KnownOrganizations, canaries: Mapping[str, Canary], now: int, wait: int
) -> CanaryStep:
    """Send a lost canary again, but not while Trakor may still be working on its request."""
    lost = [
        (one.not_before, key)
        for key, one in noted.mismatch.asked.items()
        if one.answer is CanaryAnswer.LOST and key in canaries
    ]
    not_before, key = min(lost)
    # Further away than any wait: the clock was set back since.
    if now < not_before <= now + wait:
        return CanaryStep(CanaryStepKind.WAIT, until=not_before)
    return _ask(connection, noted, canaries[key], now, wait)


def _record_same(connection: Connection, noted: KnownOrganizations, trakor: TrakorIdentity) -> CanaryStep:
    """The same organisation: a record that it created again, after a deletion by hand, belongs there."""
    mismatch = OrganizationMismatch(source=noted.mismatch.source, strays=noted.mismatch.strays)
    settled = replace(noted, trakor=trakor, mismatch=mismatch)
    save_known(connection, settled)
    resume_if_clear(connection, settled)
    return CanaryStep(CanaryStepKind.CLEAR)


def _record_unproven(connection: Connection, noted: KnownOrganizations, trakor: TrakorIdentity) -> CanaryStep:
    save_known(
        connection,
        replace(noted, trakor=trakor, mismatch=replace(noted.mismatch.without_trial(), unproven=True)),
    )
    return CanaryStep(CanaryStepKind.UNPROVEN)


def note_answer(connection: Connection, name: str, key: str, answer: CanaryAnswer | None) -> None:
    """Write what came of a canary.

    Args:
        connection: Inside a writing transaction.
        name: The connection's name.
        key: Hash of the canary's name.
        answer: Trakor's answer; None: it certainly created nothing, and counts as not sent.
    """
    noted = load_known(connection, name)
    before = noted.mismatch.asked.get(key)
    if before is None:
        return
    asked = {one: other for one, other in noted.mismatch.asked.items() if one != key}
    if answer is not None:
        asked[key] = before._replace(answer=_adjust_answer(answer, before))
    elif before.tries > 1:
        asked[key] = before._replace(tries=before.tries - 1)  # the earlier request is still lost
    save_known(connection, replace(noted, mismatch=replace(noted.mismatch, asked=asked)))


def _adjust_answer(answer: CanaryAnswer, before: AskedCanary) -> CanaryAnswer:
    """A name that exists after a lost request may exist because of it: an operator has to look."""
    again = answer is CanaryAnswer.STRANGER and before.tries > 1
    return CanaryAnswer.CREATED if again else answer


def load_stray_names(connection: Connection, name: str) -> tuple[list[str], int]:
    """Return the names to delete in another organisation, and how many more were forgotten since.

    The names are personal data: for an operator only, never for a log or a page without a login.

    Args:
        connection: To the ledger, opened with its key.
        name: The connection's name.
    """
    made = load_known(connection, name).mismatch.made
    if not made:
        return [], 0
    sealer = sealer_of(connection)
    found = [sealer.open(b64decode(text), _seal_context(key))[0] for key, text in made.items() if text]
    return sorted(found), len(made) - len(found)


def forget_stray(connection: Connection, key: str) -> None:
    """Delete a name that may have to be deleted elsewhere, because its record is forgotten.

    Args:
        connection: Inside a writing transaction.
        key: Hash of the name.
    """
    for name in connection.scalars(select(organizations.c.connection)).all():
        noted = load_known(connection, name)
        if key in noted.mismatch.asked or key in noted.mismatch.strays:
            save_known(connection, replace(noted, mismatch=noted.mismatch.without_name(key)))


def _seal_context(key: str) -> str:
    """Return what a sealed name is bound to."""
    return f"canary\0{key}"

"""Trakor's address or key is another one than last time: canaries go first, one at a time.

::

    next_step ──> clear: as noted, or noted now
              ──> ask:  this canary, noted as lost before it is sent ──> note_answer ──> next_step
              ──> wait: one is lost, and may still be at work there
              ──> stopped: another organisation

Each intent is written before its request and each answer before the next one. So a process that dies
between two canaries, or before the verdict, goes on with what is known: a name that it made itself in
another organisation is never taken for proof, since only an id that the ledger has is.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from bridge.decision.canaries import MOST_CANARIES, CanaryAnswer, Verdict, judge_canaries
from bridge.ledger.canaries import canaries_of, sent_of
from bridge.ledger.organizations import Asked, Doubt, Noted, Place, keep, keep_stopped, lift, noted_of
from bridge.ledger.row_mapping import sealer_of
from bridge.ledger.schema import claims, links, organizations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from bridge.ledger.row_mapping import Feed
    from bridge.records import Payload

__all__ = [
    "Canary",
    "Kind",
    "Step",
    "canaries_for",
    "forget_stray",
    "next_step",
    "note_answer",
    "stray_names",
]


class Canary(NamedTuple):
    """A payload that Trakor has taken.

    Attributes:
        payload: What was sent.
        key: Hash of its name.
        ids: The ids that Trakor gave the record that has that name.
    """

    payload: Payload
    key: str
    ids: frozenset[str]


class Kind(StrEnum):
    """What is to be done next."""

    CLEAR = "clear"
    UNPROVEN = "unproven"
    ASK = "ask"
    WAIT = "wait"
    STOPPED = "stopped"


class Step(NamedTuple):
    """What is to be done next, with which canary, or until when to wait."""

    kind: Kind
    canary: Canary | None = None
    until: int = 0
    made: int = 0


def canaries_for(
    connection: Connection,
    feeds: Sequence[Feed],
    name_key: Callable[[str], str],
) -> list[Canary]:
    """The canaries of a connection, at most three of all its streams."""
    found = [
        Canary(payload, key := name_key(payload.name), _ids_of(connection, feed, key))
        for feed in feeds
        for payload in canaries_of(connection, feed) or sent_of(connection, feed)
    ]
    return [canary for canary in found if canary.ids][:MOST_CANARIES]


def _ids_of(connection: Connection, feed: Feed, key: str) -> frozenset[str]:
    """The ids of Trakor's that the holder of a name has."""
    held = (claims.c.space == feed.space, claims.c.key == key)
    linked = select(links.c.trakor_id).join(claims, claims.c.record == links.c.record)
    return frozenset(connection.scalars(linked.where(*held, links.c.space == feed.space)))


def next_step(
    connection: Connection,
    name: str,
    place: Place,
    find: Callable[[Connection], Sequence[Canary]],
    *,
    now: int,
    wait: int,
) -> Step:
    """What is to be done before anything is sent to Trakor.

    Args:
        connection: Inside a writing transaction.
        name: The connection's.
        place: Its Trakor as configured.
        find: Gives the canaries; asked only where something has to be proved.
        now: The time.
        wait: Milliseconds that a lost request may still be at work.
    """
    noted = noted_of(connection, name)
    if not noted.place.address or noted.place.is_same_trakor(place):
        return _as_noted(connection, noted, place)
    if not noted.doubt.place.is_same_trakor(place):
        noted = replace(noted, doubt=replace(noted.doubt.without_trial(), place=place))
    if noted.doubt.another:
        keep_stopped(connection, name, now=now)
        return Step(Kind.STOPPED, made=len(noted.doubt.made))
    return _try(connection, noted, place, {canary.key: canary for canary in find(connection)}, now, wait)


def _as_noted(connection: Connection, noted: Noted, place: Place) -> Step:
    """Nothing has to be proved; a trial of another Trakor is over."""
    settled = replace(noted, place=place, doubt=noted.doubt.without_trial())
    if settled != noted:
        keep(connection, settled)
        if noted.stopped:
            lift(connection, settled)
    return Step(Kind.CLEAR)


def _try(
    connection: Connection, noted: Noted, place: Place, canaries: Mapping[str, Canary], now: int, wait: int
) -> Step:
    asked = {key: _as_far_as_it_goes(key, one, canaries) for key, one in noted.doubt.asked.items()}
    verdict = judge_canaries([one.answer for one in asked.values()])
    if verdict is Verdict.SAME:
        return _proved(connection, noted, place)
    fresh = [canary for key, canary in canaries.items() if key not in asked][: MOST_CANARIES - len(asked)]
    if fresh:
        return _ask(connection, noted, fresh[0], now, wait)
    if verdict is Verdict.OPEN:
        return _again(connection, noted, canaries, now, wait)
    if verdict is Verdict.UNTOLD:
        return _unproven(connection, noted, place)
    found = replace(noted, doubt=replace(noted.doubt, another=True))
    keep(connection, found)
    keep_stopped(connection, noted.name, now=now)
    return Step(Kind.STOPPED, made=len(found.doubt.made))


def _as_far_as_it_goes(key: str, asked: Asked, canaries: Mapping[str, Canary]) -> Asked:
    """A lost one that cannot be sent again, since its record was forgotten, will never prove anything."""
    lost_for_good = asked.answer is CanaryAnswer.LOST and key not in canaries
    return asked._replace(answer=CanaryAnswer.REJECTED) if lost_for_good else asked


def _ask(connection: Connection, noted: Noted, canary: Canary, now: int, wait: int) -> Step:
    """Note first that it is sent: whoever comes after a death knows that it may be made."""
    before = noted.doubt.asked.get(canary.key)
    tries = 1 if before is None else before.tries + 1
    sealed = sealer_of(connection).seal([canary.payload.name], _place(canary.key))
    name = b64encode(sealed).decode()
    asked = {**noted.doubt.asked, canary.key: Asked(CanaryAnswer.LOST, now + wait, tries, name)}
    keep(connection, replace(noted, doubt=replace(noted.doubt, asked=asked)))
    return Step(Kind.ASK, canary)


def _again(connection: Connection, noted: Noted, canaries: Mapping[str, Canary], now: int, wait: int) -> Step:
    """A lost one is sent again, but not while its request may still be at work there."""
    lost = [
        (one.not_before, key)
        for key, one in noted.doubt.asked.items()
        if one.answer is CanaryAnswer.LOST and key in canaries
    ]
    not_before, key = min(lost)
    # Further away than any wait can be: the clock was set back since.
    if now < not_before <= now + wait:
        return Step(Kind.WAIT, until=not_before)
    return _ask(connection, noted, canaries[key], now, wait)


def _proved(connection: Connection, noted: Noted, place: Place) -> Step:
    """The same organisation: what it made anew, since it was deleted there by hand, is at home there."""
    doubt = Doubt(source=noted.doubt.source, strays=noted.doubt.strays)
    settled = replace(noted, place=place, doubt=doubt)
    keep(connection, settled)
    lift(connection, settled)
    return Step(Kind.CLEAR)


def _unproven(connection: Connection, noted: Noted, place: Place) -> Step:
    keep(connection, replace(noted, place=place, doubt=replace(noted.doubt.without_trial(), unproven=True)))
    return Step(Kind.UNPROVEN)


def note_answer(connection: Connection, name: str, key: str, answer: CanaryAnswer | None) -> None:
    """Write what became of a canary.

    Args:
        connection: Inside a writing transaction.
        name: The connection's.
        key: Hash of the canary's name.
        answer: What was answered; None: it certainly made nothing, and counts as not asked.
    """
    noted = noted_of(connection, name)
    before = noted.doubt.asked.get(key)
    if before is None:
        return
    asked = {one: other for one, other in noted.doubt.asked.items() if one != key}
    if answer is not None:
        asked[key] = before._replace(answer=_as_it_may_be(answer, before))
    elif before.tries > 1:
        asked[key] = before._replace(tries=before.tries - 1)  # the earlier one is still lost
    keep(connection, replace(noted, doubt=replace(noted.doubt, asked=asked)))


def _as_it_may_be(answer: CanaryAnswer, before: Asked) -> CanaryAnswer:
    """A name that is there after a lost request may be there because of it: somebody has to look."""
    again = answer is CanaryAnswer.STRANGER and before.tries > 1
    return CanaryAnswer.CREATED if again else answer


def stray_names(connection: Connection, name: str) -> tuple[list[str], int]:
    """The names to be deleted in another organisation, and how many more that were forgotten since.

    They are personal data: for a person's eyes, never for a log or a page without a log-in.

    Args:
        connection: To the ledger; it knows the sealer.
        name: The connection's.
    """
    made = noted_of(connection, name).doubt.made
    if not made:
        return [], 0
    sealer = sealer_of(connection)
    found = [sealer.open(b64decode(text), _place(key))[0] for key, text in made.items() if text]
    return sorted(found), len(made) - len(found)


def forget_stray(connection: Connection, key: str) -> None:
    """Keep a name no longer that may have to be deleted somewhere: its record is forgotten.

    Args:
        connection: Inside a writing transaction.
        key: Hash of the name.
    """
    for name in connection.scalars(select(organizations.c.connection)).all():
        noted = noted_of(connection, name)
        if key in noted.doubt.asked or key in noted.doubt.strays:
            keep(connection, replace(noted, doubt=noted.doubt.without_name(key)))


def _place(key: str) -> str:
    """What a sealed name is bound to."""
    return f"canary\0{key}"

"""Checks by canaries, one at a time, whether Trakor is the organisation that a connection has sent to before.

If Trakor's address or key changed::

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
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from bridge.decision.canary_verdict import MAX_CANARIES, CanaryAnswer, CanaryVerdict, judge_canaries
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
from bridge.ledger.row_mapping import sealer_of
from bridge.ledger.schema import organizations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from bridge.ledger.canary_payloads import Canary

__all__ = ["CanaryStep", "CanaryStepKind", "forget_stray", "load_stray_names", "next_step", "note_answer"]


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

"""Guards the two organisations of a connection: each login, and each changed address or key of Trakor.

::

    each login ──SalestrekkerGuard──> the ledger: recorded · as recorded · another ──> OtherOrganization
    before the first POST ──TrakorGuard──> as recorded · canaries, one at a time ──> clear · OtherTrakor
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from bridge.decision.canary_verdict import CanaryAnswer
from bridge.errors import Refused, Rejected, Transient, Unanswered
from bridge.ledger.canary_payloads import select_canaries
from bridge.ledger.connection_organizations import OTHER_SOURCE, OTHER_TRAKOR, check_source, recovery_advice
from bridge.ledger.trakor_identity_check import CanaryStepKind, load_stray_names, next_step, note_answer
from bridge.salestrekker.login import DifferentOrganization

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.ledger.canary_payloads import Canary
    from bridge.ledger.connection_organizations import TrakorIdentity
    from bridge.ledger.database import Ledger
    from bridge.ledger.feeds import Feed
    from bridge.ledger.read_model import Reader
    from bridge.ledger.trakor_identity_check import CanaryStep
    from bridge.records import Payload, TrakorAnswer

__all__ = [
    "GuardedConnection",
    "OtherTrakor",
    "SalestrekkerGuard",
    "TrakorGuard",
    "interpret_answer",
    "other_trakor_advice",
]

log = structlog.get_logger()


class SalestrekkerGuard:
    """Checks each login of one connection, before its token is used.

    Args:
        ledger: The open ledger, which knows which organisation was read.
        name: The connection's name.
        hashed: Returns the keyed hash of an organisation's id.
        clock: Milliseconds since the epoch.
        on_stopped: Called when reading and sending have to stop.
    """

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        hashed: Callable[[str], str],
        *,
        clock: Callable[[], int],
        on_stopped: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._name = name
        self._hashed = hashed
        self._clock = clock
        self._on_stopped = on_stopped

    async def __call__(self, organization: str) -> None:
        """Check one login. If its organisation is unknown, the login is not refused.

        Raises:
            OtherOrganization: It is for another organisation than before.
        """
        if not organization:
            log.info("organisation unknown", connection=self._name)
            return
        hashed = self._hashed(organization)
        if await self._ledger.call(check_source, self._name, hashed, now=self._clock()):
            return
        self._on_stopped()
        raise DifferentOrganization(
            OTHER_SOURCE,
            advice=recovery_advice(self._name, OTHER_SOURCE),
        )


class OtherTrakor(Refused):
    """Trakor's address or key is that of another organisation than before."""


class CanaryTarget(Protocol):
    """Where canaries are posted: ``trakor.TrakorClient``."""

    async def post(self, payload: Payload) -> TrakorAnswer:
        """Post one payload; raises Transient, Rejected or Refused."""
        ...


@dataclass(frozen=True, slots=True)
class GuardedConnection:
    """The connection that a guard protects.

    Attributes:
        name: The connection's name.
        trakor: Its Trakor as configured, hashed.
        feeds: Its streams.
        name_key: Returns the keyed hash of a name.
        wait: Milliseconds for which Trakor may still be working on a request without an answer.
    """

    name: str
    trakor: TrakorIdentity
    feeds: Sequence[Feed]
    name_key: Callable[[str], str]
    wait: int

    def canaries(self, connection: Reader) -> list[Canary]:
        """Return its canaries."""
        return select_canaries(connection, self.feeds, self.name_key)


def other_trakor_advice(name: str, made: Sequence[str] | int) -> str:
    """Return what to do about another Trakor.

    Args:
        name: The connection's name.
        made: Names that may have been created there, or how many. Names are personal data, for an operator
            only.
    """
    number = made if isinstance(made, int) else len(made)
    which = "" if isinstance(made, int) else f": {'; '.join(made)}"
    what = f" Delete by hand what was created there{which}." if number else ""
    where = " `trakor-bridge status` lists the names." if number and isinstance(made, int) else ""
    return (
        f"put the right [trakor] url and api_key back.{what}{where} If it is the right organisation: "
        f"`trakor-bridge connections confirm {name}`; what was sent before is not sent again, so begin with "
        "a new ledger if it is a new organisation, or was emptied"
    )


class TrakorGuard:
    """Proves with canaries that a connection's Trakor is the one that it has sent to before.

    Args:
        ledger: The open ledger.
        guarded: The connection.
        destination: Trakor, as configured.
        clock: Milliseconds since the epoch.
    """

    def __init__(
        self,
        ledger: Ledger,
        guarded: GuardedConnection,
        destination: CanaryTarget,
        *,
        clock: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._guarded = guarded
        self._destination = destination
        self._clock = clock

    async def run(self) -> None:
        """Post canaries until there is no doubt. It can be called again after any error.

        Raises:
            OtherTrakor: It is another organisation; reading and sending are stopped in the ledger.
            Transient: No answer came, or an earlier one may still come: ``retry_after`` says when to
                continue.
            Refused: Trakor accepts nothing from this connection now.
        """
        while True:
            step = await self._next()
            if step.kind is CanaryStepKind.ASK and step.canary is not None:
                await self._ask(step.canary)
            elif step.kind is CanaryStepKind.WAIT:
                seconds = max(0, step.until - self._clock()) / 1000
                raise Transient(
                    "it is not yet known which organisation Trakor's key is for", retry_after=seconds
                )
            elif step.kind is CanaryStepKind.STOPPED:
                log.warning("another Trakor organisation", connection=self._guarded.name, made=step.made)
                raise OtherTrakor(OTHER_TRAKOR, advice=other_trakor_advice(self._guarded.name, step.made))
            else:
                self._warn_if_unproven(step)
                return

    async def names(self) -> list[str]:
        """Return the names that may have been created in another organisation: for an operator only."""
        found, more = await self._ledger.call(load_stray_names, self._guarded.name)
        return [*found, *([f"{more} more that were forgotten since"] if more else ())]

    async def _next(self) -> CanaryStep:
        guarded = self._guarded
        return await self._ledger.call(
            next_step, guarded.name, guarded.trakor, guarded.canaries, now=self._clock(), wait=guarded.wait
        )

    def _warn_if_unproven(self, step: CanaryStep) -> None:
        if step.kind is CanaryStepKind.UNPROVEN:
            log.warning(
                "Trakor's address or key changed",
                connection=self._guarded.name,
                advice="nothing could prove that it is the same organisation: `trakor-bridge check`",
            )

    async def _ask(self, canary: Canary) -> None:
        try:
            answer = await self._destination.post(canary.payload)
        except Rejected:
            await self._note(canary, CanaryAnswer.REJECTED)
        except (Transient, Refused) as fault:
            if not (isinstance(fault, Unanswered) or getattr(fault, "unsure", False)):
                await self._note(canary, None)
            raise
        else:
            await self._note(canary, interpret_answer(answer, canary))

    async def _note(self, canary: Canary, answer: CanaryAnswer | None) -> None:
        await self._ledger.call(note_answer, self._guarded.name, canary.key, answer)


def interpret_answer(answer: TrakorAnswer, canary: Canary) -> CanaryAnswer:
    """Return what the answer to a canary says about the organisation."""
    if answer.created:  # even with a known id: another organisation may number its parties alike
        return CanaryAnswer.CREATED
    return CanaryAnswer.KNOWN if answer.trakor_id in canary.ids else CanaryAnswer.STRANGER

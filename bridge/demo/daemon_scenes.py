"""The scenes that are played while the daemon of the demonstration runs.

Each scene changes one of the two systems, posts the webhook that Salestrekker would post, and waits until the
ledger shows the result. Times are measured from the acceptance of a webhook.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from bridge.demo import simulated_record_fields
from bridge.ledger.read_model import RecordQuery, count_records, find_records
from bridge.ledger.stored_pauses import Direction, list_pauses
from bridge.records import Reason, State, WebhookAction

if TYPE_CHECKING:
    from bridge.demo.daemon import Daemon
    from bridge.demo.narrator_protocol import Narrator
    from bridge.ledger.read_model import Reader
    from bridge.ledger.stored_pauses import Pause
    from bridge.sandbox import Sandbox

__all__ = ["Scenes"]

RENAMED, INACTIVE = 9, 17
"""Positions in the simulated list: an ordinary contact, and an inactive one."""

CREATED: Final = "created"
NEW_FAMILY: Final = "Okoro"  # none of these is among those that the simulated names are made of
NEWCOMER: Final = "Ines Duarte"
UNDISTURBED: Final = "Luca Ferri"
CROWD: Final = tuple(
    f"{first} {family}"
    for first in ("Ana", "Ben", "Cleo", "Dag", "Eva")
    for family in ("Abel", "Brandt", "Costa", "Dumont")
)


class Scenes:
    """Plays the scenes.

    Args:
        sandbox: Both simulated systems.
        daemon: Receives the webhooks.
        narrator: Prints each scene and its result.
    """

    def __init__(self, sandbox: Sandbox, daemon: Daemon, narrator: Narrator) -> None:
        self._sandbox = sandbox
        self._daemon = daemon
        self._narrator = narrator
        self._waiting: tuple[str, ...] = ()
        self._parties = 0

    async def play(self) -> None:
        """Play all scenes; the last one ends what the one before has begun."""
        for scene in (self._rename, self._create, self._activate, self._revoke, self._freeze, self._thaw):
            await scene()

    def _narrate(self, what: str, happened: str, became: str, state: str) -> None:
        self._narrator.outcome([what], state, f"{happened}\n{became}")

    async def _rename(self) -> None:
        contacts = self._sandbox.contacts
        identity, name = contacts.id_at(RENAMED), simulated_record_fields.name_of(contacts[RENAMED])
        new = f"{name.partition(' ')[0]} {NEW_FAMILY}"
        contacts.rename(identity, new)
        await self._daemon.post(WebhookAction.CONTACT_UPDATED, identity)
        seconds = await self._daemon.wait_until(
            "the renamed contact is held",
            lambda reader: _is_in_state(reader, identity, State.HELD, Reason.RENAMED),
        )
        self._narrate(
            "renamed",
            f"{name} is {new} now; Salestrekker posts contact-updated.",
            f"{_milliseconds(seconds)} later it is held: renamed. Nothing is sent, nobody is doubled.",
            State.HELD,
        )

    async def _create(self) -> None:
        identity = self._add_contact(NEWCOMER)
        await self._daemon.post(WebhookAction.CONTACT_CREATED, identity)
        seconds = await self._delivered("the new contact is in Trakor", identity)
        self._narrate(
            "created",
            f"{NEWCOMER} is new; Salestrekker posts contact-created.",
            f"{_milliseconds(seconds)} later the party is in Trakor.",
            CREATED,
        )

    async def _activate(self) -> None:
        contacts = self._sandbox.contacts
        identity, name = contacts.id_at(INACTIVE), simulated_record_fields.name_of(contacts[INACTIVE])
        contacts.set_active(identity, active=True)
        deal = self._sandbox.salestrekker.world.tickets.id_at(INACTIVE)
        await self._daemon.post(WebhookAction.DEAL_CREATED, deal)
        seconds = await self._delivered("the deal's contact is in Trakor", identity)
        self._narrate(
            "a deal",
            f"{name}, not active so far, has a deal; deal-created names only the deal.",
            f"The deal leads to its contact: in Trakor {_milliseconds(seconds)} later.",
            CREATED,
        )

    async def _revoke(self) -> None:
        salestrekker = self._sandbox.salestrekker
        log_ins = salestrekker.traffic.kinds["authenticate"]
        salestrekker.revoke_tokens()
        identity = self._add_contact(UNDISTURBED)
        await self._daemon.post(WebhookAction.CONTACT_CREATED, identity)
        seconds = await self._delivered("a contact is in Trakor after the token was revoked", identity)
        log_ins = salestrekker.traffic.kinds["authenticate"] - log_ins
        self._narrate(
            "revoked",
            f"Salestrekker revokes the daemon's token. {UNDISTURBED} is new.",
            f"{_count(log_ins, 'renewal')}, and nothing stops: in Trakor {_milliseconds(seconds)} later.",
            CREATED,
        )

    async def _freeze(self) -> None:
        trakor = self._sandbox.trakor
        self._parties = len(trakor.parties)
        trakor.freeze()
        requests = trakor.traffic.total
        self._waiting = tuple(self._add_contact(name) for name in CROWD)
        slowest = max(
            await asyncio.gather(
                *(self._daemon.post(WebhookAction.CONTACT_CREATED, identity) for identity in self._waiting)
            )
        )
        await self._daemon.wait_until("sending is paused, and one probe has found it so", self._is_frozen)
        requests = trakor.traffic.total - requests
        self._narrate(
            "frozen",
            f"Trakor is frozen: it refuses everything. {len(self._waiting)} contacts are new; their"
            f" webhooks still get 202, each within {_milliseconds(slowest)}.",
            f"Sending pauses by itself. Trakor sees {_count(requests, 'request')}, the last of them a probe;"
            f" all {len(self._waiting)} wait.",
            State.PENDING,
        )

    def _is_frozen(self, reader: Reader) -> bool:
        pause = _pause(reader)
        return pause is not None and pause.tries > 0 and _number(reader, State.PENDING) == len(self._waiting)

    async def _thaw(self) -> None:
        trakor = self._sandbox.trakor
        began = time.monotonic()
        trakor.unfreeze()
        await self._daemon.wait_until(
            "a probe has found Trakor thawed", lambda reader: _pause(reader) is None
        )
        noticed = time.monotonic() - began
        seconds = await self._delivered("all that waited is in Trakor", *self._waiting)
        made = len(trakor.parties) - self._parties
        self._narrate(
            "thawed",
            "Trakor is thawed. The daemon is not notified.",
            f"The next probe finds out, {noticed:.1f} s later; after {seconds:.1f} s more all"
            f" {len(self._waiting)} are in Trakor, as {made} parties.",
            CREATED,
        )

    def _add_contact(self, name: str) -> str:
        """Add a contact to Salestrekker and return its id."""
        return self._sandbox.contacts.add(name, email=f"{name.lower().replace(' ', '.')}@example.org")

    async def _delivered(self, what: str, *ids: str) -> float:
        """Wait until these records are delivered, and return the seconds it took."""
        return await self._daemon.wait_until(
            what, lambda reader: all(_is_in_state(reader, identity, State.DELIVERED) for identity in ids)
        )


def _is_in_state(reader: Reader, identity: str, state: State, reason: str = "") -> bool:
    found = find_records(reader, RecordQuery(either=identity))
    return any((one.state, one.reason) == (state, reason) for one in found)


def _number(reader: Reader, state: State) -> int:
    return count_records(reader, RecordQuery(states=(state,)))


def _pause(reader: Reader) -> Pause | None:
    """Return the pause of all sending, if there is one."""
    return next((pause for pause in list_pauses(reader) if pause.direction == Direction.SENDING), None)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"

"""Sending as the daemon keeps it, over a rig, and what can go wrong with all of it at once."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from books import kept
from bridge.daemon.sending_worker import SendingWorker
from bridge.delivery import OutgoingStream
from bridge.ledger.database import writing
from bridge.ledger.send_queue import release_claims
from bridge.ledger.stored_pauses import Direction, clear_pause, list_pauses, set_pause
from bridge.records import Policy
from bridge.sandbox import Fault
from builders import HASHER
from rigs import QUICK, WatchedLedger, now, some_turns, trakor_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.delivery.destination_and_streams import Destination
    from bridge.ledger.stored_pauses import Pause
    from bridge.sandbox import Sandbox
    from rigs import Rig

    Change = Callable[[Sandbox], object]

__all__ = [
    "ALL",
    "IN_FLIGHT",
    "LOANS",
    "NAMES",
    "OUTAGES",
    "REFUSALS",
    "SENDING",
    "SendingService",
    "fail_with",
    "freeze",
    "in_mid_work",
    "mend",
    "reject_contacts",
    "revoke_key",
]

SENDING = Direction.SENDING
IN_FLIGHT = QUICK["max_in_flight"]
NAMES, LOANS = 80, 20
ALL = NAMES + LOANS


class SendingService:
    """Sending over a rig, as the daemon keeps it: it can be stopped, killed and started again."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.settings: dict[str, Any] = {}
        self.destination: Destination = rig.client
        self.known: dict[str, Pause] = {}
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._sending: SendingWorker | None = None

    async def start(self, **settings: Any) -> None:  # noqa: ANN401 - numbers
        """Start it, as a new process would."""
        self.settings |= settings
        for feed in self.rig.feeds.values():
            await self.rig.ledger.call(release_claims, feed, now=now(), wait=20)
        self._sending = SendingWorker(
            self.rig.ledger,
            {stream: OutgoingStream(feed, Policy()) for stream, feed in self.rig.feeds.items()},
            self.destination,
            trakor_settings(**self.settings),
            name="default",
            key_of=HASHER.name_key,
            clock=now,
            random=random.Random(1).random,  # noqa: S311 - jitter
            on_change=self._changed.set,
        )
        self._running = asyncio.create_task(self._sending.run())

    async def stop(self) -> None:
        """Stop it in order."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def kill(self) -> None:
        """End it without giving anything the time to end."""
        running, self._running = self._running, None
        assert running is not None
        running.cancel()
        await some_turns(3)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    async def ended(self) -> None:
        """Wait until it ends by itself, and let its error show."""
        running, self._running = self._running, None
        assert running is not None
        async with asyncio.timeout(10):
            await running

    def look(self) -> None:
        """Let it know that another process has written."""
        assert self._sending is not None
        self._sending.notice_change()

    def wake(self) -> None:
        """Let it know that more is pending."""
        assert self._sending is not None
        self._sending.wake()

    async def pauses(self) -> dict[str, Pause]:
        """What the ledger has."""
        found = await self.rig.ledger.call(list_pauses)
        return {pause.direction: pause for pause in found}

    async def until(self, condition: Callable[[Mapping[str, Pause]], object]) -> dict[str, Pause]:
        """Wait until this holds of the pauses in the ledger."""
        async with asyncio.timeout(10):
            while True:
                self._changed.clear()
                found = await self.pauses()
                if condition(found):
                    return found
                await self._changed.wait()

    def pause(self) -> None:
        """A person pauses it, in a process of their own."""
        with writing(self.rig.ledger.path, kept(self.rig.ledger.path)) as connection:
            set_pause(connection, "default", SENDING, reason="a person paused it", now=now(), by_person=True)
        self.look()

    def resume(self) -> None:
        """A person resumes it."""
        with writing(self.rig.ledger.path, kept(self.rig.ledger.path)) as connection:
            for direction in (SENDING, "sending contacts", "sending products"):
                clear_pause(connection, "default", direction, by_person=True)
        self.look()

    async def settled_down(self) -> None:
        """Wait until it has looked at the pauses anew, and has nothing to do but to wait."""
        ledger = self.rig.ledger
        assert isinstance(ledger, WatchedLedger)
        begun = ledger.calls["_pauses_of_sending"]
        self.look()
        await ledger.wait_for(lambda: ledger.ended["_pauses_of_sending"] > begun)
        await some_turns()

    async def all_is_delivered(self, number: int) -> None:
        """Nothing is missing, nothing twice, nothing paused."""
        ledger = self.rig.ledger
        assert isinstance(ledger, WatchedLedger)
        settled = ledger.calls["settle"]
        while "pending" in await self.rig.states():
            await ledger.wait_for(partial(_more_than, ledger, settled))
            settled = ledger.calls["settle"]
        await self.until(lambda pauses: not pauses)
        await self.stop()
        await self.rig.all_is_delivered(number)


def _more_than(ledger: WatchedLedger, settled: int) -> bool:
    return ledger.calls["settle"] > settled


async def in_mid_work(service: SendingService) -> int:
    """Let it get under way; gives how many requests there were."""
    trakor = service.rig.trakor
    await trakor.wait_for(lambda: len(trakor.parties) + len(trakor.products) >= 20)
    return trakor.traffic.total


def revoke_key(sandbox: Sandbox) -> None:
    sandbox.trakor.revoke_key()


def freeze(sandbox: Sandbox) -> None:
    sandbox.trakor.freeze()


def fail_with(error: Fault) -> Change:
    return lambda sandbox: sandbox.trakor.faults.add(error)


def mend(sandbox: Sandbox) -> None:
    sandbox.trakor.restore_key()
    sandbox.trakor.unfreeze()
    sandbox.trakor.faults.clear()


def reject_contacts(sandbox: Sandbox) -> None:
    sandbox.trakor.faults.add(Fault(kind="parties", status=400, times=None))


REFUSALS = [
    pytest.param(revoke_key, "401", id="401"),
    pytest.param(freeze, "403", id="403"),
    pytest.param(fail_with(Fault(status=404, times=None)), "404", id="404"),
    pytest.param(fail_with(Fault(status=302, headers={"Location": "/"}, times=None)), "redirect", id="302"),
]
OUTAGES = [
    pytest.param(fail_with(Fault(status=500, times=None)), "500", id="500"),
    pytest.param(fail_with(Fault(reset=True, times=None)), "no answer", id="reset"),
    pytest.param(fail_with(Fault(reset=True, commit=True, times=None)), "no answer", id="answers lost"),
    pytest.param(fail_with(Fault(status=503, times=None)), "503", id="503"),
]

"""Keeps sending for as long as the daemon lives: one delivery after the other, with pauses between them.

::

    the ledger's pauses ──> an operator's? ──> wait until it ends
           ^                refused, or down? ──> wait, then one probe that creates nothing ──passes──┐
           │                else ──> a Delivery; of a paused stream it tries one record now and then  │
           │                            │            ^────────────────────────────────────────────────┘
           │                            │ refused · outage · a stream stopped or resumed
           └──────── written down ──────┘ another process wrote: the delivery halts

A pause is written before it takes effect. So a process that dies starts again where it was: with the one
probe that is due, not with everything that waits. Every delivery starts with one request at a time. While an
operator's pause lasts nothing is sent, not even a probe.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING, Final

import structlog

from bridge.delivery.delivery_loop import DeliveryLoop
from bridge.delivery.failure_attribution import RejectionHistory
from bridge.delivery.lost_ledger_detector import LostLedgerDetector, loss_warning
from bridge.delivery.probe_requests import ProbeRequests
from bridge.delivery.sending_options import MOST_REJECTIONS, SendingMode
from bridge.delivery.sending_pauses import SendingPauses
from bridge.delivery.stopped_stream_trials import StoppedStream
from bridge.errors import Refused, Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.delivery.batch_result import BatchResult, Outage
    from bridge.delivery.destination_and_streams import Destination, OutgoingStream
    from bridge.delivery.sending_options import SendingSettings
    from bridge.ledger.database import Ledger
    from bridge.ledger.stored_pauses import Pause
    from bridge.records import Stream

__all__ = ["SendingWorker"]

LONGEST_WAIT: Final = 60.0
"""Seconds after which the pauses are checked in any case: the wall clock may have been set."""

log = structlog.get_logger()


class SendingWorker:
    """Sends what is pending of one connection until it is cancelled.

    The caller must be the one owner of the feeds' claims, and must have ended those of a dead process
    (``ledger.settlement.give_up_claims``).

    Args:
        ledger: The open ledger.
        outgoing: The streams to send.
        destination: Where payloads go.
        settings: Limits and waits.
        name: The connection's name.
        key_of: Keyed hash of a name's key (``names.Hasher.name_key``).
        clock: Milliseconds since the epoch.
        random: Returns a number in [0, 1).
        on_change: Called when sending was paused or resumed.
        most_rejections: This many different records turned down, and none taken since, stop a stream.
    """

    def __init__(  # noqa: PLR0913 - all dependencies, passed by name
        self,
        ledger: Ledger,
        outgoing: Mapping[Stream, OutgoingStream],
        destination: Destination,
        settings: SendingSettings,
        *,
        name: str,
        key_of: Callable[[str], str],
        clock: Callable[[], int],
        random: Callable[[], float],
        on_change: Callable[[], None] = lambda: None,
        most_rejections: int = MOST_REJECTIONS,
    ) -> None:
        self._ledger = ledger
        self._outgoing = dict(outgoing)
        self._destination = destination
        self._settings = settings
        self._mode = SendingMode(
            give_up_after=math.inf,
            ramp=True,
            most_rejections=most_rejections,
            trial_every=settings.probe.first,
            most_trials=math.inf,
        )
        self._name = name
        self._key_of = key_of
        self._clock = clock
        self._random = random
        self._pauses = SendingPauses(
            ledger, name, settings.probe, clock=clock, random=random, on_change=on_change
        )
        self._delivery: DeliveryLoop | None = None
        self._news = asyncio.Event()
        self._ledger_changed = False
        self._must_probe = False
        self._tries = 0
        self._outage: Outage | None = None
        self._stopped: Mapping[Stream, StoppedStream] = {}
        self._reported_refusal: Refused | None = None
        self._history = RejectionHistory()
        self._probes = ProbeRequests(ledger, destination, settings.unanswered_wait)
        self._loss_detector = LostLedgerDetector()

    def wake(self) -> None:
        """Check for new pending records."""
        if self._delivery is not None:
            self._delivery.wake()

    def notice_change(self) -> None:
        """Check what another process has written: a pause, or an operator's decision on records."""
        self._ledger_changed = True
        self._news.set()
        self.wake()

    async def run(self) -> None:
        """Send, wait and probe until it is cancelled.

        Requests in flight then get some seconds, and count as unanswered after that.

        Raises:
            Exception: Any unexpected error of a sender or of the ledger.
        """
        while True:
            self._news.clear()
            self._ledger_changed = False
            await self._pauses.read()
            await self._act()

    async def _act(self) -> None:
        """Do the one thing that the pauses allow, until something changes."""
        whole = self._pauses.whole
        # Probe before more is sent, even if an operator ends the pause.
        self._must_probe = self._must_probe or whole is not None
        if self._pauses.by_person:
            await self._wait(LONGEST_WAIT)
        elif whole is not None and (wait := self._pauses.until(whole)) > 0:
            await self._wait(wait)
        elif self._must_probe:
            await self._probe(whole)
        else:
            await self._send()

    async def _probe(self, pause: Pause | None) -> None:
        """Find out by a request that creates nothing whether the pause can end."""
        tries = 0 if pause is None else pause.tries + 1
        try:
            await self._destination.probe()
        except (Refused, Transient) as error:
            await self._refused(error, tries)
        else:
            # Kept until a record is taken: if only the probe passes, the next pause is longer.
            self._tries = tries
            self._must_probe = False
            await self._pauses.resume()

    async def _send(self) -> None:
        """Send until something stops it; of a stopped stream, try one record now and then."""
        now = asyncio.get_running_loop().time()
        self._stopped = {
            stream: StoppedStream(
                Refused(pause.reason), now + max(0.0, self._pauses.until(pause)), pause.tries
            )
            for stream in self._outgoing
            if (pause := self._pauses.of(stream)) is not None
        }
        delivery = DeliveryLoop(
            self._ledger,
            self._outgoing,
            self._destination,
            self._settings,
            self._mode,
            key_of=self._key_of,
            run=None,
            clock=self._clock,
            random=self._random,
            on_settled=self._settled,
            on_change=self._news.set,
            history=self._history,
            probes=self._probes,
            stopped=self._stopped,
        )
        await self._run_delivery(delivery)

    async def _run_delivery(self, delivery: DeliveryLoop) -> None:
        """Run a delivery to its end and write down what stops it; halt it if it must not go on."""
        self._delivery, self._outage, self._reported_refusal = delivery, None, None
        running = asyncio.create_task(delivery.run())
        running.add_done_callback(lambda _: self._news.set())
        try:
            while not running.done():
                self._news.clear()
                await self._write_state(delivery)
                if await self._must_halt():
                    delivery.halt()
                    await asyncio.wait({running})
                    break
                await self._wait(LONGEST_WAIT)
        finally:
            self._delivery = None
            await _end(running, delivery)
        self._must_probe = delivery.outage is not None or delivery.refused is not None
        await self._write_state(delivery)

    async def _must_halt(self) -> bool:
        """Whether another process changed a pause, so that this delivery must end."""
        looked, self._ledger_changed = self._ledger_changed, False
        changed = looked and await self._pauses.read()
        return changed or self._pauses.by_person

    def _settled(self, settled: BatchResult) -> None:
        if settled.taken:
            self._tries = 0
        log.info(
            "delivered",
            connection=self._name,
            created=settled.created,
            existing=settled.existing,
            rejected=settled.rejected,
            later=settled.later,
            seconds=round(settled.seconds, 3),
        )
        for suspicion in self._loss_detector.check(settled):
            log.warning("was the ledger lost", connection=self._name, reason=loss_warning(suspicion))

    async def _write_state(self, delivery: DeliveryLoop) -> None:
        """Write down, once, what stops a delivery."""
        if delivery.refused is None:
            await self._write_stopped_streams(delivery)
            await self._write_outage(delivery.outage)
        elif delivery.refused is not self._reported_refusal:
            self._reported_refusal = delivery.refused
            await self._refused(delivery.refused, self._tries)

    async def _write_stopped_streams(self, delivery: DeliveryLoop) -> None:
        """Write which streams have stopped or resumed, and when their next record is tried."""
        before, self._stopped = self._stopped, dict(delivery.stopped)
        now = asyncio.get_running_loop().time()
        for stream in self._outgoing:
            state = self._stopped.get(stream)
            if state is None and stream in before:
                await self._pauses.resume_stream(stream)
            elif state is not None and state != before.get(stream):
                wait = max(0.0, state.next_at - now)
                await self._pauses.stop_stream(stream, str(state.why), state.tries, wait=wait)

    async def _write_outage(self, outage: Outage | None) -> None:
        """Write the start or the end of an outage."""
        if outage == self._outage:
            return
        self._outage = outage
        if outage is None:
            await self._pauses.resume()
        else:
            wait = max(0.0, (outage.next_try_at - self._clock()) / 1000)
            await self._pauses.stop(outage.reason, outage.tries, wait=wait)

    async def _refused(self, error: Refused | Transient, tries: int) -> None:
        """Pause: nothing is taken now, and the next probe comes after a growing wait."""
        asked = error.retry_after if isinstance(error, Transient) else None
        await self._pauses.stop(str(error), tries, least=asked or 0.0)

    async def _wait(self, seconds: float) -> None:
        """Wait for an event, or for this many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, LONGEST_WAIT)):
                await self._news.wait()


async def _end(running: asyncio.Task[None], delivery: DeliveryLoop) -> None:
    """End a delivery that still runs, wait until it has wound up, and raise its error, if any."""
    if not delivery.winding_up:  # a second cancellation would end it at once
        running.cancel()
    (ended,) = await asyncio.gather(running, return_exceptions=True)
    if isinstance(ended, Exception):
        raise ended

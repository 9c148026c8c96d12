"""Delivery of one connection: claims in batches, sends concurrently, settles in batches.

::

    ledger ──claim──> buffer ──> senders (limited by the breaker) ──> FailureAttribution ─> outcomes
       ^                             │ refused: no request starts, those in flight end           │
       │                             └──> probe and canary ──pass──> FailureAttribution ─────────┤
       │                                      └──refused, too──> all stops, nothing marked       │
       └──────────────────────────────── settle, a batch at a time ──────────────────────────────┘

One loop starts what may start, then waits for any event. Claiming the next batch and settling the last one
run beside the senders, so that the loop never waits for the disk. If 20 different records of a stream were
turned down and none was taken since, only one of its records is sent now and then (``trials``).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from aiolimiter import AsyncLimiter

from bridge.delivery.circuit_breaker import SendingBreaker
from bridge.delivery.claim_buffer import ClaimBuffer, unsent_outcome
from bridge.delivery.failure_attribution import RejectionHistory
from bridge.delivery.probe_requests import ProbeRequests
from bridge.delivery.response_handler import ResponseHandler
from bridge.delivery.result_writer import ResultWriter, count_outcomes
from bridge.errors import Refused, Rejected, Transient
from bridge.ledger.settlement import load_rejections, save_rejections
from bridge.records import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from bridge.delivery.batch_result import BatchResult, Outage
    from bridge.delivery.destination_and_streams import Destination, OutgoingStream
    from bridge.delivery.sending_options import SendingMode, SendingSettings
    from bridge.delivery.stopped_stream_trials import StoppedStream
    from bridge.ledger.database import Ledger
    from bridge.ledger.send_queue import AwaitedNames
    from bridge.records import Outcome, Stream, WorkItem

__all__ = ["DeliveryLoop"]

LONGEST_WAIT: Final = 60.0
"""Seconds after which the loop checks everything again in any case."""

LAST_ANSWERS: Final = 8.0
"""Seconds that requests in flight get when sending stops."""


class DeliveryLoop:
    """Sends what is pending of one connection, until ``finish`` was called and nothing is left.

    Args:
        ledger: The open ledger.
        outgoing: The streams to send.
        destination: Where payloads go.
        settings: Limits and waits.
        mode: When to give up.
        key_of: Keyed hash of a name's key (``names.Hasher.name_key``).
        run: Number of the run that the answers count for. None: each record's own run.
        clock: Milliseconds since the epoch.
        random: Returns a number in [0, 1).
        on_settled: Called after each batch with its counts.
        on_change: Called when sending was refused, a stream stopped or resumed, or ``outage`` changed.
        history: What is known of records that were turned down before.
        probes: Sends what is known to pass.
        stopped: Streams that had stopped before, with times of the running loop.

    Attributes:
        winding_up: It sends no more, and writes its results; if cancelled now, it ends at once.
        gave_up: Nothing was taken for ``give_up_after``, so that some records are still pending.
    """

    def __init__(  # noqa: PLR0913 - all dependencies, passed by name
        self,
        ledger: Ledger,
        outgoing: Mapping[Stream, OutgoingStream],
        destination: Destination,
        settings: SendingSettings,
        mode: SendingMode,
        *,
        key_of: Callable[[str], str],
        run: int | None,
        clock: Callable[[], int],
        random: Callable[[], float],
        on_settled: Callable[[BatchResult], None] = lambda _: None,
        on_change: Callable[[], None] = lambda: None,
        history: RejectionHistory | None = None,
        probes: ProbeRequests | None = None,
        stopped: Mapping[Stream, StoppedStream] | None = None,
    ) -> None:
        self._ledger = ledger
        self._feeds = {stream: outgoing_stream.feed for stream, outgoing_stream in outgoing.items()}
        self._history = RejectionHistory() if history is None else history
        self._destination = destination
        self._give_up_after = mode.give_up_after
        self._key_of = key_of
        self._clock = clock
        self._on_settled = on_settled
        self._on_change = on_change
        self._writer = ResultWriter(ledger, dict(outgoing), run, clock, self._settled)
        self._claim_buffer = ClaimBuffer(ledger, settings, clock, on_change)
        self._breaker = SendingBreaker(
            settings, ramp=mode.ramp, clock=clock, random=random, on_outage=on_change
        )
        self._handler = ResponseHandler(
            outgoing,
            settings,
            mode,
            breaker=self._breaker,
            claim_buffer=self._claim_buffer,
            writer=self._writer,
            probes=ProbeRequests(ledger, destination, settings.unanswered_wait) if probes is None else probes,
            history=self._history,
            stopped=stopped or {},
            clock=clock,
            random=random,
            on_change=on_change,
        )
        self._classifier = self._handler.classifier
        rate = settings.requests_per_second
        self._limiter = AsyncLimiter(1, 1 / rate) if rate else None
        self._senders: set[asyncio.Task[None]] = set()
        self._event = asyncio.Event()
        self._failure: BaseException | None = None
        self._ending = False
        self.winding_up = False
        self.gave_up = False

    @property
    def outage(self) -> Outage | None:
        """Why nothing is sent for now. None: nothing blocks it."""
        return self._breaker.outage

    @property
    def refusals(self) -> Mapping[Stream, Refused]:
        """Why sending a stream stopped before its end."""
        return self._handler.refusals

    @property
    def refused(self) -> Refused | None:
        """Why sending all streams stopped, if the cause is not the records of one."""
        return self._handler.refused

    @property
    def stopped(self) -> Mapping[Stream, StoppedStream]:
        """The streams of which only one record is tried now and then."""
        return self._handler.trials.stopped

    @property
    def awaited(self) -> AwaitedNames:
        """What is not sent yet because Trakor may still store it, if nothing else can be sent."""
        return self._claim_buffer.awaited

    @property
    def held(self) -> bool:
        """Whether a stream waits to be released."""
        return bool(self._claim_buffer.held)

    def wake(self) -> None:
        """Check for new pending records."""
        self._claim_buffer.next_look = 0.0
        self._event.set()

    def hold(self, stream: Stream) -> None:
        """Send nothing of a stream until it is released: its waiting records must be read again first."""
        self._claim_buffer.held.add(stream)

    def release(self, stream: Stream) -> None:
        """Send the waiting records of a stream."""
        self._claim_buffer.held.discard(stream)
        self.wake()

    def finish(self, *, waits_for_unanswered: bool = True) -> None:
        """Let ``run`` end when nothing is left.

        Args:
            waits_for_unanswered: Wait also for records whose request had no answer.
        """
        self._claim_buffer.expects_no_more, self._claim_buffer.waits_for_unanswered = (
            True,
            waits_for_unanswered,
        )
        self.wake()

    def halt(self) -> None:
        """Start no more requests; ``run`` ends when those in flight are answered."""
        self._ending = True
        self._event.set()

    async def run(self) -> None:
        """Send until nothing is left, sending was halted or refused, or nothing was taken for too long.

        If it is cancelled, requests in flight get some seconds, then count as unanswered.

        Raises:
            Exception: Any unexpected error of a sender, of claiming or of settling.
        """
        await self._restore_history()
        self._breaker.start()
        try:
            while not self._is_done():
                self._event.clear()
                if not self._ending:
                    self._resolve_doubts()
                    self._start_claiming()
                    self._start_senders()
                self._writer.start_writing(self._notice, hurry=not self._senders)
                await self._wait_for_event()
        finally:
            await self._wind_up()
            self._raise_failures()

    def _is_done(self) -> bool:
        self._raise_failures()
        if self._ending:
            return not self._senders
        if not self._handler.outgoing:
            return True
        if self._is_idle():
            self._breaker.last_success = self._breaker.now()
        elif self._breaker.now() - self._breaker.last_success > self._give_up_after:
            self.gave_up = True
            return True
        return self._claim_buffer.expects_no_more and self._is_idle()

    def _is_idle(self) -> bool:
        """Whether nothing is being sent or in doubt, and the ledger has nothing pending."""
        decided = self._writer.is_empty and not self._classifier.in_doubt
        return decided and self._claim_buffer.is_exhausted and self._is_quiet() and not self._handler.trials

    def _is_quiet(self) -> bool:
        """Whether nothing is being sent, and nothing can be before some time has passed."""
        return self._claim_buffer.is_empty and not (self._senders or self._handler.has_open_refusals)

    def _raise_failures(self) -> None:
        """Raise the unexpected error of a task, to end the run."""
        if self._failure is not None:
            raise self._failure
        self._claim_buffer.raise_error()

    def _resolve_doubts(self) -> None:
        """Send a probe if nothing else can show the cause; otherwise confirm the rejections."""
        if self._handler.has_open_refusals or self._handler.should_probe(quiet=self._is_quiet()):
            # Settle first what was taken: the ledger stores the canaries.
            if not self._senders and self._writer.is_empty and self._breaker.allowed():
                self._start(self._handler.probe())
        elif self._is_quiet() and self._writer.is_empty and not self._classifier.has_doubtful_failures:
            self._writer.add(self._classifier.confirm_rejections())

    def _start_claiming(self) -> None:
        """Fill the buffer, only as far as the breaker will let it out soon."""
        if self._breaker.is_blocked:
            self._writer.add(self._claim_buffer.clear())
        elif not self._handler.has_open_refusals:
            self._claim_buffer.look_after(LONGEST_WAIT)
            outgoing = [
                outgoing_stream
                for stream, outgoing_stream in self._handler.outgoing.items()
                if self._handler.may_send(stream)
            ]
            self._claim_buffer.start_claiming(outgoing, self._breaker.allowed(), self._notice)

    def _start_senders(self) -> None:
        if (stream := self._trial()) is not None:
            self._handler.trials.postpone(stream, self._breaker.now())
            self._start(self._try(stream))
        while (work := self._next(len(self._senders))) is not None:
            self._start(self._send_on(work))

    def _trial(self) -> Stream | None:
        """Return the stopped stream of which one record is due now."""
        due = self._handler.trials.due(self._breaker.now(), self._claim_buffer.held)
        return due if due is not None and self._may_begin(len(self._senders)) else None

    def _may_begin(self, in_flight: int) -> bool:
        """Whether another request may start now."""
        waits = self._handler.has_open_refusals or self._handler.should_probe(quiet=self._is_quiet())
        return not (self._ending or waits) and self._breaker.allowed(in_flight) > 0

    async def _try(self, stream: Stream) -> None:
        """Send one record of a stopped stream; each time a different one."""
        if (outgoing_stream := self._handler.outgoing.get(stream)) is None:
            return  # all sending was refused meanwhile
        claimed = await self._claim_buffer.claim_one(outgoing_stream)
        if claimed.next_due is None and not claimed.work and self._writer.is_empty:
            self._handler.resume(stream)
        for work in claimed.work:
            if self._ending or not self._handler.may_start(stream):
                self._writer.add([unsent_outcome(work)])
            else:
                self._handler.note_trial(work)
                await self._send(work)

    async def _send_on(self, work: WorkItem) -> None:
        """Send one record after the other, while they are taken and more may be sent."""
        following: WorkItem | None = work
        while following is not None:
            taken = await self._send(following)
            self._event.set()
            following = self._next(len(self._senders) - 1) if taken else None

    def _next(self, in_flight: int) -> WorkItem | None:
        """Return the record to send next. None: none may be sent now."""
        if not self._may_begin(in_flight):
            return None
        while self._claim_buffer.buffer:
            work = self._claim_buffer.buffer.popleft()
            if self._handler.may_send(work.stream):
                self._handler.probe_is_next = self._breaker.is_down
                return work
            self._writer.add([unsent_outcome(work)])
        return None

    def _start(self, sending: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(sending)
        self._senders.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._senders.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
        self._notice(task)

    def _notice(self, _: asyncio.Task[None]) -> None:
        self._event.set()

    async def _send(self, work: WorkItem) -> bool:
        """Send one record and handle the response; return whether it was taken."""
        begun = False
        try:
            if self._limiter is not None:
                await self._limiter.acquire()
                # Sending may have been refused, stopped or held meanwhile.
                if self._ending or self._breaker.is_blocked or not self._handler.may_start(work.stream):
                    self._writer.add([unsent_outcome(work)])
                    return False
            begun = True
            answer = await self._destination.post(work.payload)
        except Transient as error:
            self._handler.on_failure(work, error)
        except Rejected as rejection:
            self._handler.on_rejection(work, rejection)
        except Refused as refusal:
            self._handler.on_refusal(work, refusal)
        except asyncio.CancelledError:
            cut = self._classifier.record_no_answer(work, self._clock())
            self._writer.add([cut if begun else unsent_outcome(work)])
            raise
        else:
            key = self._key_of(answer.name) if answer.name else ""
            self._handler.on_answer(work, answer, key)
            return True
        return False

    def _settled(self, batch: list[Outcome], seconds: float, more: bool) -> None:  # noqa: FBT001 - as ResultWriter calls it
        if more:
            self._claim_buffer.wake_at(self._clock())
        for outcome in batch:
            if isinstance(outcome, Retry) and (
                self._claim_buffer.waits_for_unanswered or outcome.no_answer is None
            ):
                until = outcome.no_answer.until if outcome.no_answer else 0
                self._claim_buffer.wake_at(max(outcome.next_try_at or 0, until))
        self._on_settled(count_outcomes(batch, seconds))

    async def _wait_for_event(self) -> None:
        """Wait until something happens, or something is due."""
        now = self._breaker.now()
        wake_times = [now + LONGEST_WAIT, self._breaker.last_success + self._give_up_after]
        wake_times += [at for at in (self._writer.due, self._breaker.blocked_until) if at is not None]
        if self._claim_buffer.has_room and not (self._breaker.is_blocked or self._handler.has_open_refusals):
            wake_times.append(self._claim_buffer.next_look)
        if self._may_begin(len(self._senders)):
            wake_times += [self._handler.trials.next_at(self._claim_buffer.held)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(min(wake_times)):
                await self._event.wait()

    async def _wind_up(self) -> None:
        """Give requests in flight some time, then write the outcomes of everything that was claimed."""
        self._ending = self.winding_up = True
        await self._claim_buffer.wait_for_claim()
        self._writer.add(self._claim_buffer.clear())
        if self._senders:
            await asyncio.wait(self._senders, timeout=LAST_ANSWERS)
        for sender in list(self._senders):
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        self._handler.release_refused()
        self._writer.add(self._classifier.stop(self._clock()))
        await self._writer.drain()
        await self._store_history()

    async def _restore_history(self) -> None:
        """Load what an earlier process knew of records that were turned down."""
        for stream, feed in self._feeds.items():
            if self._history.needs_restore(stream):
                self._history.restore(stream, await self._ledger.call(load_rejections, feed))

    async def _store_history(self) -> None:
        """Store the history. If the process dies before, each of those records is tried once more."""
        for stream in list(self._history.unsaved):
            await self._ledger.call(save_rejections, self._feeds[stream], self._history.to_store(stream))
            self._history.unsaved.discard(stream)

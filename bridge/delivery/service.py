"""Delivery of one connection: claims in batches, sends concurrently, settles in batches.

::

    ledger ──claim──> buffer ──> senders (as many as the valve allows) ──> Judge ──> outcomes
       ^                                                                               │
       └──────────────────────────────── settle, a batch at a time ────────────────────┘

One loop starts what may start, then waits for anything to happen: the claim of the next batch and
the settling of the last one run beside the senders, so that none of these ever waits for the disk.
A refusal (401, 403, a wrong address) stops it at the first one, and nothing is marked.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from typing import TYPE_CHECKING, Final

from aiolimiter import AsyncLimiter

from bridge.delivery.judge import Judge
from bridge.delivery.live_valve import LiveValve
from bridge.delivery.outbox import Outbox, tally
from bridge.errors import Refused, Rejected, Transient
from bridge.ledger.queue import claim_all
from bridge.records import Later

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from bridge.delivery.ports import Destination, Lane, Pace, Settled, Trouble
    from bridge.ledger.engine import Ledger
    from bridge.records import Outcome, Payload, Stream, Work

__all__ = ["Delivery"]

BATCH: Final = 100
"""Rows that one transaction claims at most, so that a webhook's never waits long."""

LONGEST_WAIT: Final = 60.0
"""Seconds after which the loop looks around in any case."""

CLAIM_LIFE: Final = 365 * 86_400_000
"""Milliseconds after which a claim ends by itself. The ledger's one owner ends all claims when it begins, so
this must only outlast any jump of the clock: what is under way must not be claimed once more."""

LAST_ANSWERS: Final = 8.0
"""Seconds that requests in flight are given when sending stops."""


class Delivery:
    """Sends what is pending of one connection, until ``finish`` was called and nothing is left.

    Args:
        ledger: The open ledger.
        lanes: The streams to send, by stream.
        destination: Where payloads go.
        pace: How fast.
        key_of: Keyed hash of a name's key (``naming.Hasher.name_key``).
        run: Number of the run that the answers count for; None: the one that each record is of.
        clock: Milliseconds since the epoch.
        random: Gives a number of [0, 1).
        on_settled: Told what was settled, after each batch.
        on_news: Told when sending was refused, or its trouble is another one.

    Attributes:
        refusals: Why the sending of a stream stopped before its end.
        refused: Why that of all streams did, where it was not the records of one.
        winding_up: It sends no more, and writes what is known; cancelled now it ends at once.
        gave_up: Nothing was taken for ``give_up_after``, so that some are pending still.
    """

    def __init__(  # noqa: PLR0913 - it is handed all that it works with, by name
        self,
        ledger: Ledger,
        lanes: Mapping[Stream, Lane],
        destination: Destination,
        pace: Pace,
        *,
        key_of: Callable[[str], str],
        run: int | None,
        clock: Callable[[], int],
        random: Callable[[], float],
        on_settled: Callable[[Settled], None] = lambda _: None,
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._lanes = dict(lanes)
        self._held: set[Stream] = set()
        self._destination = destination
        self._pace = pace
        self._key_of = key_of
        self._clock = clock
        self._on_settled = on_settled
        self._on_news = on_news
        self._outbox = Outbox(ledger, dict(lanes), run, clock, self._settled)
        self._judge = Judge(pace.retry_first, pace.retry_max, random, pace.most_rejections)
        self._valve = LiveValve(pace, clock, random, on_news)
        rate = pace.requests_per_second
        self._limiter = AsyncLimiter(1, 1 / rate) if rate else None
        self._buffer: deque[Work] = deque()
        self._senders: set[asyncio.Task[None]] = set()
        self._claiming: asyncio.Task[None] | None = None
        self._happened = asyncio.Event()
        self._no_more = False
        self._next_look: float = 0.0
        self._witness: Payload | None = None
        self._failure: BaseException | None = None
        self._ending = False
        self._wary = False
        self._witness_is_next = False
        self.refusals: dict[Stream, Refused] = {}
        self.refused: Refused | None = None
        self.winding_up = False
        self.gave_up = False

    @property
    def trouble(self) -> Trouble | None:
        """Why nothing is sent for the moment; None where nothing keeps it."""
        return self._valve.trouble

    def wake(self) -> None:
        """Say that the ledger may have new pending records."""
        self._next_look = 0.0
        self._happened.set()

    def hold(self, stream: Stream) -> None:
        """Send nothing of a stream until it is released: what waits there is to be read anew first."""
        self._held.add(stream)

    def release(self, stream: Stream) -> None:
        """Send what waits of a stream."""
        self._held.discard(stream)
        self.wake()

    @property
    def held(self) -> bool:
        """Whether a stream waits to be released."""
        return bool(self._held)

    def finish(self) -> None:
        """Say that no more will come: ``run`` ends once nothing is left."""
        self._no_more = True
        self.wake()

    def halt(self) -> None:
        """Begin no more requests: ``run`` ends once those in flight have their answers."""
        self._ending = True
        self._happened.set()

    async def run(self) -> None:
        """Send until nothing is left, sending was halted or refused, or nothing was taken for too long.

        When it is cancelled, requests in flight are given some seconds, then count as unanswered.

        Raises:
            Exception: Whatever unexpected a sender, the claiming or the settling ended with.
        """
        self._valve.start()
        try:
            while not self._is_done():
                self._happened.clear()
                if not self._ending:
                    self._resolve_doubts()
                    self._claim_ahead()
                    self._start_senders()
                self._outbox.write(self._notice, hurry=not self._senders)
                await self._anything()
        finally:
            await self._wind_up()
            self._raise_failures()

    def _is_done(self) -> bool:
        self._raise_failures()
        if self._ending:
            return not self._senders
        if not self._lanes:
            return True
        if self._is_idle():
            self._valve.last_good = self._valve.now()
        elif self._valve.now() - self._valve.last_good > self._pace.give_up_after:
            self.gave_up = True
            return True
        return self._no_more and self._is_idle() and self._outbox.empty and not self._judge.in_doubt

    def _is_idle(self) -> bool:
        """Nothing is being sent, and the ledger was found to have nothing pending."""
        return math.isinf(self._next_look) and self._is_quiet()

    def _is_quiet(self) -> bool:
        """Nothing is being sent, and nothing can be before some time has passed."""
        return not (self._buffer or self._senders or self._claiming) and self._next_look > self._clock()

    def _raise_failures(self) -> None:
        """Let an unexpected error of a task end the run."""
        if self._failure is not None:
            raise self._failure
        if (claiming := self._claiming) is not None and claiming.done():
            self._claiming = None
            claiming.result()

    def _resolve_doubts(self) -> None:
        """Where nothing else is left to compare with: ask a witness, believe the rejections."""
        if self._needs_witness():
            if not self._senders and self._valve.allowed():
                self._start(self._ask_witness())
        elif self._is_quiet() and self._outbox.empty and not self._judge.doubts_failures:
            self._outbox.add(self._judge.quiet())

    def _needs_witness(self) -> bool:
        """Whether to ask, before more is sent, if what is known to pass passes.

        Every second probe of a destination that is down asks the witness, and until a record passes
        each failure does: where only poisoned ones wait, nothing else would tell that it is up.
        """
        if self._witness is not None and self._valve.down:
            return self._witness_is_next
        return self._judge.doubts_failures and (self._wary or self._is_quiet())

    def _claim_ahead(self) -> None:
        """Fill the buffer, only as far as the valve will let it out soon."""
        if self._valve.closed:
            self._give_back(self._buffer)
            self._buffer.clear()
        elif self._has_room() and self._next_look <= self._clock():
            self._claiming = asyncio.create_task(self._claim())
            self._claiming.add_done_callback(self._notice)

    def _has_room(self) -> bool:
        """More may be claimed as soon as it is due."""
        return len(self._buffer) < self._pace.max_in_flight and not (self._claiming or self._valve.closed)

    async def _claim(self) -> None:
        self._next_look = math.inf
        now, limit = self._clock(), min(BATCH, 2 * max(1, self._valve.allowed()))
        feeds = [lane.feed for stream, lane in self._lanes.items() if stream not in self._held]
        claimed = await self._ledger.call(claim_all, feeds, limit, now=now, until=now + CLAIM_LIFE)
        self._buffer += claimed.work
        self._look_at(claimed.next_due)

    def _look_at(self, due: int | None) -> None:
        """Look into the ledger again at this time."""
        if due is not None:
            self._next_look = min(self._next_look, due)

    def _start_senders(self) -> None:
        while (work := self._next(len(self._senders))) is not None:
            self._start(self._send_on(work))

    async def _send_on(self, work: Work) -> None:
        """Send one record after the other, as long as they are taken and more may be sent."""
        following: Work | None = work
        while following is not None:
            taken = await self._send(following)
            self._happened.set()
            following = self._next(len(self._senders) - 1) if taken else None

    def _next(self, in_flight: int) -> Work | None:
        """The record to send next; None where none may be sent now."""
        if self._ending or self._needs_witness() or self._valve.allowed(in_flight) < 1:
            return None
        while self._buffer:
            work = self._buffer.popleft()
            if work.stream in self._lanes:
                self._witness_is_next = self._valve.down
                return work
            self._give_back([work])
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
        self._happened.set()

    async def _send(self, work: Work) -> bool:
        """Send one record and judge what came of it: True where it was taken."""
        begun = False
        try:
            if self._limiter is not None:
                await self._limiter.acquire()
                # Meanwhile sending may have been refused, stopped or held.
                if self._ending or self._valve.closed or work.stream not in self._lanes:
                    self._give_back([work])
                    return False
            begun = True
            answer = await self._destination.post(work.payload)
        except Transient as fault:
            self._on_failure(work, fault)
        except Rejected as rejection:
            self._on_rejection(work, rejection)
        except Refused as refusal:
            self._outbox.add([Later(work, 0, begun=refusal.unsure)])
            self._refuse_all(refusal)
        except asyncio.CancelledError:
            self._outbox.add([Later(work, self._clock(), begun=begun)])
            raise
        else:
            self._valve.passed()
            self._wary = False
            self._witness = work.payload
            key = self._key_of(answer.name) if answer.name else ""
            self._outbox.add(self._judge.answered(work, answer, key, self._clock()))
            return True
        return False

    async def _ask_witness(self) -> None:
        """Send what is known to pass: where that passes too, what is in doubt failed by itself."""
        self._witness_is_next = False
        try:
            if self._witness is None:
                await self._destination.prove()
            else:
                await self._destination.post(self._witness)
        except Transient as fault:
            self._valve.failed(fault)
            self._outbox.add(self._judge.outage(self._clock()))
        except Rejected:
            self._witness = None
        except Refused as refusal:
            self._refuse_all(refusal)
        else:
            self._valve.passed()
            self._outbox.add(self._judge.vouched(self._clock()))

    def _on_failure(self, work: Work, fault: Transient) -> None:
        self._valve.failed(fault)
        self._wary = self._wary or self._valve.down
        self._outbox.add(self._judge.failed(work, fault, self._clock(), down=self._valve.down))

    def _on_rejection(self, work: Work, rejection: Rejected) -> None:
        self._valve.passed()
        self._wary = False
        if work.stream not in self._lanes:
            self._outbox.add([Later(work, self._clock(), begun=False)])
            return
        try:
            self._outbox.add(self._judge.rejected(work, str(rejection), self._clock()))
        except Refused as refusal:
            self._refuse(refusal, work.stream)

    def _refuse_all(self, refusal: Refused) -> None:
        self.refused = refusal
        self._refuse(refusal, *self._lanes)

    def _refuse(self, refusal: Refused, *streams: Stream) -> None:
        """Stop sending these streams: nothing is lost, nothing is marked."""
        for stream in streams:
            self._lanes.pop(stream)
            self.refusals[stream] = refusal
        self._outbox.add(self._judge.stop(self._clock()))
        self._on_news()

    def _give_back(self, works: Iterable[Work]) -> None:
        """Nothing was made of these: the attempts noted ahead are taken back."""
        self._outbox.add([Later(work, 0, begun=False) for work in works])

    def _settled(self, batch: list[Outcome], seconds: float) -> None:
        for outcome in batch:
            if isinstance(outcome, Later):
                self._look_at(outcome.next_try_at)
        self._on_settled(tally(batch, seconds))

    async def _anything(self) -> None:
        """Wait until something happened, or until a time has come that something waits for."""
        now = self._valve.now()
        moments = [now + LONGEST_WAIT, self._valve.last_good + self._pace.give_up_after]
        moments += [moment for moment in (self._outbox.due, self._valve.opens_at) if moment is not None]
        if not math.isinf(self._next_look) and self._has_room():
            moments.append(now + max(0.0, (self._next_look - self._clock()) / 1000))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(min(moments)):
                await self._happened.wait()

    async def _wind_up(self) -> None:
        """Give requests in flight some time, then write what is known of all that was claimed."""
        self._ending = self.winding_up = True
        if self._claiming is not None:
            await asyncio.wait([self._claiming])
        self._give_back(self._buffer)
        self._buffer.clear()
        if self._senders:
            await asyncio.wait(self._senders, timeout=LAST_ANSWERS)
        for sender in list(self._senders):
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        self._outbox.add(self._judge.stop(self._clock()))
        await self._outbox.drain()

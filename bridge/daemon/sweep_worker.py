"""Runs the due jobs of the schedule: one sweep after the other, each from its own checkpoint.

::

    due job in the ledger ──> begin_run ──> sync.sweep ──> end_run ──> job finished
            ^                                 │ all reading fails: paused, and the job stays due
            └─────────────────────────────────┘ only this list fails: some tries, then its next time

A job is finished only after its sweep: a process that dies in between finds it again, and continues from the
sweep's checkpoint. A job that becomes due during its own sweep causes one more sweep afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from bridge.errors import BridgeError, LedgerError, Refused, Transient
from bridge.ledger.database import reading
from bridge.ledger.runs_and_sweeps import begin_run, count_run, end_run
from bridge.ledger.scheduled_jobs import complete_job, load_scheduled_jobs
from bridge.records import Job
from bridge.sync import sweep
from bridge.wiring.connection import make_sweep_source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from bridge.daemon.reading_context import ReadingContext
    from bridge.daemon.reading_pause import ReadingPause
    from bridge.ledger.feeds import Feed
    from bridge.ledger.observe import ObserveResult
    from bridge.records import Stream
    from bridge.salestrekker.pages import RecordsById
    from bridge.sync import SweepResult, SweepSource

__all__ = ["SweepWorker"]

MOST_TRIES: Final = 5
"""A list that alone fails is tried this many times; then it waits for its next time."""

LONGEST_LOOK: Final = 60.0
"""Seconds after which due jobs are checked in any case."""

LONGEST_YIELD: Final = 10.0
"""Maximum seconds that each request for missing records waits for webhooks to be processed first."""

log = structlog.get_logger()


class SweepWorker:
    """Sweeps the lists of one connection when they are due.

    Args:
        context: What the connection's workers share.
        pause: Whether reading goes on.
        random: Returns a number in [0, 1).
        wait_until_idle: Waits until no webhook is to be processed.
    """

    def __init__(
        self,
        context: ReadingContext,
        pause: ReadingPause,
        random: Callable[[], float],
        wait_until_idle: Callable[[], Awaitable[None]],
    ) -> None:
        self._context = context
        self._idle = wait_until_idle
        self._pause = pause
        self._random = random
        self._requested = asyncio.Event()
        self._failures = 0
        self._swept_from: dict[Stream, int] = {}
        self._begun: dict[Job, int] = {}
        self._reconciled = asyncio.Event()

    def wake(self) -> None:
        """Check the ledger for a new due job."""
        self._requested.set()

    async def reconciled(self) -> None:
        """Wait until all lists have been read."""
        await self._reconciled.wait()

    async def run(self) -> None:
        """Run due jobs until cancelled."""
        while True:
            await self._pause.wait_until_open()
            self._requested.clear()
            request_sweep = await self._oldest()
            if request_sweep is None:
                await self._wait(LONGEST_LOOK)
            else:
                await self._carry_out(*request_sweep)

    async def _oldest(self) -> tuple[Job, int] | None:
        """Return the due job that was started longest ago, and since when it is due.

        A list that takes longer than its interval is due again before it is read. By due time alone it could
        come first for ever.
        """
        jobs = await self._context.ledger.call(load_scheduled_jobs, self._context.name)
        wanted = [
            (self._begun.get(job, 0), request_sweep.wanted_at, job)
            for job, request_sweep in jobs.items()
            if request_sweep.wanted_at
        ]
        if not wanted:
            return None
        _, since, job = min(wanted)
        return job, since

    async def _carry_out(self, job: Job, since: int) -> None:
        self._begun[job] = max(self._begun.values(), default=0) + 1
        for stream in self._streams(job):
            # A full sweep that began after this job became due has done it already.
            if not self._was_swept(stream, since) and not await self._sweep(job, stream):
                return
        await self._context.ledger.call(complete_job, self._context.name, job, wanted_at=since)
        self._failures = 0
        if job is Job.RECONCILE:
            self._reconciled.set()
        log.info("done", connection=self._context.name, job=str(job))

    def _was_swept(self, stream: Stream, since: int) -> bool:
        """Whether the whole list was read since then. A future time does not count."""
        return since <= self._swept_from.get(stream, 0) <= self._context.clock()

    def _streams(self, job: Job) -> list[Stream]:
        return [stream for stream in self._context.feeds if job.reads(stream)]

    async def _sweep(self, job: Job, stream: Stream) -> bool:
        """Sweep one list; return False if it must be tried again."""
        began = self._context.clock()
        try:
            await self._read(job, stream)
        except (Refused, Transient) as error:
            return not (await self._pause.check_and_pause(error)) and await self._gave_up(stream, error)
        except LedgerError:
            raise  # nothing is wrong with the list: it is wanted still
        except BridgeError as error:
            log.warning("sweep failed", connection=self._context.name, stream=str(stream), problem=str(error))
            return True
        if job is Job.RECONCILE or not self._context.plan.queries[stream].is_incremental:
            self._swept_from[stream] = began
        return True

    async def _gave_up(self, stream: Stream, error: Refused | Transient) -> bool:
        """Handle an error of this list alone: wait and try again, or leave it to its next time."""
        self._failures += 1
        if isinstance(error, Refused) or self._failures >= MOST_TRIES:
            self._failures = 0
            log.warning("sweep failed", connection=self._context.name, stream=str(stream), problem=str(error))
            return True
        probe = self._context.plan.connection.salestrekker.probe
        await self._wait(probe.backoff(self._failures, self._random))
        return False

    async def _read(self, job: Job, stream: Stream) -> SweepResult:
        context = self._context
        feed = context.feeds[stream]
        number = await context.ledger.call(
            begin_run, context.name, str(job), [feed], now=context.clock(), leftovers=False
        )
        complete = False
        try:
            listing = make_sweep_source(
                context.plan,
                context.client,
                stream,
                feed,
                since=await context.since(stream, whole=job is Job.RECONCILE),
            )
            swept = await sweep(
                self._after_webhooks(listing),
                context.ledger,
                run=number,
                restart=False,
                clock=context.clock,
                on_page=self._on_page,
            )
            complete = not swept.broken
            return swept
        finally:
            counts = {str(stream): await asyncio.to_thread(_counted, context.ledger.path, feed, number)}
            await context.ledger.call(end_run, number, complete=complete, counts=counts, now=context.clock())

    def _after_webhooks(self, listing: SweepSource) -> SweepSource:
        """Let requests for single records wait until no webhook is due, but not for too long."""
        by_id = listing.by_id
        if by_id is None:
            return listing

        async def read(ids: Sequence[str]) -> RecordsById:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_YIELD):
                    await self._idle()
            return await by_id.read(ids)

        return replace(listing, by_id=replace(by_id, read=read))

    def _on_page(self, _: SweepResult, seen: ObserveResult) -> None:
        if seen.pending:
            self._context.on_pending()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._requested.wait()


def _counted(path: Path, feed: Feed, run: int) -> dict[str, int]:
    """Count a run's records, apart from the ledger's thread, because a million take long."""
    with reading(path) as connection:
        return count_run(connection, feed, run)

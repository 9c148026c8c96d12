"""The one-shot backfill: read everything, deliver what Trakor lacks, end.

::

    for each connection:   sweep contacts, sweep products ──> ledger ──> Delivery ──> Trakor
                                    (reading)                              (sending, at the same time)

Reading and sending run side by side and end each other: when sending is refused, reading stops. When
everything is read, sending ends once nothing is left. Reading is never far ahead (``backpressure``). Whatever
stops the run, the ledger knows where to resume.

What an earlier run left pending may be out of date. If a stream has such records and is read from its
beginning, it is read to its end before any of them is sent. So no outdated data is sent that the source, or a
corrected map, has replaced, and nothing that changed meanwhile drifts as soon as it is sent.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import structlog

from bridge.backfill.backpressure import Backlog
from bridge.backfill.organization_check import blocks_sending, check_trakor
from bridge.backfill.pause_handling import end_pauses, note_refusals, operator_pauses
from bridge.backfill.problem_wording import (
    Problem,
    burst_lines,
    find_suspicions,
    lost_ledger_warning,
    reading_problems,
    stop_problem,
    sweep_warnings,
    waiting_for,
)
from bridge.backfill.report import ConnectionReport, Report
from bridge.delivery import DeliveryLoop, OutgoingStream, SendingMode
from bridge.delivery.lost_ledger_detector import LostLedgerDetector, loss_warning
from bridge.errors import BridgeError, Refused
from bridge.ledger.maintenance import prune_history, temporary_copy
from bridge.ledger.open import open_ledger
from bridge.ledger.runs_and_sweeps import (
    begin_run,
    count_nameless,
    count_needing_operator,
    count_run,
    end_run,
    find_last_good,
)
from bridge.ledger.send_queue import NOTHING, has_pending, open_feed
from bridge.ledger.statistics import find_groups
from bridge.ledger.stored_pauses import Direction
from bridge.names import Hasher
from bridge.salestrekker.login import AmbiguousOrganization
from bridge.sync import sweep
from bridge.wiring.connection import (
    load_plan,
    make_salestrekker_client,
    make_sweep_source,
    make_trakor_client,
)
from bridge.wiring.ledger_and_key import dry_run_key, find_remains_of_lost_ledger, ledger_key, ledger_path
from bridge.wiring.organization_identity import (
    check_and_note_connections,
    identify_connections,
    make_salestrekker_guard,
    make_trakor_guard,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence

    from bridge.backfill.progress_listener import ProgressListener
    from bridge.delivery.batch_result import BatchResult
    from bridge.ledger.database import Ledger
    from bridge.ledger.feeds import Feed
    from bridge.ledger.observe import ObserveResult
    from bridge.ledger.send_queue import AwaitedNames
    from bridge.records import Stream
    from bridge.salestrekker.client import SalestrekkerClient
    from bridge.salestrekker.pages import Page
    from bridge.settings import Settings
    from bridge.sync import SweepResult, SweepSource
    from bridge.trakor import TrakorClient
    from bridge.wiring.connection import ConnectionPlan

__all__ = ["backfill", "rehearse"]

GIVE_UP_AFTER: Final = 1800.0
"""A run stops sending if Trakor took nothing for this many seconds."""

EXAMPLES: Final = 3
"""Number of records of each group that a dry run names, for a person at a terminal."""

log = structlog.get_logger()


async def backfill(
    settings: Settings,
    *,
    streams: Collection[Stream],
    connections: Sequence[str],
    restart: bool,
    stop: asyncio.Event,
    watch: ProgressListener,
    limit: int | None = None,
) -> Report:
    """Run a backfill of some connections, one after the other.

    Args:
        settings: The configuration.
        streams: Which streams. Those not enabled are left out.
        connections: Names of connections.
        restart: Read from the beginning, whatever an interrupted sweep left.
        stop: Set when the user wants it to stop.
        watch: Receives the progress.
        limit: The maximum number of records of each stream.

    Returns:
        The result, also if it was stopped or refused.

    Raises:
        UserError: A query, a map or the ledger cannot be used. Nothing was done then.
    """
    left = find_remains_of_lost_ledger(settings)
    hasher = Hasher(ledger_key(settings, make=True))
    plans = [
        load_plan(settings, settings.connections[name], streams, hasher, deals=False) for name in connections
    ]
    key = ledger_key(settings, make=False)
    if left is not None:
        watch.warned(connections[0], lost_ledger_warning(left))
    with open_ledger(
        ledger_path(settings),
        key,
        "trakor-bridge backfill",
        keep_sent=settings.ledger.keep == "sealed",
    ) as ledger:
        await ledger.call(check_and_note_connections, identify_connections(settings, hasher))
        how = RunOptions(ledger, hasher, restart=restart, limit=limit)
        report = await _run_all(plans, how, stop, watch)
        before = _now() - int(settings.ledger.keep_history * 1000)
        while await ledger.call(prune_history, before):
            pass  # a part at a time
    return report


async def rehearse(
    settings: Settings,
    *,
    streams: Collection[Stream],
    connections: Collection[str],
    stop: asyncio.Event,
    watch: ProgressListener,
    look: Callable[[Ledger], None],
    limit: int | None = None,
) -> Report:
    """A dry run: decide on a temporary copy of the ledger, send nothing, keep nothing.

    It works beside a backfill, and always reads from the beginning.

    Args:
        settings: The configuration.
        streams: Which streams. Those not enabled are left out.
        connections: Names of connections.
        stop: Set when the user wants it to stop.
        watch: Receives the progress.
        look: Shown the ledger that was decided on at the end, before it is gone.
        limit: The maximum number of records of each stream.

    Returns:
        What a backfill would come to: what it would send is pending.

    Raises:
        UserError: A query, a map or the ledger cannot be used.
    """
    key = dry_run_key(settings)
    hasher = Hasher(key)
    plans = [
        load_plan(settings, settings.connections[name], streams, hasher, deals=False) for name in connections
    ]
    with (
        TemporaryDirectory(prefix="trakor-bridge-") as folder,
        temporary_copy(ledger_path(settings), Path(folder)) as copy,
        open_ledger(
            copy,
            key,
            "trakor-bridge backfill --dry-run",
            keep_sent=settings.ledger.keep == "sealed",
        ) as ledger,
    ):
        await ledger.call(check_and_note_connections, identify_connections(settings, hasher))
        how = RunOptions(ledger, hasher, restart=True, limit=limit, dry_run=True)
        report = await _run_all(plans, how, stop, watch)
        look(ledger)
    return report


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a backfill is run.

    Attributes:
        ledger: The ledger that it decides on.
        hasher: Of that ledger's key.
        restart: Read from the beginning.
        limit: Read so many records of each stream at most; None: all.
        dry_run: Send nothing.
    """

    ledger: Ledger
    hasher: Hasher
    restart: bool = False
    limit: int | None = None
    dry_run: bool = False

    @property
    def from_start(self) -> bool:
        """Whether sweeps begin at the beginning: a sweep of a part of the list has nothing to resume from."""
        return self.restart or self.limit is not None


async def _run_all(
    plans: Sequence[ConnectionPlan], how: RunOptions, stop: asyncio.Event, watch: ProgressListener
) -> Report:
    report = Report()
    for plan in plans:
        report.connections[plan.connection.name] = await _ConnectionRun(plan, how, watch).until(stop)
        if stop.is_set():
            break
    return report


def _now() -> int:
    return time.time_ns() // 1_000_000


class _ConnectionRun:
    """The backfill of one connection."""

    def __init__(self, plan: ConnectionPlan, how: RunOptions, watch: ProgressListener) -> None:
        self._plan = plan
        self._connection = plan.connection
        self._how = how
        self._ledger = how.ledger
        self._watch = watch
        self._backlog = Backlog(lambda: True)
        self._report = ConnectionReport(limit=how.limit, dry_run=how.dry_run)
        self._failures: dict[Stream, BridgeError] = {}
        self._swept: dict[Stream, SweepResult] = {}
        self._awaited = NOTHING
        self._first: set[Stream] = set()
        self._knew_before = LostLedgerDetector()
        self._refused: dict[str, str] = {}

    async def until(self, stop: asyncio.Event) -> ConnectionReport:
        """Run to the end, or until the user stops it."""
        if not self._how.dry_run:
            self._report.problems += await self._ledger.call(operator_pauses, self._connection.name)
            if self._report.problems:
                return self._report
        began = time.monotonic()
        feeds = await self._feeds()
        number = await self._ledger.call(
            begin_run, self._connection.name, "backfill", list(feeds.values()), now=_now()
        )
        try:
            async with AsyncExitStack() as stack:
                hold = make_salestrekker_guard(self._connection, self._ledger, self._how.hasher, clock=_now)
                reader = await stack.enter_async_context(
                    make_salestrekker_client(self._connection, hold=hold)
                )
                if self._how.dry_run:
                    await self._read_only(reader, feeds, number, stop)
                else:
                    writer = await stack.enter_async_context(make_trakor_client(self._connection))
                    if await self._is_the_same_trakor(writer, feeds, stop):
                        await self._exchange(reader, writer, feeds, number, stop)
        finally:
            await self._account(feeds, number)
            if self._refused and not self._how.dry_run:
                await self._ledger.call(note_refusals, self._connection.name, self._refused, now=_now())
            if not (self._report.problems or self._report.interrupted or self._how.dry_run):
                await self._ledger.call(end_pauses, self._connection.name, feeds)
            self._report.seconds = time.monotonic() - began
        return self._report

    async def _feeds(self) -> dict[Stream, Feed]:
        feeds = {}
        for stream in self._plan.queries:
            feeds[stream] = await self._ledger.call(
                open_feed,
                self._connection.name,
                self._connection.scope,
                stream,
                now=_now(),
                wait=int(self._connection.trakor.unanswered_wait * 1000),
            )
            if await self._ledger.call(find_last_good, feeds[stream]) is None:
                self._first.add(stream)
        return feeds

    async def _is_the_same_trakor(
        self, writer: TrakorClient, feeds: Mapping[Stream, Feed], stop: asyncio.Event
    ) -> bool:
        """Whether Trakor is the same as before. If not, the reason is reported as a problem."""
        connection = self._connection
        trial = make_trakor_guard(
            connection, self._ledger, self._how.hasher, feeds.values(), writer, clock=_now
        )
        problem = await check_trakor(trial, connection.name, connection.trakor, GIVE_UP_AFTER, stop)
        self._report.interrupted = stop.is_set()
        self._report.problems += [problem] if problem else []
        if problem and problem.refusal:
            self._refused[Direction.SENDING] = problem.message.removeprefix("sending: ")
        return not (problem or stop.is_set())

    async def _read_only(
        self, reader: SalestrekkerClient, feeds: Mapping[Stream, Feed], run: int, stop: asyncio.Event
    ) -> None:
        """Read and decide, but send nothing."""
        reading = asyncio.create_task(self._read(reader, feeds, run, None))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._report.interrupted = stopping.done()
        finally:
            await _end(reading, stopping)

    async def _exchange(
        self,
        reader: SalestrekkerClient,
        writer: TrakorClient,
        feeds: Mapping[Stream, Feed],
        run: int,
        stop: asyncio.Event,
    ) -> None:
        """Read and send side by side until both are done, or one ends the other."""
        self._backlog = Backlog(lambda: bool(delivery.refusals or delivery.held))

        def on_news() -> None:
            self._backlog.look()
            self._tell_awaited(delivery.awaited)

        delivery = self._delivery(writer, feeds, run, on_news)
        for stream, feed in feeds.items():
            if await self._ledger.call(has_pending, feed):
                delivery.hold(stream)
        reading = asyncio.create_task(self._read(reader, feeds, run, delivery))
        sending = asyncio.create_task(delivery.run())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({reading, sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done() and not (sending.done() or stopping.done()):
                reading.result()  # an unexpected error ends the sending, too
                delivery.finish(waits_for_unanswered=not self._report.limited)
                await asyncio.wait({sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._report.interrupted = stopping.done()
        finally:
            await _end(reading, sending, stopping)
        await self._note_refusals(delivery, feeds)

    def _delivery(
        self, writer: TrakorClient, feeds: Mapping[Stream, Feed], run: int, on_news: Callable[[], None]
    ) -> DeliveryLoop:
        outgoing = {
            stream: OutgoingStream(feed, self._connection.stream(stream).policy())
            for stream, feed in feeds.items()
        }
        return DeliveryLoop(
            self._ledger,
            outgoing,
            writer,
            self._connection.trakor,
            SendingMode(give_up_after=GIVE_UP_AFTER, trial_every=self._connection.trakor.retry.first),
            key_of=self._how.hasher.name_key,
            run=run,
            clock=_now,
            random=random.random,
            on_settled=self._settled,
            on_change=on_news,
        )

    def _tell_awaited(self, awaited: AwaitedNames) -> None:
        """Report what the run waits for, if that has changed: nothing else happens meanwhile."""
        if awaited != self._awaited and awaited.number:
            self._watch.waiting(self._connection.name, waiting_for(awaited))
            log.info("waiting", connection=self._connection.name, reason=waiting_for(awaited))
        self._awaited = awaited

    def _settled(self, settled: BatchResult) -> None:
        self._backlog.sent(settled.ended)
        self._watch.settled(self._connection.name, settled.ended)
        for suspicion in self._knew_before.check(settled):
            self._watch.warned(self._connection.name, loss_warning(suspicion))

    async def _read(
        self,
        reader: SalestrekkerClient,
        feeds: Mapping[Stream, Feed],
        run: int,
        delivery: DeliveryLoop | None,
    ) -> None:
        """Sweep each stream in turn. An error in one is noted, and the next one is read all the same."""
        for stream, feed in feeds.items():
            error = await self._sweep(self._listing(reader, stream, feed), stream, run, delivery)
            if error is None:
                self._watch.all_read(self._connection.name, stream)
            else:
                self._failures[stream] = error
                if isinstance(error, Refused) and not isinstance(error, AmbiguousOrganization):
                    self._refused[Direction.READING] = str(error)
                if await blocks_sending(self._ledger, self._connection.name, error):
                    if delivery is not None:
                        delivery.halt()
                    return
            if delivery is not None:
                delivery.release(stream)

    async def _sweep(
        self, listing: SweepSource, stream: Stream, run: int, delivery: DeliveryLoop | None
    ) -> BridgeError | None:
        """Read one list. Returns the error that ended it early, or None."""

        def on_page(swept: SweepResult, seen: ObserveResult) -> None:
            self._watch.reading(self._connection.name, stream, swept.read)
            if delivery is None:
                return
            if swept.resumed_at:
                delivery.release(stream)
            self._backlog.read(seen.pending)
            if seen.pending:
                self._watch.pending(self._connection.name, seen.pending)
                delivery.wake()

        try:
            self._swept[stream] = await sweep(
                listing, self._ledger, run=run, restart=self._how.from_start, clock=_now, on_page=on_page
            )
        except BridgeError as error:
            return error
        return None

    def _listing(self, reader: SalestrekkerClient, stream: Stream, feed: Feed) -> SweepSource:
        whole, limit = make_sweep_source(self._plan, reader, stream, feed), self._how.limit
        if limit is None:
            return replace(whole, pages=lambda start: self._backlog.throttle(whole.pages(start)))
        # Never whole, even if the list is shorter than the limit: a part marks nothing as gone.
        return replace(whole, pages=lambda start: _limited(whole.pages(start), limit), whole=False)

    async def _note_refusals(self, delivery: DeliveryLoop, feeds: Mapping[Stream, Feed]) -> None:
        """Report why sending stopped, once for all streams that it keeps from being sent."""
        alike: dict[str, list[Stream]] = {}
        for stream, refusal in delivery.refusals.items():
            direction = Direction.SENDING if delivery.refused else f"{Direction.SENDING} {stream}"
            self._refused[direction] = str(refusal)
            alike.setdefault(str(refusal), []).append(stream)
        for streams in alike.values():
            waiting = [one for one in streams if await self._ledger.call(has_pending, feeds[one])]
            refusal = delivery.refusals[streams[0]]
            self._report.problems.append(stop_problem("sending", waiting or streams, refusal))
        if delivery.gave_up:
            message = f"Trakor took nothing for {GIVE_UP_AFTER / 60:.0f} minutes"
            self._report.problems.append(Problem(message, "what is pending is sent by the next run"))

    async def _account(self, feeds: Mapping[Stream, Feed], run: int) -> None:
        """Count what became of each record, and store the numbers with the run."""
        report = self._report
        report.problems = [*reading_problems(self._failures, self._swept), *report.problems]
        report.warnings += sweep_warnings(self._swept)
        report.burst_lines += burst_lines(self._connection.name, self._swept, dry_run=report.dry_run)
        for stream, feed in feeds.items():
            numbers = await self._ledger.call(count_run, feed, run)
            report.streams[str(stream)] = numbers
            if report.dry_run or stream in self._first:
                few = EXAMPLES if report.dry_run else 0
                report.groups[str(stream)] = await self._ledger.call(find_groups, feed, run, few)
            unnamed = await self._ledger.call(count_nameless, feed, run)
            suspected = stream in self._knew_before.suspected
            report.warnings += find_suspicions(stream, numbers, unnamed, suspected=suspected)
        report.needing_a_person = await self._ledger.call(count_needing_operator, list(feeds.values()))
        await self._ledger.call(end_run, run, complete=report.complete, counts=report.streams, now=_now())
        log.info("backfilled", connection=self._connection.name, complete=report.complete, **report.streams)


async def _limited(pages: AsyncGenerator[Page], limit: int) -> AsyncGenerator[Page]:
    """The pages of a list up to so many records, without a last page if the list has more.

    Args:
        pages: All pages. They are closed at the end.
        limit: The maximum number of records.
    """
    left = limit
    async with aclosing(pages):
        async for page in pages:
            if len(page.records) < left:
                yield page
                left -= len(page.records)
            else:
                yield replace(page, records=page.records[:left])
                return


async def _end(*tasks: asyncio.Task[object]) -> None:
    """Cancel tasks that still run, wait for their ends, and raise an unexpected error."""
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome

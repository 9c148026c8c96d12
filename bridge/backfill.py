"""The one-shot backfill: reads all, delivers what Trakor lacks, ends.

::

    for each connection:   sweep contacts, sweep products ──> ledger ──> Delivery ──> Trakor
                                    (reading)                              (sending, beside it)

Reading and sending run side by side and end each other: when sending is refused, reading stops; when
all is read, sending ends once nothing is left. Whatever stops it, the ledger knows where to go on.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from bridge.delivery import Delivery, Lane, Pace
from bridge.errors import BridgeError, LedgerError, Refused
from bridge.ledger.opening import derive_key, open_ledger, read_or_make_key, revision
from bridge.ledger.rows import feed_of
from bridge.ledger.sending import give_up_claims
from bridge.ledger.sweeps import begin_run, count, end_run, needing_a_person
from bridge.mapping import Mapper
from bridge.naming import Hasher
from bridge.records import Stream
from bridge.salestrekker.client import SalestrekkerClient
from bridge.salestrekker.documents import query_folders
from bridge.salestrekker.queries import load_list
from bridge.sync import Listing, sweep
from bridge.trakor import TrakorClient

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from bridge.ledger.engine import Ledger
    from bridge.ledger.observing import Observed
    from bridge.ledger.rows import Feed
    from bridge.salestrekker.queries import ListQuery
    from bridge.settings import Connection, Settings
    from bridge.sync import Swept

__all__ = ["ConnectionReport", "Problem", "Report", "Watch", "backfill", "ledger_key", "ledger_path"]

MANY_EXISTING: Final = 0.2
"""The share of a run that Trakor had already from which a lost ledger is to be suspected."""

FEW: Final = 10
"""Up to so many existing ones nothing is suspected."""

log = structlog.get_logger()


class Watch(Protocol):
    """Told how far a backfill is: for a progress bar."""

    def reading(self, connection: str, stream: Stream, read: int) -> None:
        """So many records of a stream are read and on disk."""
        ...

    def settled(self, connection: str, number: int) -> None:
        """So many more records were sent and settled."""
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that kept a run from being complete.

    Attributes:
        message: What happened.
        advice: What to do about it; may be empty.
        refusal: It was a refusal: nothing is lost, and the run can be repeated once it is resolved.
    """

    message: str
    advice: str = ""
    refusal: bool = False


@dataclass(slots=True)
class ConnectionReport:
    """What the backfill of one connection came to.

    Attributes:
        seconds: How long it took.
        streams: For each stream the numbers of ``ledger.sweeps.COUNTS``.
        problems: What kept it from being complete.
        warnings: What a person should know all the same.
        needing_a_person: Records of these streams that are held or rejected, from now or before.
        interrupted: It was stopped by the user.
    """

    seconds: float = 0.0
    streams: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    needing_a_person: int = 0
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """All was read and all that could be sent was."""
        pending = any(numbers["pending"] for numbers in self.streams.values())
        return not (self.problems or self.interrupted or pending)


@dataclass(slots=True)
class Report:
    """What a backfill came to, connection by connection."""

    connections: dict[str, ConnectionReport] = field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        """The public interface's exit status."""
        reports = self.connections.values()
        problems = [problem for report in reports for problem in report.problems]
        if any(report.interrupted for report in reports):
            return 130
        if any(problem.refusal for problem in problems):
            return 4
        if problems or not all(report.complete for report in reports):
            return 1
        return 3 if any(report.needing_a_person for report in reports) else 0

    def as_json(self) -> dict[str, object]:
        """The document of ``backfill --json``."""
        return {
            "connections": {
                name: {
                    "complete": report.complete,
                    "seconds": round(report.seconds, 3),
                    "streams": report.streams,
                }
                for name, report in self.connections.items()
            }
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for one connection, checked before anything is opened."""

    connection: Connection
    queries: Mapping[Stream, ListQuery]
    mappers: Mapping[Stream, Mapper]


def ledger_path(settings: Settings) -> Path:
    """The ledger's file.

    Raises:
        LedgerError: The ledger is no file.
    """
    if settings.ledger.path is None:
        raise LedgerError("a ledger on PostgreSQL is not built yet", advice="use a sqlite:/// address")
    return settings.ledger.path


def ledger_key(settings: Settings, *, make: bool) -> bytes:
    """The key of the ledger's hashes: as configured, else from ``ledger.key`` beside the ledger.

    Args:
        settings: The configuration.
        make: Make the file where neither it nor a ledger is there yet.
    """
    if settings.ledger.key is not None:
        return derive_key(settings.ledger.key.get_secret_value())
    path = ledger_path(settings)
    return read_or_make_key(path.with_name("ledger.key"), make=make and revision(path) is None)


async def backfill(
    settings: Settings,
    *,
    streams: Collection[Stream],
    connections: Collection[str],
    restart: bool,
    stop: asyncio.Event,
    watch: Watch,
) -> Report:
    """Run a backfill of some connections, one after the other.

    Args:
        settings: The configuration.
        streams: Which streams; those not enabled are left out.
        connections: Names of connections.
        restart: Read from the beginning, whatever an interrupted sweep left.
        stop: Set when the user wants it to stop.
        watch: Told how far it is.

    Returns:
        What it came to, also where it was stopped or refused.

    Raises:
        UserError: A query, a map or the ledger cannot be used; nothing was done then.
    """
    path = ledger_path(settings)
    hasher = Hasher(ledger_key(settings, make=True))
    plans = [_plan(settings, settings.connections[name], streams, hasher) for name in connections]
    report = Report()
    with open_ledger(path, ledger_key(settings, make=False), "trakor-bridge backfill") as ledger:
        for plan in plans:
            run = _Run(plan, ledger, hasher, restart=restart, watch=watch)
            report.connections[plan.connection.name] = await run.until(stop)
            if stop.is_set():
                break
    return report


def _plan(settings: Settings, connection: Connection, streams: Collection[Stream], hasher: Hasher) -> Plan:
    wanted = [stream for stream in Stream if stream in streams and connection.stream(stream).enabled]
    folders = query_folders(settings.folder)
    queries = {stream: load_list(connection.stream(stream).list_query, folders) for stream in wanted}
    mappers = {
        stream: Mapper(
            stream,
            connection.stream(stream).map,
            connection.stream(stream).where,
            hasher,
            queries[stream].fingerprint,
        )
        for stream in wanted
    }
    return Plan(connection, queries, mappers)


def _now() -> int:
    return time.time_ns() // 1_000_000


class _Run:
    """The backfill of one connection."""

    def __init__(self, plan: Plan, ledger: Ledger, hasher: Hasher, *, restart: bool, watch: Watch) -> None:
        self._plan = plan
        self._connection = plan.connection
        self._ledger = ledger
        self._hasher = hasher
        self._restart = restart
        self._watch = watch
        self._report = ConnectionReport()

    async def until(self, stop: asyncio.Event) -> ConnectionReport:
        """Run to the end, or until the user stops it."""
        began = time.monotonic()
        feeds = await self._feeds()
        number = await self._ledger.call(
            begin_run, self._connection.name, "backfill", list(feeds.values()), now=_now()
        )
        try:
            async with AsyncExitStack() as stack:
                await self._exchange(stack, feeds, number, stop)
        finally:
            await self._account(feeds, number)
            self._report.seconds = time.monotonic() - began
        return self._report

    async def _feeds(self) -> dict[Stream, Feed]:
        feeds = {}
        for stream in self._plan.queries:
            feeds[stream] = await self._ledger.call(
                feed_of, self._connection.name, self._connection.scope, stream
            )
            await self._ledger.call(give_up_claims, feeds[stream])
        return feeds

    async def _exchange(
        self, stack: AsyncExitStack, feeds: Mapping[Stream, Feed], run: int, stop: asyncio.Event
    ) -> None:
        """Read and send side by side until both are done or one ends the other."""
        source = await stack.enter_async_context(_source(self._connection))
        destination = await stack.enter_async_context(_destination(self._connection))
        delivery = self._delivery(destination, feeds, run)
        reading = asyncio.create_task(self._read(source, feeds, run, delivery))
        sending = asyncio.create_task(delivery.run())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({reading, sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done() and not (sending.done() or stopping.done()):
                delivery.finish()
                await asyncio.wait({sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._report.interrupted = stopping.done()
        finally:
            await _end(reading, sending, stopping)
        self._note_refusals(delivery)

    def _delivery(self, destination: TrakorClient, feeds: Mapping[Stream, Feed], run: int) -> Delivery:
        settings = self._connection.trakor
        pace = Pace(
            max_in_flight=settings.max_in_flight,
            requests_per_second=settings.requests_per_second,
            retry_first=settings.retry_first,
            retry_max=settings.retry_max,
            probe_first=settings.probe_first,
            probe_max=settings.probe_max,
        )
        lanes = {
            stream: Lane(feed, self._connection.stream(stream).policy()) for stream, feed in feeds.items()
        }
        return Delivery(
            self._ledger,
            lanes,
            destination,
            pace,
            key_of=self._hasher.name_key,
            run=run,
            clock=_now,
            random=random.random,
            on_settled=partial(self._watch.settled, self._connection.name),
        )

    async def _read(
        self, source: SalestrekkerClient, feeds: Mapping[Stream, Feed], run: int, delivery: Delivery
    ) -> None:
        """Sweep each stream in turn; a fault of one is noted and leaves the next one its chance."""
        for stream, feed in feeds.items():

            def on_page(swept: Swept, seen: Observed, stream: Stream = stream) -> None:
                self._watch.reading(self._connection.name, stream, swept.read)
                if seen.pending:
                    delivery.wake()

            listing = self._listing(source, stream, feed)
            try:
                swept = await sweep(
                    listing, self._ledger, run=run, restart=self._restart, clock=_now, on_page=on_page
                )
            except BridgeError as error:
                self._note(f"reading {stream} stopped: {error}", error)
            else:
                self._note_broken(stream, swept)

    def _listing(self, source: SalestrekkerClient, stream: Stream, feed: Feed) -> Listing:
        settings = self._connection.stream(stream)
        query, mapper = self._plan.queries[stream], self._plan.mappers[stream]
        return Listing(
            feed=feed,
            pages=lambda start: source.pages(
                query, stream=stream, identify=mapper.identify, page_size=settings.page_size, start=start
            ),
            query=query.fingerprint,
            mapper=mapper,
            policy=settings.policy(),
        )

    def _note(self, message: str, error: BridgeError) -> None:
        advice = getattr(error, "advice", "")
        self._report.problems.append(Problem(message, advice, refusal=isinstance(error, Refused)))

    def _note_broken(self, stream: Stream, swept: Swept) -> None:
        if swept.broken:
            shown = "; ".join(swept.broken_shown[:3])
            self._report.problems.append(
                Problem(
                    f"{swept.broken} {stream} could not be read: {shown}",
                    "all others were; see what Salestrekker says of these, and run this again",
                )
            )

    def _note_refusals(self, delivery: Delivery) -> None:
        noted = set()
        for stream, refusal in delivery.refusals.items():
            if str(refusal) not in noted:
                self._note(f"sending {stream} stopped: {refusal}", refusal)
            noted.add(str(refusal))
        if delivery.gave_up:
            self._report.problems.append(
                Problem("Trakor took nothing for 30 minutes", "what is pending is sent by the next run")
            )

    async def _account(self, feeds: Mapping[Stream, Feed], run: int) -> None:
        """Count what became of each record, and keep the numbers with the run."""
        report = self._report
        for stream, feed in feeds.items():
            numbers = await self._ledger.call(count, feed, run)
            report.streams[str(stream)] = numbers
            if numbers["existing"] > max(FEW, MANY_EXISTING * numbers["read"]):
                report.warnings.append(
                    f"Trakor had {numbers['existing']} of {numbers['read']} {stream} already. If this ledger "
                    "took the place of a lost one, restore its backup instead: which of two equal names "
                    "came first is not known any more"
                )
        report.needing_a_person = await self._ledger.call(needing_a_person, list(feeds.values()))
        await self._ledger.call(end_run, run, complete=report.complete, counts=report.streams, now=_now())
        log.info("backfilled", connection=self._connection.name, complete=report.complete, **report.streams)


def _source(connection: Connection) -> SalestrekkerClient:
    settings = connection.salestrekker
    if settings.api_key is None:
        raise LedgerError("an e-mail log-in is not built yet", advice="give [salestrekker] api_key")
    return SalestrekkerClient(
        url=settings.url,
        api_key=settings.api_key.get_secret_value(),
        max_in_flight=settings.max_in_flight,
        requests_per_minute=settings.requests_per_minute,
        timeout=settings.timeout,
        renew_before=settings.renew_before,
    )


def _destination(connection: Connection) -> TrakorClient:
    settings = connection.trakor
    return TrakorClient(
        settings.url,
        settings.api_key.get_secret_value(),
        max_in_flight=settings.max_in_flight,
        timeout=settings.timeout,
    )


async def _end(*tasks: asyncio.Task[object]) -> None:
    """Cancel what still runs, wait for its end, and let an unexpected error show."""
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome

"""The process: listeners, schedule, workers and signals, all owned by one TaskGroup.

::

    run ──> open_ledger ──> Listeners ──> TaskGroup: due jobs, watch, alerts, a worker for each connection
         stop    ──> accept nothing more, wind up (8 s), close the ledger
         reload  ──> read settings, queries, maps and secrets again; keep the old ones if one is wrong
         a task dies ──> wind up in order, then raise its error
         the ledger cannot be written ──> webhooks get 503, workers wait and restart: nothing is lost
         its file, log or lock was replaced ──> webhooks get 503, then wind up and report why
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from bridge import __version__
from bridge.daemon.connection_worker import ConnectionWorker
from bridge.daemon.due_job_recorder import DueJobRecorder, request_full_reads
from bridge.daemon.listeners import Listeners
from bridge.daemon.notifier_factory import make_notifier
from bridge.daemon.reload import Reloaded, load_plans, reload_configuration
from bridge.errors import LedgerError, LedgerReplacedError, UserError
from bridge.ledger.maintenance import prune_history
from bridge.ledger.open import open_ledger
from bridge.ledger.stored_pauses import Direction, clear_pause
from bridge.ledger.token_and_alive_times import TimestampName, set_timestamp
from bridge.ledger.webhook_queue import UNREADABLE_LIFE, prune_webhooks
from bridge.names import Hasher, load_tables
from bridge.records import Stream
from bridge.salestrekker.large_lists import LargeListRoom
from bridge.salestrekker.login import AmbiguousOrganization
from bridge.serving import allow_more_files
from bridge.wiring.ledger_and_key import find_remains_of_lost_ledger, ledger_key, ledger_path
from bridge.wiring.organization_identity import check_and_note_connections, identify_connections

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping

    from bridge.daemon.listeners import Address
    from bridge.ledger.database import Ledger
    from bridge.settings import Settings
    from bridge.wiring.connection import ConnectionPlan

__all__ = ["Signals", "Started", "run"]

LOOK_EVERY: Final = 1.0
"""Seconds between two checks of what other processes have written."""

ALIVE_EVERY: Final = 60
"""Checks between two signs of life in the ledger."""

PRUNE_EVERY: Final = 3600.0
"""Seconds between two prunings of history and webhooks."""

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
"""Seconds until a worker that could not write restarts, doubling to the longest."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Signals:
    """The requests from outside.

    Attributes:
        stop: Set to end the daemon in order.
        reload: Set to read the configuration again; cleared when that starts.
    """

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Started:
    """Where a daemon that has started listens.

    Attributes:
        admin: Host and port of health, metrics and status.
        webhooks: Host and port for webhooks. None: no connection has a token.
    """

    admin: Address
    webhooks: Address | None


async def run(
    settings: Settings,
    connections: Collection[str],
    load: Callable[[], Settings],
    signals: Signals,
    on_started: Callable[[Started], None] = lambda _: None,
) -> None:
    """Keep the organisations in step until a stop is requested.

    Args:
        settings: The configuration.
        connections: Names of the connections to work on.
        load: Reads the configuration again, for a reload.
        signals: Stop and reload.
        on_started: Called with the addresses when it listens.

    Raises:
        UserError: A query, a map, a port or the ledger cannot be used; nothing was done then.
        BaseExceptionGroup: What one of its tasks ended with, after winding up.
    """
    allow_more_files()
    await _make_ready()
    left = find_remains_of_lost_ledger(settings)
    hasher = Hasher(ledger_key(settings, make=True))
    plans = load_plans(settings, connections, hasher)
    key = ledger_key(settings, make=False)
    if left is not None:
        log.warning("was the ledger lost", left=left.name, advice="stop this, and restore the newest backup")
    with open_ledger(
        ledger_path(settings), key, "trakor-bridge run", keep_sent=settings.ledger.keep == "sealed"
    ) as ledger:
        await ledger.call(check_and_note_connections, identify_connections(settings, hasher))
        try:
            await _Daemon(settings, plans, ledger, hasher, load).until(signals, on_started)
        except BaseExceptionGroup as errors:
            raise _to_user_error(errors) from None


async def _make_ready() -> None:
    """Load everything that is otherwise loaded at first use: no file may be available by then."""
    load_tables()
    "salestrekker.example".encode("idna")
    await asyncio.to_thread(time.time)  # the first use makes the pool of threads


def _to_user_error(errors: BaseExceptionGroup) -> BaseException:
    """Convert what ended the daemon to an error for the operator, if it is one."""
    several, others = errors.split((AmbiguousOrganization, LedgerReplacedError))
    if several is None or others is not None:
        return errors
    error: BaseException = several
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, LedgerReplacedError):
        return error
    return UserError(str(error), advice=getattr(error, "advice", ""))


def _now() -> int:
    return time.time_ns() // 1_000_000


class _Stopped(Exception):  # noqa: N818 - no error: it ends the TaskGroup in order
    """A stop was requested."""


class _Daemon:
    """The daemon, from an open ledger on."""

    def __init__(
        self,
        settings: Settings,
        plans: Mapping[str, ConnectionPlan],
        ledger: Ledger,
        hasher: Hasher,
        load: Callable[[], Settings],
    ) -> None:
        self._settings = self._began_with = settings
        self._plans = dict(plans)
        self._ledger = ledger
        self._hasher = hasher
        self._load = load
        self._problem = ""
        self._workers: dict[str, ConnectionWorker] = {}
        self._room = LargeListRoom()
        self._listeners = Listeners(
            settings,
            ledger,
            _now,
            self._on_events,
            hasher=hasher,
            worker_of=self._workers.get,
            problem=lambda: self._problem,
            on_decided=self._notice_change,
        )
        self._alerts = make_notifier(
            settings, ledger, hasher, self._listeners.snapshot, lambda: self._plans, _now
        )
        self._timetable = DueJobRecorder(ledger, _now, self._on_due_jobs)
        self._stale: set[str] = set()
        self._begun: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def until(self, signals: Signals, on_started: Callable[[Started], None]) -> None:
        """Run until a stop is requested or a task dies."""
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            started = Started(*await self._listeners.open(stack))
            self._stale = await self._ledger.call(request_full_reads, self._plans, _now())
            try:
                async with asyncio.TaskGroup() as group:
                    self._begin_all(signals, group)
                    log.info("started", version=__version__, connections=list(self._plans))
                    on_started(started)
            except* _Stopped:
                log.info("stopped", after_seconds=round(time.monotonic() - began))

    def _begin_all(self, signals: Signals, group: asyncio.TaskGroup) -> None:
        for name in self._plans:
            self._begin(name, group)
        for what, flow in (
            ("timetable", self._timetable.run(self._plans.values())),
            ("watch", self._watch()),
            ("pruning", self._prune_regularly()),
            ("reload", self._reload_when(signals, group)),
            ("stop", self._end_when(signals)),
        ):
            group.create_task(flow, name=what)
        if self._alerts is not None:
            group.create_task(self._alerts.run(), name="alerts")

    async def _end_when(self, signals: Signals) -> None:
        """Wait for the stop, accept nothing more, and let all tasks wind up."""
        await signals.stop.wait()
        log.info("stopping")
        self._listeners.stop_accepting()
        raise _Stopped

    def _begin(self, name: str, group: asyncio.TaskGroup) -> None:
        self._tasks[name] = group.create_task(self._keep_working(name), name=f"{name}: worker")

    async def _keep_working(self, name: str) -> None:
        """Run a connection's worker; if the ledger cannot be written, wait and restart it."""
        wait = FIRST_WAIT
        while True:
            began = time.monotonic()
            try:
                await _run_until_cancelled(name, self._work(name))
            except (LedgerError, BaseExceptionGroup) as error:
                log.warning("work interrupted", connection=name, problem=_ledger_fault(error))
            wait = FIRST_WAIT if time.monotonic() - began > LONGEST_WAIT else wait
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    async def _work(self, name: str) -> None:
        plan = self._plans[name]
        feeds = await ConnectionWorker.feeds_for(plan, self._ledger, now=_now())
        debounce = self._settings.webhooks.debounce
        worker = ConnectionWorker(
            plan,
            self._ledger,
            feeds,
            self._hasher,
            debounce=debounce,
            clock=_now,
            reads_first=name in self._stale,
            starting=name not in self._begun,
            room=self._room,
        )
        self._stale -= {name}
        self._begun.add(name)
        self._workers[name] = worker
        try:
            await worker.run()
        finally:
            del self._workers[name]

    def _on_due_jobs(self, names: Collection[str]) -> None:
        """Wake the workers of connections with due jobs."""
        for name in names:
            if name in self._workers:
                self._workers[name].request_sweep()

    def _on_events(self, names: Collection[str]) -> None:
        """Wake the workers of connections with new webhooks."""
        for name in names:
            if name in self._workers:
                self._workers[name].event()

    async def _watch(self) -> None:
        """Check what other processes write, and give a sign of life, until cancelled."""
        looks = 0
        while True:
            try:
                await self._look(looks)
            except LedgerReplacedError:
                raise  # nothing that is written from here on would be found
            except LedgerError as error:
                log.warning("ledger cannot be used", problem=str(error))
            looks += 1
            await asyncio.sleep(LOOK_EVERY)

    async def _look(self, looks: int) -> None:
        if await self._ledger.changed_elsewhere():
            self._notice_change()
        self._listeners.alive()
        if looks % ALIVE_EVERY == 0:
            await self._ledger.call(set_timestamp, "", TimestampName.ALIVE, _now())

    def _notice_change(self) -> None:
        """Let all workers check the ledger: another process, or the status page, has written to it."""
        for worker in self._workers.values():
            worker.notice_change()

    async def _prune_regularly(self) -> None:
        """Prune the ledger regularly, apart from the checks, because it can take long."""
        while True:
            try:
                await self._prune()
            except LedgerError as error:
                log.warning("ledger cannot be pruned", problem=str(error))
            await asyncio.sleep(PRUNE_EVERY)

    async def _prune(self) -> None:
        """Delete what is past its retention, a part at a time."""
        now = _now()
        before = now - int(self._settings.ledger.keep_history * 1000)
        while await self._ledger.call(prune_history, before):
            pass
        while await self._ledger.call(prune_webhooks, before, problems_before=now - UNREADABLE_LIFE):
            pass

    async def _reload_when(self, signals: Signals, group: asyncio.TaskGroup) -> None:
        """Reload the configuration whenever it is requested."""
        while True:
            await signals.reload.wait()
            signals.reload.clear()
            fresh = await asyncio.to_thread(
                reload_configuration, self._began_with, self._settings, self._plans, self._hasher, self._load
            )
            self._problem = fresh if isinstance(fresh, str) else ""
            if not isinstance(fresh, str):
                await self._take_over(fresh, group)

    async def _clear_pauses(self, name: str) -> None:
        """End the bridge's own pauses: another key may pass. An operator's pauses stay."""
        directions = [*Direction, *(f"{Direction.SENDING} {stream}" for stream in Stream)]
        with contextlib.suppress(LedgerError):  # then the next probe finds out
            for direction in directions:
                await self._ledger.call(clear_pause, name, direction)

    async def _take_over(self, fresh: Reloaded, group: asyncio.TaskGroup) -> None:
        """Switch to another configuration; workers that it affects wind up and restart."""
        self._settings = fresh.settings
        self._plans = dict(fresh.plans)
        self._listeners.replace(fresh.settings)
        for name in fresh.changed:
            self._tasks[name].cancel()
            await asyncio.wait([self._tasks[name]])
            await self._clear_pauses(name)
            self._begin(name, group)
        await self._timetable.replace(self._plans.values())
        restart = {"needs_restart": list(fresh.needs_restart)} if fresh.needs_restart else {}
        log.info("configuration taken over", changed=list(fresh.changed), **restart)


async def _run_until_cancelled(name: str, work: Coroutine[None, None, None]) -> None:
    """Run work in a task of its own: a cancellation stays one, whatever the winding up raises.

    Otherwise a ledger that cannot take the last answers would replace the cancellation by its error. A second
    cancellation still waits for the winding up.
    """
    task, is_logged = asyncio.create_task(work, name=f"{name}: work"), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            if not is_logged:
                task.cancel()
            is_logged = True
    if not is_logged:
        return await task
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("work interrupted", connection=name, problem=_ledger_fault(error))
    raise asyncio.CancelledError


def _ledger_fault(error: BaseException) -> str:
    """Return what the ledger could not do; raise anything else again."""
    if isinstance(error, BaseExceptionGroup):
        mine, others = error.split(LedgerError)
        if others is not None or mine is None:
            raise error
        return _ledger_fault(mine.exceptions[0])
    return str(error)

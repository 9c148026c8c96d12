"""The process: listeners, schedule, workers and signals, all owned by one TaskGroup.

::

    run ──> open_ledger ──> Faces (two listeners) ──> TaskGroup: timetable, watch, alerts, a worker each
                                                          │
         stop    ──> accept nothing more, wind up (8 s), close the ledger
         reload  ──> settings, queries, maps and secrets anew; where one is at error the old ones stay
         a task dies ──> the same end in order, and what it died of is raised
         the ledger cannot be written ──> webhooks get 503, workers wait and begin again: nothing is lost
         its file, log or lock is another one ──> webhooks get 503, and the same end in order, saying why
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
from bridge.daemon.alerting import make_notifier
from bridge.daemon.connection_worker import ConnectionWorker
from bridge.daemon.due_jobs import DueJobs, request_full_reads
from bridge.daemon.listeners import Listeners
from bridge.daemon.reload import Reloaded, load_plans, reload_configuration
from bridge.errors import LedgerError, LedgerReplacedError, UserError
from bridge.ledger.daemon_state import TimestampName, set_timestamp
from bridge.ledger.maintenance import prune_history
from bridge.ledger.open import open_ledger
from bridge.ledger.pauses import Direction, clear_pause
from bridge.ledger.webhook_queue import UNREADABLE_LIFE, prune_webhooks
from bridge.names import Hasher, load_tables
from bridge.records import Stream
from bridge.salestrekker.auth import AmbiguousOrganization
from bridge.salestrekker.large_responses import LargeListRoom
from bridge.serving import allow_more_files
from bridge.wiring.ledger import find_remains_of_lost_ledger, ledger_key, ledger_path
from bridge.wiring.organizations import check_and_note_connections, identify_connections

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping

    from bridge.daemon.listeners import Address
    from bridge.ledger.database import Ledger
    from bridge.settings import Settings
    from bridge.wiring.connection import ConnectionPlan

__all__ = ["Signals", "Started", "run"]

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at what other processes have written."""

ALIVE_EVERY: Final = 60
"""Looks between two signs of life in the ledger."""

PRUNE_EVERY: Final = 3600.0
"""Seconds between two prunings of history and events."""

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
"""Seconds until a worker that could not write begins again, doubling to the longest."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Signals:
    """What the outside tells the daemon.

    Attributes:
        stop: Set to end it in order.
        reload: Set to have the configuration read anew; cleared when that begins.
    """

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Started:
    """Where a daemon that has started listens.

    Attributes:
        admin: Host and port of health, metrics and status.
        webhooks: Host and port for webhooks; None where no connection has a token.
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
    """Keep the organisations in step until is_logged to stop.

    Args:
        settings: The configuration.
        connections: Names of the connections to work on.
        load: Reads the configuration anew, for a reload.
        signals: What the outside tells.
        on_started: Told where it listens, once it does.

    Raises:
        UserError: A query, a map, a port or the ledger cannot be used; nothing was done then.
        BaseExceptionGroup: What one of its tasks died of; all was wound up.
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
    """Load and make now what would be at its first use: that may come when no file can be wait_until_open."""
    load_tables()
    "salestrekker.example".encode("idna")
    await asyncio.to_thread(time.time)  # the first use makes the pool of threads


def _to_user_error(errors: BaseExceptionGroup) -> BaseException:
    """What ended it, as an error of the configuration where it is nothing else."""
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
    """The user wants it to end."""


class _Daemon:
    """One life of the daemon, from an open ledger on."""

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
        self._timetable = DueJobs(ledger, _now, self._on_due_jobs)
        self._stale: set[str] = set()
        self._begun: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def until(self, signals: Signals, on_started: Callable[[Started], None]) -> None:
        """Live until is_logged to stop, or until a task dies."""
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
        """Stop accepting first of all, and let all tasks wind up."""
        await signals.stop.wait()
        log.info("stopping")
        self._listeners.stop_accepting()
        raise _Stopped

    def _begin(self, name: str, group: asyncio.TaskGroup) -> None:
        self._tasks[name] = group.create_task(self._keep_working(name), name=f"{name}: worker")

    async def _keep_working(self, name: str) -> None:
        """A connection's worker; where the ledger cannot be written it waits, and begins again."""
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
        """Sweeps are due, and noted."""
        for name in names:
            if name in self._workers:
                self._workers[name].request_sweep()

    def _on_events(self, names: Collection[str]) -> None:
        """Webhooks are on disk."""
        for name in names:
            if name in self._workers:
                self._workers[name].event()

    async def _watch(self) -> None:
        """See what other processes write, and give a sign of life; for ever."""
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
        """The ledger was written by somebody else than the workers: another process, or the status page."""
        for worker in self._workers.values():
            worker.notice_change()

    async def _prune_regularly(self) -> None:
        """Prune the ledger every now and then: beside the looks, since much that is old takes long."""
        while True:
            try:
                await self._prune()
            except LedgerError as error:
                log.warning("ledger cannot be pruned", problem=str(error))
            await asyncio.sleep(PRUNE_EVERY)

    async def _prune(self) -> None:
        """Drop what is older than it is to be kept, a part at a time."""
        now = _now()
        before = now - int(self._settings.ledger.keep_history * 1000)
        while await self._ledger.call(prune_history, before):
            pass
        while await self._ledger.call(prune_webhooks, before, problems_before=now - UNREADABLE_LIFE):
            pass

    async def _reload_when(self, signals: Signals, group: asyncio.TaskGroup) -> None:
        """Take the configuration over anew whenever that is asked for."""
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
        """What was refused may pass with another key: the bridge's own pauses end, a person's stay."""
        directions = [*Direction, *(f"{Direction.SENDING} {stream}" for stream in Stream)]
        with contextlib.suppress(LedgerError):  # then the next probe finds out
            for direction in directions:
                await self._ledger.call(clear_pause, name, direction)

    async def _take_over(self, fresh: Reloaded, group: asyncio.TaskGroup) -> None:
        """Go on with another configuration; workers whose work it changes wind up and begin anew."""
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
    """Work in a task of its own: whoever is is_logged to end ends so, whatever the winding up ends with.

    A ledger that cannot take the last answers would else put its error in the place of the end. Told
    twice, it still waits for the winding up.
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
    """What the ledger could not do; anything else is raised again."""
    if isinstance(error, BaseExceptionGroup):
        mine, others = error.split(LedgerError)
        if others is not None or mine is None:
            raise error
        return _ledger_fault(mine.exceptions[0])
    return str(error)

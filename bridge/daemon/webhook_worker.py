"""Processes stored webhooks: what is due is read in batches, and then done.

::

    events in the ledger ──debounce──> groups, one for each record ──> read by id ──> sync.refresh
                                             │ of a deal                    ^             │
                                             └──> its contacts ─────────────┘             v
                                                                         finish: read, gone, not-found
                                                                         an error at the id: it waits, and
                                                                         is read again, for up to a day

If reads of one subject (contact, deal or product) fail, that subject waits for a while and the others go on.

A webhook is a hint, not data. Its event is done only after a read that began later than it arrived, so that a
webhook for a record that is being read causes one more read. A process that dies reads again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from bridge.errors import BridgeError, LedgerError, Refused, Transient
from bridge.ledger.gone_records import mark_gone_by_id
from bridge.ledger.webhook_queue import find_due_webhooks, finish_webhooks, postpone_webhooks
from bridge.records import DEAL_CONTACTS, Stream
from bridge.retry import RetryPolicy
from bridge.salestrekker.graphql_errors import find_codes
from bridge.sync import ByIdSource, refresh

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from bridge.daemon.reading_context import ReadingContext
    from bridge.daemon.reading_pause import ReadingPause
    from bridge.ledger.webhook_queue import DueWebhooks, WebhookGroup
    from bridge.records.webhooks import WebhookSubject
    from bridge.sync import RefreshResult

    Deals: TypeAlias = Mapping[str, tuple[str, ...] | None] | None
    """Deal's id -> its contacts, None for one that is not there; an unreadable one is not in it."""

    Found: TypeAlias = dict[WebhookGroup, set[str]]
    """What came of each group: of all its records, in words."""

__all__ = ["WebhookWorker"]

LINGER: Final = 0.1
"""Seconds that a due record waits for others, so that many webhooks share one request."""

LONGEST_LOOK: Final = 60.0
"""Seconds after which the ledger is checked in any case."""

NOTHING_TO_READ: Final = "nothing-to-read"
"""The outcome of an event whose stream is not enabled, or whose deal does not exist or has no contacts."""

UNREAD: Final = "could not be read: "
"""Prefix of the outcome of a record that could not be read, so that its event waits. The reason follows."""

AT_ONCE: Final = 100
"""Maximum number of events that one transaction finishes, so that new ones never wait long behind it."""

STREAM_OF: Final[Mapping[str, Stream]] = {stream.spec.singular: stream for stream in Stream}
"""Which stream a webhook's subject is of; a deal leads to its contacts."""

log = structlog.get_logger()


class WebhookWorker:
    """Reads the records that the webhooks of one connection are about.

    Args:
        context: What the connection's workers share.
        pause: Whether reading goes on.
        debounce: Seconds from the first event of a record until it is read.
        random: Returns a number in [0, 1).
    """

    def __init__(
        self, context: ReadingContext, pause: ReadingPause, debounce: float, random: Callable[[], float]
    ) -> None:
        self._context = context
        self._pause = pause
        self._debounce = debounce
        self._random = random
        self._arrived = asyncio.Event()
        self._failures: Counter[WebhookSubject] = Counter()
        self._backoffs: dict[WebhookSubject, float] = {}
        self._idle = asyncio.Event()
        source = context.plan.connection.salestrekker
        self._at_once = source.ids_per_request * source.max_in_flight
        self._record_waits = RetryPolicy(source.retry.first, max(source.retry.first, source.probe.longest))

    def wake(self) -> None:
        """Check the ledger for new events."""
        self._arrived.set()

    async def wait_until_idle(self) -> None:
        """Wait until no event is due."""
        await self._idle.wait()

    async def run(self) -> None:
        """Process events until cancelled."""
        lingered = False
        while True:
            await self._pause.wait_until_open()
            self._arrived.clear()
            due = await self._look()
            if not due.groups:
                self._idle.set()
                await self._until(due.next_at, due.again_at)
            elif (
                len(due.groups) < self._context.plan.connection.salestrekker.ids_per_request and not lingered
            ):
                lingered = True
                self._idle.clear()
                await asyncio.sleep(min(LINGER, self._debounce))
                continue
            else:
                self._idle.clear()
                await self._process(due.groups)
            lingered = False

    async def _look(self) -> DueWebhooks:
        """What is due now."""
        now = self._context.clock()
        return await self._context.ledger.call(
            find_due_webhooks,
            self._context.name,
            before=now - int(self._debounce * 1000),
            now=now,
            limit=self._at_once,
            longest=int(self._record_waits.longest * 1000),
            without=self._backing_off(),
        )

    async def _until(self, next_at: int | None, again_at: int | None) -> None:
        """Wait for the end of the next record's time or of a rest, or for an event of another one."""
        wait = min([LONGEST_LOOK, *(until - _loop_time() for until in self._backoffs.values())])
        if again_at is not None:
            wait = min(wait, (again_at - self._context.clock()) / 1000)
        if next_at is not None:  # whatever arrives now is due later than that
            wait = min(wait, (next_at - self._context.clock()) / 1000 + self._debounce)
            await asyncio.sleep(max(0.0, wait))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, wait)):
                await self._arrived.wait()

    def _backing_off(self) -> set[WebhookSubject]:
        """The subjects that are left alone for now."""
        now = _loop_time()
        self._backoffs = {subject: until for subject, until in self._backoffs.items() if until > now}
        return set(self._backoffs)

    async def _process(self, groups: Sequence[WebhookGroup]) -> None:
        """Read what these events are about; those that fail wait, and are tried again."""
        try:
            errors = await self._read(groups)
        except LedgerError as broken:
            errors = dict.fromkeys((group.subject for group in groups), broken)
        for subject, error in errors.items():
            self._back_off(subject, error)
        for subject in {group.subject for group in groups} - errors.keys():
            del self._failures[subject]

    def _back_off(self, subject: WebhookSubject, error: BridgeError) -> None:
        """Leave a subject alone for a growing time."""
        self._failures[subject] += 1
        log.warning(
            "webhooks cannot be processed",
            connection=self._context.name,
            subject=subject,
            problem=str(error),
        )
        probe = self._context.plan.connection.salestrekker.probe
        wait = probe.backoff(self._failures[subject], self._random)
        self._backoffs[subject] = _loop_time() + wait

    async def _read(self, groups: Sequence[WebhookGroup]) -> dict[WebhookSubject, BridgeError]:
        """Work off these; what failed is not finished, by the subject; nothing is where reading is paused."""
        began = self._context.clock()
        errors: dict[WebhookSubject, BridgeError] = {}
        deals: Deals = None
        try:
            deals = await self._contacts_of([group.id for group in groups if group.subject == "deal"])
        except BridgeError as error:
            if await self._is_paused_for(error):
                return {}
            errors["deal"] = error
        outcomes = {group: _of_deal(group, deals) for group in groups}
        for stream in Stream:
            try:
                await self._read_stream(stream, groups, deals, outcomes)
            except LedgerError:
                raise
            except BridgeError as error:
                if await self._is_paused_for(error):
                    return {}
                errors |= {group.subject: error for group in groups if _ids(group, stream, deals)}
        done = {group: found for group, found in outcomes.items() if group.subject not in errors}
        finished = await self._finish(done)
        if finished:
            self._log_done(finished, began)
        return errors

    async def _is_paused_for(self, error: BridgeError) -> bool:
        """Whether all reading is at error, so that nothing more is to be asked for."""
        return isinstance(error, Refused | Transient) and await self._pause.check_and_pause(error)

    def _log_done(self, done: Collection[WebhookGroup], began: int) -> None:
        log.info(
            "webhooks processed",
            connection=self._context.name,
            events=sum(len(group.numbers) for group in done),
            records=len(done),
            seconds=round((self._context.clock() - began) / 1000, 3),
        )

    async def _contacts_of(self, deals: Sequence[str]) -> Deals:
        """Which contacts each deal is about; None if deals are not read."""
        ticket = self._context.plan.ticket
        if ticket is None:
            return None
        per_request = self._context.plan.connection.salestrekker.ids_per_request
        return await self._context.client.read_deal_contacts(ticket, deals, per_request)

    async def _read_stream(
        self,
        stream: Stream,
        groups: Sequence[WebhookGroup],
        deals: Deals,
        outcomes: Found,
    ) -> None:
        """Read one stream's records, and note for each group what came of it."""
        wanted: defaultdict[str, list[WebhookGroup]] = defaultdict(list)
        for group in groups:
            for one in _ids(group, stream, deals):
                wanted[one].append(group)
        if not wanted or stream not in self._context.plan.by_id_queries:
            return
        listing, ids = self._listing(stream), list(wanted)
        for at in range(0, len(ids), self._at_once):  # deals can name any number of contacts
            some = ids[at : at + self._at_once]
            refreshed = await refresh(listing, self._context.ledger, some, clock=self._context.clock)
            await self._mark_gone(stream, refreshed, wanted)
            if refreshed.pending:
                self._context.on_pending()
            for one in some:
                for group in wanted[one]:
                    outcomes[group].add(_outcome(one, group, refreshed))

    def _listing(self, stream: Stream) -> ByIdSource:
        context = self._context
        settings = context.plan.connection.stream(stream)
        mapper = context.plan.mappers[stream]
        return ByIdSource(context.feeds[stream], partial(context.read, stream), mapper, settings.policy())

    async def _mark_gone(
        self, stream: Stream, refreshed: RefreshResult, wanted: Mapping[str, Sequence[WebhookGroup]]
    ) -> None:
        """Mark records as gone that do not exist, if a webhook reported their deletion."""
        deleted = [
            one
            for one in refreshed.absent
            if any(group.deleted and group.subject != "deal" for group in wanted[one])
        ]
        if deleted:
            await self._context.ledger.call(
                mark_gone_by_id,
                self._context.feeds[stream],
                deleted,
                self._context.plan.connection.stream(stream).policy(),
                read_at=refreshed.read_at,
                now=self._context.clock(),
            )

    async def _finish(self, outcomes: Found) -> list[WebhookGroup]:
        """Store the outcomes; events of unreadable records wait. Return the finished groups."""
        finished = []
        by_outcome: defaultdict[str, list[int]] = defaultdict(list)
        for group, found in outcomes.items():
            unread = sorted(word.removeprefix(UNREAD) for word in found if word.startswith(UNREAD))
            if unread:
                await self._postpone(group, unread[0])
                continue
            finished.append(group)
            by_outcome[", ".join(sorted(found)) or NOTHING_TO_READ] += group.numbers
        for outcome, numbers in by_outcome.items():
            for at in range(0, len(numbers), AT_ONCE):
                some = numbers[at : at + AT_ONCE]
                await self._context.ledger.call(finish_webhooks, some, outcome, self._context.clock())
        return finished

    async def _postpone(self, group: WebhookGroup, why: str) -> None:
        """An error at the id is no read: the events wait for a time that grows, and a day of that is all."""
        now = self._context.clock()
        wait = self._record_waits.probe_wait(group.tries, self._random)
        given_up = await self._context.ledger.call(
            postpone_webhooks, group.numbers, why=why, next_at=now + max(1, int(wait * 1000)), now=now
        )
        log.warning(
            "webhook given up" if given_up else "webhook waits to be read",
            connection=self._context.name,
            subject=group.subject,
            id=group.id,
            problem=why,
            tries=group.tries + 1,
            **({"events": given_up} if given_up else {"next_try_in_seconds": round(wait, 3)}),
        )


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _ids(group: WebhookGroup, stream: Stream, deals: Deals) -> tuple[str, ...]:
    """Which records of a stream are to be read for a group."""
    if group.subject == "deal":
        return (deals or {}).get(group.id) or () if stream is DEAL_CONTACTS else ()
    return (group.id,) if STREAM_OF[group.subject] is stream else ()


def _of_deal(group: WebhookGroup, deals: Deals) -> set[str]:
    """What came of a group before a record was read for it."""
    unread = group.subject == "deal" and deals is not None and group.id not in deals
    return {f"{UNREAD}the deal"} if unread else set()


def _outcome(one: str, group: WebhookGroup, refreshed: RefreshResult) -> str:
    if one in refreshed.read:
        return "read"
    if one in refreshed.broken:
        return f"{UNREAD}{_why(refreshed.broken[one])}"
    return "gone" if group.deleted and group.subject != "deal" else "not-found"


def _why(problem: str) -> str:
    """Why a record could not be read, in words of ours: of the server's only the codes that are known."""
    codes = find_codes(problem)
    return f"an error at the record ({', '.join(codes)})" if codes else "an error at the record"

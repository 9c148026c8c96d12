"""The records that are claimed from the ledger and not sent yet, and when to claim again."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Final

from bridge.ledger.send_queue import NOTHING, WaitLimits, claim_for_feeds
from bridge.records import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from bridge.delivery.destination_and_streams import OutgoingStream
    from bridge.delivery.sending_options import SendingSettings
    from bridge.ledger.database import Ledger
    from bridge.ledger.send_queue import AwaitedNames, ClaimResult
    from bridge.records import Outcome, Stream, WorkItem

__all__ = ["ClaimBuffer", "unsent_outcome"]

BATCH: Final = 100
"""Maximum number of rows that one transaction claims, so that a webhook's transaction never waits long."""

CLAIM_LIFE: Final = 365 * 86_400_000
"""Milliseconds until a claim expires. The ledger's owner ends all claims when it starts, so this only has to
be longer than any jump of the clock: a record in flight must not be claimed twice.
"""


def unsent_outcome(work: WorkItem) -> Retry:
    """Return the outcome of a record whose request never left: it keeps its place in the queue."""
    return Retry(work, None, begun=False, tried=False)


class ClaimBuffer:
    """Claims what is due. The loop's times are in seconds, the ledger's in milliseconds since the epoch.

    Args:
        ledger: The open ledger.
        settings: Limits, and the longest waits.
        clock: Milliseconds since the epoch.
        on_awaited: Called when ``awaited`` changes.

    Attributes:
        buffer: The claimed records.
        held: Streams of which nothing is claimed for now.
        expects_no_more: The ledger gets no more records for this delivery.
        waits_for_unanswered: Wait also for records whose request had no answer.
        awaited: What is not sent yet because Trakor may still store it, if nothing else can be sent.
        next_look: When to look for due records again, in the loop's time.
    """

    def __init__(
        self,
        ledger: Ledger,
        settings: SendingSettings,
        clock: Callable[[], int],
        on_awaited: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._most = settings.max_in_flight
        no_answer = int(settings.unanswered_wait * 1000)
        self._waits = WaitLimits(int(settings.retry.longest * 1000), no_answer)
        self._longest_wait = max(settings.retry.longest, settings.unanswered_wait)
        self._clock = clock
        self._on_awaited = on_awaited
        self._claiming: asyncio.Task[None] | None = None
        self._looked_at = -math.inf
        self.buffer: deque[WorkItem] = deque()
        self.held: set[Stream] = set()
        self.expects_no_more = False
        self.waits_for_unanswered = True
        self.awaited: AwaitedNames = NOTHING
        self.next_look = 0.0

    @property
    def is_exhausted(self) -> bool:
        """Whether the ledger was found to have nothing pending that is worth waiting for."""
        return math.isinf(self.next_look) and self.is_empty

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be sent now."""
        return not (self.buffer or self._claiming) and self.next_look > asyncio.get_running_loop().time()

    @property
    def has_room(self) -> bool:
        """Whether more may be claimed when it is due."""
        return len(self.buffer) < self._most and not self._claiming

    @property
    def has_untried(self) -> bool:
        """Whether a record that was never tried is left, or may be."""
        return self.buffer[0].turn == 0 if self.buffer else not self.is_empty

    def clear(self) -> list[Outcome]:
        """Give back the claimed records, and return their outcomes."""
        given_back: list[Outcome] = [unsent_outcome(work) for work in self.buffer]
        self.buffer.clear()
        return given_back

    def wake_at(self, due: int | None) -> None:
        """Look for due records again at this time. A time too far ahead is of a clock that was set back."""
        if due is not None:
            wait = max(0.0, (due - self._clock()) / 1000)
            wait = wait if wait <= self._longest_wait else 0.0
            self.next_look = min(self.next_look, asyncio.get_running_loop().time() + wait)

    def look_after(self, after: float) -> None:
        """Look again this many seconds after the last time, even if nothing is known to be due.

        An answer to another connection in the same organisation can make a record of this one pending.
        """
        if not self._claiming and asyncio.get_running_loop().time() >= self._looked_at + after:
            self.next_look = 0.0

    def start_claiming(
        self, outgoing: Collection[OutgoingStream], allowed: int, notice: Callable[[asyncio.Task[None]], None]
    ) -> None:
        """Start to fill the buffer if it has room and something is due.

        Args:
            outgoing: What may be claimed.
            allowed: How many requests may start; no more is claimed than can be sent soon.
            notice: Called when the claim is done or has failed.
        """
        if self.has_room and self.next_look <= asyncio.get_running_loop().time():
            # Before the task starts: a call that wakes it meanwhile may know of more than this claim sees.
            self.next_look = math.inf
            self._looked_at = asyncio.get_running_loop().time()
            self._claiming = asyncio.create_task(self._claim(outgoing, min(BATCH, 2 * max(1, allowed))))
            self._claiming.add_done_callback(notice)

    def raise_error(self) -> None:
        """Raise the error of a failed claim, if any."""
        if (claiming := self._claiming) is not None and claiming.done():
            self._claiming = None
            claiming.result()

    async def wait_for_claim(self) -> None:
        """Wait until no claim is under way."""
        if self._claiming is not None:
            await asyncio.wait([self._claiming])

    async def claim_one(self, outgoing_stream: OutgoingStream) -> ClaimResult:
        """Claim a single record of a stream."""
        return await self._claim_of([outgoing_stream], 1)

    async def _claim(self, outgoing: Collection[OutgoingStream], limit: int) -> None:
        claimed = await self._claim_of(
            [one for one in outgoing if one.feed.stream not in self.held],
            limit,
        )
        self.buffer += claimed.work
        self.wake_at(claimed.next_due)
        if not claimed.work and claimed.awaited != self.awaited:
            self.awaited = claimed.awaited
            self._on_awaited()

    async def _claim_of(self, outgoing: Iterable[OutgoingStream], limit: int) -> ClaimResult:
        now, feeds = self._clock(), [one.feed for one in outgoing]
        return await self._ledger.call(
            claim_for_feeds,
            feeds,
            limit,
            now=now,
            until=now + CLAIM_LIFE,
            waits=self._waits,
            patient=self.waits_for_unanswered,
        )

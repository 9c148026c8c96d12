"""What is known to pass: a request that makes nothing, and canaries.

A canary is a payload that Trakor took passed_recently and still has: sent again it changes nothing, by Trakor's
promise that a name which exists is given back as it is. Only the ledger knows which are still fit for it.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

import structlog

from bridge.errors import Rejected, Transient, Unanswered
from bridge.ledger.canaries import open_canaries

if TYPE_CHECKING:
    from bridge.delivery.types import Destination, OutgoingStream
    from bridge.ledger.database import Ledger
    from bridge.records import Payload, Stream

__all__ = ["ProbeRequests"]

FRESH: Final = 3600.0
"""Seconds for which what passed tells that something can."""

log = structlog.get_logger()


class ProbeRequests:
    """Sends what is known to pass, to tell a record's error from one of credentials or address.

    Args:
        ledger: Keeps canaries.
        destination: Where to send to.
        unanswered_wait: Seconds for which a canary is not sent again after a request without an answer: two
            requests for one name never overlap.
    """

    def __init__(self, ledger: Ledger, destination: Destination, unanswered_wait: float) -> None:
        self._ledger = ledger
        self._destination = destination
        self._passed_at = -math.inf
        self._not_taken: set[Payload] = set()
        self._wait = unanswered_wait
        self._silent_until: dict[Payload, float] = {}
        self._without_canary: set[Stream] = set()

    @property
    def passed_recently(self) -> bool:
        """Whether this process has sent something passed_recently that passed."""
        return asyncio.get_running_loop().time() - self._passed_at <= FRESH

    def record_success(self, stream: Stream) -> None:
        """Trakor has taken a record of this stream just now."""
        self._passed_at = asyncio.get_running_loop().time()
        self._without_canary.discard(stream)

    async def send_empty_request(self) -> None:
        """Send the request that makes nothing; raises Transient or Refused."""
        await self._destination.probe()

    async def send_canary(self, outgoing_stream: OutgoingStream) -> bool:
        """Send a canary of a stream.

        Returns:
            False where there is none.

        Raises:
            Transient: No answer that says anything.
            Refused: What is known to pass does not pass: credentials or address are at error.
        """
        kept = await self._ledger.call(open_canaries, outgoing_stream.feed)
        now, fit = asyncio.get_running_loop().time(), [one for one in kept if one not in self._not_taken]
        silent = [left for one in fit if (left := self._silent_until.get(one, now) - now) > 0]
        if silent and len(silent) == len(fit):
            raise Transient("canaries have had no answer yet: Trakor may be at work", retry_after=min(silent))
        for payload in [one for one in fit if self._silent_until.get(one, now) <= now]:
            try:
                answer = await self._destination.post(payload)
            except Rejected:  # another limit, or another map, since it was taken
                self._not_taken.add(payload)
                continue
            except Unanswered:
                self._silent_until[payload] = asyncio.get_running_loop().time() + self._wait
                raise
            if answer.created:
                log.warning(
                    "canary made anew", stream=str(outgoing_stream.feed.stream), trakor_id=answer.trakor_id
                )
            return True
        self._log_missing_canary(outgoing_stream.feed.stream)
        return False

    async def send_any(self, *outgoing: OutgoingStream) -> None:
        """Send a canary of any of these streams; where there is none, the request that makes nothing."""
        for outgoing_stream in outgoing:
            if await self.send_canary(outgoing_stream):
                return
        await self.send_empty_request()

    def _log_missing_canary(self, stream: Stream) -> None:
        if stream not in self._without_canary:
            self._without_canary.add(stream)
            log.info("no canary", stream=str(stream))

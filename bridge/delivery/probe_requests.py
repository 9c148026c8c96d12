"""Requests that are known to pass: canaries, and a request that creates nothing.

A canary is a payload that Trakor took recently and still has. Sent again it changes nothing: Trakor promises
to return a record whose name exists as it is. Only the ledger knows which canaries are still usable.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

import structlog

from bridge.errors import Rejected, Transient, Unanswered
from bridge.ledger.canary_payloads import open_canaries

if TYPE_CHECKING:
    from bridge.delivery.destination_and_streams import Destination, OutgoingStream
    from bridge.ledger.database import Ledger
    from bridge.records import Payload, Stream

__all__ = ["ProbeRequests"]

FRESH: Final = 3600.0
"""Seconds for which a success proves that requests can pass."""

log = structlog.get_logger()


class ProbeRequests:
    """Sends what is known to pass, to tell a record's fault from wrong credentials or a wrong address.

    Args:
        ledger: Stores the canaries.
        destination: Where to send.
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
        """Whether something that this process sent has passed recently."""
        return asyncio.get_running_loop().time() - self._passed_at <= FRESH

    def record_success(self, stream: Stream) -> None:
        """Record that Trakor has just taken a record of this stream."""
        self._passed_at = asyncio.get_running_loop().time()
        self._without_canary.discard(stream)

    async def send_empty_request(self) -> None:
        """Send the request that creates nothing; raises Transient or Refused."""
        await self._destination.probe()

    async def send_canary(self, outgoing_stream: OutgoingStream) -> bool:
        """Send a canary of a stream.

        Returns:
            False if there is none.

        Raises:
            Transient: The answer says nothing, or there is none.
            Refused: A known payload does not pass: credentials or address are wrong.
        """
        kept = await self._ledger.call(open_canaries, outgoing_stream.feed)
        now, fit = asyncio.get_running_loop().time(), [one for one in kept if one not in self._not_taken]
        silent = [left for one in fit if (left := self._silent_until.get(one, now) - now) > 0]
        if silent and len(silent) == len(fit):
            raise Transient("canaries have had no answer yet: Trakor may be at work", retry_after=min(silent))
        for payload in [one for one in fit if self._silent_until.get(one, now) <= now]:
            try:
                answer = await self._destination.post(payload)
            except Rejected:  # the limit or the map has changed since
                self._not_taken.add(payload)
                continue
            except Unanswered:
                self._silent_until[payload] = asyncio.get_running_loop().time() + self._wait
                raise
            if answer.created:
                log.warning(
                    "canary created again",
                    stream=str(outgoing_stream.feed.stream),
                    trakor_id=answer.trakor_id,
                )
            return True
        self._log_missing_canary(outgoing_stream.feed.stream)
        return False

    async def send_any(self, *outgoing: OutgoingStream) -> None:
        """Send a canary of any of these streams, or else the request that creates nothing."""
        for outgoing_stream in outgoing:
            if await self.send_canary(outgoing_stream):
                return
        await self.send_empty_request()

    def _log_missing_canary(self, stream: Stream) -> None:
        if stream not in self._without_canary:
            self._without_canary.add(stream)
            log.info("no canary", stream=str(stream))

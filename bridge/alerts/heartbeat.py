"""The heartbeat: calls an outside service after each good sweep, which raises an alarm if no call comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiohttp
import structlog

if TYPE_CHECKING:
    from bridge.status import Snapshot

__all__ = ["Heartbeat"]

TIME_LIMIT: Final = 10.0
"""Seconds."""

GOOD: Final = range(200, 300)
"""HTTP statuses. Redirects are not followed, so that no other address is called."""

log = structlog.get_logger()


class Heartbeat:
    """Calls an address when a sweep has ended well.

    Args:
        url: The address. It is secret as a whole: with it, anybody can keep the service quiet.
        within: The time limit in seconds.
    """

    def __init__(self, url: str, *, within: float = TIME_LIMIT) -> None:
        self._url = url
        self._limit = aiohttp.ClientTimeout(total=within)
        self._called_for: int | None = None
        self._looked = False
        self._failing = False

    async def update(self, snapshot: Snapshot) -> None:
        """Call the address if a sweep has ended well since the last call; a failed call is repeated.

        Sweeps from before the first call of this method belong to an earlier process, and do not count.

        Args:
            snapshot: The state of everything.
        """
        newest = _newest_good(snapshot)
        if not self._looked:
            self._looked, self._called_for = True, newest
        if newest is None or newest == self._called_for:
            return
        problem = await self._call()
        if not problem:
            self._called_for = newest
        self._log(problem)

    async def _call(self) -> str:
        """Call the address. Returns why it failed, without the address; empty if it did not."""
        try:
            async with (
                aiohttp.ClientSession(timeout=self._limit) as session,
                session.get(self._url, allow_redirects=False) as response,
            ):
                return "" if response.status in GOOD else f"it answered {response.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return type(error).__name__

    def _log(self, problem: str) -> None:
        """Log a failure once, and once when it is over."""
        if problem and not self._failing:
            log.warning("heartbeat failed", problem=problem, advice="check alerts.heartbeat_url")
        elif self._failing and not problem:
            log.info("heartbeat works again")
        self._failing = bool(problem)


def _newest_good(snapshot: Snapshot) -> int | None:
    """When the newest good sweep of any list ended."""
    ended = [
        stream.reached.good_at
        for status in snapshot.connections.values()
        for stream in status.streams.values()
        if stream.reached is not None and stream.reached.good_at is not None
    ]
    return max(ended, default=None)

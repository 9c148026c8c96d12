"""A dead man's switch: an address elsewhere is asked after each good sweep, and raises the alarm when not."""

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
"""Statuses of HTTP. A redirect is not followed: nobody else is told."""

log = structlog.get_logger()


class Heartbeat:
    """Asks one address when a sweep has ended well.

    Args:
        url: Secret as a whole: whoever knows it can keep the switch quiet.
        within: Seconds that it may take to answer.
    """

    def __init__(self, url: str, *, within: float = TIME_LIMIT) -> None:
        self._url = url
        self._limit = aiohttp.ClientTimeout(total=within)
        self._told: int | None = None
        self._looked = False
        self._failing = False

    async def look(self, snapshot: Snapshot) -> None:
        """Ask it where a sweep has ended well since the last time; one that failed is tried again.

        Sweeps from before the first look are an earlier life's, and no sign of this one's.

        Args:
            snapshot: Everything, now. Who looks once a minute asks no more often.
        """
        newest = _newest_good(snapshot)
        if not self._looked:
            self._looked, self._told = True, newest
        if newest is None or newest == self._told:
            return
        problem = await self._ask()
        if not problem:
            self._told = newest
        self._log(problem)

    async def _ask(self) -> str:
        """Why it failed, without the address; empty where it was well."""
        try:
            async with (
                aiohttp.ClientSession(timeout=self._limit) as session,
                session.get(self._url, allow_redirects=False) as response,
            ):
                return "" if response.status in GOOD else f"it answered {response.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return type(error).__name__

    def _log(self, problem: str) -> None:
        """A failure is said once, and once when it is over."""
        if problem and not self._failing:
            log.warning("heartbeat failed", problem=problem, advice="is alerts.heartbeat_url right?")
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

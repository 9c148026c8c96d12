"""How often Salestrekker is asked: requests at once and per minute, pauses on request, and retries."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiolimiter import AsyncLimiter

from bridge.errors import Transient
from bridge.salestrekker.responses import PoisonItem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bridge.retry import RetryPolicy

__all__ = ["RateLimiter", "RetryHook"]

BURST: Final = 4
"""Number of requests that may follow each other at once before the rate applies."""


class RateLimiter:
    """Limits the requests to one Salestrekker account.

    Args:
        max_in_flight: Maximum number of requests at once.
        requests_per_minute: On average over the minute, at most a few in a burst. 0: no limit.
        patience: The longest pause, in seconds, that a request waits out. If a longer one is asked for, it
            fails at once, so that its caller can report it.
    """

    def __init__(self, *, max_in_flight: int, requests_per_minute: float, patience: float) -> None:
        self._slots = asyncio.Semaphore(max_in_flight)
        self._rate = _limiter(requests_per_minute) if requests_per_minute else None
        self._patience = patience
        self._paused_until = 0.0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the slots during one request.

        Raises:
            Transient: Salestrekker asked for a pause longer than ``patience``.
        """
        async with self._slots:
            await self._wait_out_pause()
            if self._rate is not None:
                await self._rate.acquire()
            yield

    def pause(self, seconds: float) -> None:
        """Let no request pass for so many seconds: a ``Retry-After`` applies to the whole connection."""
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + seconds)

    async def _wait_out_pause(self) -> None:
        while (left := self._paused_until - asyncio.get_running_loop().time()) > 0:
            if left > self._patience:
                raise Transient("Salestrekker asked to be left alone for a while", retry_after=left)
            await asyncio.sleep(left)


def _limiter(per_minute: float) -> AsyncLimiter:
    burst = max(1.0, min(BURST, per_minute))
    return AsyncLimiter(burst, burst * 60 / per_minute)


POISON_ATTEMPTS: Final = 2
"""An item that fails twice is read around: most such failures do not pass."""


class RetryHook:
    """For stamina: whether to try again after an error, and after how many seconds.

    Args:
        retries: The limits.
        random: Returns a number in [0, 1).
        monotonic: Returns seconds that never run backwards.
    """

    def __init__(
        self, retries: RetryPolicy, random: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._retries = retries
        self._random = random
        self._monotonic = monotonic
        self._began = monotonic()
        self._failed = 0

    def __call__(self, error: Exception) -> bool | float:
        """Return the seconds to wait, or False if there is no further attempt."""
        self._failed += 1
        if not isinstance(error, Transient):
            return False
        if isinstance(error, PoisonItem) and self._failed >= POISON_ATTEMPTS:
            return False
        wait = self._retries.backoff(self._failed, self._random)
        wait += error.retry_after or 0.0
        spent = self._monotonic() - self._began
        return wait if spent + wait <= self._retries.total else False

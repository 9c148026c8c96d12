"""How long to wait before the next attempt: backoff, probes of a system that is down, and ``Retry-After``.

Pure: the time and the random number are arguments, and nothing sleeps here. Waits are in seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LONGEST_RETRY_AFTER", "RetryPolicy", "retry_after"]

LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds. A longer ``Retry-After`` is cut: a server with a wrong clock must not stop us for days."""

_MAX_DOUBLINGS: Final = 60
"""After this many doublings every first wait exceeds every sensible maximum, and floats stay finite."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How failed requests to either system are repeated. Waits double from ``first`` to ``longest``.

    Attributes:
        first: Upper bound of the first wait, in seconds.
        longest: Upper bound of every wait, in seconds.
        attempts: Maximum number of attempts. None: no limit.
        total: Maximum time for all attempts, in seconds. Also the longest ``Retry-After`` to wait for.
    """

    first: float = 0.5
    longest: float = 10.0
    attempts: int | None = None
    total: float = math.inf

    def backoff(self, attempt: int, random: Callable[[], float]) -> float:
        """Return the wait before the next attempt: capped doubling with full jitter.

        Full jitter (a wait between zero and the cap) spreads many waiting records best. See "Exponential
        Backoff And Jitter" in the AWS Architecture Blog.

        Args:
            attempt: The number of the attempt that failed, from 1.
            random: Returns a number in [0, 1).

        Returns:
            Seconds in [0, ``longest``).
        """
        return random() * self._doubled(attempt - 1)

    def probe_wait(self, failed: int, random: Callable[[], float]) -> float:
        """Return the wait before the next probe of a system that is down: capped doubling, some jitter.

        The wait is in the upper half of its interval. So two processes do not probe in step, and there is a
        minimum distance between probes.

        Args:
            failed: How many probes have failed so far, from 0.
            random: Returns a number in [0, 1).

        Returns:
            Seconds.
        """
        return self._doubled(failed) * (0.5 + random() / 2)

    def _doubled(self, times: int) -> float:
        return min(self.longest, math.ldexp(self.first, max(0, min(times, _MAX_DOUBLINGS))))


def retry_after(value: str | None, now: float) -> float | None:
    """Return the wait that a ``Retry-After`` header asks for (RFC 9110, section 10.2.3: seconds or a date).

    Args:
        value: The header. None: the response has none.
        now: The wall clock, in seconds since the epoch, for a header that holds a date.

    Returns:
        Seconds, at most an hour. None: no header, an unreadable header, or a date in the past.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        # A longer number exceeds the cap anyway, and Python refuses to parse very long ones.
        return min(float(text[:300]), LONGEST_RETRY_AFTER)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(seconds, LONGEST_RETRY_AFTER) if seconds >= 0 else None

"""How fast to go on: backoff, ``Retry-After``, and the valve that makes an outage no worse.

Pure: the time and the chance are arguments, nothing sleeps here. Times and waits are seconds; ``now``
may be of any clock that does not run backwards, as long as one valve is always asked by the same one.
"""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LONGEST_RETRY_AFTER", "Valve", "backoff", "probe_wait", "retry_after"]

LONGEST_RETRY_AFTER: Final = 3600.0
"""No ``Retry-After`` is believed beyond an hour: a wrong clock over there must not stop us for days."""

_MOST_DOUBLINGS: Final = 60
"""Beyond this many doublings any first wait is past any sensible maximum, and floats stay finite."""


def backoff(attempt: int, first: float, maximum: float, random: Callable[[], float]) -> float:
    """How long to wait before the next attempt: capped doubling with full jitter.

    Full jitter (anything from nothing to the cap) spreads many waiting records best; see "Exponential
    Backoff And Jitter" in the AWS Architecture Blog.

    Args:
        attempt: Which attempt has failed, from 1.
        first: The cap of the first wait.
        maximum: The cap of all waits.
        random: Gives a number of [0, 1).

    Returns:
        Seconds in [0, maximum).
    """
    return random() * _doubled(first, attempt - 1, maximum)


def probe_wait(failed: int, first: float, maximum: float, random: Callable[[], float]) -> float:
    """How long to leave a destination alone before the next probe: capped doubling, some jitter.

    Drawn from the upper half of its interval, so that two processes fall out of step and there is still
    a least distance between probes.

    Args:
        failed: How many probes have failed so far, from 0.
        first: The longest first wait.
        maximum: The longest of all waits.
        random: Gives a number of [0, 1).

    Returns:
        Seconds.
    """
    return _doubled(first, failed, maximum) * (0.5 + random() / 2)


def retry_after(value: str | None, now: float) -> float | None:
    """The wait that a ``Retry-After`` header asks for (RFC 9110, section 10.2.3: seconds or a date).

    Args:
        value: The header, None where there was none.
        now: Wall clock, seconds since the epoch: a date is held against it.

    Returns:
        Seconds, at most an hour; None for no header, an unreadable one, or a date that has passed.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        # More digits than these are beyond the cap, and Python refuses to read very many.
        return min(float(text[:300]), LONGEST_RETRY_AFTER)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(seconds, LONGEST_RETRY_AFTER) if seconds >= 0 else None


def _doubled(first: float, times: int, maximum: float) -> float:
    return min(maximum, math.ldexp(first, max(0, min(times, _MOST_DOUBLINGS))))


class Valve:
    """How many requests one destination may have in flight, so that retries never make an outage worse.

    ::

                   a failure, fewer than `threshold` in a row
                        ┌───┐
                        │   v         `threshold` failures in a row
        start ──────> flowing ───────────────────────────────────────> down ──┐ a probe fails:
                        ^   ^                                           ^  │  │ the next one waits
           each pass    │   │ the limit has                 `threshold` │  │<─┘ twice as long,
           doubles the  │   │ reached `bound`               failures    │  │    up to `probe_max`
           limit   ┌────┴───┴──┐                            in a row    │  │
                   └──> ramping ────────────────────────────────────────┘  │
                           ^  ^                                            │
                           │  └──────────── any pass ──────────────────────┘
                           └─ a hold (``Retry-After``), from any state but down; a failure while ramping

    *flowing*: up to `bound` in flight. *down*: one probe, and only when nothing else is in flight and the
    time of the next probe has come. *ramping*: the limit starts at 1 and doubles with each pass. A *hold*
    stops all of it until its time, in every state.

    The valve does not know which record a request is for: whoever asks takes another waiting record for
    each probe, so that one poison record cannot keep the destination down. For refusals, where the
    first one counts, use a valve of its own with a threshold of 1.

    Args:
        bound: The most requests in flight, at least 1.
        threshold: How many transient failures in a row, without a pass between, mean that it is down.
        probe_first: The first wait before a probe, doubling with each that fails, to
        probe_max: the longest.
        random: Gives a number of [0, 1), for the jitter of the waits (``probe_wait``).
    """

    def __init__(
        self, bound: int, threshold: int, probe_first: float, probe_max: float, random: Callable[[], float]
    ) -> None:
        if bound < 1 or threshold < 1:
            raise ValueError("bound and threshold must be at least 1")
        self._bound = bound
        self._threshold = threshold
        self._probe_first = probe_first
        self._probe_max = probe_max
        self._random = random
        self._limit = bound
        self._failures = 0
        self._failed_probes = 0
        self._down_since: float | None = None
        self._probe_at = -math.inf
        self._held_until = -math.inf

    @property
    def down_since(self) -> float | None:
        """When the destination was found down; None while it is not."""
        return self._down_since

    @property
    def failed_probes(self) -> int:
        """How many probes have failed since it was found down."""
        return self._failed_probes

    def allowed(self, now: float, in_flight: int) -> int:
        """How many more requests may begin now, given how many have no answer yet."""
        if self.opens_at(now) is not None:
            return 0
        return max(0, self._limit - in_flight)

    def opens_at(self, now: float) -> float | None:
        """When the next request may begin, where only time stands in its way; None when none does."""
        moment = max(self._held_until, self._probe_at)
        return moment if moment > now else None

    def passed(self, now: float) -> None:
        """An answer that shows the destination at work, be it a yes or a refusal of one record."""
        self._failures = self._failed_probes = 0
        self._down_since = None
        self._probe_at = -math.inf
        if now >= self._held_until:  # while held only requests from before the hold can pass
            self._limit = min(self._bound, self._limit * 2)

    def failed(self, now: float, retry_after: float | None = None) -> None:
        """A transient failure: a time-out, a broken connection, 429, 5xx.

        Args:
            now: When it was noticed.
            retry_after: The wait that the destination asked for, if it did: for the whole connection.
        """
        self._failures += 1
        if retry_after is not None:
            self.hold_until(now + retry_after)
        if self._down_since is not None:
            self._probe_failed(now)
        elif self._failures >= self._threshold:
            self._down_since = now
            self._limit = 1
            self._schedule_probe(now)
        elif self._limit < self._bound:
            self._limit = 1

    def hold_until(self, moment: float) -> None:
        """Begin nothing before this moment, then start again with one request at a time."""
        self._held_until = max(self._held_until, moment)
        self._limit = 1

    def _probe_failed(self, now: float) -> None:
        # Before the time of the probe only a request from before the outage can fail: it tells nothing new.
        if now >= self._probe_at:
            self._failed_probes += 1
            self._schedule_probe(now)

    def _schedule_probe(self, now: float) -> None:
        self._probe_at = now + probe_wait(
            self._failed_probes, self._probe_first, self._probe_max, self._random
        )

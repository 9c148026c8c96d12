"""The circuit breaker in front of Trakor: it limits requests, so that retries never make an outage worse."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

from bridge.delivery.batch_result import Outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.delivery.sending_options import SendingSettings
    from bridge.errors import Transient
    from bridge.retry import RetryPolicy

__all__ = ["CircuitBreaker", "SendingBreaker"]

DOWN_AFTER: Final = 8
"""Trakor counts as down after this many failures in a row."""


class CircuitBreaker:
    """Decides how many requests may be in flight to one system.

    ::

                   a failure, fewer than `threshold` in a row
                        ┌───┐
                        │   v         `threshold` failures in a row
        start ──────> closed ────────────────────────────────────────> open ──┐ a probe fails:
                        ^   ^                                           ^  │  │ the next one waits
           each success │   │ the limit has                 `threshold` │  │<─┘ twice as long,
           doubles the  │   │ reached `bound`               failures    │  │    up to `probe.longest`
           limit   ┌────┴───┴──┐                            in a row    │  │
                   └─> half open ───────────────────────────────────────┘  │
                           ^  ^                                            │
                           │  └──────────── any success ───────────────────┘
                           └─ a hold (``Retry-After``), from any state but open; a failure while half open

    *Closed*: up to `bound` requests in flight. *Open*: one probe, and only when nothing else is in flight and
    the probe is due. *Half open*: the limit starts at 1 and doubles with each success. A *hold* stops all
    requests until its end, in every state.

    The breaker does not know which record a request is for. The caller sends a different record with each
    probe, so that one poison record cannot keep the breaker open.

    Pure: each method takes ``now``, in seconds of any clock that never runs backwards.

    Args:
        bound: Maximum number of requests in flight, at least 1.
        threshold: How many transient failures in a row open the breaker, at least 1.
        probe: The waits between probes.
        random: Returns a number in [0, 1), for the jitter of the waits.
    """

    def __init__(self, bound: int, threshold: int, probe: RetryPolicy, random: Callable[[], float]) -> None:
        if bound < 1 or threshold < 1:
            raise ValueError("bound and threshold must be at least 1")
        self._bound = bound
        self._threshold = threshold
        self._probe = probe
        self._random = random
        self._limit = bound
        self._failures = 0
        self._failed_probes = 0
        self._down_since: float | None = None
        self._probe_at = -math.inf
        self._held_until = -math.inf

    @property
    def down_since(self) -> float | None:
        """When the breaker opened. None: it is not open."""
        return self._down_since

    @property
    def failed_probes(self) -> int:
        """How many probes have failed since the breaker opened."""
        return self._failed_probes

    def allowed(self, now: float, in_flight: int) -> int:
        """Return how many more requests may start, given how many are in flight."""
        if self.blocked_until(now) is not None:
            return 0
        return max(0, self._limit - in_flight)

    def blocked_until(self, now: float) -> float | None:
        """Return when the next request may start. None: no wait is needed."""
        until = max(self._held_until, self._probe_at)
        return until if until > now else None

    def record_success(self, now: float) -> None:
        """Record an answer that shows the system at work: a record was taken or rejected."""
        self._failures = self._failed_probes = 0
        self._down_since = None
        self._probe_at = -math.inf
        if now >= self._held_until:  # during a hold, only requests from before the hold can succeed
            self._limit = min(self._bound, self._limit * 2)

    def record_failure(self, now: float, retry_after: float | None = None) -> None:
        """Record a transient failure: a timeout, a broken connection, 429, 5xx.

        Args:
            now: When it was noticed.
            retry_after: The wait that the system asked for, if any. It applies to all requests.
        """
        self._failures += 1
        if retry_after is not None:
            self.hold_until(now + retry_after)
        if self._down_since is not None:
            self._record_failed_probe(now)
        elif self._failures >= self._threshold:
            self._down_since = now
            self._limit = 1
            self._schedule_probe(now)
        elif self._limit < self._bound:
            self._limit = 1

    def hold_until(self, until: float) -> None:
        """Start no request before this time, then start again with one request at a time."""
        self._held_until = max(self._held_until, until)
        self._limit = 1

    def _record_failed_probe(self, now: float) -> None:
        # Before the probe is due, only a request from before the outage can fail: that is no news.
        if now >= self._probe_at:
            self._failed_probes += 1
            self._schedule_probe(now)

    def _schedule_probe(self, now: float) -> None:
        self._probe_at = now + self._probe.probe_wait(self._failed_probes, self._random)


class SendingBreaker:
    """The circuit breaker of one delivery, on the clock of the running loop. It also describes the outage.

    Args:
        settings: Limits and waits.
        ramp: Start with one request at a time.
        clock: Milliseconds since the epoch.
        random: Returns a number in [0, 1).
        on_outage: Called whenever ``outage`` changes.

    Attributes:
        outage: Why requests are blocked, from the failure that blocked them to the next success.
        last_success: When a record was last answered, in the loop's time.
    """

    def __init__(
        self,
        settings: SendingSettings,
        *,
        ramp: bool,
        clock: Callable[[], int],
        random: Callable[[], float],
        on_outage: Callable[[], None],
    ) -> None:
        threshold = min(DOWN_AFTER, max(2, settings.max_in_flight))
        self._breaker = CircuitBreaker(settings.max_in_flight, threshold, settings.probe, random)
        self._ramp = ramp
        self._clock = clock
        self._on_outage = on_outage
        self._blocked_until: float | None = None
        self.outage: Outage | None = None
        self.last_success = 0.0

    def start(self) -> None:
        """Start the clock for ``last_success``."""
        self.last_success = self.now()
        if self._ramp:
            self._breaker.hold_until(self.last_success)

    @staticmethod
    def now() -> float:
        """Return the loop's time, which all times of this class are in."""
        return asyncio.get_running_loop().time()

    @property
    def is_down(self) -> bool:
        """Whether Trakor counts as down: a failure then says nothing about the record."""
        return self._breaker.down_since is not None

    @property
    def blocked_until(self) -> float | None:
        """When the next request may start. None: no wait is needed."""
        return self._breaker.blocked_until(self.now())

    @property
    def is_blocked(self) -> bool:
        """Whether no request may start yet."""
        return self.blocked_until is not None

    def allowed(self, in_flight: int = 0) -> int:
        """Return how many more requests may start, given how many are in flight."""
        return self._breaker.allowed(self.now(), in_flight)

    def record_success(self) -> None:
        """Record that Trakor answered for a record."""
        self.last_success = self.now()
        self.record_probe_success()

    def record_probe_success(self) -> None:
        """Record that a canary or a test request passed: Trakor works, but no record was delivered."""
        self._breaker.record_success(self.now())
        if self.outage is not None and not self.is_blocked:
            self.outage = self._blocked_until = None
            self._on_outage()

    def restart_with_one(self) -> None:
        """Go on with one request at a time, and double with each success."""
        self._breaker.hold_until(self.now())

    def record_failure(self, error: Transient) -> None:
        """Record a transient failure of a request."""
        self._breaker.record_failure(self.now(), error.retry_after)
        until = self.blocked_until
        # A request from before the outage that fails too changes nothing, and is not reported.
        if until is not None and until != self._blocked_until:
            self._blocked_until = until
            what = "Trakor is down" if self.is_down else "Trakor asked to be left alone"
            at = self._clock() + int((until - self.now()) * 1000)
            self.outage = Outage(f"{what}: {error}", at, self._breaker.failed_probes)
            self._on_outage()

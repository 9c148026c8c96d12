"""The circuit breaker: it never makes an outage worse, and it opens again."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.delivery.circuit_breaker import CircuitBreaker
from bridge.retry import RetryPolicy

if TYPE_CHECKING:
    from random import Random

PROBE = RetryPolicy(30, 900)


def never() -> float:
    return 0.0


def nearly_always() -> float:
    return 1 - 2**-53


def breaker(bound: int = 16, threshold: int = 3) -> CircuitBreaker:
    return CircuitBreaker(bound, threshold, PROBE, nearly_always)


def open_breaker() -> CircuitBreaker:
    """Down since 2, its first probe due at 32."""
    made = breaker()
    for now in (0, 1, 2):
        made.record_failure(now)
    return made


def test_a_breaker_starts_closed_and_allows_its_bound() -> None:
    assert breaker().allowed(0, 0) == 16
    assert breaker().allowed(0, 15) == 1
    assert breaker().allowed(0, 20) == 0
    assert breaker().blocked_until(0) is None


def test_failures_with_passes_between_are_no_outage() -> None:
    flowing = breaker()
    for now in range(100):
        flowing.record_failure(now)
        flowing.record_failure(now)
        flowing.record_success(now)
    assert flowing.down_since is None
    assert flowing.allowed(100, 0) == 16


def test_failures_in_a_row_are_an_outage_and_nothing_is_sent_until_the_probe() -> None:
    down = open_breaker()
    assert down.down_since == 2
    assert down.blocked_until(2) == pytest.approx(32)
    assert down.allowed(31, 0) == 0
    assert down.allowed(32, 0) == 1
    assert down.blocked_until(32) is None


def test_no_probe_begins_while_anything_is_in_flight() -> None:
    assert open_breaker().allowed(32, 1) == 0


def test_probes_that_fail_wait_twice_as_long_up_to_the_longest() -> None:
    down, now, waits = open_breaker(), 2.0, []
    for _ in range(8):
        due = down.blocked_until(now)
        assert due is not None
        waits.append(due - now)
        now = due
        down.record_failure(now)
    assert waits == pytest.approx([30, 60, 120, 240, 480, 900, 900, 900])
    assert down.down_since == 2


def test_a_probe_is_jittered_within_the_upper_half_of_its_interval() -> None:
    early = CircuitBreaker(4, 1, PROBE, never)
    early.record_failure(0)
    assert early.blocked_until(0) == 15


def test_requests_from_before_the_outage_do_not_put_the_probe_off() -> None:
    down = open_breaker()
    for now in range(3, 31):
        down.record_failure(now)
    assert down.blocked_until(31) == pytest.approx(32)


def test_a_pass_ends_the_outage_and_the_limit_doubles_with_each() -> None:
    over, limits = open_breaker(), []
    for now in range(32, 37):
        over.record_success(now)
        limits.append(over.allowed(now, 0))
    assert limits == [2, 4, 8, 16, 16]
    assert over.down_since is None


def test_a_failure_while_ramping_starts_the_ramp_again() -> None:
    ramping = open_breaker()
    ramping.record_success(32)
    ramping.record_success(32)
    ramping.record_failure(33)
    assert ramping.allowed(33, 0) == 1
    assert ramping.down_since is None


def test_the_next_outage_begins_with_the_first_interval_again() -> None:
    again = open_breaker()
    again.record_failure(40)
    again.record_failure(500)
    again.record_success(600)
    for now in (700, 701, 702):
        again.record_failure(now)
    assert again.down_since == 702
    assert again.blocked_until(702) == pytest.approx(732)


def test_a_hold_stops_the_whole_connection_then_starts_with_one() -> None:
    held = breaker()
    held.record_failure(10, retry_after=60)
    assert held.down_since is None
    assert held.blocked_until(10) == 70
    assert held.allowed(69, 0) == 0
    assert held.allowed(70, 0) == 1


def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    held = breaker()
    held.hold_until(100)
    held.hold_until(50)
    assert held.blocked_until(60) == 100


def test_passes_of_requests_from_before_a_hold_neither_end_it_nor_ramp() -> None:
    held = breaker()
    held.hold_until(100)
    for now in range(10):
        held.record_success(now)
    assert held.blocked_until(50) == 100
    assert held.allowed(100, 0) == 1


def test_a_hold_beyond_the_probe_puts_the_probe_off() -> None:
    down = open_breaker()
    down.hold_until(500)
    assert down.blocked_until(40) == 500


def test_a_threshold_of_one_stops_at_the_first_failure() -> None:
    refused = CircuitBreaker(16, 1, PROBE, nearly_always)
    refused.record_failure(5)
    assert refused.down_since == 5


@pytest.mark.parametrize(("bound", "threshold"), [(0, 1), (1, 0)])
def test_a_breaker_that_would_let_nothing_pass_is_refused(bound: int, threshold: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        CircuitBreaker(bound, threshold, PROBE, never)


@dataclass(frozen=True)
class Outage:
    """A destination that fails all it is sent until `back_at`, and how it is sent to."""

    bound: int
    threshold: int
    back_at: float
    slowest: float
    asks_for_a_wait: float


OUTAGES = st.builds(
    Outage,
    st.integers(1, 40),
    st.integers(1, 12),
    st.floats(0, 20_000),
    st.floats(0.01, 120),
    st.floats(0, 0.2),
)


class Sender:
    """Sends all that its breaker allows, and goes from answer to answer on a clock of its own."""

    def __init__(self, outage: Outage, chance: Random) -> None:
        self.outage = outage
        self.chance = chance
        self.breaker = CircuitBreaker(outage.bound, outage.threshold, PROBE, chance.random)
        self.clock = 0.0
        self.passes = 0
        self.probes: list[float] = []
        self._answers_at: list[float] = []

    def turn(self) -> None:
        """Send, checking what a probe must be, then go to the next answer or the breaker's next chance."""
        in_flight = len(self._answers_at)
        allowed = self.breaker.allowed(self.clock, in_flight)
        assert 0 <= allowed <= max(0, self.outage.bound - in_flight)
        if allowed and self.breaker.down_since is not None:
            assert (allowed, in_flight) == (1, 0)
            self.probes.append(self.clock)
        for _ in range(allowed):
            heapq.heappush(self._answers_at, self.clock + self.chance.uniform(0.001, self.outage.slowest))
        if self._answers_at:
            self._answer(heapq.heappop(self._answers_at))
        else:
            self._wait()

    def _answer(self, now: float) -> None:
        self.clock = now
        if now >= self.outage.back_at:
            self.passes += 1
            self.breaker.record_success(now)
        else:
            asks = self.chance.random() < self.outage.asks_for_a_wait
            self.breaker.record_failure(now, retry_after=60 if asks else None)

    def _wait(self) -> None:
        due = self.breaker.blocked_until(self.clock)
        assert due is not None, "nothing in flight and nothing to wait for: stuck"
        assert due > self.clock
        self.clock = due


@given(OUTAGES, st.randoms(use_true_random=False))
def test_an_outage_sees_one_probe_at_a_time_and_few_of_them(outage: Outage, chance: Random) -> None:
    sender = Sender(outage, chance)
    while sender.passes < 200:
        sender.turn()
    assert sender.breaker.down_since is None
    assert sender.breaker.allowed(sender.clock + 60, 0) == outage.bound, "it flows again to the bound"
    assert all(later - earlier >= 15 for earlier, later in itertools.pairwise(sender.probes))
    # 15 + 30 + … + 240 are five probes, then at least 450 seconds lie between two.
    assert len(sender.probes) <= 6 + outage.back_at / 450 + 1

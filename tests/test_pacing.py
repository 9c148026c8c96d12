"""Backoff, Retry-After and the valve: bounded, jittered, and never making an outage worse."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.pacing import LONGEST_RETRY_AFTER, Valve, backoff, retry_after

if TYPE_CHECKING:
    from random import Random

NOW = datetime(2026, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()


def never() -> float:
    return 0.0


def nearly_always() -> float:
    return 1 - 2**-53


@pytest.mark.parametrize(
    ("attempt", "cap"), [(0, 1), (1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (10**9, 300)]
)
def test_backoff_doubles_up_to_its_maximum_with_full_jitter(attempt: int, cap: float) -> None:
    assert backoff(attempt, 1.0, 300.0, never) == 0
    assert backoff(attempt, 1.0, 300.0, nearly_always) == pytest.approx(cap)
    assert backoff(attempt, 1.0, 300.0, lambda: 0.5) == cap / 2


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("99999999999", LONGEST_RETRY_AFTER),
        ("9" * 5000, LONGEST_RETRY_AFTER),
        ("Fri, 06 Nov 2026 08:50:37 GMT", 60),
        ("Friday, 06-Nov-26 08:50:37 GMT", 60),
        ("Fri Nov  6 08:50:37 2026", 60),
        ("Fri, 06 Nov 2026 09:50:37 +0100", 60),
        ("Fri, 06 Nov 2026 08:50:37 -0000", 60),
        ("Fri, 06 Nov 2099 08:50:37 GMT", LONGEST_RETRY_AFTER),
        ("Fri, 06 Nov 2026 08:49:36 GMT", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(st.text() | st.datetimes(timezones=st.just(UTC)).map(format_datetime))
def test_retry_after_of_anything_is_a_bounded_wait_or_none(header: str) -> None:
    seconds = retry_after(header, NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER


def valve(bound: int = 16, threshold: int = 3) -> Valve:
    return Valve(bound, threshold, 30, 900, nearly_always)


def down_valve() -> Valve:
    """Down since 2, its first probe due at 32."""
    made = valve()
    for now in (0, 1, 2):
        made.failed(now)
    return made


def test_a_valve_starts_open_to_its_bound() -> None:
    assert valve().allowed(0, 0) == 16
    assert valve().allowed(0, 15) == 1
    assert valve().allowed(0, 20) == 0
    assert valve().opens_at(0) is None


def test_failures_with_passes_between_are_no_outage() -> None:
    flowing = valve()
    for now in range(100):
        flowing.failed(now)
        flowing.failed(now)
        flowing.passed(now)
    assert flowing.down_since is None
    assert flowing.allowed(100, 0) == 16


def test_failures_in_a_row_are_an_outage_and_nothing_is_sent_until_the_probe() -> None:
    down = down_valve()
    assert down.down_since == 2
    assert down.opens_at(2) == pytest.approx(32)
    assert down.allowed(31, 0) == 0
    assert down.allowed(32, 0) == 1
    assert down.opens_at(32) is None


def test_no_probe_begins_while_anything_is_in_flight() -> None:
    assert down_valve().allowed(32, 1) == 0


def test_probes_that_fail_wait_twice_as_long_up_to_the_longest() -> None:
    down, now, waits = down_valve(), 2.0, []
    for _ in range(8):
        due = down.opens_at(now)
        assert due is not None
        waits.append(due - now)
        now = due
        down.failed(now)
    assert waits == pytest.approx([30, 60, 120, 240, 480, 900, 900, 900])
    assert down.down_since == 2


def test_a_probe_is_jittered_within_the_upper_half_of_its_interval() -> None:
    early = Valve(4, 1, 30, 900, never)
    early.failed(0)
    assert early.opens_at(0) == 15


def test_requests_from_before_the_outage_do_not_put_the_probe_off() -> None:
    down = down_valve()
    for now in range(3, 31):
        down.failed(now)
    assert down.opens_at(31) == pytest.approx(32)


def test_a_pass_ends_the_outage_and_the_limit_doubles_with_each() -> None:
    over, limits = down_valve(), []
    for now in range(32, 37):
        over.passed(now)
        limits.append(over.allowed(now, 0))
    assert limits == [2, 4, 8, 16, 16]
    assert over.down_since is None


def test_a_failure_while_ramping_starts_the_ramp_again() -> None:
    ramping = down_valve()
    ramping.passed(32)
    ramping.passed(32)
    ramping.failed(33)
    assert ramping.allowed(33, 0) == 1
    assert ramping.down_since is None


def test_the_next_outage_begins_with_the_first_interval_again() -> None:
    again = down_valve()
    again.failed(40)
    again.failed(500)
    again.passed(600)
    for now in (700, 701, 702):
        again.failed(now)
    assert again.down_since == 702
    assert again.opens_at(702) == pytest.approx(732)


def test_a_hold_stops_the_whole_connection_then_starts_with_one() -> None:
    held = valve()
    held.failed(10, retry_after=60)
    assert held.down_since is None
    assert held.opens_at(10) == 70
    assert held.allowed(69, 0) == 0
    assert held.allowed(70, 0) == 1


def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    held = valve()
    held.hold_until(100)
    held.hold_until(50)
    assert held.opens_at(60) == 100


def test_passes_of_requests_from_before_a_hold_neither_end_it_nor_ramp() -> None:
    held = valve()
    held.hold_until(100)
    for now in range(10):
        held.passed(now)
    assert held.opens_at(50) == 100
    assert held.allowed(100, 0) == 1


def test_a_hold_beyond_the_probe_puts_the_probe_off() -> None:
    down = down_valve()
    down.hold_until(500)
    assert down.opens_at(40) == 500


def test_a_threshold_of_one_stops_at_the_first_failure() -> None:
    refused = Valve(16, 1, 30, 900, nearly_always)
    refused.failed(5)
    assert refused.down_since == 5


@pytest.mark.parametrize(("bound", "threshold"), [(0, 1), (1, 0)])
def test_a_valve_that_could_never_open_is_refused(bound: int, threshold: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Valve(bound, threshold, 30, 900, never)


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
    """Sends all that its valve allows, and goes from answer to answer on a clock of its own."""

    def __init__(self, outage: Outage, chance: Random) -> None:
        self.outage = outage
        self.chance = chance
        self.valve = Valve(outage.bound, outage.threshold, 30, 900, chance.random)
        self.clock = 0.0
        self.passes = 0
        self.probes: list[float] = []
        self._answers_at: list[float] = []

    def turn(self) -> None:
        """Send, checking what a probe must be, then go to the next answer or the valve's opening."""
        in_flight = len(self._answers_at)
        allowed = self.valve.allowed(self.clock, in_flight)
        assert 0 <= allowed <= max(0, self.outage.bound - in_flight)
        if allowed and self.valve.down_since is not None:
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
            self.valve.passed(now)
        else:
            asks = self.chance.random() < self.outage.asks_for_a_wait
            self.valve.failed(now, retry_after=60 if asks else None)

    def _wait(self) -> None:
        due = self.valve.opens_at(self.clock)
        assert due is not None, "nothing in flight and nothing to wait for: stuck"
        assert due > self.clock
        self.clock = due


@given(OUTAGES, st.randoms(use_true_random=False))
def test_an_outage_sees_one_probe_at_a_time_and_few_of_them(outage: Outage, chance: Random) -> None:
    sender = Sender(outage, chance)
    while sender.passes < 200:
        sender.turn()
    assert sender.valve.down_since is None
    assert sender.valve.allowed(sender.clock + 60, 0) == outage.bound, "it flows again to the bound"
    assert all(later - earlier >= 15 for earlier, later in itertools.pairwise(sender.probes))
    # 15 + 30 + … + 240 are five probes, then at least 450 seconds lie between two.
    assert len(sender.probes) <= 6 + outage.back_at / 450 + 1

"""Backoff, probes and Retry-After: bounded and jittered."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.retry import LONGEST_RETRY_AFTER, RetryPolicy, retry_after

NOW = datetime(2026, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()


def never() -> float:
    return 0.0


def nearly_always() -> float:
    return 1 - 2**-53


@pytest.mark.parametrize(
    ("attempt", "cap"), [(0, 1), (1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (10**9, 300)]
)
def test_backoff_doubles_up_to_its_maximum_with_full_jitter(attempt: int, cap: float) -> None:
    assert RetryPolicy(1.0, 300.0).backoff(attempt, never) == 0
    assert RetryPolicy(1.0, 300.0).backoff(attempt, nearly_always) == pytest.approx(cap)
    assert RetryPolicy(1.0, 300.0).backoff(attempt, lambda: 0.5) == cap / 2


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

"""Writes times for machines and for people. All times are milliseconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

__all__ = ["age", "iso", "local_time", "short_age"]

_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_SHORT: Final = {"day": "d", "hour": "h", "minute": "min", "second": "s"}


def iso(at: int) -> str:
    """A time as ISO 8601 in UTC, to the second: ``2026-11-03T02:00:05Z``."""
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local_time(at: int) -> str:
    """A time in the machine's time zone, which is named: ``2026-11-03 13:00:05 AEDT``."""
    return datetime.fromtimestamp(at // 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def age(at: int, now: int) -> str:
    """How long ago a time is, or how far in the future, in one unit: ``3 minutes ago``, ``in 2 hours``."""
    number, unit = _span(at, now)
    if not number:
        return "just now"
    span = f"{number} {unit}{'s' if number != 1 else ''}"
    return f"{span} ago" if at <= now else f"in {span}"


def short_age(at: int, now: int) -> str:
    """The same in short, for the narrow column of a list: ``3 min``, ``2 d``."""
    number, unit = _span(at, now)
    return f"{number} {_SHORT[unit]}"


def _span(at: int, now: int) -> tuple[int, str]:
    """The difference in the largest unit of which it has at least one."""
    seconds = abs(now - at) // 1000
    found = (one for one in _UNITS if seconds >= one[1])
    unit, length = next(found, _UNITS[-1])
    return seconds // length, unit

"""When something is due: an interval (``"15m"``) or a crontab line (``"30 2 * * *"``).

A line means what crontab(5) says, without the ambiguous forms:

- Weekdays are stored by name, because crontab counts from Sunday and APScheduler from Monday.
- Month names are stored as numbers, because APScheduler reads ``jan-jun/2`` as ``jan-jun``, and ``jan-6`` as
  ``jan``.
- A line that restricts both the day of the month and the weekday is refused. cron reads such a line as
  "either"; most people and APScheduler read it as "both".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TypeAlias

from bridge.settings.values import invalid_value, parse_duration

__all__ = ["Crontab", "Every", "Timing", "parse_timing", "per_day"]

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ITEM = re.compile(r"(\*|[0-9a-z]{1,3})(?:-([0-9a-z]{1,3}))?(?:/([0-9]{1,3}))?")
_DAY = 86400.0
_MIN_INTERVAL, _MAX_INTERVAL = 1.0, 31 * _DAY

_EXPECTED = 'must be an interval such as "15m", or a crontab line such as "30 2 * * *"'


@dataclass(frozen=True, slots=True)
class Every:
    """An interval.

    Attributes:
        seconds: The time from one run to the next.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Crontab:
    """Times of the day, month and week: the five fields of crontab(5), with weekdays by name."""

    minute: str
    hour: str
    day: str
    month: str
    weekday: str


Timing: TypeAlias = Every | Crontab


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: its name, its range, and names for the numbers from ``least`` on."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()

    def expand(self, text: str) -> frozenset[int]:
        """Return all numbers that the field stands for."""
        return frozenset(number for item in text.split(",") for number in self._item(item))

    def _item(self, item: str) -> range:
        match = _ITEM.fullmatch(item)
        if match is None or (match[1] == "*" and match[2]):
            raise self._out_of_range()
        start = self.least if match[1] == "*" else self._number(match[1])
        end = self._end(match[1], match[2], stepped=match[3] is not None, start=start)
        step = int(match[3] or 1)
        if start > end or step < 1:
            raise self._out_of_range()
        return range(start, end + 1, step)

    def _end(self, first: str, last: str | None, *, stepped: bool, start: int) -> int:
        if last is not None:
            return self._number(last)
        return self.most if first == "*" or stepped else start

    def _number(self, text: str) -> int:
        if text in self.names:
            return self.names.index(text) + self.least
        if not text.isdecimal() or not self.least <= int(text) <= self.most:
            raise self._out_of_range()
        return int(text)

    def _out_of_range(self) -> Exception:
        return invalid_value(
            f"must be a crontab line: its {self.name} must be * or {self.least} to {self.most}"
        )


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 7, _WEEKDAYS),
)


def parse_timing(value: object) -> Timing:
    """Parse an interval from one second to 31 days, or a line of five crontab fields.

    Raises:
        PydanticCustomError: The value is neither (see ``values.invalid_value``).
    """
    if isinstance(value, Every | Crontab):
        return value
    if not isinstance(value, str) or len(value) > 200:  # noqa: PLR2004 - longer is no crontab line
        raise invalid_value(_EXPECTED)
    fields = value.lower().split()
    if len(fields) == len(_FIELDS):
        return _crontab(fields)
    if len(fields) != 1 or not value[:1].isdecimal():
        raise invalid_value(_EXPECTED)
    seconds = parse_duration(value)
    if not _MIN_INTERVAL <= seconds <= _MAX_INTERVAL:
        raise invalid_value('must be an interval from "1s" to "31d"')
    return Every(seconds)


def _crontab(fields: list[str]) -> Crontab:
    _minute, _hour, days, months, weekdays = (
        field.expand(text) for field, text in zip(_FIELDS, fields, strict=True)
    )
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise invalid_value(
            "must not restrict both the day of the month and the weekday: give * for one of them"
        )
    if all(min(days) > _MONTH_DAYS[month_number - 1] for month_number in months):
        raise invalid_value("must be a crontab line for a day that exists")
    if any(sign.isalpha() for sign in month):
        month = ",".join(str(number) for number in sorted(months))
    if weekday != "*":
        weekday = ",".join(_WEEKDAYS[number] for number in sorted({number % 7 for number in weekdays}))
    return Crontab(minute, hour, day, month, weekday)


def per_day(timing: Timing) -> int:
    """Return how often something is due on one day, at most."""
    if isinstance(timing, Every):
        return math.ceil(_DAY / timing.seconds)
    minute, hour = _FIELDS[:2]
    return len(minute.expand(timing.minute)) * len(hour.expand(timing.hour))

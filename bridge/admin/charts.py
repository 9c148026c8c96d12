"""A row of bars as the numbers that its SVG needs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["HEIGHT", "WIDTH", "Bar", "Chart", "chart"]

WIDTH: Final = 480
"""Units of the drawing, which is stretched to the room that there is."""

HEIGHT: Final = 56
GAP: Final = 3
LEAST: Final = 3
"""A bar that stands for anything at all is this high; one for nothing is a line of 1."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, and what it says when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    title: str
    empty: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """A row of bars.

    Attributes:
        title: What is counted.
        said: The whole in words, for those who do not see it.
        total: The sum.
        bars: From the oldest to the present one.
        first: What stands below the oldest one.
        last: What stands below the present one.
    """

    title: str
    said: str
    total: int
    bars: Sequence[Bar]
    first: str
    last: str


def chart(title: str, numbers: Sequence[int], name: Callable[[int], str], *, first: str, last: str) -> Chart:
    """Draw numbers.

    Args:
        title: What is counted.
        numbers: The oldest first.
        name: Says what span the number at an index is of.
        first: What stands below the oldest one.
        last: What stands below the present one.
    """
    most = max(numbers, default=0)
    step = WIDTH / max(1, len(numbers))
    bars = [
        _bar(index * step, step - GAP, number, most, f"{name(index)}: {number:,}")
        for index, number in enumerate(numbers)
    ]
    total = sum(numbers)
    said = f"{title}: {total:,} in all, {most:,} at most." if total else f"{title}: none."
    return Chart(title, said, total, bars, first, last)


def _bar(x: float, width: float, number: int, most: int, title: str) -> Bar:
    height = max(LEAST, round(HEIGHT * number / most, 1)) if number else 1
    return Bar(round(x, 1), round(HEIGHT - height, 1), round(width, 1), height, title, not number)

"""Long work in short turns, so that what waits for the event loop waits for milliseconds."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["SLICE_SECONDS", "TimeSlice", "run_in_slices", "run_to_end"]

SLICE_SECONDS: Final = 0.001
"""Seconds of work between two looks at what else is to be done. A webhook needs some eight of them, from its
first byte to its answer."""


class TimeSlice:
    """The time that work may take before others have their turn.

    Args:
        seconds: How long. A step that takes longer is not cut short.
        rest: Seconds of rest afterwards. Without rest, other threads get the interpreter only every five
            milliseconds, and the ledger's thread needs it about thirty times to store a webhook.
    """

    def __init__(self, seconds: float = SLICE_SECONDS, rest: float = 0.0) -> None:
        self._seconds = seconds
        self._rest = rest
        self._until = time.perf_counter() + seconds

    async def over(self) -> None:
        """Let the event loop run everything else, if the time is over."""
        if time.perf_counter() >= self._until:
            await asyncio.sleep(self._rest)
            self._until = time.perf_counter() + self._seconds


async def run_in_slices(
    work: Generator[None, None, T], seconds: float = SLICE_SECONDS, *, rest: float = 0.0
) -> T:
    """Run a generator to its end. Between its steps the event loop runs everything else.

    Args:
        work: Yields wherever it may be interrupted, and returns the result.
        seconds: See ``TimeSlice``.
        rest: See ``TimeSlice``. For work that nobody waits for.
    """
    turn = TimeSlice(seconds, rest)
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        await turn.over()


def run_to_end(work: Generator[None, None, T]) -> T:
    """Run a generator to its end, without a break."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result

"""Splits long work into short turns, so that other tasks wait for the event loop only for milliseconds."""

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
"""Seconds of work before other tasks have their turn. A webhook needs about eight turns from its first byte
to
its answer."""


class TimeSlice:
    """The time that work may take before other tasks have their turn.

    Args:
        seconds: The length of a turn. A single step that takes longer is not interrupted.
        rest: Seconds of rest after a turn. Without rest, other threads get the interpreter only every five
            milliseconds, and the ledger's thread needs it about thirty times to store a webhook.
    """

    def __init__(self, seconds: float = SLICE_SECONDS, rest: float = 0.0) -> None:
        self._seconds = seconds
        self._rest = rest
        self._until = time.perf_counter() + seconds

    async def over(self) -> None:
        """If the time is over, let the event loop run other tasks, and start the next turn."""
        if time.perf_counter() >= self._until:
            await asyncio.sleep(self._rest)
            self._until = time.perf_counter() + self._seconds


async def run_in_slices(
    work: Generator[None, None, T], seconds: float = SLICE_SECONDS, *, rest: float = 0.0
) -> T:
    """Run a generator to its end. Between its steps, the event loop runs other tasks.

    Args:
        work: Yields wherever other tasks may run, and returns the result.
        seconds: See ``TimeSlice``.
        rest: See ``TimeSlice``. Set this for work that nobody waits for.
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

"""Long work in short turns, so that what waits for the event loop waits for milliseconds."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["TURN", "at_once", "in_turns"]

TURN: Final = 0.001
"""Seconds of work between two looks at what else is to be done. A webhook needs some eight of them, from its
first byte to its answer."""


async def in_turns(work: Generator[None, None, T], turn: float = TURN) -> T:
    """Run a generator to its end; between its steps the loop goes on with everything else.

    Args:
        work: Yields wherever it may be interrupted; returns the result.
        turn: Seconds that it may take at a time. A step that takes longer is not cut short.
    """
    until = time.perf_counter() + turn
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        if time.perf_counter() >= until:
            await asyncio.sleep(0)
            until = time.perf_counter() + turn


def at_once(work: Generator[None, None, T]) -> T:
    """Run a generator to its end, without a break."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result

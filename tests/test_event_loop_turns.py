"""Long work that leaves the loop to others."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from bridge.event_loop_turns import run_in_slices, run_to_end

if TYPE_CHECKING:
    from collections.abc import Generator


def work(steps: int, seconds: float = 0.0) -> Generator[None, None, int]:
    for _ in range(steps):
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass
        yield
    return steps


async def test_others_have_their_turn_while_it_goes_on() -> None:
    turns = 0
    done = asyncio.Event()

    async def other() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    assert await run_in_slices(work(50, 0.002), seconds=0.001) == 50
    done.set()
    await task
    assert turns >= 50


async def test_what_is_short_is_done_at_once() -> None:
    """As much of it as fits into a turn: a hundred empty steps and no look at anything else."""
    looked = asyncio.create_task(asyncio.sleep(0))
    assert await run_in_slices(work(100), seconds=60.0) == 100
    assert not looked.done()
    await looked


async def test_an_error_comes_through() -> None:
    def fails() -> Generator[None, None, int]:
        yield
        raise ValueError("so it is")

    with pytest.raises(ValueError, match="so it is"):
        await run_in_slices(fails())
    with pytest.raises(ValueError, match="so it is"):
        run_to_end(fails())


async def test_it_ends_when_it_is_cancelled() -> None:
    task = asyncio.create_task(run_in_slices(work(10**9), seconds=0.001))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

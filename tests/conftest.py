"""Fixtures that all tests share."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from bridge.sandbox import Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


@pytest.fixture
async def start_sandbox() -> AsyncIterator[Callable[[Options], Awaitable[Sandbox]]]:
    """Starts sandboxes as they are asked for, and ends them with the test."""
    async with AsyncExitStack() as stack:

        async def start(options: Options) -> Sandbox:
            return await stack.enter_async_context(Sandbox(options))

        yield start


@pytest.fixture
async def sandbox(start_sandbox: Callable[[Options], Awaitable[Sandbox]]) -> Sandbox:
    """Both systems, with 200 seeded contacts and 40 products."""
    return await start_sandbox(Options(contacts=200, products=40))

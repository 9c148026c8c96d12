"""Work that goes on after the connection was cut or the gateway gave up: the request is handled later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LateWork"]


T = TypeVar("T")


class _Pending(NamedTuple, Generic[T]):
    call: T
    finish: Callable[[], object]


class LateWork(Generic[T]):
    """The requests of one system that are still to be handled, oldest first.

    Args:
        done: Is called after each of them.
    """

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self._pending: list[_Pending[T]] = []
        self._timers: list[asyncio.TimerHandle] = []

    def __len__(self) -> int:
        return len(self._pending)

    def calls(self) -> list[T]:
        """The requests that are still to be handled."""
        return [pending.call for pending in self._pending]

    def add(self, call: T, finish: Callable[[], object], seconds: float | None) -> None:
        """Handle a request later.

        Args:
            call: The request.
            finish: Handles it.
            seconds: How much later; None: when ``finish_all`` is called.
        """
        pending = _Pending(call, finish)
        self._pending.append(pending)
        if seconds is not None:
            self._timers.append(asyncio.get_running_loop().call_later(seconds, self._finish, pending))

    def finish_all(self) -> int:
        """Handle all of them now; says how many they were."""
        pending = list(self._pending)
        for one in pending:
            self._finish(one)
        return len(pending)

    def clear(self) -> None:
        """Never handle them: the server ends."""
        self._pending.clear()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _finish(self, pending: _Pending[T]) -> None:
        if any(other is pending for other in self._pending):
            self._pending = [other for other in self._pending if other is not pending]
            pending.finish()
            self._done()

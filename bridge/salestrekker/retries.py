"""How a read is tried again: briefly, in memory, and only where it failed for a moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bridge.errors import Transient
from bridge.pacing import backoff
from bridge.salestrekker.responses import PoisonedItem

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Retries", "Waits"]

POISON_ATTEMPTS: Final = 2
"""An item that fails twice is gone around: most such faults do not pass."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How a read is retried. Times are seconds.

    Attributes:
        attempts: How often at most.
        total: For how long at most; also the longest ``Retry-After`` that is waited out.
        first: The cap of the first wait, doubling to
        longest: the longest.
    """

    attempts: int = 5
    total: float = 60.0
    first: float = 0.5
    longest: float = 10.0


class Waits:
    """For stamina: whether an error is worth another attempt, and after how many seconds.

    Args:
        retries: The bounds.
        random: Gives a number of [0, 1).
        monotonic: Seconds, never running backwards.
    """

    def __init__(self, retries: Retries, random: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._retries = retries
        self._random = random
        self._monotonic = monotonic
        self._began = monotonic()
        self._failed = 0

    def __call__(self, error: Exception) -> bool | float:
        """False where it is not to be tried again."""
        self._failed += 1
        if not isinstance(error, Transient):
            return False
        if isinstance(error, PoisonedItem) and self._failed >= POISON_ATTEMPTS:
            return False
        wait = backoff(self._failed, self._retries.first, self._retries.longest, self._random)
        wait += error.retry_after or 0.0
        spent = self._monotonic() - self._began
        return wait if spent + wait <= self._retries.total else False

"""How many wrong passwords of Basic authentication are looked at: few, and slowly."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from bridge.admin.passwords import GuessCounter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_OF_ONE", "WrongPasswords"]

HELD_SECONDS: Final = 0.5
"""Seconds for which a wrong password is held, one after the other, whoever it is from."""

MOST_WRONG: Final = 20
"""So many wrong ones are held at once; what comes then is refused unseen, be it right or wrong."""

MOST_OF_ONE: Final = 4
"""So many of them from one address: who asks from another one is looked at meanwhile."""

HELD_WAIT: Final = 10
"""Seconds after which somebody may ask again who came while too many were held."""

MOST_RIGHT: Final = 64
"""So many that were right are remembered, by their address and user name."""

Share: TypeAlias = "tuple[str, bytes]"
"""What a wrong password counts for: an address, and the hash of a user name."""

TELL_EVERY: Final = 60.0
"""Seconds between two log lines about wrong passwords, which tell how many there were."""

log = structlog.get_logger()


class WrongPasswords:
    """Makes guessing slow: few wrong passwords in a minute, each held for a while, one after the other.

    Wrong ones count for their address. Above the bound nothing is looked at, be it right or wrong: otherwise
    each guess would be told at once whether it is right. But for who was right before, as a monitoring system
    is every few seconds: that one waits for its own wrong ones alone.

    Args:
        seconds: For how long each is held.
        clock: Seconds of a clock that is never set.
    """

    def __init__(self, seconds: float = HELD_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._turn = asyncio.Lock()
        self._tries = GuessCounter(clock)
        self._held: Counter[Share] = Counter()
        self._right: dict[Share, None] = {}
        self._untold = 0
        self._told_at = -math.inf

    def wait(self, share: Share) -> int:
        """Seconds until anything with a share is looked at; 0: at once."""
        if share in self._right:
            return self._tries.wait(share) or (HELD_WAIT if self._held[share] >= MOST_OF_ONE else 0)
        of_address = sum(number for (address, _), number in self._held.items() if address == share[0])
        are_too_many = of_address >= MOST_OF_ONE or self._held.total() >= MOST_WRONG
        return self._tries.wait(share[0]) or (HELD_WAIT if are_too_many else 0)

    def remember(self, share: Share) -> None:
        """One that was right; the one that was so longest ago makes room."""
        self._right.pop(share, None)
        self._right[share] = None
        if len(self._right) > MOST_RIGHT:
            del self._right[next(iter(self._right))]

    async def hold(self, share: Share) -> None:
        """Count one, and hold it."""
        self._tries.note(share if share in self._right else share[0])
        self._tell(share[0])
        self._held[share] += 1
        try:
            async with self._turn:
                await asyncio.sleep(self._seconds)
        finally:
            self._held -= Counter([share])  # those of which none is left are not there any more

    def _tell(self, address: str) -> None:
        """One line a minute, however many there are."""
        self._untold += 1
        now = self._clock()
        if now - self._told_at >= TELL_EVERY:
            log.warning(
                "wrong password for the admin listener",
                address=address,
                since_last_told=self._untold,
                again_at_most_every=f"{TELL_EVERY:.0f}s",
            )
            self._untold, self._told_at = 0, now

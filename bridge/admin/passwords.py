"""The password of the status page's own log-in: slow to guess, even for who has the process's memory."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["GuessCounter", "LogInLimiter", "LogInResult", "SlowPassword"]

COST: Final = 2**14
"""Of scrypt, with blocks of 8: 16 MiB and some 50 ms for each guess (RFC 7914; OWASP's page on passwords)."""

LONGEST: Final = 1024
"""Characters of what somebody may give as a password: more is none."""

TRIES: Final = 5
"""So many wrong ones may come with one share in a minute; then it has to wait."""

WITHIN: Final = 60.0
"""Seconds of that minute."""

MOST_WAITING: Final = 8
"""So many guesses wait for their turn, whoever they are from; the next ones are sent away."""

MOST_SHARES: Final = 4096
"""So many shares are remembered."""


class SlowPassword:
    """Knows a password by its slow hash alone.

    Args:
        password: Empty: none is wanted.
        cost: scrypt's, a power of two.
    """

    def __init__(self, password: str, cost: int = COST) -> None:
        self._cost = cost
        self._salt = secrets.token_bytes(16)
        self._hash = self._of(password) if password else b""

    @property
    def wanted(self) -> bool:
        """Whether one has to be given."""
        return bool(self._hash)

    def fits(self, given: str) -> bool:
        """Whether it is the password; takes some 50 ms of a core either way."""
        return len(given) <= LONGEST and hmac.compare_digest(self._of(given), self._hash)

    def _of(self, password: str) -> bytes:
        return hashlib.scrypt(password.encode(), salt=self._salt, n=self._cost, r=8, p=1)


@dataclass(frozen=True, slots=True)
class LogInResult:
    """What is said to a guess: it fits, it does not, or it has to wait so many seconds."""

    fits: bool
    wait: int = 0


class GuessCounter:
    """Counts wrong passwords by what they count for: a few in a minute, then that share has to wait.

    Args:
        clock: Seconds of a clock that is never set.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wrong: dict[Hashable, list[float]] = {}

    def wait(self, share: Hashable) -> int:
        """Seconds until another guess with that share is looked at; 0: at once."""
        times = [at for at in self._wrong.get(share, ()) if at > self._clock() - WITHIN]
        return math.ceil(times[-TRIES] + WITHIN - self._clock()) if len(times) >= TRIES else 0

    def note(self, share: Hashable) -> None:
        """Count one; of too many shares, the one that was longest without a wrong one makes room."""
        times = self._wrong.pop(share, [])
        while len(self._wrong) >= MOST_SHARES:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[share] = [*times[-TRIES:], self._clock()]

    def forget(self, share: Hashable) -> None:
        """Begin to count again: somebody was let in with that share."""
        self._wrong.pop(share, None)


class LogInLimiter:
    """Lets in who knows the password, one guess at a time, and few with each share.

    A share is an address, or a browser from which somebody was let in before: behind a tunnel all have one
    address, and whoever guesses there must not keep the others out.

    Args:
        password: The password.
        clock: Seconds of a clock that is never set.
    """

    def __init__(self, password: SlowPassword, clock: Callable[[], float]) -> None:
        self._password = password
        self._tries = GuessCounter(clock)
        self._turn = asyncio.Lock()
        # One thread: each that has made a slow hash keeps the 16 MiB that it took.
        self._thread = ThreadPoolExecutor(1, "password")
        self._waiting = 0

    async def try_(self, share: str, given: str, *, known: bool = False) -> LogInResult:
        """Look at one guess.

        Args:
            share: What it counts for.
            given: The password that was given.
            known: Somebody was let in with this share before: it waits for its turn in any case.
        """
        if wait := self._tries.wait(share):
            return LogInResult(fits=False, wait=wait)
        if self._waiting >= MOST_WAITING and not known:
            return LogInResult(fits=False, wait=10)
        self._waiting += 1
        try:
            async with self._turn:
                if wait := self._tries.wait(share):  # others of that share had their turn meanwhile
                    return LogInResult(fits=False, wait=wait)
                fits = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._password.fits, given
                )
        finally:
            self._waiting -= 1
        if fits:
            self._tries.forget(share)
        else:
            self._tries.note(share)
        return LogInResult(fits)

    def close(self) -> None:
        """Look at nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

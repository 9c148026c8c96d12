"""Limits on guessing passwords of the status page."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from bridge.admin.passwords import SlowPassword

__all__ = ["MOST_OF_ONE", "GuessCounter", "LogInLimiter", "LogInResult", "WrongPasswords"]

TRIES: Final = 5
"""Wrong passwords per client in a minute; then the client has to wait."""


WITHIN: Final = 60.0
"""Seconds of that minute."""


MOST_WAITING: Final = 8
"""The most guesses that wait for their turn; further ones are refused."""


MOST_CLIENTS: Final = 4096
"""The most clients that are remembered."""


@dataclass(frozen=True, slots=True)
class LogInResult:
    """The result of a guess: right, wrong, or wait this many seconds."""

    fits: bool
    wait: int = 0


class GuessCounter:
    """Counts wrong passwords per client: after a few in a minute, the client has to wait.

    Args:
        clock: Seconds of a monotonic clock.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wrong: dict[Hashable, list[float]] = {}

    def wait(self, client: Hashable) -> int:
        """Seconds until the client may guess again; 0: at once."""
        times = [at for at in self._wrong.get(client, ()) if at > self._clock() - WITHIN]
        return math.ceil(times[-TRIES] + WITHIN - self._clock()) if len(times) >= TRIES else 0

    def note(self, client: Hashable) -> None:
        """Count a wrong password. If there are too many clients, the least recent one is forgotten."""
        times = self._wrong.pop(client, [])
        while len(self._wrong) >= MOST_CLIENTS:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[client] = [*times[-TRIES:], self._clock()]

    def forget(self, client: Hashable) -> None:
        """Start counting again, after the right password."""
        self._wrong.pop(client, None)


class LogInLimiter:
    """Checks the log-in page's password, one guess at a time, and few for each client.

    A client is an address, or a browser that has logged in before. Behind a tunnel all users have one
    address, and somebody who guesses there must not lock the others out.

    Args:
        password: The password.
        clock: Seconds of a monotonic clock.
    """

    def __init__(self, password: SlowPassword, clock: Callable[[], float]) -> None:
        self._password = password
        self._tries = GuessCounter(clock)
        self._turn = asyncio.Lock()
        # One thread, since each thread that has made a slow hash keeps its 16 MiB.
        self._thread = ThreadPoolExecutor(1, "password")
        self._waiting = 0

    async def try_(self, client: str, given: str, *, known: bool = False) -> LogInResult:
        """Check a guess.

        Args:
            client: The client that it counts for.
            given: The password that was given.
            known: The client has logged in before, so that it may always wait for its turn.
        """
        if wait := self._tries.wait(client):
            return LogInResult(fits=False, wait=wait)
        if self._waiting >= MOST_WAITING and not known:
            return LogInResult(fits=False, wait=10)
        self._waiting += 1
        try:
            async with self._turn:
                if wait := self._tries.wait(client):  # the client had other guesses in the meantime
                    return LogInResult(fits=False, wait=wait)
                fits = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._password.fits, given
                )
        finally:
            self._waiting -= 1
        if fits:
            self._tries.forget(client)
        else:
            self._tries.note(client)
        return LogInResult(fits)

    def close(self) -> None:
        """Stop checking."""
        self._thread.shutdown(wait=False, cancel_futures=True)


HELD_SECONDS: Final = 0.5
"""Seconds that the response to a wrong password is delayed, one after the other for all clients."""


MOST_WRONG: Final = 20
"""The most responses that are delayed at a time; further requests are refused unchecked."""


MOST_OF_ONE: Final = 4
"""The most of them from one address, so that requests from other addresses are still checked."""


HELD_WAIT: Final = 10
"""Seconds after which a refused client may try again."""


MOST_RIGHT: Final = 64
"""The most clients with the right password that are remembered."""


Client: TypeAlias = "tuple[str, bytes]"
"""What a wrong password counts for: an address, and the hash of a user name."""


LOG_EVERY: Final = 60.0
"""Seconds between two log lines about wrong passwords, each with their number."""


log = structlog.get_logger()


class WrongPasswords:
    """Slows down guessing over Basic authentication: few wrong passwords a minute, each response delayed.

    Wrong passwords count for their address. Above the limit nothing is checked: otherwise a guesser would
    learn at once whether a guess is right. A client that was right before, such as a monitoring system, waits
    only because of its own wrong passwords.

    Args:
        seconds: How long each response is delayed.
        clock: Seconds of a monotonic clock.
    """

    def __init__(self, seconds: float = HELD_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._turn = asyncio.Lock()
        self._tries = GuessCounter(clock)
        self._delayed: Counter[Client] = Counter()
        self._right: dict[Client, None] = {}
        self._unlogged = 0
        self._logged_at = -math.inf

    def wait(self, client: Client) -> int:
        """Seconds until a request of this client is checked; 0: at once."""
        if client in self._right:
            return self._tries.wait(client) or (HELD_WAIT if self._delayed[client] >= MOST_OF_ONE else 0)
        of_address = sum(number for (address, _), number in self._delayed.items() if address == client[0])
        are_too_many = of_address >= MOST_OF_ONE or self._delayed.total() >= MOST_WRONG
        return self._tries.wait(client[0]) or (HELD_WAIT if are_too_many else 0)

    def remember(self, client: Client) -> None:
        """Remember a client with the right password; the least recent one is forgotten."""
        self._right.pop(client, None)
        self._right[client] = None
        if len(self._right) > MOST_RIGHT:
            del self._right[next(iter(self._right))]

    async def delay(self, client: Client) -> None:
        """Count a wrong password, and delay its response."""
        self._tries.note(client if client in self._right else client[0])
        self._log(client[0])
        self._delayed[client] += 1
        try:
            async with self._turn:
                await asyncio.sleep(self._seconds)
        finally:
            self._delayed -= Counter([client])  # removes the client at 0

    def _log(self, address: str) -> None:
        """Log one line a minute at most."""
        self._unlogged += 1
        now = self._clock()
        if now - self._logged_at >= LOG_EVERY:
            log.warning(
                "wrong password for the admin listener",
                address=address,
                since_last_logged=self._unlogged,
                again_at_most_every=f"{LOG_EVERY:.0f}s",
            )
            self._unlogged, self._logged_at = 0, now

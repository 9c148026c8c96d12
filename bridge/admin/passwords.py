"""Passwords of the status page: of its log-in page and of Basic authentication, and limits on guessing."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import math
import secrets
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = [
    "MOST_OF_ONE",
    "BasicPassword",
    "GuessCounter",
    "LogInLimiter",
    "LogInResult",
    "SlowPassword",
    "WrongPasswords",
    "share_of",
]

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


class BasicPassword:
    """The password of Basic authentication (RFC 7617); any user name goes with it.

    Args:
        password: Empty: none is asked for.
    """

    def __init__(self, password: str) -> None:
        self._digest = _digest(password.encode()) if password else b""

    @property
    def wanted(self) -> bool:
        """Whether one has to be given."""
        return bool(self._digest)

    def fits(self, authorization: str | None) -> bool:
        """Whether a request may be answered, by its ``Authorization`` header.

        Hashes of one length are compared, so that the time it takes tells nothing.
        """
        return not self.wanted or hmac.compare_digest(_digest(_given(authorization or "")), self._digest)


def share_of(address: str, authorization: str) -> tuple[str, bytes]:
    """What a wrong password counts for: behind a tunnel all have one address, but not one user name."""
    return address, _digest(_credentials(authorization).partition(b":")[0])


def _given(authorization: str) -> bytes:
    """The password in a header; empty where there is none, or none that can be read."""
    return _credentials(authorization).partition(b":")[2]


def _credentials(authorization: str) -> bytes:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _digest(password: bytes) -> bytes:
    return hashlib.sha256(password).digest()

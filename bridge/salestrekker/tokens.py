"""The Salestrekker token: kept in memory only, renewed before it expires, never by two callers at once.

::

                       renew_at                expires_at
    authenticate ─────────┼───────────────────────┼──────>
       use as it is       │ one renews, the others │ all wait for the one renewal
                          │ go on with the old one │

An early renewal that fails or is refused is tried again at growing intervals. Meanwhile the old token is used
until it expires. A failure reaches a read only if there is no valid token.

A token that is refused is renewed once. If the new one is refused too, before any successful read with it,
the credentials are no longer valid. Nothing more is sent until ``TokenKeeper.reset_refusal``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import random as chance
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from bridge.errors import Refused, Transient
from bridge.retry import RetryPolicy
from bridge.salestrekker.responses import KEY_ADVICE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = [
    "RenewalPolicy",
    "Token",
    "TokenKeeper",
    "TokenStatus",
    "decode_claims",
    "make_token",
    "read_expiry",
]

DEFAULT_LIFETIME: Final = 14 * 86_400.0
"""Seconds that a token is valid if it does not say: "valid 14 days from creation" (vendor's page)."""

RENEWAL_SHARE: Final = 0.2
"""A token is renewed at the latest when this share of its life is left."""


@dataclass(frozen=True, slots=True)
class RenewalPolicy:
    """How a failed early renewal is tried again. Times are seconds.

    Attributes:
        first: The limit of the first wait, which doubles up to
        longest: the longest one; full jitter.
        look: How often to look at the clock, at least: somebody may have set it.
    """

    first: float = 60.0
    longest: float = 3600.0
    look: float = 30.0


@dataclass(frozen=True, slots=True)
class Token:
    """One token. Times are seconds since the epoch.

    Attributes:
        text: What goes into the header. ``repr`` does not show it.
        renew_at: When to ask for a new one.
        expires_at: When it expires.
    """

    text: str = field(repr=False)
    renew_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """The state of the token. Times are milliseconds since the epoch.

    Attributes:
        expires_at: When it expires.
        renew_at: When to ask for a new one.
        failing_since: Since when renewals have failed, or None.
        next_try_at: When the next renewal is tried, or None.
        problem: Why the last renewal failed, or empty text.
    """

    expires_at: int
    renew_at: int
    failing_since: int | None = None
    next_try_at: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _RenewalFailure:
    """Early renewals have failed: how often, since when, when the next is due (seconds), and why."""

    times: int
    since: float
    again_at: float
    problem: str


LATEST_EXPIRY: Final = 253_402_300_799.0
"""The end of the year 9999, seconds since the epoch. A later number is no time in seconds."""


def decode_claims(token: str) -> Mapping[str, object]:
    """The claims of a JWT (RFC 7519, 4), not verified. Empty if they cannot be read."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        return {}
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def read_expiry(token: str) -> float | None:
    """The ``exp`` claim of a JWT (RFC 7519, 4.1.4), not verified, or None if it is not valid."""
    exp = decode_claims(token).get("exp")
    if isinstance(exp, bool) or not isinstance(exp, int | float) or not 0 <= exp <= LATEST_EXPIRY:
        return None
    return float(exp)


def make_token(text: str, now: float, renew_before: float) -> Token:
    """A token just received, with its times worked out.

    An ``exp`` in the past shows that the clocks differ. Then the documented lifetime counts.

    Args:
        text: The token.
        now: Seconds since the epoch.
        renew_before: Renew when so many seconds, or a fifth of its life, are left, whichever is less.
    """
    exp = read_expiry(text)
    expires_at = exp if exp is not None and exp > now else now + DEFAULT_LIFETIME
    return Token(text, expires_at - min(renew_before, (expires_at - now) * RENEWAL_SHARE), expires_at)


class TokenKeeper:
    """Gives each request a token that should be valid.

    Args:
        authenticate: Asks for a new token, once. Raises Transient or Refused.
        renew_before: See ``make_token``.
        clock: Returns seconds since the epoch.
        renewing: How a failed early renewal is tried again.
        random: Returns a number in [0, 1).
        on_change: Called after each change of ``status``.
    """

    def __init__(
        self,
        authenticate: Callable[[], Awaitable[str]],
        *,
        renew_before: float,
        clock: Callable[[], float],
        renewing: RenewalPolicy | None = None,
        random: Callable[[], float] = chance.random,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._authenticate = authenticate
        self._renew_before = renew_before
        self._clock = clock
        self._renewing = renewing or RenewalPolicy()
        self._policy = RetryPolicy(self._renewing.first, self._renewing.longest)
        self._random = random
        self._on_change = on_change
        self._lock = asyncio.Lock()
        self._token: Token | None = None
        self._tries = 0
        self._failure: Transient | None = None
        self._refusal: Refused | None = None
        self._suspect: Token | None = None
        self._failure_state: _RenewalFailure | None = None

    @property
    def expires_at(self) -> float | None:
        """When the present token expires, seconds since the epoch, or None before the first one."""
        return self._token.expires_at if self._token else None

    @property
    def status(self) -> TokenStatus | None:
        """The state of the token, or None without one, and while the credentials are refused."""
        token, failing = self._token, self._failure_state
        if token is None or self.is_refused:
            return None
        expires_at, renew_at = int(token.expires_at * 1000), int(token.renew_at * 1000)
        if failing is None:
            return TokenStatus(expires_at, renew_at)
        since, again_at = int(failing.since * 1000), int(failing.again_at * 1000)
        return TokenStatus(expires_at, renew_at, since, again_at, failing.problem)

    @property
    def is_refused(self) -> bool:
        """Whether the credentials are refused. Nothing is sent until ``reset_refusal``."""
        return self._refusal is not None

    async def keep(self) -> None:
        """Renew the token whenever it is due, for ever, even if nothing is read for days.

        The first token, and one after an expired token, is left to the next read, which reports its failure.
        """
        while True:
            token, now = self._token, self._clock()
            if self._lock.locked():
                async with self._lock:  # somebody renews: see then
                    continue
            if token is not None and now < token.expires_at and self._is_due(token, now):
                await self._renewed_ahead(token)
            else:
                await asyncio.sleep(self._until_due(token, now))

    async def current(self) -> Token:
        """A token to use now.

        Raises:
            Transient: There is none, and a new one cannot be had now.
            Refused: The credentials are not accepted, now or since an earlier request.
        """
        self._raise_refusal()
        token, now = self._token, self._clock()
        if token is None or now >= token.expires_at:
            return await self._renewed(token)
        if not self._is_due(token, now) or self._lock.locked():
            return token
        return await self._renewed_ahead(token)

    async def replace(self, refused: Token) -> Token:
        """Another token for one that was refused.

        Raises:
            Refused: It had itself replaced a refused one, and nothing was read with it.
            Transient: A new one cannot be had now.
        """
        self._raise_refusal()
        if refused is self._suspect:
            raise self._stop(_refused_twice())
        return await self._renewed(refused, for_refused=True)

    def refused_again(self, token: Token) -> Refused:
        """The error to raise if one request was refused with a token and with its replacement.

        If others have been read with the token, it is valid, and only this request is refused.
        """
        if token is self._suspect:
            return self._stop(_refused_twice())
        return Refused(
            "Salestrekker refuses this query, although the token is good for others",
            advice="The API key lacks a permission for what the query reads: ask for it in Salestrekker.",
        )

    def confirm(self, token: Token) -> None:
        """Note a successful read with a token: only then may it be replaced if it is refused."""
        if token is self._suspect:
            self._suspect = None

    def reset_refusal(self) -> None:
        """Let the next request authenticate again after a refusal: for a probe, at growing intervals."""
        if self._refusal is not None:
            self._refusal = self._token = self._suspect = self._failure_state = None
            self._notify()

    def _is_due(self, token: Token, now: float) -> bool:
        """Whether to ask for a new token although this one is valid."""
        if now < token.renew_at or self.is_refused:
            return False
        wait = self._failure_state.again_at - now if self._failure_state else 0.0
        # Further away than any wait can be: the clock was set back since.
        return not 0 < wait <= self._renewing.longest

    def _until_due(self, token: Token | None, now: float) -> float:
        """Seconds to sleep before looking at the clock again."""
        longest = self._renewing.look
        if token is None or now >= token.expires_at or self.is_refused:
            return longest
        due = max(token.renew_at, self._failure_state.again_at if self._failure_state else 0.0)
        return min(longest, max(0.0, due - now))

    async def _renewed_ahead(self, token: Token) -> Token:
        """Another token, or this one if none can be had: it is valid until it expires."""
        try:
            return await self._renewed(token, ahead=True)
        except (Transient, Refused) as failure:
            self._note_failing(failure)
            return token

    def _note_failing(self, failure: Transient | Refused) -> None:
        now, before = self._clock(), self._failure_state
        times = before.times + 1 if before else 1
        wait = self._policy.backoff(times, self._random)
        if isinstance(failure, Transient) and failure.retry_after:
            wait = min(max(wait, failure.retry_after), self._renewing.longest)
        self._failure_state = _RenewalFailure(
            times, before.since if before else now, now + wait, str(failure)
        )
        self._notify()

    async def _renewed(self, seen: Token | None, *, for_refused: bool = False, ahead: bool = False) -> Token:
        """A token other than ``seen``, by one request whoever asks. All callers share its failure too."""
        tries = self._tries
        async with self._lock:
            if self._token is not None and self._token is not seen:
                return self._token
            self._raise_refusal()
            if self._tries != tries and self._failure is not None:
                raise Transient(str(self._failure), retry_after=self._failure.retry_after)
            self._token = await self._asked(ahead=ahead)
            self._suspect = self._token if for_refused else None
            self._failure_state = None
            self._notify()
            return self._token

    async def _asked(self, *, ahead: bool) -> Token:
        try:
            text = await self._authenticate()
        except Transient as failure:
            self._tries += 1
            self._failure = failure
            raise
        except Refused as refusal:
            if ahead:
                raise
            raise self._stop(refusal) from None
        return make_token(text, self._clock(), self._renew_before)

    def _stop(self, refusal: Refused) -> Refused:
        self._refusal = refusal
        self._notify()
        return refusal

    def _notify(self) -> None:
        if self._on_change is not None:
            self._on_change()

    def _raise_refusal(self) -> None:
        if self._refusal is not None:
            raise type(self._refusal)(str(self._refusal), advice=self._refusal.advice)


def _refused_twice() -> Refused:
    return Refused(
        "Salestrekker refuses the token, also a new one",
        advice=f"{KEY_ADVICE} Where another stream is read without trouble, the key lacks a permission.",
    )

"""The Salestrekker token: held in memory only, renewed ahead of its end, never by two at once.

::

                       renew_at                expires_at
    authenticate ─────────┼───────────────────────┼──────>
       use as it is       │ one renews, the others │ all wait for the one renewal
                          │ go on with the old one │

Renewing ahead that fails, or is refused, is tried again at growing intervals; the old token is used to its
end meanwhile. Only without a token that lives does a failure reach a read.

A token that is refused is renewed once. The new one refused too, before any good read with it: the
credentials are no longer good, and nothing more is asked until ``TokenKeeper.forgive``.
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
"""Seconds that a token lives where it does not say: "valid 14 days from creation" (vendor's page)."""

RENEWAL_SHARE: Final = 0.2
"""A token is renewed at the latest when this share of its life is left."""


@dataclass(frozen=True, slots=True)
class RenewalPolicy:
    """How renewing ahead of time is tried again where it failed. Times are seconds.

    Attributes:
        first: The cap of the first wait, doubling to
        longest: the longest; full jitter.
        look: How often the clock is looked at, at least: it may have been set.
    """

    first: float = 60.0
    longest: float = 3600.0
    look: float = 30.0


@dataclass(frozen=True, slots=True)
class Token:
    """One token. Times are seconds since the epoch.

    Attributes:
        text: What goes into the header; left out of the ``repr``.
        renew_at: From when on a new one is asked for.
        expires_at: When it ends.
    """

    text: str = field(repr=False)
    renew_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """How it stands with the token. Times are milliseconds since the epoch.

    Attributes:
        expires_at: When it ends.
        renew_at: From when on a new one is asked for.
        failing_since: Since when renewing it has failed; None where it has not.
        next_try_at: When that is tried again; None likewise.
        problem: Why it failed the last time; empty likewise.
    """

    expires_at: int
    renew_at: int
    failing_since: int | None = None
    next_try_at: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _RenewalFailure:
    """Renewing ahead has failed: how often, since when, when it is tried again (seconds), and why."""

    times: int
    since: float
    again_at: float
    problem: str


LATEST_EXPIRY: Final = 253_402_300_799.0
"""The end of the year 9999, seconds since the epoch: what is later is no time in seconds."""


def decode_claims(token: str) -> Mapping[str, object]:
    """What a JWT says (RFC 7519, 4), not verified; empty where it cannot be read."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        return {}
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def read_expiry(token: str) -> float | None:
    """The ``exp`` claim of a JWT (RFC 7519, 4.1.4), not verified; None where it cannot be one."""
    exp = decode_claims(token).get("exp")
    if isinstance(exp, bool) or not isinstance(exp, int | float) or not 0 <= exp <= LATEST_EXPIRY:
        return None
    return float(exp)


def make_token(text: str, now: float, renew_before: float) -> Token:
    """A token just received, with its times worked out.

    An ``exp`` that has passed already shows that the clocks differ; then the documented life counts.

    Args:
        text: The token.
        now: Seconds since the epoch.
        renew_before: Renew when so many seconds, or a fifth of its life, are left, whichever is less.
    """
    exp = read_expiry(text)
    expires_at = exp if exp is not None and exp > now else now + DEFAULT_LIFETIME
    return Token(text, expires_at - min(renew_before, (expires_at - now) * RENEWAL_SHARE), expires_at)


class TokenKeeper:
    """Gives each request a token that should be good.

    Args:
        authenticate: Asks for a new token, once; raises Transient or Refused.
        renew_before: See ``make_token``.
        clock: Seconds since the epoch.
        renewing: How renewing ahead is tried again.
        random: Gives a number of [0, 1).
        changed: Told after each change of ``standing``.
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
        """When the present token ends, seconds since the epoch; None before the first."""
        return self._token.expires_at if self._token else None

    @property
    def status(self) -> TokenStatus | None:
        """How it stands; None without a token, and where the credentials are refused."""
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
        """Whether the credentials are refused, and nothing is asked until ``forgive``."""
        return self._refusal is not None

    async def keep(self) -> None:
        """Renew the token whenever it is due, for ever; also where nothing is read for days.

        The first token is left to the first read, and so is one that has ended: what it then fails of is
        that read's to tell.
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
            Transient: None is there, and a new one cannot be had at the moment.
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
            Transient: A new one cannot be had at the moment.
        """
        self._raise_refusal()
        if refused is self._suspect:
            raise self._stop(_refused_twice())
        return await self._renewed(refused, for_refused=True)

    def refused_again(self, token: Token) -> Refused:
        """What to raise where one request was refused with a token and with its replacement.

        Where others have been read with it, the token is good, and this request alone is refused.
        """
        if token is self._suspect:
            return self._stop(_refused_twice())
        return Refused(
            "Salestrekker refuses this query, although the token is good for others",
            advice="The API key lacks a permission for what the query reads: ask for it in Salestrekker.",
        )

    def confirm(self, token: Token) -> None:
        """Note a good read with a token: only now may it be replaced if it is refused."""
        if token is self._suspect:
            self._suspect = None

    def reset_refusal(self) -> None:
        """Let the next request authenticate anew after a refusal: for a probe, at growing intervals."""
        if self._refusal is not None:
            self._refusal = self._token = self._suspect = self._failure_state = None
            self._notify()

    def _is_due(self, token: Token, now: float) -> bool:
        """Whether a new token is to be asked for although this one lives."""
        if now < token.renew_at or self.is_refused:
            return False
        wait = self._failure_state.again_at - now if self._failure_state else 0.0
        # Further away than any wait can be: the clock was set back since.
        return not 0 < wait <= self._renewing.longest

    def _until_due(self, token: Token | None, now: float) -> float:
        """Seconds to sleep before the clock is looked at again."""
        longest = self._renewing.look
        if token is None or now >= token.expires_at or self.is_refused:
            return longest
        due = max(token.renew_at, self._failure_state.again_at if self._failure_state else 0.0)
        return min(longest, max(0.0, due - now))

    async def _renewed_ahead(self, token: Token) -> Token:
        """Another token, or this one where none is to be had: it is good until its end."""
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
        """A token other than ``seen``, by one request whoever asks; its failure is shared likewise."""
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

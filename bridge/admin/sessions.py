"""Browser sessions of the status page, and the signed cookies of the log-in page.

::

    GET  /login ──> guest cookie: end · random · signature; the form's token is a signature of that cookie
    POST /login ──> does the token match the cookie? ──> password ──> browser cookie: random · signature

Sessions are kept in memory; the browser knows only a random name. The log-in page keeps nothing, so however
many people ask for it, none ends another one's session. The key of the signatures lives as long as the
process: after a restart every browser is a new one.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Mapping

    from bridge.ledger.operator_actions import OperatorAction
    from bridge.ledger.read_model import AttentionKind

__all__ = ["BrowserSession", "BulkDecision", "FlashMessage", "LogInTokens", "SessionStore"]

BYTES: Final = 32
"""Random bytes of a session's name, and of its token: 256 bits each."""


@dataclass(frozen=True, slots=True)
class FlashMessage:
    """What came of what was done last, told once on the next page."""

    tone: str
    text: str


@dataclass(frozen=True, slots=True)
class BulkDecision:
    """A decision on many records that waits for its yes: those that were counted, and no others.

    Attributes:
        token: Names the order, so that an old page does not carry out a newer one.
        verb: What is to be done.
        records: The ledger's numbers of the records, by their kind: one that waits for something else by now
            is left alone.
    """

    token: str
    verb: OperatorAction
    records: Mapping[AttentionKind, array[int]]

    @property
    def total(self) -> int:
        """How many records."""
        return sum(len(numbers) for numbers in self.records.values())


@dataclass
class BrowserSession:
    """One browser's session.

    Attributes:
        csrf: What each of its forms has to bring: no other site can know it.
        until: When it ends, seconds of the monotonic clock.
        said: What the next page tells first; None: nothing.
        order: The one decision on many that waits for its yes; None: none.
    """

    csrf: str
    until: float
    said: FlashMessage | None = None
    order: BulkDecision | None = field(default=None, repr=False)

    def wrote(self, token: str) -> bool:
        """Whether a form is this session's own."""
        return hmac.compare_digest(self.csrf.encode(), token.encode())

    def tell(self) -> FlashMessage | None:
        """What is to be told now; it is told once."""
        said, self.said = self.said, None
        return said


class SessionStore:
    """The sessions, at most so many and for so long.

    Args:
        most: When there are more, the one that was used longest ago ends.
        life: Seconds after which one ends, used or not.
        clock: Seconds of a clock that is never set.
    """

    def __init__(self, most: int, life: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._life = life
        self._clock = clock
        self._by_name: dict[str, BrowserSession] = {}

    def begin(self) -> tuple[str, BrowserSession]:
        """A new session, and its name for the browser."""
        while len(self._by_name) >= self._most:
            del self._by_name[next(iter(self._by_name))]
        name = secrets.token_urlsafe(BYTES)
        visit = BrowserSession(secrets.token_urlsafe(BYTES), self._clock() + self._life)
        self._by_name[name] = visit
        return name, visit

    def of(self, name: str | None) -> BrowserSession | None:
        """The session of that name, if it has not ended."""
        visit = self._by_name.pop(name, None) if name else None
        if name is None or visit is None or visit.until <= self._clock():
            return None
        self._by_name[name] = visit  # the last one used stands last
        return visit

    def end(self, name: str | None) -> None:
        """End a session, if there is one of that name."""
        self._by_name.pop(name or "", None)


CHANCE: Final = 16
"""Random bytes of a guest, and of a browser."""

LONGEST: Final = 200
"""Characters that are looked at of a cookie."""


class LogInTokens:
    """Signs guests and browsers, and knows them again.

    Args:
        life: Seconds that somebody has to type the password.
        clock: Seconds of a clock that is never set.
    """

    def __init__(self, life: float, clock: Callable[[], float]) -> None:
        self._life = life
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def begin(self) -> tuple[str, str]:
        """A new guest: the cookie, and the token of his form."""
        said = f"{int(self._clock() + self._life)}.{secrets.token_urlsafe(CHANCE)}"
        cookie = f"{said}.{self._signed('guest', said)}"
        return cookie, self._signed("form", cookie)

    def wrote(self, cookie: str | None, token: str) -> bool:
        """Whether a form is of this guest, who is in time."""
        said = self._said("guest", cookie)
        until = said.partition(".")[0]
        in_time = until.isdecimal() and int(until) > self._clock()
        return in_time and _alike(self._signed("form", cookie or ""), token)

    def admit(self) -> str:
        """The cookie of a browser from which somebody was let in."""
        said = secrets.token_urlsafe(CHANCE)
        return f"{said}.{self._signed('browser', said)}"

    def browser(self, cookie: str | None) -> str:
        """Which browser it is; empty where nobody was let in from it."""
        return self._said("browser", cookie)

    def _said(self, use: str, cookie: str | None) -> str:
        """What a cookie says; empty where it is not signed here for this use."""
        said, _, signature = (cookie or "")[:LONGEST].rpartition(".")
        return said if said and _alike(self._signed(use, said), signature) else ""

    def _signed(self, use: str, said: str) -> str:
        return hmac.new(self._key, f"{use}:{said}".encode(errors="replace"), "sha256").hexdigest()


def _alike(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode(errors="replace"))

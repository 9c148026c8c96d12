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
    """The result of the last action, shown once on the next page."""

    tone: str
    text: str


@dataclass(frozen=True, slots=True)
class BulkDecision:
    """A decision on many records that waits to be confirmed. It covers exactly the records that were counted.

    Attributes:
        token: Identifies the decision, so that an old page cannot confirm a newer one.
        verb: What is to be done.
        records: The ledger's numbers of the records, by their kind. A record of another kind by then is left
            alone.
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
        csrf: The token that each of its forms must contain, and that no other site can know.
        until: When it ends, in seconds of the monotonic clock.
        flash: What the next page shows first; None: nothing.
        decision: The one decision on many records that waits to be confirmed; None: none.
    """

    csrf: str
    until: float
    flash: FlashMessage | None = None
    decision: BulkDecision | None = field(default=None, repr=False)

    def has_token(self, token: str) -> bool:
        """Whether a form's token is that of this session."""
        return hmac.compare_digest(self.csrf.encode(), token.encode())

    def take_flash(self) -> FlashMessage | None:
        """What is to be shown now; it is shown once."""
        flash, self.flash = self.flash, None
        return flash


class SessionStore:
    """Keeps the sessions, limited in number and in time.

    Args:
        most: The most sessions. If there are more, the least recently used one ends.
        life: Seconds after which a session ends, used or not.
        clock: Seconds of a monotonic clock.
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
        session = BrowserSession(secrets.token_urlsafe(BYTES), self._clock() + self._life)
        self._by_name[name] = session
        return name, session

    def of(self, name: str | None) -> BrowserSession | None:
        """The session of that name, if it has not ended."""
        session = self._by_name.pop(name, None) if name else None
        if name is None or session is None or session.until <= self._clock():
            return None
        self._by_name[name] = session  # the most recently used session is the last one
        return session

    def end(self, name: str | None) -> None:
        """End a session, if there is one of that name."""
        self._by_name.pop(name or "", None)


CHANCE: Final = 16
"""Random bytes of a guest's or a browser's cookie."""

LONGEST: Final = 200
"""The most characters of a cookie that are checked."""


class LogInTokens:
    """Signs the cookies of the log-in page, and verifies them.

    Args:
        life: Seconds in which the password has to be entered.
        clock: Seconds of a monotonic clock.
    """

    def __init__(self, life: float, clock: Callable[[], float]) -> None:
        self._life = life
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def begin(self) -> tuple[str, str]:
        """A cookie for the log-in page, and the token of its form."""
        content = f"{int(self._clock() + self._life)}.{secrets.token_urlsafe(CHANCE)}"
        cookie = f"{content}.{self._signed('guest', content)}"
        return cookie, self._signed("form", cookie)

    def has_token(self, cookie: str | None, token: str) -> bool:
        """Whether a form belongs to this cookie, and the cookie has not expired."""
        content = self._content("guest", cookie)
        until = content.partition(".")[0]
        in_time = until.isdecimal() and int(until) > self._clock()
        return in_time and _alike(self._signed("form", cookie or ""), token)

    def admit(self) -> str:
        """The cookie of a browser that has logged in."""
        content = secrets.token_urlsafe(CHANCE)
        return f"{content}.{self._signed('browser', content)}"

    def browser(self, cookie: str | None) -> str:
        """The id of a browser; empty if it has never logged in."""
        return self._content("browser", cookie)

    def _content(self, use: str, cookie: str | None) -> str:
        """The content of a cookie; empty if it was not signed here for this use."""
        content, _, signature = (cookie or "")[:LONGEST].rpartition(".")
        return content if content and _alike(self._signed(use, content), signature) else ""

    def _signed(self, use: str, content: str) -> str:
        return hmac.new(self._key, f"{use}:{content}".encode(errors="replace"), "sha256").hexdigest()


def _alike(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode(errors="replace"))

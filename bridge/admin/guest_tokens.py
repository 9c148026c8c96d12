"""Who has the log-in before him, or was let in before: signed words in the browser, and nothing kept here.

::

    GET  /login ──> guest cookie: end · chance · signature; the form's token is a signature of that cookie
    POST /login ──> token of that cookie? ──> password ──> browser cookie: chance · signature

What nobody keeps nobody can use up: however many ask for the log-in, none ends another one's. The key is of
this process; after a restart a form is asked for once more, and every browser is a new one.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LogInTokens"]

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

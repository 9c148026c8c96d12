"""Who is visiting the status page: sessions, kept here and known to the browser by a random name alone."""

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

__all__ = ["BrowserSession", "BulkDecision", "FlashMessage", "SessionStore"]

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

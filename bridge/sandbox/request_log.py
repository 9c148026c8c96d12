"""Counts and stores a simulated system's requests, and lets tests wait for them.

A test never sleeps. ``wait_for`` checks its condition whenever a request arrives, is answered, or is handled
after its connection was cut.
"""

from __future__ import annotations

import asyncio
import time
import unicodedata
from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

__all__ = ["Exchange", "Overlaps", "Sent", "Traffic"]

CUT = 0
"""The status of an exchange whose connection was cut before it was answered."""


@dataclass(slots=True)
class Exchange:
    """One request and how it was answered.

    Attributes:
        at: When the request arrived, in seconds of the monotonic clock.
        kind: The endpoint or the root fields: ``parties``, ``contacts``, ``authenticate``, …
        name: The ``name`` in a body for Trakor; the operation's name in one for Salestrekker.
        content: The decoded body; None if it was not JSON.
        in_flight: How many requests were being handled, with this one.
        credential: The key or token in the request; empty if there was none.
        status: The HTTP status; 0 if the connection was cut; None while the request is being handled.
        seconds: How long the request took.
    """

    at: float
    kind: str
    name: str
    content: Any = field(repr=False)
    in_flight: int
    credential: str = field(default="", repr=False)
    status: int | None = None
    seconds: float = 0.0


class Traffic:
    """Counts and stores the requests of one system.

    Args:
        keep: How many of the latest exchanges are stored.
    """

    def __init__(self, keep: int = 10_000) -> None:
        self.exchanges: deque[Exchange] = deque(maxlen=keep)
        self.kinds: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.in_flight = 0
        self.max_in_flight = 0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def total(self) -> int:
        """The number of requests that have arrived."""
        return self.kinds.total()

    def begin(self, kind: str, name: str, content: object, credential: str = "") -> Exchange:
        """Note a request that arrived."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self.kinds[kind] += 1
        exchange = Exchange(time.monotonic(), kind, name, content, self.in_flight, credential)
        self.exchanges.append(exchange)
        self.notify()
        return exchange

    def end(self, exchange: Exchange, status: int) -> None:
        """Note how a request was answered."""
        self.in_flight -= 1
        self.statuses[status] += 1
        exchange.status = status
        exchange.seconds = time.monotonic() - exchange.at
        self.notify()

    def of(self, kind: str) -> list[Exchange]:
        """Return the stored exchanges of one kind, oldest first."""
        return [exchange for exchange in self.exchanges if exchange.kind == kind]

    def clear(self) -> None:
        """Forget everything but what is in flight."""
        self.exchanges.clear()
        self.kinds.clear()
        self.statuses.clear()
        self.max_in_flight = self.in_flight

    async def wait_for(self, condition: Callable[[], object], *, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - as asyncio's own
        """Wait until the condition holds. It is checked whenever a request arrives or is answered.

        Raises:
            TimeoutError: It did not hold within ``timeout`` seconds. The message has the counters.
        """
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    await self._next()
        except TimeoutError:
            raise TimeoutError(f"not within {timeout} s; seen so far: {self.summary()}") from None

    def notify(self) -> None:
        """Let everybody who waits check their conditions."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def summary(self) -> dict[str, Any]:
        """The counters as plain values."""
        return {
            "requests": self.total,
            "kinds": dict(self.kinds),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
        }

    async def _next(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future


class Sent(NamedTuple):
    """A name that is sent to one organisation, in the loosest form in which Trakor may compare names.

    Attributes:
        organization: The organisation's name.
        kind: ``parties`` or ``products``.
        name: The name in lower case, with single spaces.
    """

    organization: str
    kind: str
    name: str

    @classmethod
    def of(cls, organization: str, kind: str, name: str) -> Sent:
        """Return the form in which a name is counted."""
        return cls(organization, kind, " ".join(unicodedata.normalize("NFC", name).casefold().split()))


class Overlaps:
    """Counts requests that arrived while another one for the same name was not done.

    Attributes:
        requests: Requests that arrived while another one was being handled, by name.
        late: Requests that arrived while late work of a cut connection was not done yet, by name.
    """

    def __init__(self) -> None:
        self._in_flight: Counter[Sent] = Counter()
        self.requests: Counter[Sent] = Counter()
        self.late: Counter[Sent] = Counter()

    @contextmanager
    def during(self, sent: Sent, late: Container[Sent]) -> Iterator[None]:
        """Count a request while it is being handled.

        Args:
            sent: The request's name.
            late: The names with late work, after their connection was cut.
        """
        self.requests.update([sent] if self._in_flight[sent] else [])
        self.late.update([sent] if sent in late else [])
        self._in_flight[sent] += 1
        try:
            yield
        finally:
            self._in_flight[sent] -= 1
            if not self._in_flight[sent]:
                del self._in_flight[sent]

    def clear(self) -> None:
        """Forget what was counted, but not what is in flight."""
        self.requests.clear()
        self.late.clear()

    def summary(self) -> dict[str, Any]:
        """The counters as plain values."""
        return {"requests": _rows(self.requests), "late": _rows(self.late)}


def _rows(counter: Counter[Sent]) -> list[dict[str, Any]]:
    return [{**sent._asdict(), "times": times} for sent, times in counter.items()]

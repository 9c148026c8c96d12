"""Scripted faults: what goes wrong, with which requests, and how often, while the sandbox runs.

::

    trakor.faults.add(Fault(status=503, headers={"Retry-After": "2"}, times=3))     # the next three
    trakor.faults.add(Fault(status=500, name="Ada Ashby", times=None))              # a poison record
    trakor.faults.add(Fault(reset=True, commit=True))                               # taken, answer lost
    trakor.faults.add(Fault(status=502, body="<html>Bad gateway</html>", every=4, times=None))
    trakor.faults.add(Fault(gate=event))                                            # held until event.set()
    trakor.faults.add(Fault(reset=True, late=True, late_after=4, times=12))         # cut, and stored later

Of several faults that match a request, the one added first is applied, and only that.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.sandbox.traffic import Exchange

__all__ = ["ArmedFault", "Fault", "Faults", "throttled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: Only requests of this kind (``Exchange.kind``); empty: any.
        name: Only requests with this name (``Exchange.name``); None: any.
        where: Only requests for which this is true.
        times: How many requests it strikes; None: until it is removed.
        every: With 3 it strikes every third of the requests that match.
        delay: Seconds to wait before anything happens.
        gate: Wait, before anything happens, until this event is set.
        status: Answer with this status, and ``headers`` and ``body``, instead of what is due.
        headers: Of that answer, ``Retry-After`` or ``Location`` for example.
        body: Of that answer: a text is sent as it is (as HTML where it begins with ``<``), anything else
            as JSON.
        reset: Cut the connection instead of answering.
        commit: Handle the request all the same before the answer is replaced or cut.
        late: Handle the request all the same, but after the answer was replaced or cut. A Trakor that
            looks up and then inserts has looked up before.
        late_after: How many seconds later; None: when the system's ``late.finish_all()`` is called.
        between: Delay and gate come between Trakor's look-up and its insert, not before both.
        before: Is called right before the request is handled: what happens over there meanwhile.
        stall: Seconds to wait in the middle of the answer's body.
    """

    kind: str = ""
    name: str | None = None
    where: Callable[[Exchange], bool] | None = None
    times: int | None = 1
    every: int = 1
    delay: float = 0.0
    gate: asyncio.Event | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    reset: bool = False
    commit: bool = False
    stall: float = 0.0
    late: bool = False
    late_after: float | None = None
    between: bool = False
    before: Callable[[], object] | None = None

    def __post_init__(self) -> None:
        if self.every < 1 or (self.times is not None and self.times < 1):
            raise ValueError("times and every are at least 1")
        if not (self.replaces or self.delay or self.gate or self.stall or self.before):
            raise ValueError("a fault needs a status, reset, delay, gate, stall or before: it does nothing")
        if (self.commit or self.late) and not self.replaces:
            raise ValueError(
                "commit or late goes with a status or reset: without, every request is handled anyway"
            )
        if self.late_after is not None and not self.late:
            raise ValueError("late_after goes with late")
        if self.commit and self.late:
            raise ValueError("commit and late: a request is handled once")

    @property
    def replaces(self) -> bool:
        """Whether the answer that is due is replaced or cut."""
        return self.reset or self.status is not None

    @property
    def handles(self) -> bool:
        """Whether the request is handled, now or later."""
        return self.commit or self.late or not self.replaces

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        if self.body is None:
            return b""
        return self.body.encode() if isinstance(self.body, str) else orjson.dumps(self.body)

    @property
    def content_type(self) -> str:
        """The content type, unless ``headers`` has one."""
        is_html = isinstance(self.body, str) and self.body.lstrip().startswith("<")
        return "text/html; charset=utf-8" if is_html else "application/json"

    def matches(self, exchange: Exchange) -> bool:
        """Whether the request is of the sort that this fault is for."""
        return (
            self.kind in ("", exchange.kind)
            and self.name in (None, exchange.name)
            and (self.where is None or self.where(exchange))
        )

    async def wait(self) -> None:
        """Wait for the delay and the gate."""
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.gate:
            await self.gate.wait()


@dataclass(slots=True)
class ArmedFault:
    """A fault that was added, and what became of it.

    Attributes:
        fault: What was added.
        matched: How many requests were of its sort.
        hits: How many it struck.
    """

    fault: Fault
    matched: int = 0
    hits: int = 0

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as it was to."""
        return self.fault.times is not None and self.hits >= self.fault.times

    def strikes(self, exchange: Exchange) -> bool:
        """Count a request, and say whether it is struck."""
        if not self.fault.matches(exchange):
            return False
        self.matched += 1
        struck = self.matched % self.fault.every == 0
        self.hits += struck
        return struck


class Faults:
    """The faults of one system, in the order in which they were added."""

    def __init__(self) -> None:
        self._armed: list[ArmedFault] = []

    def __len__(self) -> int:
        return len(self._armed)

    def add(self, fault: Fault) -> ArmedFault:
        """Arm a fault; what is returned counts its hits and can be removed."""
        armed = ArmedFault(fault)
        self._armed.append(armed)
        return armed

    def remove(self, armed: ArmedFault) -> None:
        """Disarm a fault; one that is spent is gone already."""
        self._armed = [other for other in self._armed if other is not armed]

    def remove_held_by(self, gate: asyncio.Event) -> None:
        """Disarm all that hold requests until this event."""
        self._armed = [armed for armed in self._armed if armed.fault.gate is not gate]

    def clear(self) -> None:
        """Disarm all."""
        self._armed.clear()

    def pick(self, exchange: Exchange) -> Fault | None:
        """The fault that strikes this request, if any."""
        for armed in self._armed:
            if armed.strikes(exchange):
                if armed.spent:
                    self.remove(armed)
                return armed.fault
        return None


def throttled(retry_after: float, *, times: int | None = 1, kind: str = "", code: str = "THROTTLED") -> Fault:
    """A throttle that answers 200 with a GraphQL error, which says how long to wait.

    Args:
        retry_after: Seconds, as ``retryAfter`` in the error's extensions.
        times: How many requests it strikes; None: until it is removed.
        kind: See ``Fault``.
        code: ``extensions.code`` of the error.
    """
    extensions = {"code": code, "retryAfter": retry_after}
    body = {"data": None, "errors": [{"message": "Too many requests.", "extensions": extensions}]}
    return Fault(status=200, body=body, times=times, kind=kind)

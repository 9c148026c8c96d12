"""Scripted faults: what goes wrong, with which requests, and how often.

::

    trakor.faults.add(Fault(status=503, headers={"Retry-After": "2"}, times=3))     # the next three
    trakor.faults.add(Fault(status=500, name="Ada Ashby", times=None))              # a poison record
    trakor.faults.add(Fault(reset=True, commit=True))                               # stored, answer lost
    trakor.faults.add(Fault(status=502, body="<html>Bad gateway</html>", every=4, times=None))
    trakor.faults.add(Fault(gate=event))                                            # held until event.set()
    trakor.faults.add(Fault(reset=True, late=True, late_after=4, times=12))         # cut, and stored later

If several faults match a request, only the one that was added first is applied.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.sandbox.request_log import Exchange

__all__ = ["ArmedFault", "Fault", "Faults", "throttled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: Affects only requests of this kind (``Exchange.kind``); empty means any.
        name: Affects only requests with this name (``Exchange.name``); None means any.
        where: Affects only requests for which this returns true.
        times: How many requests the fault affects; None means until it is removed.
        every: With 3, the fault affects every third matching request.
        delay: Seconds to wait before anything happens.
        gate: An event to wait for before anything happens.
        status: The status of the answer that replaces the real one, with ``headers`` and ``body``.
        headers: The headers of that answer, such as ``Retry-After`` or ``Location``.
        body: The body of that answer. A text is sent unchanged, as HTML if it begins with ``<``. Anything
            else is sent as JSON.
        reset: Cut the connection instead of answering.
        commit: Still handle the request, before the answer is replaced or cut.
        late: Still handle the request, but after the answer was replaced or cut. A Trakor that looks up and
            then inserts does the look-up first, when the request arrives.
        late_after: How many seconds later; None means when the system's ``late.finish_all()`` is called.
        between: Delay and gate come between Trakor's look-up and its insert, not before both.
        before: Called right before the request is handled, to change something meanwhile.
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
                "commit or late needs a status or reset: otherwise every request is handled anyway"
            )
        if self.late_after is not None and not self.late:
            raise ValueError("late_after needs late")
        if self.commit and self.late:
            raise ValueError("give commit or late, not both: a request is handled once")

    @property
    def replaces(self) -> bool:
        """Whether the real answer is replaced or cut."""
        return self.reset or self.status is not None

    @property
    def handles(self) -> bool:
        """Whether the request is handled, now or later."""
        return self.commit or self.late or not self.replaces

    @property
    def content(self) -> bytes:
        """The body in bytes."""
        if self.body is None:
            return b""
        return self.body.encode() if isinstance(self.body, str) else orjson.dumps(self.body)

    @property
    def content_type(self) -> str:
        """The content type, unless ``headers`` has one."""
        is_html = isinstance(self.body, str) and self.body.lstrip().startswith("<")
        return "text/html; charset=utf-8" if is_html else "application/json"

    def matches(self, exchange: Exchange) -> bool:
        """Whether the fault's conditions match the request."""
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
    """A fault that was added, with its counters.

    Attributes:
        fault: The fault.
        matched: How many requests matched.
        hits: How many requests the fault affected.
    """

    fault: Fault
    matched: int = 0
    hits: int = 0

    @property
    def spent(self) -> bool:
        """Whether the fault has affected as many requests as it should."""
        return self.fault.times is not None and self.hits >= self.fault.times

    def strikes(self, exchange: Exchange) -> bool:
        """Count a request, and return whether the fault affects it."""
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
        """Arm a fault. The result counts its hits, and can be removed."""
        armed = ArmedFault(fault)
        self._armed.append(armed)
        return armed

    def remove(self, armed: ArmedFault) -> None:
        """Disarm a fault. Nothing happens if it is gone already."""
        self._armed = [other for other in self._armed if other is not armed]

    def remove_held_by(self, gate: asyncio.Event) -> None:
        """Disarm all faults that hold requests until this event."""
        self._armed = [armed for armed in self._armed if armed.fault.gate is not gate]

    def clear(self) -> None:
        """Disarm all faults."""
        self._armed.clear()

    def pick(self, exchange: Exchange) -> Fault | None:
        """Return the fault that affects this request, if any."""
        for armed in self._armed:
            if armed.strikes(exchange):
                if armed.spent:
                    self.remove(armed)
                return armed.fault
        return None


def throttled(retry_after: float, *, times: int | None = 1, kind: str = "", code: str = "THROTTLED") -> Fault:
    """Return a fault that answers 200 with a GraphQL error, which says how long to wait.

    Args:
        retry_after: Seconds, as ``retryAfter`` in the error's extensions.
        times: How many requests the fault affects; None means until it is removed.
        kind: See ``Fault``.
        code: ``extensions.code`` of the error.
    """
    extensions = {"code": code, "retryAfter": retry_after}
    body = {"data": None, "errors": [{"message": "Too many requests.", "extensions": extensions}]}
    return Fault(status=200, body=body, times=times, kind=kind)

"""Scripted faults: what goes wrong, with which requests, and how often, while the sandbox runs.

::

    trakor.faults.add(Fault(status=503, headers={"Retry-After": "2"}, times=3))     # the next three
    trakor.faults.add(Fault(status=500, name="Ada Ashby", times=None))              # a poisoned record
    trakor.faults.add(Fault(reset=True, commit=True))                               # taken, answer lost
    trakor.faults.add(Fault(status=502, body="<html>Bad gateway</html>", every=4, times=None))
    trakor.faults.add(Fault(gate=event))                                            # held until event.set()

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

__all__ = ["Armed", "Fault", "Faults"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: Only requests of this kind (``Exchange.kind``); empty: any.
        name: Only requests with this name (``Exchange.name``); None: any.
        where: Only requests for which this is true.
        times: How many requests it strikes; None: until it is removed.
        every: It strikes every so-manieth of the requests that match.
        delay: Seconds to wait before anything happens.
        gate: Wait, before anything happens, until this event is set.
        status: Answer with this status, and ``headers`` and ``body``, instead of what is due.
        headers: Of that answer, ``Retry-After`` or ``Location`` for example.
        body: Of that answer: a text is sent as it is (as HTML where it begins with ``<``), anything else
            as JSON.
        reset: Cut the connection instead of answering.
        commit: Handle the request all the same before the answer is replaced or cut.
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

    def __post_init__(self) -> None:
        if self.every < 1 or (self.times is not None and self.times < 1):
            raise ValueError("times and every are at least 1")
        if not (self.replaces or self.delay or self.gate or self.stall):
            raise ValueError("a fault needs a status, reset, delay, gate or stall: this one does nothing")
        if self.commit and not self.replaces:
            raise ValueError("commit goes with a status or reset: without, every request is handled anyway")

    @property
    def replaces(self) -> bool:
        """Whether the answer that is due is replaced or cut."""
        return self.reset or self.status is not None

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        if self.body is None:
            return b""
        return self.body.encode() if isinstance(self.body, str) else orjson.dumps(self.body)

    @property
    def content_type(self) -> str:
        """What kind of body it is said to be, where ``headers`` do not say."""
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
class Armed:
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
        self._armed: list[Armed] = []

    def __len__(self) -> int:
        return len(self._armed)

    def add(self, fault: Fault) -> Armed:
        """Arm a fault; what is returned counts its hits and can be removed."""
        armed = Armed(fault)
        self._armed.append(armed)
        return armed

    def remove(self, armed: Armed) -> None:
        """Disarm a fault; one that is spent is gone already."""
        self._armed = [other for other in self._armed if other is not armed]

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

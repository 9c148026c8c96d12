"""The base of both simulated systems: takes each request through latency, faults and counters.

::

    read body -> identify -> fault? --no--> begin -> latency -> finish
                               |
                               '--delay, gate -> begin -> latency -> finish -> status, reset or stall
                                                                       '--> later, after the reset

If a system looks something up and then changes it, ``begin`` is the first of the two steps. Otherwise
``finish`` does all the work.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

import orjson
from aiohttp import web

from bridge.sandbox.faults import ArmedFault, Fault, Faults
from bridge.sandbox.request_log import CUT, Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Call",
    "Finish",
    "LateWork",
    "Reply",
    "SimulatedSystem",
    "decoded",
    "html_reply",
    "json_reply",
    "response_of",
]

JSON = "application/json"
HTML = "text/html; charset=utf-8"


class Call(NamedTuple):
    """A request, as far as it could be understood.

    Attributes:
        kind: See ``Exchange``.
        name: See ``Exchange``.
        content: The decoded body; None if it was not JSON.
        credential: The key or token in the request; empty if there was none.
        refusal: The answer, if path, method or firewall already decide it.
    """

    kind: str
    name: str
    content: Any
    credential: str = ""
    refusal: Reply | None = None


class Reply(NamedTuple):
    """An answer: status, body, headers."""

    status: int
    body: bytes
    headers: dict[str, str]


Finish: TypeAlias = "Callable[[], Reply]"
"""Handles a request, or the rest of one."""


def html_reply(status: int, title: str, **headers: str) -> Reply:
    """Return an answer with a small HTML page."""
    page = f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Reply(status, page.encode(), {"Content-Type": HTML, **headers})


def json_reply(status: int, value: object, **headers: str) -> Reply:
    """Return an answer with a JSON body."""
    return Reply(status, orjson.dumps(value), {"Content-Type": JSON, **headers})


def decoded(raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Decode JSON; None if it is not JSON."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


class SimulatedSystem(ABC):
    """One of the two systems, as a handler for aiohttp's low-level server.

    Args:
        latency: How many seconds each request takes at least.

    Attributes:
        faults: The scripted faults.
        traffic: The requests so far.
        late: The requests whose connection was cut, and that are not handled yet.
        latency: As above. It can be changed at any time.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self.latency = latency
        self.faults = Faults()
        self.traffic = Traffic()
        self.late: LateWork[Call] = LateWork(self.traffic.notify)
        self._gate = asyncio.Event()

    @abstractmethod
    def identify(self, request: web.BaseRequest, raw: bytes) -> Call:
        """Understand a request."""

    @abstractmethod
    def answer(self, call: Call) -> Reply:
        """Handle a request as the real system does."""

    def begin(self, call: Call) -> Finish:
        """Do the first step of a request, and return the rest. By default the rest is everything."""
        return partial(self._settle, call)

    def watching(self, call: Call) -> AbstractContextManager[None]:  # noqa: ARG002 - for subclasses
        """Return a context manager for the time while a request is being handled."""
        return nullcontext()

    def hold(self, **which: Any) -> ArmedFault:  # noqa: ANN401 - the fields of Fault
        """Hold requests until ``release``. The fields of ``Fault`` select which ones, how many, and where."""
        return self.faults.add(Fault(gate=self._gate, **which))

    def release(self) -> None:
        """Continue the held requests, and hold no more."""
        self.faults.remove_held_by(self._gate)
        self._gate.set()
        self._gate = asyncio.Event()

    async def wait_for(self, condition: Callable[[], object], *, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - as asyncio's own
        """See ``Traffic.wait_for``."""
        await self.traffic.wait_for(condition, timeout=timeout)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take one request through latency, faults and counters to its answer."""
        call = self.identify(request, await request.read())
        exchange = self.traffic.begin(call.kind, call.name, call.content, call.credential)
        status = CUT
        try:
            fault = self.faults.pick(exchange)
            with self.watching(call):
                response = await self._respond(fault, call, request)
            status = CUT if fault and fault.reset else response.status
            return response
        finally:
            self.traffic.end(exchange, status)

    async def _respond(self, fault: Fault | None, call: Call, request: web.BaseRequest) -> web.StreamResponse:
        if fault is not None:
            return await self._respond_with_fault(fault, call, request)
        finish = self.begin(call)
        await self._wait_for_latency()
        return response_of(finish())

    async def _respond_with_fault(
        self, fault: Fault, call: Call, request: web.BaseRequest
    ) -> web.StreamResponse:
        finish = await self._begin_with_fault(fault, call)
        reply = None
        if finish is not None and fault.late:
            self.late.add(call, finish, fault.late_after)
        elif finish is not None:
            reply = finish()
        if fault.reset:
            return _reset_connection(request)
        if reply is None or fault.status is not None:
            reply = _scripted_reply(fault)
        return await _send_stalled(reply, request, fault.stall) if fault.stall else response_of(reply)

    async def _begin_with_fault(self, fault: Fault, call: Call) -> Finish | None:
        """Do all that comes before the last step, and return that step; None if the fault prevents it."""
        if not fault.between:
            await fault.wait()
        if fault.before:
            fault.before()
        finish = self.begin(call) if fault.handles else None
        await self._wait_for_latency()
        if fault.between:
            await fault.wait()
        return finish

    async def _wait_for_latency(self) -> None:
        if self.latency:
            await asyncio.sleep(self.latency)

    def _settle(self, call: Call) -> Reply:
        return call.refusal or self.answer(call)


def _scripted_reply(fault: Fault) -> Reply:
    headers = {"Content-Type": fault.content_type, **fault.headers}
    return Reply(fault.status or 200, fault.content, headers)


def response_of(reply: Reply) -> web.Response:
    """Return the answer in aiohttp's form."""
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


def _reset_connection(request: web.BaseRequest) -> web.Response:
    """Reset the connection (RST, not FIN). The returned response is never sent."""
    transport = request.transport
    if transport is not None:
        peer: socket.socket | None = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def _send_stalled(reply: Reply, request: web.BaseRequest, seconds: float) -> web.StreamResponse:
    """Send the first half of the body, wait, and send the rest."""
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_length = len(reply.body)
    await response.prepare(request)
    half = len(reply.body) // 2
    await response.write(reply.body[:half])
    await asyncio.sleep(seconds)
    await response.write(reply.body[half:])
    return response


T = TypeVar("T")


class _Pending(NamedTuple, Generic[T]):
    call: T
    finish: Callable[[], object]


class LateWork(Generic[T]):
    """The requests of one system that are not handled yet, oldest first.

    Args:
        done: Called after each request is handled.
    """

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self._pending: list[_Pending[T]] = []
        self._timers: list[asyncio.TimerHandle] = []

    def __len__(self) -> int:
        return len(self._pending)

    def calls(self) -> list[T]:
        """Return the requests that are not handled yet."""
        return [pending.call for pending in self._pending]

    def add(self, call: T, finish: Callable[[], object], seconds: float | None) -> None:
        """Handle a request later.

        Args:
            call: The request.
            finish: Handles it.
            seconds: How much later; None means when ``finish_all`` is called.
        """
        pending = _Pending(call, finish)
        self._pending.append(pending)
        if seconds is not None:
            self._timers.append(asyncio.get_running_loop().call_later(seconds, self._finish, pending))

    def finish_all(self) -> int:
        """Handle all of them now, and return their number."""
        pending = list(self._pending)
        for one in pending:
            self._finish(one)
        return len(pending)

    def clear(self) -> None:
        """Drop all of them, because the server ends."""
        self._pending.clear()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _finish(self, pending: _Pending[T]) -> None:
        if any(other is pending for other in self._pending):
            self._pending = [other for other in self._pending if other is not pending]
            pending.finish()
            self._done()

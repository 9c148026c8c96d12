"""What both simulated systems have in common: one request's way through latency, faults and counters.

::

    read body -> identify -> latency -> fault? --no--> answer
                                          |
                                          '--delay, gate -> [answer, if commit] -> status, reset or stall
"""

from __future__ import annotations

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from aiohttp import web

from bridge.sandbox.faults import Fault, Faults
from bridge.sandbox.traffic import CUT, Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Call", "Reply", "System", "decoded", "json_reply", "response_of"]

JSON = "application/json"


class Call(NamedTuple):
    """A request, as far as it could be understood.

    Attributes:
        kind: What is asked for.
        name: See ``Exchange``.
        content: The decoded body; None where it was not JSON.
        credential: The key or token that came with it; empty where none did.
        refusal: The answer, where path or method settle it.
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


def json_reply(status: int, value: object, **headers: str) -> Reply:
    """An answer with a JSON body."""
    return Reply(status, orjson.dumps(value), {"Content-Type": JSON, **headers})


def decoded(raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON value, or None where there is none."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


class System(ABC):
    """One of the two systems, as a handler for aiohttp's low-level server.

    Args:
        latency: Seconds that each request takes at least.

    Attributes:
        faults: What is to go wrong.
        traffic: What was seen.
        latency: May be changed at any time.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self.latency = latency
        self.faults = Faults()
        self.traffic = Traffic()

    @abstractmethod
    def identify(self, request: web.BaseRequest, raw: bytes) -> Call:
        """Understand a request."""

    @abstractmethod
    def answer(self, call: Call) -> Reply:
        """Handle a request: what the real system would do."""

    async def wait_for(self, condition: Callable[[], object], *, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - as asyncio's own
        """See ``Traffic.wait_for``."""
        await self.traffic.wait_for(condition, timeout=timeout)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take one request through latency, faults and counters to its answer."""
        call = self.identify(request, await request.read())
        exchange = self.traffic.begin(call.kind, call.name, call.content)
        status = CUT
        try:
            fault = self.faults.pick(exchange)
            if self.latency:
                await asyncio.sleep(self.latency)
            if fault is None:
                reply = self._settle(call)
                response: web.StreamResponse = response_of(reply)
            else:
                response = await self._faulty(fault, call, request)
            status = CUT if fault and fault.reset else response.status
            return response
        finally:
            self.traffic.end(exchange, status)

    async def _faulty(self, fault: Fault, call: Call, request: web.BaseRequest) -> web.StreamResponse:
        await fault.wait()
        reply = self._settle(call) if fault.commit or not fault.replaces else None
        if fault.reset:
            return _cut(request)
        if reply is None or fault.status is not None:
            reply = _scripted(fault)
        return await _stalled(reply, request, fault.stall) if fault.stall else response_of(reply)

    def _settle(self, call: Call) -> Reply:
        return call.refusal or self.answer(call)


def _scripted(fault: Fault) -> Reply:
    headers = {"Content-Type": fault.content_type, **fault.headers}
    return Reply(fault.status or 200, fault.content, headers)


def response_of(reply: Reply) -> web.Response:
    """The answer in aiohttp's form."""
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


def _cut(request: web.BaseRequest) -> web.Response:
    """Reset the connection (RST, not FIN); what is returned goes nowhere."""
    transport = request.transport
    if transport is not None:
        peer: socket.socket | None = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def _stalled(reply: Reply, request: web.BaseRequest, seconds: float) -> web.StreamResponse:
    """Send the first half of the body, wait, and send the rest."""
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_length = len(reply.body)
    await response.prepare(request)
    half = len(reply.body) // 2
    await response.write(reply.body[:half])
    await asyncio.sleep(seconds)
    await response.write(reply.body[half:])
    return response

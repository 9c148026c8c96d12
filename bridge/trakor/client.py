"""The client of Trakor: one request, one answer or one error."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, cast

import httpx
import orjson

from bridge import __version__
from bridge.errors import BridgeError, NeverSent, Rejected, Unanswered
from bridge.records import STREAMS, Party
from bridge.trakor.responses import interpret_response
from bridge.trakor.transport import NEVER_LEFT, AiohttpTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable
    from types import TracebackType
    from typing import Self

    from bridge.errors import Transient
    from bridge.records import Payload, TrakorAnswer

__all__ = ["ENDPOINTS", "MALFORMED", "MAX_RESPONSE", "PROBED", "TrakorClient", "build_body", "endpoint_of"]

ENDPOINTS: Final = {spec.payload: spec.endpoint for spec in STREAMS.values()}
"""The path that takes each type of payload."""

PROBED: Final = ENDPOINTS[Party]
"""Where Trakor is asked whether it accepts requests at all."""

MALFORMED: Final = b"{}"
"""A body without a name: Trakor answers 400 to it and creates nothing. The key is checked before the body."""


def endpoint_of(payload: Payload) -> str:
    """The endpoint that takes a payload."""
    return ENDPOINTS[type(payload)]


def build_body(payload: Payload) -> bytes:
    """The JSON body of a POST."""
    return orjson.dumps(payload.body())


MAX_RESPONSE: Final = 64 * 1024
"""Bytes of a response that are read. The longest documented one has under 2,000."""


class TrakorClient:
    """Posts payloads to one Trakor organisation. It never retries: its errors say what to do.

    Args:
        url: Base address, without a slash at its end.
        api_key: The organisation's key.
        max_in_flight: Maximum number of requests at once.
        timeout: Seconds for a whole exchange.
        clock: Returns the wall clock, seconds since the epoch.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        max_in_flight: int = 16,
        timeout: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._urls = {path: httpx.URL(f"{url}{path}") for path in ENDPOINTS.values()}
        self._clock = clock
        headers = {
            "X-API-KEY": api_key,
            "Content-Type": "application/json",
            "Accept": "*/*",
            "Accept-Encoding": "identity",  # nothing to unpack
            "User-Agent": f"trakor-bridge/{__version__}",
        }
        # Without httpx's client, which doubles the time for redirects, cookies and authentication, none of
        # which is needed here.
        self._transport = AiohttpTransport(
            headers, connections=max_in_flight, timeout=timeout, longest=MAX_RESPONSE
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.aclose()

    async def post(self, payload: Payload) -> TrakorAnswer:
        """Post one payload.

        Returns:
            Trakor's answer.

        Raises:
            NeverSent: Nothing was sent.
            Unanswered: Trakor may have created it, or may still create it.
            Transient: Trakor's response says to try again.
            Rejected: Trakor does not accept the record as it is.
            Refused: Trakor accepts nothing from us now.
        """
        found = await self._exchange(endpoint_of(payload), build_body(payload))
        if isinstance(found, BridgeError):
            raise found
        return found

    async def probe(self) -> None:
        """Find out whether Trakor accepts requests from us, with a request that creates nothing.

        Raises:
            Transient: There was no useful response.
            Refused: The key, the organisation or the address is wrong.
        """
        found = await self._exchange(PROBED, MALFORMED)
        if isinstance(found, BridgeError) and not isinstance(found, Rejected):
            raise found

    async def _exchange(self, path: str, body: bytes) -> TrakorAnswer | BridgeError:
        try:
            response = await self._transport.handle_async_request(self._request(path, body))
        except httpx.TransportError as error:
            return _wrapped(error)
        # Read the stream directly: httpx's own reading takes a tenth of the time of a whole exchange.
        content = b"".join([part async for part in cast("AsyncIterable[bytes]", response.stream)])
        return interpret_response(response.status_code, response.headers, content, self._clock())

    def _request(self, path: str, body: bytes) -> httpx.Request:
        """A request without the headers that httpx would add at some cost: aiohttp adds them anyway."""
        content = httpx.ByteStream(body)
        request = httpx.Request("POST", self._urls[path], stream=content)
        request.read()  # or it would be sent in chunks, its length unknown
        return request


def _wrapped(error: httpx.TransportError) -> Transient:
    wrapped: Transient
    if isinstance(error, NEVER_LEFT):
        wrapped = NeverSent(f"Trakor cannot be reached: {error}")
    else:
        late = isinstance(error, httpx.TimeoutException)
        wrapped = Unanswered(f"no answer from Trakor: {error}", timed_out=late)
    wrapped.__cause__ = error
    return wrapped

"""httpx's requests over aiohttp's connections. The type of an exception says whether a request was sent.

::

    request ──a connection──> head and body ──a response──> response, as much as is worth reading
                  │                   │
                  └──ConnectError     └──ReadTimeout, ReadError, RemoteProtocolError:
                     ConnectTimeout:     Trakor may be working on it
                     nothing was sent

httpx's own pool searches all waiting requests at each step, and loses a slot for each cancelled one. aiohttp
sends no POST a second time. Redirects, cookies and proxies are not for requests that carry a key.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aiohttp
import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.abc import AbstractStreamWriter

__all__ = ["NEVER_LEFT", "AiohttpTransport"]

CONNECTIONS_KEPT: Final = 3.0
"""Seconds that an idle connection is kept: less than servers keep it (5 s is usual), so that none is used
just as the
server closes it. Such a request would get no response."""

NEVER_LEFT: Final = (httpx.ConnectError, httpx.ConnectTimeout)
"""The exceptions raised if not one byte of a request was sent."""

_NO_CONNECTION: Final = (
    (aiohttp.ClientConnectorDNSError, "its name cannot be resolved"),
    (aiohttp.ClientConnectorCertificateError, "its TLS certificate is not trusted"),
    (aiohttp.ClientSSLError, "no TLS connection can be made"),
    (aiohttp.ClientConnectorError, "no connection can be made"),
    (aiohttp.InvalidURL, "its address is not one that can be asked"),
    (aiohttp.NonHttpUrlClientError, "its address is not one that can be asked"),
)
"""aiohttp raises these while it connects and at no other time. The first match counts."""

_NO_ANSWER: Final = (
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError, "the connection was closed"),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError, "the answer broke off"),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError, "what came is not HTTP"),
)


class LibraryError(Exception):
    """The type of an aiohttp error, and the system's text.

    It stands for the error, which holds the request with its key, and may quote what the server sent.
    """


class TrackedBody(aiohttp.BytesPayload):
    """A request's body that notes when sending begins.

    aiohttp holds a request's head back until the first piece of the body, so nothing is sent before.
    """

    begun = False

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the whole body."""
        self.begun = True
        await super().write(writer)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write so many bytes of the body."""
        self.begun = True
        await super().write_with_length(writer, content_length)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends requests that have a body, each once, and reads the beginning of each response.

    Args:
        headers: What each request carries beside its own headers.
        connections: Maximum number of connections, and so of requests in flight.
        timeout: Seconds for a whole exchange: the wait for a connection, the request, the response.
        longest: Bytes of an unpacked response that are read.
    """

    def __init__(self, headers: Mapping[str, str], *, connections: int, timeout: float, longest: int) -> None:
        self._headers = headers
        self._connections = connections
        self._timeout = timeout
        self._longest = longest
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read its response.

        Raises:
            httpx.TransportError: One of ``NEVER_LEFT``, or there is no complete response to what was sent.
        """
        body = TrackedBody(request.content)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(request, body)
        except (aiohttp.ClientError, OSError) as error:
            failure = _transport_error(error, begun=body.begun)
        # Raised outside the except block, so that the library's error is not its context.
        raise failure

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _exchange(self, request: httpx.Request, body: TrackedBody) -> httpx.Response:
        if self._session is None:
            self._session = self._open(secure=request.url.scheme == "https")
        async with self._session.post(
            str(request.url), data=body, headers=request.headers.multi_items(), allow_redirects=False
        ) as response:
            content = await self._beginning_of(response)
            # aiohttp has unpacked it already.
            kept = [one for one in response.raw_headers if one[0].lower() != b"content-encoding"]
            return httpx.Response(response.status, headers=kept, stream=httpx.ByteStream(content))

    async def _beginning_of(self, response: aiohttp.ClientResponse) -> bytes:
        parts, size = [], 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size >= self._longest:
                break
        return b"".join(parts)[: self._longest]

    def _open(self, *, secure: bool) -> aiohttp.ClientSession:
        trusted = httpx.create_ssl_context() if secure else True  # to load the certificates takes 30 ms
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections, keepalive_timeout=CONNECTIONS_KEPT, ssl=trusted
            ),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # ours is over the whole
            trust_env=False,
        )


def _transport_error(error: aiohttp.ClientError | OSError, *, begun: bool) -> httpx.TransportError:
    """What an error of aiohttp or of the system means for the request.

    Args:
        error: What was raised.
        begun: Some of the request may have left.
    """
    failure = _named(error, begun=begun)
    name = type(error).__name__
    # The system's errors name host and port. Others may quote the server's text.
    failure.__cause__ = LibraryError(f"{name}: {error}" if isinstance(error, OSError) else name)
    return failure


def _named(error: aiohttp.ClientError | OSError, *, begun: bool) -> httpx.TransportError:
    if isinstance(error, TimeoutError):
        if begun:
            return httpx.ReadTimeout("nothing whole came in time")
        return httpx.ConnectTimeout("no connection was to be had in time")
    if not begun:
        for no_connection, words in _NO_CONNECTION:
            if isinstance(error, no_connection):
                return httpx.ConnectError(words)
    for no_answer, failure, words in _NO_ANSWER:
        if isinstance(error, no_answer):
            return failure(words)
    return httpx.ReadError("the connection broke")

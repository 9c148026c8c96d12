"""One GraphQL request over HTTP: gql with its aiohttp transport, and the bounds that it lacks.

::

    post ──gql──> aiohttp ──status, headers──> _examine: body (bounded) ──answers.decipher──> document
                                                  └─ what is no GraphQL answer leaves as an error of ours

gql decodes nothing here, and sees neither variables nor text: it puts the text of an answer that it
cannot decode into its error, and logs both when its logger is set to debug. Its sessions would turn an
answer with errors into an exception that holds all of it; so the transport is asked directly. Errors of
the libraries are replaced where they arise: what is kept as the cause is their type, and the text of the
operating system's; never the object, which may know the headers of the request.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

import aiohttp
from gql import GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportError, TransportServerError

from bridge import __version__
from bridge.errors import BridgeError, Refused, Transient
from bridge.salestrekker.answers import ADDRESS_ADVICE, HttpAnswer, decipher
from bridge.salestrekker.server_errors import result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.salestrekker.server_errors import Result

__all__ = ["MAX_BODY", "Request", "Transport"]

MAX_BODY: Final = 64 * 1024 * 1024
"""Bytes of an answer, unpacked, beyond which it is not read: a page of 1,000 contacts has less than one."""

ERROR_BODY: Final = 64 * 1024
"""Bytes that are read of an answer that is no success: enough for GraphQL errors."""

CONNECTIONS_KEPT: Final = 30.0
"""Seconds that an idle connection is kept: less than common servers do, so they rarely close one in use."""


class Request(GraphQLRequest):
    """A request with its text kept: gql would print the document each time.

    Args:
        text: The GraphQL document.
        name: Of the operation; may be empty.
        variables: Their values.
    """

    def __init__(self, text: str, name: str, variables: Mapping[str, object]) -> None:
        # Not calling super: it would parse the text, which was parsed when the file was loaded.
        self.text = text
        self.operation_name = name or None
        self.variable_values = dict(variables)
        self.extensions = None

    def __repr__(self) -> str:
        return f"Request({self.operation_name})"

    __str__ = __repr__

    @property
    def payload(self) -> dict[str, Any]:
        """What gql takes for the body, and would log: without the variables, one of which is the API key."""
        name = {"operationName": self.operation_name} if self.operation_name else {}
        return {"query": self.text} | name

    @property
    def body(self) -> dict[str, Any]:
        """The body that is sent."""
        return self.payload | {"variables": self.variable_values}


class LibraryError(Exception):
    """What a library raised: its type and its text, without what else the object holds."""


class UnusableAnswerError(TransportServerError):
    """Raised inside gql where an answer is no GraphQL document.

    Args:
        meaning: What to raise instead, outside of gql.
        status: HTTP status.
    """

    def __init__(self, meaning: BridgeError, status: int) -> None:
        super().__init__(str(meaning), status)
        self.meaning = meaning


class BoundedResponse(aiohttp.ClientResponse):
    """An answer that is read up to a bound, and whose JSON is what was deciphered from it."""

    max_body: ClassVar[int] = MAX_BODY
    document: Mapping[str, object] | None = None

    async def json(self, **_: Any) -> Any:  # noqa: ANN401 - as in the class above
        """The GraphQL document, deciphered when the answer came."""
        return self.document

    async def text(self, *_: Any, **__: Any) -> str:  # noqa: ANN401 - as in the class above
        """Nothing: it would only be logged."""
        return ""

    async def read_bounded(self) -> bytes:
        """The body; of an answer that is no success only its beginning.

        Raises:
            UnusableAnswerError: The body of a success is longer than the bound.
        """
        success = self.status < HTTPStatus.MULTIPLE_CHOICES
        limit = self.max_body if success else ERROR_BODY
        parts, size = [], 0
        async for part in self.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > limit:
                break
        if size > limit and success:
            raise UnusableAnswerError(_too_long(limit), self.status)
        return b"".join(parts)[:limit]


class Transport:
    """Sends requests to one address.

    Args:
        url: The GraphQL endpoint.
        timeout: Seconds for one request, from the connection to the last byte.
        connections: How many at most.
        clock: Seconds since the epoch, for a ``Retry-After`` that is a date.
        max_body: See ``MAX_BODY``.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        connections: int,
        clock: Callable[[], float] = time.time,
        max_body: int = MAX_BODY,
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._connections = connections
        self._clock = clock
        self._response_class = type("Response", (BoundedResponse,), {"max_body": max_body})
        self._gql: AIOHTTPTransport | None = None

    async def open(self) -> None:
        """Prepare for requests; nothing is sent yet."""
        self._gql = AIOHTTPTransport(self._url, client_session_args=self._session_arguments())
        await self._gql.connect()

    async def close(self) -> None:
        """Close all connections."""
        if self._gql is not None:
            await self._gql.close()
            self._gql = None

    async def post(self, request: Request, token: str | None) -> Result:
        """Send one request, once.

        Args:
            request: What to ask.
            token: For the ``Authorization`` header, where there is one already.

        Raises:
            BridgeError: As ``answers.decipher``; Transient also for time-outs and broken connections.
        """
        if self._gql is None:
            raise RuntimeError("the transport is not open")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # A redirect followed would post the credentials to the other host.
        arguments = {"json": request.body, "headers": headers, "allow_redirects": False}
        fault: BridgeError
        try:
            found = await self._gql.execute(request, extra_args=arguments)
            return result_of(found.data, found.errors, request.text)
        except UnusableAnswerError as error:
            fault = error.meaning
        except TransportError as error:
            fault = _broken(error)
        # Raised here, not above: as its context the library's error would come along.
        raise fault

    def _session_arguments(self) -> dict[str, Any]:
        return {
            "connector": aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=CONNECTIONS_KEPT),
            "cookie_jar": aiohttp.DummyCookieJar(),
            "headers": {"User-Agent": f"salestrekker-trakor-bridge/{__version__}"},
            "raise_for_status": self._examine,
            "response_class": self._response_class,
            "timeout": aiohttp.ClientTimeout(total=self._timeout),
        }

    async def _examine(self, response: aiohttp.ClientResponse) -> None:
        """Take each answer before gql does: aiohttp calls this as its check of the status."""
        if not isinstance(response, BoundedResponse):
            raise TypeError("the session was not made with the response class of this module")
        try:
            response.document = await self._document(response)
        except BaseException:
            # aiohttp leaves a response to itself whose check fails; one read to its end keeps its connection.
            response.close()
            raise

    async def _document(self, response: BoundedResponse) -> Mapping[str, object]:
        body = await response.read_bounded()
        meaning = decipher(HttpAnswer(response.status, response.headers, body, self._url), self._clock())
        if isinstance(meaning, BridgeError):
            raise UnusableAnswerError(meaning, response.status)
        return meaning


def _too_long(limit: int) -> Refused:
    return Refused(
        f"Salestrekker's answer is longer than {limit:,} bytes",
        advice="Ask for fewer records with page_size.",
    )


def _broken(error: TransportError) -> BridgeError:
    """The connection failed: refused, reset, cut short, or too slow; or the address can be none."""
    source = error.__cause__ or error
    fault = _named(source)
    # The system's errors name host and port; others may quote what the server sent.
    text = f": {source}" if isinstance(source, OSError) else ""
    fault.__cause__ = LibraryError(f"{type(source).__module__}.{type(source).__qualname__}{text}")
    return fault


def _named(source: BaseException) -> BridgeError:
    name = type(source).__name__
    if isinstance(source, aiohttp.InvalidURL):
        return Refused(f"The address is not one that can be asked ({name})", advice=ADDRESS_ADVICE)
    if isinstance(source, aiohttp.ClientConnectorCertificateError):
        return Refused("The certificate of Salestrekker's address is not trusted", advice=ADDRESS_ADVICE)
    if isinstance(source, TimeoutError):
        return Transient(f"Salestrekker did not answer in time ({name})")
    return Transient(f"Salestrekker cannot be reached ({name})")

"""One GraphQL request over HTTP: gql with its aiohttp transport, and the limits that it lacks.

::

    post ──gql──> aiohttp ──status, headers──> _examine: body (limited) ──interpret_response──> document
                                                  │         └─ of a large one, the list is cut out first
                                                  └─ a response that is not GraphQL becomes one of our errors

gql decodes nothing here, and sees neither variables nor text. It would put the text of a response that it
cannot decode into its error, and log both at level debug. Its sessions would turn a response with errors into
an exception that holds the whole response. So the transport is called directly. Errors of the libraries are
replaced where they arise. The replacement keeps their type and the operating system's text as its cause, and
never the object, which may hold the headers of the request.
"""

from __future__ import annotations

import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from gql import GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportError, TransportServerError

from bridge import __version__
from bridge.errors import BridgeError, Refused, Transient
from bridge.event_loop_turns import SLICE_SECONDS, TimeSlice, run_in_slices
from bridge.salestrekker.graphql_errors import parse_result_in_steps
from bridge.salestrekker.large_lists import (
    SMALLER_PAGES_ADVICE,
    LongList,
    TooManyItemsError,
    cut_list,
    too_long_error,
)
from bridge.salestrekker.response_limits import (
    ERROR_BODY,
    INCOMPLETE_JSON,
    MAX_ITEMS,
    MAX_REST,
    SMALL_BODY,
    is_rest,
    is_small,
)
from bridge.salestrekker.responses import ADDRESS_ADVICE, HttpResponse, interpret_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bridge.salestrekker.graphql_errors import GraphqlResult

__all__ = ["Request", "ResponseTooLarge", "Transport"]

CONNECTIONS_KEPT: Final = 30.0
"""Seconds that an idle connection is kept: less than common servers keep it, so they rarely close one in
use."""


class Request(GraphQLRequest):
    """A request with its text: gql would print the document each time.

    Args:
        text: The GraphQL document.
        name: The name of the operation, may be empty.
        variables: Their values.
        path: Keys that lead, in the response's ``data``, to a list that may be long. Empty if there is none.
        longest: Bytes of a response beyond which it is not read.
        at_once: Decode the response at once, however large: for commands, which nothing else waits for.
    """

    def __init__(
        self,
        text: str,
        name: str,
        variables: Mapping[str, object],
        *,
        path: Sequence[str] = (),
        longest: int = SMALL_BODY,
        at_once: bool = False,
    ) -> None:
        # Without super().__init__, which would parse the text again.
        self.text = text
        self.operation_name = name or None
        self.variable_values = dict(variables)
        self.extensions = None
        self.path = tuple(path)
        self.longest = longest
        self.at_once = at_once

    def __repr__(self) -> str:
        return f"Request({self.operation_name})"

    __str__ = __repr__

    @property
    def payload(self) -> dict[str, Any]:
        """The body as gql sees and would log it: without the variables, one of which may be the API key."""
        name = {"operationName": self.operation_name} if self.operation_name else {}
        return {"query": self.text} | name

    @property
    def body(self) -> dict[str, Any]:
        """The body that is sent."""
        return self.payload | {"variables": self.variable_values}


class ResponseTooLarge(Refused):
    """A response is longer, or holds more values, than allowed: ask for less, or for a long list."""


class GraphqlLibraryError(Exception):
    """Stands for a library's error: its type and its text, without the rest of the object."""


class UnusableResponseError(TransportServerError):
    """Raised inside gql if a response is not a GraphQL document.

    Args:
        meaning: The error to raise instead, outside of gql.
        status: HTTP status.
    """

    def __init__(self, meaning: BridgeError, status: int) -> None:
        super().__init__(str(meaning), status)
        self.meaning = meaning


class BoundedResponse(aiohttp.ClientResponse):
    """A response that is read up to a limit, and whose JSON is the document read from it."""

    document: Mapping[str, object] | None = None

    async def json(self, **_: Any) -> Any:  # noqa: ANN401 - as in the class above
        """The GraphQL document, read when the response came."""
        return self.document

    async def text(self, *_: Any, **__: Any) -> str:  # noqa: ANN401 - as in the class above
        """Nothing: it would only be logged."""
        return ""

    async def read_bounded(self, longest: int) -> bytearray:
        """The body, or only its beginning if the response is no success.

        Args:
            longest: Bytes of a success beyond which it is not read.

        Raises:
            UnusableResponseError: It is longer.
        """
        success = self.status < HTTPStatus.MULTIPLE_CHOICES
        limit = longest if success else ERROR_BODY
        body, turn = bytearray(), TimeSlice(rest=SLICE_SECONDS)
        async for part in self.content.iter_any():
            body += part
            if len(body) > limit:
                break
            await turn.over()  # what was packed well comes without a pause
        if len(body) > limit and success:
            raise UnusableResponseError(_large(f"is longer than {limit:,} bytes"), self.status)
        del body[limit:]
        return body


class Transport:
    """Sends requests to one address.

    Args:
        url: The GraphQL endpoint.
        timeout: Seconds for one request, from the connection to the last byte.
        connections: Maximum number of connections.
        clock: Returns seconds since the epoch, for a ``Retry-After`` that is a date.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        connections: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._connections = connections
        self._clock = clock
        self._gql: AIOHTTPTransport | None = None

    async def open(self) -> None:
        """Prepare for requests. Nothing is sent yet."""
        self._gql = AIOHTTPTransport(self._url, client_session_args=self._session_arguments())
        await self._gql.connect()

    async def close(self) -> None:
        """Close all connections."""
        if self._gql is not None:
            await self._gql.close()
            self._gql = None

    async def post(self, request: Request, token: str | None) -> GraphqlResult:
        """Send one request, once.

        Args:
            request: The request.
            token: For the ``Authorization`` header, if there is one.

        Raises:
            ResponseTooLarge: The response is longer than ``request.longest``, or it holds too many values
                outside of a list at ``request.path``.
            Refused: The list has more items than any may have.
            BridgeError: As ``interpret_response``. Transient also for time-outs and broken connections.
        """
        if self._gql is None:
            raise RuntimeError("the transport is not open")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        arguments = {
            "json": request.body,
            "headers": headers,
            # A redirect that is followed would post the credentials to another host.
            "allow_redirects": False,
            "raise_for_status": partial(self._examine, request),
        }
        failure: BridgeError
        try:
            found = await self._gql.execute(request, extra_args=arguments)
            return await run_in_slices(
                parse_result_in_steps(found.data, found.errors, request.text), rest=SLICE_SECONDS
            )
        except UnusableResponseError as error:
            failure = error.meaning
        except TransportError as error:
            failure = _broken(error)
        # Raised outside the except block, so that the library's error is not its context.
        raise failure

    def _session_arguments(self) -> dict[str, Any]:
        return {
            "connector": aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=CONNECTIONS_KEPT),
            "cookie_jar": aiohttp.DummyCookieJar(),
            "headers": {"User-Agent": f"salestrekker-trakor-bridge/{__version__}"},
            "response_class": BoundedResponse,
            "timeout": aiohttp.ClientTimeout(total=self._timeout),
        }

    async def _examine(self, request: Request, response: aiohttp.ClientResponse) -> None:
        """Read each response before gql does: aiohttp calls this as its check of the status."""
        if not isinstance(response, BoundedResponse):
            raise TypeError("the session was not made with the response class of this module")
        try:
            body = await response.read_bounded(request.longest)
            response.document = await self._document(request, response, body)
        except BaseException:
            # aiohttp does not close a response whose check fails. One read to its end keeps its connection.
            response.close()
            raise

    async def _document(
        self, request: Request, response: BoundedResponse, body: bytearray
    ) -> Mapping[str, object]:
        """The decoded response, with a ``LongList`` in it if the response is large."""
        rest: bytes | bytearray = body
        items, path = None, ("data", *request.path)
        is_success = response.status < HTTPStatus.MULTIPLE_CHOICES
        is_large = is_success and not request.at_once and not is_small(body)
        if is_large:
            rest, items = await _in_parts(request, response, body)
        meaning = interpret_response(
            HttpResponse(response.status, response.headers, rest, self._url), self._clock()
        )
        if isinstance(meaning, BridgeError):
            raise UnusableResponseError(meaning, response.status)
        if is_large and not _placed(items, meaning, path):
            raise UnusableResponseError(Transient(INCOMPLETE_JSON), response.status)
        return meaning


async def _in_parts(
    request: Request, response: BoundedResponse, body: bytearray
) -> tuple[bytes | bytearray, LongList | None]:
    """A large response without its list, and the list.

    Without a list, it is the whole response, if that is not too long.
    """
    failure: BridgeError
    try:
        path = ("data", *request.path)
        parts = (
            await run_in_slices(cut_list(body, path, most=MAX_ITEMS, longest=MAX_REST), rest=SLICE_SECONDS)
            if request.path
            else None
        )
    except TooManyItemsError:
        failure = too_long_error(f"Salestrekker gives more than {MAX_ITEMS:,} records in one answer")
    except ValueError:
        failure = Transient(INCOMPLETE_JSON)
    else:
        if parts is not None and is_rest(parts.rest):
            return parts.rest, LongList(body, parts)
        if parts is None and request.path and is_rest(body):
            return body, None
        failure = _large("holds more than was asked for")
    raise UnusableResponseError(failure, response.status)


def _placed(items: LongList | None, document: dict[str, object], path: Sequence[str]) -> bool:
    """Put a list back where it was cut out of a document.

    Returns:
        Whether the document has no other list there.
    """
    inside: Any = document
    for key in path:
        if not isinstance(inside, dict):
            break
        if isinstance(found := inside.get(key), list):
            inside[key] = items
            return found == [] and items is not None
        inside = found
    return items is None


def _large(what: str) -> ResponseTooLarge:
    return ResponseTooLarge(f"Salestrekker's answer {what}", advice=SMALLER_PAGES_ADVICE)


def _broken(error: TransportError) -> BridgeError:
    """The error for a connection that was refused, reset, cut short or too slow, or an invalid address."""
    source = error.__cause__ or error
    failure = _named(source)
    # The system's errors name host and port. Others may quote the server's text.
    text = f": {source}" if isinstance(source, OSError) else ""
    failure.__cause__ = GraphqlLibraryError(f"{type(source).__module__}.{type(source).__qualname__}{text}")
    return failure


def _named(source: BaseException) -> BridgeError:
    name = type(source).__name__
    if isinstance(source, aiohttp.InvalidURL):
        return Refused(f"The address is not one that can be asked ({name})", advice=ADDRESS_ADVICE)
    if isinstance(source, aiohttp.ClientConnectorCertificateError):
        return Refused("The certificate of Salestrekker's address is not trusted", advice=ADDRESS_ADVICE)
    if isinstance(source, TimeoutError):
        return Transient(f"Salestrekker did not answer in time ({name})")
    return Transient(f"Salestrekker cannot be reached ({name})")

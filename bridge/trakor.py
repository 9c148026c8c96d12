"""Trakor's public API: requests built and answers deciphered by pure functions, a little I/O between.

::

    Payload ──build──> body ──POST──> status, headers, bytes ──decipher──> Answer
                                                                     or Transient, Refused, Rejected

Rules are from the vendor's page "Public API" (two endpoints, ``X-API-KEY``, the statuses 400, 401,
403, 500); what it does not say is treated so that nothing is lost: any other answer of a server or a
proxy is tried again, any answer of another kind of place stops the flow.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from bridge import __version__
from bridge.errors import BridgeError, Refused, Rejected, Transient
from bridge.naming import tidy
from bridge.pacing import retry_after
from bridge.records import Answer, Product

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Mapping
    from types import TracebackType
    from typing import Self

    from bridge.records import Payload

__all__ = ["MALFORMED", "KeyRefused", "TrakorClient", "build", "decipher", "path_of", "scrub"]

PARTIES: Final = "/parties"
PRODUCTS: Final = "/products"

LONGEST_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read. The longest documented one has under 2,000."""

LONGEST_KIND: Final = 40
"""Characters of a content type that are shown."""

LONGEST_MESSAGE: Final = 200
"""Characters of Trakor's words that are kept with a rejected record."""

MOST_DIGITS: Final = 3
"""A word with more digits may be a telephone number; one with fewer is a limit, such as 255."""

MALFORMED: Final = b"{}"
"""A body without a name: a good key answers 400 to it and makes nothing (authentication comes first)."""

_TRANSIENT: Final = frozenset({408, 409, 423, 425, 429})
_BUSY: Final = frozenset({429, 503})
_REJECTED: Final = frozenset({400, 413, 422})
_OF_THE_KEY: Final = frozenset({401, 403})
_ADVICE: Final = {
    401: "make a new API key in Trakor (Settings → API Keys) and put it into [trakor] api_key",
    403: "the organisation is frozen: once it is thawed in Trakor, run this again",
    404: "check [trakor] url: it must end in /api/public/v1",
    405: "check [trakor] url: it must end in /api/public/v1",
}
_BETWEEN: Final = re.compile(r"[\W_]+")
_LEAST_IN_A_WORD: Final = {True: 4, False: 2}
"""How long a part must be to be looked for inside of words: ``lee`` must not hide ``asleep``."""
_REDIRECT_ADVICE: Final = "check [trakor] url: a redirect is not followed, since it could hand on the key"


class KeyRefused(Refused):
    """The address is Trakor's; the key, or its organisation, is at fault."""


def path_of(payload: Payload) -> str:
    """The endpoint that takes a payload."""
    return PRODUCTS if isinstance(payload, Product) else PARTIES


def build(payload: Payload) -> bytes:
    """The JSON body of a POST. Fields without a value are left out: both are optional."""
    body: dict[str, Any] = {"name": payload.name}
    if isinstance(payload, Product):
        if payload.description:
            body["description"] = payload.description
        if payload.price is not None:
            body["price"] = float(payload.price)  # exact to the cent below 1e12, which mapping sees to
    elif payload.contact_info:
        body["contact_info"] = payload.contact_info
    return orjson.dumps(body)


def decipher(
    status: int, headers: Mapping[str, str], body: bytes, payload: Payload | None, now: float
) -> Answer | BridgeError:
    """What an answer means; the error's type is what to do about it.

    Args:
        status: HTTP status.
        headers: Its headers, found whatever the case of their names.
        body: At most the first 64 KiB.
        payload: What was sent, so that its personal data can be kept out of messages; None for nothing.
        now: Wall clock, seconds since the epoch, for a ``Retry-After`` that is a date.

    Returns:
        The answer, or the error to raise.
    """
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own number; 200 or 201 for what exists is not documented
        return _accepted(status, headers, body)
    if status in _REJECTED:
        return Rejected(_rejection(status, body, payload))
    if status in _TRANSIENT or status >= 500:  # noqa: PLR2004 - likewise
        wait = retry_after(headers.get("retry-after"), now)
        busy = wait is not None or status in _BUSY
        return Transient(f"Trakor answered {status}", retry_after=wait, busy=busy)
    if 300 <= status < 400:  # noqa: PLR2004 - likewise
        return Refused(f"Trakor's address answered with a redirect ({status})", advice=_REDIRECT_ADVICE)
    kind = KeyRefused if status in _OF_THE_KEY else Refused
    return kind(f"Trakor refused the request: {_words(status)}", advice=_ADVICE.get(status, _ADVICE[404]))


def _words(status: int) -> str:
    known = {
        401: "401, the API key is missing, invalid or revoked",
        403: "403, the organisation is frozen",
        404: "404, there is nothing at this address",
        405: "405, this address takes no POST",
    }
    return known.get(status, str(status))


def _accepted(status: int, headers: Mapping[str, str], body: bytes) -> Answer | BridgeError:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        kind = tidy(headers.get("content-type", "").partition(";")[0].lower())[:LONGEST_KIND] or "nothing"
        if "json" in kind:
            return Transient(f"Trakor answered {status} with JSON that cannot be read")
        # A page with 200 is somebody else's; a bare success, or 201, can be Trakor's own on a way that lost
        # its body, and then the record is made.
        unsure = status != 200 or not body  # noqa: PLR2004 - HTTP's own number
        message = f"Trakor's address answered {status} with {kind} instead of JSON"
        return Refused(message, advice=_ADVICE[404], unsure=unsure)
    match said:
        case {"id": str() | int() as found, "created": bool() as created} if found != "":
            name, sku = said.get("name"), said.get("sku")
            return Answer(
                str(found),
                name if isinstance(name, str) else "",
                created,
                sku if isinstance(sku, str) else "",
            )
    return Transient(f"Trakor answered {status} without an id, or without saying whether it was created")


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""


def _rejection(status: int, body: bytes, payload: Payload | None) -> str:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    message = ""
    if isinstance(said, dict):
        found = said.get("error") or said.get("message") or ""
        if isinstance(found, dict):
            found = found.get("message") or ""
        message = found if isinstance(found, str) else ""
    words = scrub(tidy(message)[: 5 * LONGEST_MESSAGE], payload)[:LONGEST_MESSAGE]
    return f"Trakor answered {status}: {words}" if words else f"Trakor answered {status} without a reason"


def scrub(message: str, payload: Payload | None) -> str:
    """A message without what the record says, whole or in part, and without what looks like an address.

    Words are compared letter by letter and digit by digit, whatever quotes, case or punctuation the
    other side puts around them; a word too much is left out rather than one too few.

    Args:
        message: Words of the other side, which may repeat what they were sent.
        payload: What was sent; None for nothing.
    """
    values = () if payload is None else payload.fields().values()
    private = frozenset(part for value in values for part in _parts(value))
    return " ".join("…" if _tells(word, private) else word for word in message.split())


def _parts(text: str) -> list[str]:
    """The runs of letters and digits in a text, in the form in which they are compared."""
    return [part for part in _BETWEEN.split(tidy(text).casefold()) if part]


def _tells(word: str, private: frozenset[str]) -> bool:
    """Whether a word may be something that a record says: a backslash may spell any character."""
    if "@" in word or "\\" in word or sum(map(str.isdecimal, word)) > MOST_DIGITS:
        return True
    return any(_is_of(part, private) for part in _parts(word))


def _is_of(part: str, private: frozenset[str]) -> bool:
    """Whether it is one of them, the beginning of one that was cut, or has one in it."""
    return part in private or any(
        known.startswith(part) or (len(known) >= _LEAST_IN_A_WORD[known.isascii()] and known in part)
        for known in private
    )


class TrakorClient:
    """Posts payloads to one Trakor organisation. Knows nothing of retries: its errors say what to do.

    Args:
        url: Base address, without a slash at its end.
        api_key: The organisation's key.
        max_in_flight: The most requests at once.
        timeout: Seconds for a whole exchange.
        clock: Wall clock, seconds since the epoch.
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
        self._urls = {path: httpx.URL(f"{url}{path}") for path in (PARTIES, PRODUCTS)}
        self._timeout = timeout
        self._clock = clock
        self._headers = httpx.Headers(
            {
                "X-API-KEY": api_key,
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",  # nothing to unpack: the bound on an answer is one on memory
                "User-Agent": f"trakor-bridge/{__version__}",
            }
        )
        # Without httpx's client around it, which spends as much time again on redirects, cookies and
        # authentication, none of which is wanted here.
        self._transport = AiohttpTransport(limits=httpx.Limits(max_connections=max_in_flight))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.aclose()

    async def post(self, payload: Payload) -> Answer:
        """Post one party or product.

        Returns:
            Trakor's answer.

        Raises:
            Transient: No answer that says anything; it may or may not have been made.
            Rejected: Trakor will not take it as it is.
            Refused: Trakor takes nothing from us now.
        """
        found = await self._exchange(path_of(payload), build(payload), payload)
        if isinstance(found, BridgeError):
            raise found
        return found

    async def prove(self) -> None:
        """Find out whether Trakor takes requests from us, by one that makes nothing.

        Raises:
            Transient: No answer that says anything.
            Refused: The key, the organisation or the address is at fault.
        """
        found = await self._exchange(PARTIES, MALFORMED, None)
        if isinstance(found, BridgeError) and not isinstance(found, Rejected):
            raise found

    async def _exchange(self, path: str, body: bytes, payload: Payload | None) -> Answer | BridgeError:
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._transport.handle_async_request(self._request(path, body))
                try:
                    said = await _bounded(response)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            # The transport names every connection fault a time-out or lets it through as it is: all may pass.
            return _wrapped(error)
        return decipher(response.status_code, response.headers, said, payload, self._clock())

    def _request(self, path: str, body: bytes) -> httpx.Request:
        """A request without the headers that httpx would add at some cost: aiohttp adds them anyway."""
        content = httpx.ByteStream(body)
        request = httpx.Request("POST", self._urls[path], headers=self._headers, stream=content)
        request.read()  # or it would be sent in chunks, its length unknown
        return request


def _wrapped(error: Exception) -> Transient:
    wrapped = Transient(f"no answer from Trakor ({type(error).__name__})")
    wrapped.__cause__ = error
    return wrapped


async def _bounded(response: httpx.Response) -> bytes:
    """The answer's body, as much of it as is worth reading."""
    # Only what is packed needs httpx's way to read it, which takes a tenth of the time of a whole exchange.
    packed = "content-encoding" in response.headers
    content = response.aiter_bytes() if packed else cast("AsyncIterable[bytes]", response.stream)
    parts, size = [], 0
    async for part in content:
        parts.append(part)
        size += len(part)
        if size >= LONGEST_ANSWER:
            break
    return b"".join(parts)[:LONGEST_ANSWER]

"""The listener that Salestrekker posts to: a token, a few bytes, safe on disk, 202. Nothing else.

::

    POST /webhooks/{token}/{action}
      ──accept──> room? ──token──> whose? ──from──> allowed? ──method──> body ──received──> keep ──> 202
                   └─503            └─404             └─403      └─405    └─408, 413, 400    └─503

No more is done while the sender waits, so that Salestrekker never waits for Trakor. What if the process
dies here? Before ``keep`` returns, the sender has no answer and posts again; afterwards the event is in the
ledger. The sender that posts again all the same makes two events of one, which cost one read.

The address holds the secret. So no log line is made of a request: aiohttp's access log is off, and its
own logger, which shows lines that it cannot parse, is silent. Whoever has no token gets 404, whatever else
is wrong, and no further request on that connection.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog
from aiohttp import web

from bridge.errors import BridgeError
from bridge.records.webhooks import WebhookAction
from bridge.serving import RETRY_AFTER, WEBHOOKS, LimitedServer, open_sockets
from bridge.webhooks.authentication import SenderFilter, TokenRegistry
from bridge.webhooks.parsing import known_action, received

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bridge.records.webhooks import ReceivedWebhook
    from bridge.serving import Limits
    from bridge.webhooks.authentication import Network

__all__ = ["Receiver", "ReceiverNumbers", "addresses", "open_webhook_sockets"]

MOST_BODY: Final = 262_144
"""Default maximum of a body, in bytes."""

BODY_TIMEOUT: Final = 10.0
"""Seconds in which a body must arrive."""

LOG_INTERVAL: Final = 60.0
"""Seconds between two log lines of one kind: a sender in trouble would cause a thousand a second."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReceiverNumbers:
    """What the listener has done so far.

    Attributes:
        answers: HTTP status -> how many answers had it.
        open: Connections that are open now.
    """

    answers: Mapping[int, int]
    open: int


class _Address(NamedTuple):
    """What a request's path says."""

    connection: str
    action: str


class Receiver:
    """The webhook listener of all connections.

    Args:
        keep: Returns once an event is safe; a BridgeError if it cannot be (``ledger.inbox.Inbox.keep``).
        tokens: Connection's name -> its tokens.
        allow_from: Networks that may send; empty: any.
        trusted_proxies: Networks whose ``X-Forwarded-For`` is believed.
        max_body_bytes: Of one body, decompressed.
        clock: Milliseconds since the epoch.
        limits: On connections; those for which there is no room are answered 503.
        body_timeout: Seconds in which a body has to come.
    """

    def __init__(
        self,
        keep: Callable[[ReceivedWebhook], Awaitable[None]],
        *,
        tokens: Mapping[str, Sequence[str]],
        clock: Callable[[], int],
        allow_from: Sequence[Network] = (),
        trusted_proxies: Sequence[Network] = (),
        max_body_bytes: int = MOST_BODY,
        limits: Limits = WEBHOOKS,
        body_timeout: float = BODY_TIMEOUT,
    ) -> None:
        self._keep = keep
        self._tokens = TokenRegistry(tokens)
        self._clock = clock
        self._senders = SenderFilter(allow_from, trusted_proxies)
        self._most_body = max_body_bytes
        self._server = LimitedServer(self._handle, limits, "webhooks")
        self._body_timeout = body_timeout
        self._answers: Counter[int] = Counter()
        self._logged_at: dict[str, float] = {}

    @property
    def numbers(self) -> ReceiverNumbers:
        """What was done so far."""
        answers = self._answers + Counter({503: self._server.refused})
        return ReceiverNumbers(dict(answers), self._server.open)

    def replace_tokens(self, tokens: Mapping[str, Sequence[str]]) -> None:
        """Take other tokens from the next request on, without closing the port."""
        self._tokens = TokenRegistry(tokens)

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Begin to listen.

        Args:
            host: Address or name to listen on.
            port: 0: the operating system chooses.

        Returns:
            The address and the port that were taken.

        Raises:
            UserError: It cannot be listened there.
        """
        sockets = await open_webhook_sockets(host, port)
        taken_host, taken_port = sockets[0].getsockname()[:2]
        self._server.start(sockets)
        log.info("listening for webhooks", host=taken_host, port=taken_port)
        return str(taken_host), int(taken_port)

    async def stop(self) -> None:
        """Accept nothing more; let what is under way end, for ``stop_seconds`` of the limits at most."""
        await self._server.stop()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle one request. No error may pass from here: aiohttp would show the path with it."""
        try:
            answer = await self._answer(request)
        except BridgeError as error:
            self._log_rarely("webhooks cannot be kept", error=str(error))
            answer = _later(getattr(error, "retry_after", None))
        except Exception as error:  # noqa: BLE001 - of ours, then: the sender is to try again
            self._log_rarely("a webhook met an error of ours", exc_info=error)
            answer = _later()
        self._answers[answer.status] += 1
        answer.headers["Server"] = "trakor-bridge"  # else aiohttp says which version of what this is
        return answer

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        address = self._address(request.raw_path)
        if address is None:
            return _closing(web.Response(status=404))
        if not self._allows(request):
            self._log_rarely("webhooks come from an address that [webhooks] allow_from leaves out")
            return _closing(web.Response(status=403, text="not from this address"))
        if request.method == "POST":
            return await self._post(request, address)
        if request.method in {"GET", "HEAD"}:
            return _ready(address.action)
        return web.Response(status=405, headers={"Allow": "GET, HEAD, POST"})

    def _address(self, path: str) -> _Address | None:
        """Whose address it is, and for which action; None if no connection has it.

        The token is looked for whatever the rest is, so that all that is not found takes the same time.
        """
        parts = path.partition("?")[0].removesuffix("/").split("/")
        token, action = (parts[2], parts[3]) if len(parts) == 4 else ("", "")  # noqa: PLR2004 - "", webhooks, two
        connection = self._tokens.connection_of(token)
        if connection is None or parts[1] != "webhooks" or not action:
            return None
        return _Address(connection, action)

    def _allows(self, request: web.BaseRequest) -> bool:
        if self._senders.any:
            return True
        return self._senders.allows(request.remote or "", request.headers.getall("X-Forwarded-For", ()))

    async def _post(self, request: web.BaseRequest, address: _Address) -> web.Response:
        body = await self._body(request)
        if isinstance(body, web.Response):
            return body
        event = received(address.connection, address.action, body, self._clock())
        if event.problem:
            self._log_rarely("a webhook is kept that nothing can be done with", problem=event.problem)
        await self._keep(event)
        return web.Response(status=202)

    async def _body(self, request: web.BaseRequest) -> bytes | web.Response:
        """The body, decompressed; else the answer that says why there is none."""
        if (request.content_length or 0) > self._most_body:
            return _too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout):
                await _go_ahead(request)
                async for part in request.content.iter_any():
                    body += part
                    if len(body) > self._most_body:
                        return _too_large()
        except TimeoutError:
            return _closing(web.Response(status=408))
        except (web.RequestPayloadError, ConnectionError):  # cut short, or not what its headers say
            return _closing(web.Response(status=400))
        return bytes(body)

    def _log_rarely(self, what: str, **more: object) -> None:
        """Log a problem, at most once a minute: without path, body or address."""
        now = time.monotonic()
        if now - self._logged_at.get(what, -LOG_INTERVAL) >= LOG_INTERVAL:
            self._logged_at[what] = now
            log.warning(what, again_at_most_every=f"{LOG_INTERVAL:.0f}s", **more)


async def open_webhook_sockets(host: str, port: int) -> list[socket.socket]:
    """Open the sockets that listen for webhooks.

    Raises:
        UserError: The address or port cannot be used.
    """
    return await open_sockets(host, port, section="webhooks", what="webhooks cannot be received")


async def _go_ahead(request: web.BaseRequest) -> None:
    """Tell a sender that asks first that it may send its body (RFC 9110, section 10.1.1)."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # else aiohttp takes it for the beginning of the answer


def _ready(action: str) -> web.Response:
    """For whoever tries the pasted address in a browser: a mistyped action is to be seen there."""
    if known_action(action) is None:
        return web.json_response({"error": "unknown action"}, status=404)
    return web.json_response({"ready": True})


def _too_large() -> web.Response:
    return _closing(web.Response(status=413))


def _later(seconds: float | None = None) -> web.Response:
    wait = RETRY_AFTER if seconds is None else max(1, math.ceil(seconds))
    return web.Response(status=503, headers={"Retry-After": str(wait)})


def _closing(answer: web.Response) -> web.Response:
    answer.force_close()
    return answer


def addresses(public_url: str, token: str) -> dict[str, str]:
    """Return the address to paste for each action. Each contains the token: show it only to whoever asks.

    Args:
        public_url: How Salestrekker reaches the listener, without a slash at its end.
        token: The connection's token.
    """
    return {str(action): f"{public_url}/webhooks/{token}/{action}" for action in WebhookAction}

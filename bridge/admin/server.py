"""The admin listener: health, readiness, metrics and the status page. Not for the internet.

::

    request ──Host?──> /healthz, /readyz                       open to all
               │   ├─> /metrics, /api/status ──password?──> Snapshot ──> text, JSON
               │   └─> the status page (routes.py)
               └─no──> 421

Requests that arrive while the same state is being read share its result, so that any number of requests costs
the ledger one read at a time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

import orjson
import structlog
from aiohttp import web

from bridge.admin.auth import MOST_OF_A_FORM
from bridge.admin.guess_limits import WrongPasswords
from bridge.admin.metrics import Metrics
from bridge.admin.passwords import BasicPassword, client_of
from bridge.errors import BridgeError, UserError
from bridge.serving import ADMIN, LimitedServer, open_sockets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from bridge.admin.routes import Pages
    from bridge.status import Snapshot

    Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["AdminServer", "HealthReport", "is_loopback", "is_meant"]

BODY_SECONDS: Final = 10.0
"""Seconds in which a form has to arrive."""

GO_AHEAD: Final = "100-continue"
"""The only expectation that a request may have."""

HEADERS: Final = {
    "Server": "trakor-bridge",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}

_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Whether the process is healthy or ready.

    Attributes:
        ok: Whether it is.
        why: What is wrong, for an operator; not shown if it is.
    """

    ok: bool
    why: str = ""


class AdminServer:
    """Serves health, metrics and the status page.

    Args:
        snapshot: Reads the state of everything.
        health: Whether the process works.
        ready: Whether it can accept and store webhooks.
        password: Needed for everything but health; empty: none, which is only allowed on a loopback address.
        hosts: Names of this listener, in addition to those of this machine, in lower case.
        answers: HTTP status -> how often the webhook listener has sent it.
        wrong_passwords: Limits guessing; None: with the default limits.
        pages: The status page; None: there is none.
    """

    def __init__(
        self,
        snapshot: Callable[[], Awaitable[Snapshot]],
        health: Callable[[], HealthReport],
        ready: Callable[[], Awaitable[HealthReport]],
        *,
        password: str = "",
        hosts: Collection[str] = (),
        answers: Callable[[], Mapping[int, int]] = dict,
        wrong_passwords: WrongPasswords | None = None,
        pages: Pages | None = None,
    ) -> None:
        self._snapshot = _SharedResult(snapshot)
        self._health = health
        self._ready = _SharedResult(ready)
        self._password = BasicPassword(password)
        self._hosts = frozenset(hosts)
        self._metrics = Metrics(answers)
        self._wrong = wrong_passwords or WrongPasswords()
        self._pages = pages
        self._only_here = True
        self._runner: web.AppRunner | None = None
        self._server: LimitedServer | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Start listening.

        Args:
            host: Address or name to listen on.
            port: 0: the operating system chooses.

        Returns:
            The address and the port.

        Raises:
            UserError: The address cannot be used, or not without a password.
        """
        sockets = await open_sockets(host, port, section="admin", what="the status page cannot be shown")
        addresses = [one.getsockname()[:2] for one in sockets]
        self._only_here = all(is_loopback(address[0]) for address in addresses)
        if not self._only_here and not self._password.wanted:
            for one in sockets:
                one.close()
            raise UserError(
                f"the status page needs a password if other machines can reach it at {host}",
                advice="set [admin] password, or host to 127.0.0.1",
            )
        self._runner = web.AppRunner(self._application(), access_log=None)
        await self._runner.setup()
        if (inside := self._runner.server) is not None:  # always, after the set-up
            handler = _expecting_nothing(inside.request_handler)
            self._server = LimitedServer(handler, ADMIN, "admin", inside.request_factory)
            self._server.start(sockets)
        return str(addresses[0][0]), int(addresses[0][1])

    async def stop(self) -> None:
        """Stop listening. Responses that are being sent are completed, other requests are dropped."""
        if self._pages is not None:
            await self._pages.close()
        for shared in (self._snapshot, self._ready):
            await shared.end()
        if self._server is not None:
            await self._server.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._pages is not None:
            self._pages.end()

    def _application(self) -> web.Application:
        application = web.Application(
            middlewares=[self._check_host, self._read_body], client_max_size=MOST_OF_A_FORM
        )
        application.on_response_prepare.append(_add_headers)
        if self._pages is not None:
            self._pages.add_to(application)
        application.router.add_get("/healthz", self._answer_health)
        application.router.add_get("/readyz", self._answer_ready)
        application.router.add_get("/metrics", self._with_password(self._answer_metrics))
        application.router.add_get("/api/status", self._with_password(self._answer_status))
        return application

    @web.middleware
    async def _check_host(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse requests that were not meant for this listener."""
        if not is_meant(request.headers.getall("Host", []), self._hosts, only_here=self._only_here):
            here = "the name localhost or 127.0.0.1" if self._only_here else "its address"
            raise web.HTTPMisdirectedRequest(text=f"Ask for this by {here}, or by a name in [admin] hosts.\n")
        return await handler(request)

    @web.middleware
    async def _read_body(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Read the body within a time limit, so that handlers find it read."""
        if request.can_read_body:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    await request.read()
            except TimeoutError:
                answer = web.Response(status=408)
                answer.force_close()
                return answer
        return await handler(request)

    def _with_password(self, handler: Handler) -> Handler:
        """Require the password, if one is set."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            given = request.headers.get("Authorization")
            client = client_of(request.remote or "", given or "")
            if given is not None and (wait := self._wrong.wait(client)):
                raise web.HTTPTooManyRequests(headers={"Retry-After": str(wait)})
            if self._password.fits(given):
                self._wrong.remember(client)
                return await handler(request)
            if given is not None:
                await self._wrong.delay(client)
            realm = {"WWW-Authenticate": 'Basic realm="trakor-bridge", charset="UTF-8"'}
            raise web.HTTPUnauthorized(headers=realm, text="The password of [admin] is needed.\n")

        return guarded

    async def _answer_health(self, _: web.Request) -> web.Response:
        return _health_response(self._health())

    async def _answer_ready(self, _: web.Request) -> web.Response:
        return _health_response(await self._ready())

    async def _answer_metrics(self, request: web.Request) -> web.Response:
        try:
            snapshot = await self._snapshot()
        except BridgeError as error:
            return _health_response(HealthReport(ok=False, why=str(error)))
        body, content_type = self._metrics.render(snapshot, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _answer_status(self, _: web.Request) -> web.Response:
        try:
            document, status = (await self._snapshot()).as_json(), 200
        except BridgeError as error:
            document, status = {"error": str(error)}, 503
        return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")


class _SharedResult(Generic[T]):
    """A function that runs once at a time: calls in the meantime get the same result."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._answer())
        return await asyncio.shield(self._asking)

    async def _answer(self) -> T:
        return await self._ask()

    async def end(self) -> None:
        """Cancel a call that is running."""
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError, BridgeError):
                await self._asking


def _expecting_nothing(
    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """Refuse unknown expectations (RFC 9110, 10.1.1) without repeating them, as aiohttp would."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Expect", GO_AHEAD).lower() == GO_AHEAD:
            return await handler(request)
        refusal = web.Response(status=417, headers=HEADERS)
        refusal.force_close()
        return refusal

    return answer


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _health_response(health: HealthReport) -> web.Response:
    """200, or 503 and the reason."""
    if health.ok:
        return web.Response(text="ok\n")
    return web.Response(text=f"{health.why}\n", status=503)


def is_loopback(host: str) -> bool:
    """Whether a name or an address always means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_meant(headers: Sequence[str], names: Collection[str], *, only_here: bool) -> bool:
    """Whether a request was meant for this listener, by its ``Host`` headers.

    Any web page can make a browser request a name that its owner points to this machine (DNS rebinding). The
    browser then sends that name. This does not work with an address.

    Args:
        headers: All ``Host`` headers.
        names: Names of the listener in addition to those of this machine, in lower case.
        only_here: It listens on a loopback address, so that no other address can be meant.
    """
    match = _HOST.fullmatch(headers[0].strip()) if len(headers) == 1 else None
    if match is None:
        return False
    host = match[1].strip("[]").lower().removesuffix(".")
    return is_loopback(host) or host in names or (not only_here and _is_address(host))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

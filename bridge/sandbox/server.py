"""Both simulated systems on loopback, in one process: a product for trying out, and the tests' double.

::

    async with Sandbox(Options(contacts=200)) as sandbox:
        sandbox.contacts.add("Ada Ashby", email="ada@example.com")
        sandbox.trakor.faults.add(Fault(status=503))
        ...                                          # sandbox.salestrekker_url, sandbox.trakor_url
        await sandbox.trakor.wait_for(lambda: len(sandbox.trakor.parties) >= 5)

It shares no code with the clients: a double that shares code with what it checks proves nothing.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, fields
from functools import cache, partial
from typing import TYPE_CHECKING, Self

from aiohttp import web

from bridge.errors import UserError
from bridge.sandbox.base import response_of
from bridge.sandbox.control import Control
from bridge.sandbox.engine import Engine
from bridge.sandbox.salestrekker import FORTNIGHT, AuthErrorStyle, SandboxCredentials, SimulatedSalestrekker
from bridge.sandbox.shapes import BeforeFirst, Paged, ShapeKind, shape_of
from bridge.sandbox.trakor import BASE_PATH, SimulatedTrakor
from bridge.sandbox.trakor_store import Behaviour, Lookup, Matching
from bridge.sandbox.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.sandbox.collection import ContactCollection, ProductCollection

__all__ = ["Options", "Sandbox", "configuration", "serve"]

SHUTDOWN_SECONDS = 0.1  # a stalled or gated answer is not worth more when everything ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the sandbox is to be.

    Attributes:
        contacts: How many seeded contacts; there is one deal (ticket) for each.
        products: How many seeded products.
        seed: Makes the data; the same seed gives the same records and ids.
        salestrekker_port: 0: the operating system chooses.
        trakor_port: Likewise.
        control_port: Likewise.
        latency: Seconds that each request takes at least, in both systems.
        token_life: Seconds that a Salestrekker token is good for.
        auth_error_style: How Salestrekker answers a bad token or log-in.
        introspection: Whether Salestrekker's schema may be asked for.
        shape: Which schema Salestrekker has.
        first_page: The number of the first page, 0 or 1, in the shape ``page``.
        before_first: What is answered there for page 0, where the first is 1.
        max_page: Salestrekker gives no more records at once, whatever is asked for; None: no bound.
        organizations: Those that the log-in belongs to; it begins in the first.
        home: Which of them has the data.
        contacts_elsewhere: How many seeded contacts each of the others has; they are other people.
        products_elsewhere: How many seeded products each of the others has.
        matching: Which names Trakor takes for the same.
        existing_status: 200 or 201: how Trakor answers a name that exists.
        lookup: How Trakor finds out whether a name exists.
        trims: Trakor trims names before it compares and stores them.
        limit: Trakor takes no more records than this; None: any number.
        limit_status: 400 or 403: how Trakor refuses a record beyond that.
        html_for_unknown: Trakor answers an unknown path with 200 and an HTML page.
        api_key: Salestrekker's; a fresh one unless given.
        email: Of Salestrekker's log-in.
        password: Likewise; a fresh one unless given.
        trakor_key: Trakor's; a fresh one unless given.
    """

    contacts: int = 1000
    products: int = 50
    seed: int = 1
    salestrekker_port: int = 0
    trakor_port: int = 0
    control_port: int = 0
    latency: float = 0.0
    token_life: int = FORTNIGHT
    auth_error_style: AuthErrorStyle = AuthErrorStyle.HTTP
    introspection: bool = True
    shape: ShapeKind = ShapeKind.OFFSET
    first_page: int = 1
    before_first: BeforeFirst = BeforeFirst.REFUSED
    max_page: int | None = None
    organizations: tuple[str, ...] = ("Sandbox Finance",)
    home: int = 0
    contacts_elsewhere: int = 0
    products_elsewhere: int = 0
    matching: Matching = Matching.EXACT
    existing_status: int = 200
    lookup: Lookup = Lookup.UNIQUE
    trims: bool = False
    limit: int | None = None
    limit_status: int = 403
    html_for_unknown: bool = False
    api_key: str = field(default_factory=partial(secrets.token_hex, 20), repr=False)
    email: str = "sandbox@example.com"
    password: str = field(default_factory=partial(secrets.token_hex, 10), repr=False)
    trakor_key: str = field(default_factory=lambda: f"sk_live_{secrets.token_hex(16)}", repr=False)


class Sandbox:
    """Both systems, running between ``async with`` and its end.

    Args:
        options: How it is to be.

    Attributes:
        salestrekker: The GraphQL server: its faults, traffic, tokens and world.
        trakor: The Trakor server: its faults, traffic, parties and products.
    """

    HOST = "127.0.0.1"

    def __init__(self, options: Options | None = None) -> None:
        self.options = options = options or Options()
        self.salestrekker = _salestrekker(options)
        self.trakor = SimulatedTrakor(
            options.trakor_key,
            seed=options.seed,
            latency=options.latency,
            behaviour=_behaviour(options),
        )
        self._control = Control(self.salestrekker, self.trakor)
        self._ports: dict[str, int] = {}
        self._stack = AsyncExitStack()

    @property
    def contacts(self) -> ContactCollection:
        """Salestrekker's contacts, to be read and changed."""
        return self.salestrekker.world.contacts

    @property
    def products(self) -> ProductCollection:
        """Salestrekker's products, to be read and changed."""
        return self.salestrekker.world.products

    @property
    def salestrekker_url(self) -> str:
        """The address for ``[salestrekker] url``."""
        return f"{self._origin('salestrekker')}/graphql"

    @property
    def trakor_url(self) -> str:
        """The address for ``[trakor] url``."""
        return f"{self._origin('trakor')}{BASE_PATH}"

    @property
    def control_url(self) -> str:
        """Where a running sandbox is changed (``control.py``)."""
        return f"{self._origin('control')}/_sandbox"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for name, handler, port in (
                ("salestrekker", self.salestrekker.handle, self.options.salestrekker_port),
                ("trakor", self.trakor.handle, self.options.trakor_port),
                ("control", self._handle_control, self.options.control_port),
            ):
                self._ports[name] = await _listen(stack, handler, self.HOST, port)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.salestrekker.late.clear()
        self.trakor.late.clear()
        await self._stack.aclose()

    async def _handle_control(self, request: web.BaseRequest) -> web.StreamResponse:
        raw = await request.read()
        return response_of(self._control.answer(request.method, request.path, dict(request.query), raw))

    def _origin(self, name: str) -> str:
        return f"http://{self.HOST}:{self._ports[name]}"


def configuration(sandbox: Sandbox) -> str:
    """The configuration (TOML) with which the bridge talks to a running sandbox."""
    return f"""\
[salestrekker]
url = "{sandbox.salestrekker_url}"
api_key = "{sandbox.options.api_key}"

[trakor]
url = "{sandbox.trakor_url}"
api_key = "{sandbox.options.trakor_key}"
"""


async def serve(options: Options, announce: Callable[[str], None]) -> None:
    """Run a sandbox until SIGINT or SIGTERM.

    Args:
        options: How it is to be.
        announce: Is given the configuration to use, once both systems answer. It is TOML; the address for
            changing things while it runs stands in a comment.

    Raises:
        UserError: A port is taken.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        async with Sandbox(options) as sandbox:
            announce(f"# To change things while it runs: {sandbox.control_url}\n{configuration(sandbox)}")
            await stopped.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _behaviour(options: Options) -> Behaviour:
    return Behaviour(**{one.name: getattr(options, one.name) for one in fields(Behaviour)})


@cache
def _engine(kind: ShapeKind, paged: Paged) -> Engine:
    """Return the one engine of a schema: it holds no data, and keeps the queries that it has compiled."""
    return Engine(shape_of(kind, paged))


def _salestrekker(options: Options) -> SimulatedSalestrekker:
    world = World(options.contacts, options.products, options.seed, options.organizations, options.home)
    elsewhere = (options.contacts_elsewhere, options.products_elsewhere)
    places = [place for place in range(len(options.organizations)) if place != options.home]
    return SimulatedSalestrekker(
        world,
        SandboxCredentials(options.api_key, options.email, options.password),
        _engine(options.shape, Paged(options.max_page, options.first_page, options.before_first)),
        latency=options.latency,
        token_life=options.token_life,
        auth_error_style=options.auth_error_style,
        introspection=options.introspection,
        others=[world.elsewhere(place, *elsewhere) for place in places],
    )


async def _listen(
    stack: AsyncExitStack,
    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    host: str,
    port: int,
) -> int:
    """Serve until the stack is closed; returns the port."""
    runner = web.ServerRunner(
        web.Server(handler, access_log=None),  # the log costs a third of the speed
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise UserError(f"Port {port} of {host} is taken.", advice="Choose another, or 0 for any.") from error
    chosen: int = runner.addresses[0][1]
    return chosen

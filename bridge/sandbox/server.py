"""Runs both simulated systems on loopback, in one process, for users who try the bridge and for tests.

::

    async with Sandbox(Options(contacts=200)) as sandbox:
        sandbox.contacts.add("Ada Ashby", email="ada@example.com")
        sandbox.trakor.faults.add(Fault(status=503))
        ...                                          # sandbox.salestrekker_url, sandbox.trakor_url
        await sandbox.trakor.wait_for(lambda: len(sandbox.trakor.parties) >= 5)

The sandbox shares no code with the clients. A simulation that shares code with what it tests proves nothing.
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
from bridge.sandbox.control import Control
from bridge.sandbox.graphql_engine import Engine
from bridge.sandbox.salestrekker import FORTNIGHT, AuthErrorStyle, SandboxCredentials, SimulatedSalestrekker
from bridge.sandbox.salestrekker_organization import OrganizationState
from bridge.sandbox.shapes import BeforeFirst, Paged, ShapeKind, shape_of
from bridge.sandbox.simulated_system import response_of
from bridge.sandbox.trakor import BASE_PATH, SimulatedTrakor
from bridge.sandbox.trakor_store import Behaviour, Lookup, Matching

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.sandbox.collection import ContactCollection, ProductCollection

__all__ = ["Options", "Sandbox", "configuration", "serve"]

SHUTDOWN_SECONDS = 0.1  # no stalled or held answer is worth a longer wait at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a sandbox.

    Attributes:
        contacts: How many seeded contacts there are, each with one deal (ticket).
        products: How many seeded products there are.
        seed: The seed of the data. The same seed gives the same records and ids.
        salestrekker_port: The port of Salestrekker; 0 means that the operating system chooses one.
        trakor_port: The port of Trakor, or 0.
        control_port: The port of the control address, or 0.
        latency: How many seconds each request takes at least, in both systems.
        token_life: For how many seconds a Salestrekker token is valid.
        auth_error_style: How Salestrekker answers a bad token or log-in.
        introspection: Whether Salestrekker allows introspection.
        shape: Which schema Salestrekker has.
        first_page: The number of the first page, 0 or 1, in the shape ``page``.
        before_first: How page 0 is answered there, if the first page is 1.
        max_page: How many records Salestrekker returns at once, at most; None means any number.
        organizations: The organisations of the log-in, which begins in the first.
        home: The position of the organisation with the data.
        contacts_elsewhere: How many seeded contacts each other organisation has. They are other people.
        products_elsewhere: How many seeded products each other organisation has.
        matching: Which names are the same in Trakor.
        existing_status: The status, 200 or 201, if a name exists in Trakor.
        lookup: How Trakor finds out whether a name exists.
        trims: Whether Trakor trims names before it compares and stores them.
        limit: How many records Trakor takes; None means any number.
        limit_status: The status, 400 or 403, of a record beyond that limit.
        html_for_unknown: Whether Trakor answers an unknown path with 200 and an HTML page.
        api_key: Salestrekker's key; by default a new one.
        email: The e-mail address of Salestrekker's log-in.
        password: The password of Salestrekker's log-in; by default a new one.
        trakor_key: Trakor's key; by default a new one.
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
    """Both systems, which run inside ``async with``.

    Args:
        options: The options.

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
        """Salestrekker's contacts, which can be read and changed."""
        return self.salestrekker.world.contacts

    @property
    def products(self) -> ProductCollection:
        """Salestrekker's products, which can be read and changed."""
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
        """The address for changing a running sandbox (``control.py``)."""
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
    """Return the configuration (TOML) that connects the bridge to a running sandbox."""
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
        options: The options.
        announce: Called with the configuration to use, after both systems have started. The configuration
            is TOML, with the control address in a comment.

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
    """Return the one engine of a schema. It has no data, and caches compiled queries."""
    return Engine(shape_of(kind, paged))


def _salestrekker(options: Options) -> SimulatedSalestrekker:
    world = OrganizationState(
        options.contacts, options.products, options.seed, options.organizations, options.home
    )
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
    """Serve until the stack is closed, and return the port."""
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
